import type { ConfigEntry, ConfigOperation, ConfigResource } from '@millrace/client'
import type { Command } from 'commander'
import { ExitCode, usageError } from '../command/cli-error.ts'
import { type CommandDefinition, type Dispatch, toCommand, toGroup } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { type Column, type Row, renderRows } from '../io/output-format.ts'
import { printable } from '../io/printable.ts'
import { requirePairs } from '../options/numbers.ts'
import { noteCompaction } from './compaction-note.ts'

const RESOURCE_TEXT = 'topic NAME, broker ID, cluster (the default of all brokers) or group ID'

const COLUMNS: readonly Column[] = [
  { key: 'name' },
  {
    key: 'value',
    format: (value, row) => (row.isSensitive === true ? '(hidden)' : value === null ? '-' : printable(String(value))),
  },
  { key: 'source' },
  { key: 'type' },
]

/** `millrace config …`. */
export function configCommands(dispatch: Dispatch): Command {
  return toGroup('config', 'Show and change configuration of topics, brokers and groups', [
    toCommand(describeConfig, dispatch),
    toCommand(setConfig, dispatch),
    toCommand(deleteConfig, dispatch),
  ])
}

/** The resource of two words as `topic orders`, or of the one word `cluster`; with the words left. Throws a usage error. */
export function parseResource(words: readonly string[]): { resource: ConfigResource; rest: string[] } {
  const [type, name] = words
  if (type === 'cluster') return { resource: { type: 'broker', name: '' }, rest: words.slice(1) }
  if (name === undefined || name === '') throw usageError(`which ${type}?`, `Give ${RESOURCE_TEXT}.`)
  if (
    type === 'topic' ||
    type === 'broker' ||
    type === 'group' ||
    type === 'broker-logger' ||
    type === 'client-metrics'
  ) {
    return { resource: { type, name }, rest: words.slice(2) }
  }
  throw usageError(`${type}: no such kind of resource`, `Give ${RESOURCE_TEXT}.`)
}

const describeConfig: CommandDefinition<{ all?: boolean; docs?: boolean; synonyms?: boolean }> = {
  name: 'describe',
  arguments: [['<resource...>', `${RESOURCE_TEXT}; then names of settings, if not all are wanted`]],
  summary: 'Show configuration: what differs from the default, or all of it',
  options: [
    { flags: '-a, --all', description: 'also settings that have their default' },
    { flags: '--docs', description: 'with the meaning of each setting' },
    { flags: '--synonyms', description: 'with the values at all levels (JSON and YAML)' },
  ],
  examples: [
    ['config describe topic orders', 'what was set for a topic'],
    ['config describe broker 1 --all --docs', 'all settings of a broker with their meaning'],
    ['config describe topic orders retention.ms', 'one setting'],
  ],
  async run(context, words, options) {
    const { resource, rest } = parseResource(words)
    const outcomes = await context.withAdmin((admin) =>
      admin.describeConfigs([{ ...resource, ...(rest.length === 0 ? {} : { keys: rest }) }], {
        includeDocumentation: options.docs === true,
        includeSynonyms: options.synonyms === true,
      }),
    )
    const entries = outcomes.flatMap((outcome) => outcome.entries)
    const shown = entries.filter(({ source }) => options.all || rest.length > 0 || source !== 'default')
    const rows = shown.map((entry) => toRow(entry, options))
    if (outcomes.some(({ error }) => error === null)) {
      await context.printValue(rows, () => (options.docs ? toText(shown) : renderRows(rows, COLUMNS, 'table')))
    }
    const exitCode = await reportOutcomes(context, outcomes)
    const absent = rest.filter((wanted) => entries.every(({ name }) => name !== wanted))
    if (exitCode !== ExitCode.OK || absent.length === 0) return exitCode
    await context.note(
      `millrace: no such setting: ${absent.join(', ')}\n  --all without names shows those that there are.`,
    )
    return entries.length === 0 ? ExitCode.ERROR : ExitCode.PARTIAL
  },
}

