import { Admin, Consumer, Producer } from '@millrace/client'
import { Command, CommanderError, Option } from 'commander'
import type { CliIo } from '../io/cli-io.ts'
import type { OutputFormat } from '../io/output-format.ts'
import { requireDuration } from '../options/durations.ts'
import { CliContext, type ClientFactory } from './cli-context.ts'
import { ExitCode, explain, usageError } from './cli-error.ts'
import { type CommandEntry, commandTable } from './command-table.ts'

const VERSION = '0.1.0'
const DEFAULT_BOOTSTRAP = '127.0.0.1:9092'
const DEFAULT_TIMEOUT = '30s'

const realClients: ClientFactory = {
  admin: (options) => new Admin(options),
  producer: (options) => new Producer(options),
  consumer: (options) => new Consumer(options),
}

/** Runs one command line (without `node` and the script) and gives the exit code. Never rejects. */
export async function runCommandLine(
  args: readonly string[],
  io: CliIo,
  clients: ClientFactory = realClients,
): Promise<number> {
  if (args[firstWordSlot(args)] === 'start') {
    await io.stderr.write('millrace: "start" comes first and takes other options: see "millrace start --help"\n')
    return ExitCode.USAGE
  }
  const program = globalCommand(io)
  let exitCode: number = ExitCode.OK
  const written: Promise<void>[] = []
  program.configureOutput({
    writeOut: (text) => written.push(io.stdout.write(text)),
    writeErr: (text) => written.push(io.stderr.write(text)),
  })
  const dispatch = async (action: (context: CliContext) => Promise<number>) => {
    exitCode = await runAction(program, io, clients, action)
  }
  const called = calledCommand(args)
  for (const entry of commandTable) {
    program.addCommand(entry === called ? await entry.load(dispatch) : placeholder(entry))
  }
  for (const command of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
    command
      .exitOverride()
      .showHelpAfterError('(add --help for the options and examples)')
      .configureOutput(program.configureOutput())
  }
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    // Commander ends help and version this way too, with exit code 0.
    exitCode = error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE
  }
  await Promise.all(written)
  return exitCode
}

async function runAction(
  program: Command,
  io: CliIo,
  clients: ClientFactory,
  action: (context: CliContext) => Promise<number>,
): Promise<number> {
  const { bootstrapServer, output, timeout } = program.opts<{
    bootstrapServer: string
    output: string
    timeout: string
  }>()
  try {
    const options = {
      bootstrapServers: bootstrapServer,
      output: outputFormat(output),
      timeoutMs: Math.max(1, requireDuration('--timeout', timeout)),
    }
    return await action(new CliContext(io, options, clients))
  } catch (error) {
    // What was under way was closed: its failure says nothing.
    if (io.signal.aborted) return io.stdout.isClosed ? ExitCode.OK : ExitCode.INTERRUPTED
    const { message, hint, exitCode } = explain(error, bootstrapServer)
    await io.stderr.write(`millrace: ${message}${hint === null ? '' : `\n  ${hint}`}\n`)
    return exitCode
  }
}

function globalCommand(io: CliIo): Command {
  return new Command('millrace')
    .description('Millrace: a log service that speaks the Kafka protocol. Works with any Kafka cluster.')
    .version(VERSION, '-V, --version', 'print the version')
    .addOption(
      new Option('-b, --bootstrap-server <list>', 'brokers to begin with, HOST:PORT by commas').default(
        io.env.MILLRACE_BOOTSTRAP_SERVERS || DEFAULT_BOOTSTRAP,
      ),
    )
    .addOption(new Option('-o, --output <format>', 'table, json or yaml').default('table'))
    .addOption(new Option('--timeout <duration>', 'limit of each call to the cluster').default(DEFAULT_TIMEOUT))
    .addHelpText(
      'after',
      `
Commands run a broker or talk to one:
  start                               Start a broker (see "millrace start --help")

Examples:
  millrace start                                    # a broker on port 9092
  millrace topic create orders --partitions 3       # a topic
  echo hello | millrace produce orders              # a record
  millrace consume orders --from beginning          # all records, then those that come
  millrace group describe billing                   # who reads what, and how far behind
  millrace cluster status                           # brokers, controllers, and what is not well

The environment variable MILLRACE_BOOTSTRAP_SERVERS takes the place of --bootstrap-server.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part or unhealthy, 130 broken off by Ctrl-C.`,
    )
}

function outputFormat(text: string): OutputFormat {
  if (text === 'table' || text === 'json' || text === 'yaml') return text
  throw usageError(`--output ${text}: must be table, json or yaml`)
}

/** Options of the first level that take a value as the next word. */
const VALUE_OPTIONS = new Set(['-b', '--bootstrap-server', '-o', '--output', '--timeout'])

/** The command that is called: the first word that is no option. `help NAME` counts as NAME. */
function calledCommand(args: readonly string[]): CommandEntry | undefined {
  const word = args[firstWordSlot(args)]
  return commandTable.find(({ name }) => name === word)
}

function firstWordSlot(args: readonly string[]): number {
  let slot = 0
  while (slot < args.length && (args[slot]!.startsWith('-') || args[slot] === 'help')) {
    slot += VALUE_OPTIONS.has(args[slot]!) ? 2 : 1
  }
  return slot
}

/** Stands in the help text for a command that is not called. */
function placeholder({ name, summary }: CommandEntry): Command {
  return new Command(name).summary(summary).description(summary)
}
