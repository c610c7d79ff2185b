import type { Command } from 'commander'
import type { CliContext } from '../command/cli-context.ts'
import { ExitCode, usageError } from '../command/cli-error.ts'
import { type CommandDefinition, type Dispatch, toCommand } from '../command/command-definition.ts'
import { consumeGroup } from './consume-group.ts'
import { type ConsumeOptions, checkConsumeOptions, isBounded, maxCountOf } from './consume-options.ts'
import { consumePartitions } from './consume-partitions.ts'
import { compileFilter } from './record-filter.ts'
import { compileFormat, FORMAT_HELP, jsonFormat, type RecordFormatter } from './record-format.ts'
import { RecordSink } from './record-sink.ts'

const definition: CommandDefinition<ConsumeOptions> = {
  name: 'consume',
  arguments: [['<topics...>', 'topics, or patterns between slashes']],
  summary: 'Read records: a tail for topics',
  description: `Without --from shows what comes from now on, until Ctrl-C. With a group, goes on where the group was.

--from takes beginning, end, an offset, -N (N records before the end of each partition), a date (2026-11-21T10:00),
milliseconds since 1970, or -15m (ago). --until takes end, an offset, a date or -15m.

${FORMAT_HELP}`,
  options: [
    { flags: '--from <place>', description: 'where to begin (default: end; with --group: what the group committed)' },
    { flags: '--last <n>', description: 'begin with the last n records of all partitions together, in order of time' },
    { flags: '--until <place>', description: 'where to end' },
    { flags: '-e, --exit', description: 'end at the present end: the same as --until end; with --group too' },
    { flags: '-n, --count <n>', description: 'end after n records' },
    { flags: '-p, --partition <list>', description: 'only these partitions: 0,2-4' },
    { flags: '-g, --group <id>', description: 'as a member of a group: shares the work and remembers the place' },
    { flags: '--no-commit', description: 'do not remember the place (with --group)' },
    { flags: '-f, --format <text>', description: 'what to print per record (default: %s\\n)' },
    { flags: '-J, --json', description: 'one JSON object a line; "millrace produce --json" reads it back' },
    { flags: '--keys', description: 'print key, tab, value' },
    { flags: '-k, --key <key>', description: 'only records with this key' },
    { flags: '--key-regex <regex>', description: 'only records whose key matches' },
    { flags: '--grep <regex>', description: 'only records whose value matches; /…/i ignores case' },
    {
      flags: '-H, --header <name[=regex]>',
      description: 'only records with this header; may be repeated',
      repeatable: true,
    },
    { flags: '--invert', description: 'only records that do not match' },
    { flags: '--committed', description: 'leave out records of aborted and open transactions' },
  ],
  examples: [
    ['consume orders', 'what comes from now on'],
    ['consume orders --from beginning -e', 'everything there is'],
    ['consume orders --last 10', 'the last ten records, then what comes'],
    ["consume orders --from -1h --grep '/error/i' --json", 'errors of the last hour, as JSON'],
    ["consume '/orders-.*/' -f '%t[%p]@%o %D %k %s\\n'", 'several topics, one line each'],
    ['consume orders --group billing', 'as a member of a group'],
    ['consume orders --group billing -e', 'what the group has not read yet, then leave it'],
  ],
  run: runConsume,
}

/** `millrace consume`. */
export function consumeCommand(dispatch: Dispatch): Command {
  return toCommand(definition, dispatch)
}

async function runConsume(context: CliContext, topics: string[], options: ConsumeOptions): Promise<number> {
  checkConsumeOptions(options)
  const sink = new RecordSink(
    context.io.stdout,
    formatterOf(context, options),
    compileFilter(options),
    maxCountOf(options),
  )
  const last: { isClosing: boolean; commitError: unknown } = { isClosing: false, commitError: null }
  const consumer = context.consumer({
    ...(options.group === undefined ? {} : { groupId: options.group, enableAutoCommit: options.commit }),
    // Without a group every place is looked up, and this counts only when retention overtakes the reader: go on with what is left.
    autoOffsetReset: options.group !== undefined && options.from !== 'beginning' ? 'latest' : 'earliest',
    isolationLevel: options.committed ? 'read_committed' : 'read_uncommitted',
    allowAutoCreateTopics: false,
    maxPollRecords: 2000,
    maxPartitionFetchBytes: 4 * 1024 * 1024,
    onEvent: (event) => {
      // Earlier ones are tried again.
      if (last.isClosing && event.type === 'commit-failed') last.commitError = event.error
    },
  })
  let isWhole = false
  try {
    const read = options.group === undefined ? consumePartitions : consumeGroup
    isWhole = await read(context, consumer, topics, options, sink)
    await sink.flush()
  } finally {
    last.isClosing = true
    await consumer.close({ timeoutMs: context.options.timeoutMs })
  }
  if (last.commitError !== null) {
    await context.note(`millrace: group ${options.group} did not remember its place; records will come again`)
    await context.complain(last.commitError)
    return ExitCode.ERROR
  }
  return isBounded(options) && !isWhole && context.isInterrupted ? ExitCode.INTERRUPTED : ExitCode.OK
}

function formatterOf(context: CliContext, options: ConsumeOptions): RecordFormatter {
  if (options.json || context.options.output === 'json') return jsonFormat
  if (context.options.output === 'yaml') throw usageError('records are printed as text or JSON, not as YAML')
  if (options.keys) return compileFormat('%k\t%s\n')
  return compileFormat(options.format ?? '%s\n')
}
