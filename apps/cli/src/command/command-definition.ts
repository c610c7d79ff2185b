import { Command } from 'commander'
import type { CliContext } from './cli-context.ts'

/** Runs a command; gives the exit code. `options` are commander's, by camel-case name. */
export type CommandAction<Options> = (context: CliContext, args: string[], options: Options) => Promise<number>

/** One command as the table of commands writes it. */
export interface CommandDefinition<Options> {
  name: string
  /** Arguments in commander's notation: `<name>`, `[name]`, `<names...>`. */
  arguments?: readonly (readonly [name: string, description: string])[]
  summary: string
  /** More than the summary, for `--help`. */
  description?: string
  options?: readonly CommandOption[]
  /** Command lines without `millrace`, with what they do. At least one: every help text has examples. */
  examples: readonly (readonly [commandLine: string, effect: string])[]
  run: CommandAction<Options>
}

export interface CommandOption {
  /** Commander's notation: `-p, --partition <list>`. */
  flags: string
  description: string
  /** May be given several times; the values become a list. */
  repeatable?: boolean
}

/** Hands a parsed command line to the action, which needs a context that only the outermost command can make. */
export type Dispatch = (action: (context: CliContext) => Promise<number>) => Promise<void>

/** Options of the outermost command, which stand behind any other, too; who looks for them looks here. */
const COMMON_OPTIONS = `
Options of every command (more in "millrace --help"):
  -b, --bootstrap-server <list>  brokers to begin with, HOST:PORT by commas
  -o, --output <format>          table, json or yaml
  --timeout <duration>           limit of each call to the cluster
`

/** Makes commander's command from a definition. */
export function toCommand<Options>(definition: CommandDefinition<Options>, dispatch: Dispatch): Command {
  const command = new Command(definition.name).summary(definition.summary)
  command.description([definition.summary, definition.description ?? ''].join('\n\n').trim())
  for (const [name, description] of definition.arguments ?? []) command.argument(name, description)
  for (const { flags, description, repeatable } of definition.options ?? []) {
    if (repeatable) command.option(flags, description, collect)
    else command.option(flags, description)
  }
  command.addHelpText('after', `${COMMON_OPTIONS}\nExamples:\n${examplesText(definition.examples)}`)
  command.action(async (...given: unknown[]) => {
    const args = given.slice(0, -2).flatMap((argument) => (argument === undefined ? [] : argument)) as string[]
    const options = { ...noValues(command), ...command.opts() } as Options
    await dispatch((context) => definition.run(context, args, options))
  })
  return command
}

/** A command that only holds others. */
export function toGroup(name: string, summary: string, commands: readonly Command[]): Command {
  const group = new Command(name).summary(summary).description(summary)
  for (const command of commands) group.addCommand(command)
  return group
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value]
}

/** Empty lists for repeatable options, which actions so need not tell from absent ones. */
function noValues(command: Command): Record<string, string[]> {
  const repeatable = command.options.filter(({ parseArg }) => parseArg === (collect as unknown))
  return Object.fromEntries(repeatable.map((option) => [option.attributeName(), []]))
}

function examplesText(examples: readonly (readonly [string, string])[]): string {
  const width = Math.min(60, Math.max(...examples.map(([line]) => line.length)))
  return examples.map(([line, effect]) => `  millrace ${line.padEnd(width)}  # ${effect}`).join('\n')
}