const setConfig: CommandDefinition<{ append?: boolean; subtract?: boolean; dryRun?: boolean }> = {
  name: 'set',
  arguments: [['<resource...>', `${RESOURCE_TEXT}; then key=value, one or more`]],
  summary: 'Set settings',
  options: [
    { flags: '--append', description: 'add the values to lists' },
    { flags: '--subtract', description: 'take the values out of lists' },
    { flags: '--dry-run', description: 'only say whether it would work' },
  ],
  examples: [
    ['config set topic orders retention.ms=3600000', 'keep one hour'],
    ['config set cluster log.retention.ms=86400000', 'the default of all brokers: one day'],
    ['config set topic orders leader.replication.throttled.replicas=0:1 --append', 'one more in a list'],
  ],
  async run(context, words, options) {
    const { resource, rest } = parseResource(words)
    if (rest.length === 0) throw usageError('nothing to set', 'Give key=value.')
    if (options.append && options.subtract) throw usageError('--append and --subtract exclude each other')
    const op = options.append ? 'append' : options.subtract ? 'subtract' : 'set'
    const pairs = requirePairs('setting', rest)
    const operations = pairs.map(([name, value]) => ({ op, name, value }) as ConfigOperation)
    const exitCode = await alter(context, resource, operations, options.dryRun === true)
    if (exitCode === ExitCode.OK && op !== 'subtract') await noteCompaction(context, pairs)
    return exitCode
  },
}

const deleteConfig: CommandDefinition<{ dryRun?: boolean }> = {
  name: 'delete',
  arguments: [['<resource...>', `${RESOURCE_TEXT}; then names of settings, one or more`]],
  summary: 'Go back to the default of settings',
  options: [{ flags: '--dry-run', description: 'only say whether it would work' }],
  examples: [['config delete topic orders retention.ms', 'keep as long as the broker says']],
  run(context, words, options) {
    const { resource, rest } = parseResource(words)
    if (rest.length === 0) throw usageError('which settings?', 'Give their names.')
    const operations = rest.map((name) => ({ op: 'delete' as const, name }))
    return alter(context, resource, operations, options.dryRun === true)
  },
}

async function alter(
  context: Parameters<CommandDefinition<object>['run']>[0],
  resource: ConfigResource,
  operations: readonly ConfigOperation[],
  validateOnly: boolean,
): Promise<number> {
  const outcomes = await context.withAdmin((admin) =>
    admin.alterConfigs([{ ...resource, operations }], { validateOnly }),
  )
  const failed = outcomes.some(({ error }) => error !== null)
  const result = failed ? 'failed' : validateOnly ? 'would be changed' : 'changed'
  await context.printRows(
    operations.map((operation) => ({
      name: operation.name,
      value: operation.op === 'delete' ? null : operation.value,
      operation: operation.op,
      result,
    })),
    [{ key: 'name' }, { key: 'operation' }, { key: 'value' }, { key: 'result' }],
  )
  return reportOutcomes(context, outcomes)
}

function toRow(entry: ConfigEntry, options: { docs?: boolean; synonyms?: boolean }): Row {
  const { name, value, source, type, readOnly, isSensitive, documentation, synonyms } = entry
  return {
    name,
    value,
    source,
    type,
    readOnly,
    isSensitive,
    ...(options.docs ? { documentation } : {}),
    ...(options.synonyms ? { synonyms: synonyms.map((synonym) => ({ ...synonym })) } : {}),
  }
}

function toText(entries: readonly ConfigEntry[]): string {
  return entries
    .map(({ name, value, source, type, isSensitive, documentation }) => {
      const shown = isSensitive ? '(hidden)' : printable(value ?? '-')
      return `${name} = ${shown}   [${type}, ${source}]\n  ${documentation ?? 'no description'}\n`
    })
    .join('')
}
