import type { Consumer, ConsumerBatch, ConsumerRecord, TopicPartition } from '@millrace/client'
import type { Command } from 'commander'
import type { CliContext } from '../command/cli-context.ts'
import { CliError, ExitCode, usageError } from '../command/cli-error.ts'
import { type CommandDefinition, type Dispatch, toCommand } from '../command/command-definition.ts'
import { requireNumberList, requireWhole } from '../options/numbers.ts'
import { patternOf, resolveTopics, UNKNOWN_TOPIC_LIMIT_MS } from '../topic/topic-names.ts'
import { type PartitionRange, parseEnd, parseStart, resolveRanges } from './consume-range.ts'
import { compileFilter, type FilterOptions } from './record-filter.ts'
import { compileFormat, FORMAT_HELP, jsonFormat, type RecordFormatter } from './record-format.ts'
import { RecordSink } from './record-sink.ts'

interface ConsumeOptions extends FilterOptions {
  from?: string
  last?: string
  until?: string
  exit?: boolean
  count?: string
  partition?: string
  group?: string
  commit: boolean
  format?: string
  json?: boolean
  keys?: boolean
  committed?: boolean
}

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
    { flags: '-e, --exit', description: 'end at the present end: the same as --until end' },
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
  ],
  run: runConsume,
}

/** `millrace consume`. */
export function consumeCommand(dispatch: Dispatch): Command {
  return toCommand(definition, dispatch)
}

async function runConsume(context: CliContext, topics: string[], options: ConsumeOptions): Promise<number> {
  check(options)
  const sink = new RecordSink(
    context.io.stdout,
    formatterOf(context, options),
    compileFilter(options),
    maxCount(options),
  )
  const consumer = context.consumer({
    ...(options.group === undefined ? {} : { groupId: options.group, enableAutoCommit: options.commit }),
    autoOffsetReset: options.from === undefined ? 'latest' : 'earliest',
    isolationLevel: options.committed ? 'read_committed' : 'read_uncommitted',
    allowAutoCreateTopics: false,
    maxPollRecords: 2000,
    maxPartitionFetchBytes: 4 * 1024 * 1024,
  })
  try {
    if (options.group !== undefined) await consumeGroup(context, consumer, topics, options, sink)
    else await consumeRanges(context, consumer, await namesOf(context, topics), options, sink)
    await sink.flush()
  } finally {
    await consumer.close({ timeoutMs: context.options.timeoutMs })
  }
  return ExitCode.OK
}

/** Reads as a member of a group until the sink is full or Ctrl-C. */
async function consumeGroup(
  context: CliContext,
  consumer: Consumer,
  topics: string[],
  options: ConsumeOptions,
  sink: RecordSink,
): Promise<void> {
  const patterns = topics.map(patternOf)
  if (patterns.some((pattern) => pattern !== null)) {
    if (topics.length > 1) throw usageError('a group takes names, or one pattern')
    consumer.subscribe(patterns[0]!)
  } else {
    for (const topic of topics) await consumer.partitionsOf(topic, { unknownLimitMs: UNKNOWN_TOPIC_LIMIT_MS })
    consumer.subscribe(topics)
  }
  for await (const batch of consumer.batches({ signal: context.io.signal })) {
    for (const record of batch.records) if (!sink.take(record)) break
    await sink.flush()
    if (sink.isFull) {
      if (options.commit) await commitShown(consumer, sink)
      return
    }
  }
}

/** The group goes on after the last record that was shown, not after the batch it came in. */
async function commitShown(consumer: Consumer, sink: RecordSink): Promise<void> {
  const last = sink.lastTaken
  if (last === null) return
  const { topic, partition, offset } = last
  await consumer.commit([{ topic, partition, offset: offset + 1n }])
}

/** Reads given ranges of partitions without a group. */
async function consumeRanges(
  context: CliContext,
  consumer: Consumer,
  topics: readonly string[],
  options: ConsumeOptions,
  sink: RecordSink,
): Promise<void> {
  const { signal } = context.io
  const nowMs = context.io.clock.wallMs()
  const places = await placesOf(consumer, topics, options)
  const end = options.exit ? 'latest' : options.until === undefined ? null : parseEnd(options.until, nowMs)
  if (options.last !== undefined) {
    const last = requireWhole('--last', options.last, 1, 1_000_000)
    const ranges = await resolveRanges(consumer, places, { beforeEnd: BigInt(last) }, 'latest')
    const records = await collect(consumer, ranges, signal)
    for (const record of newest(records, last)) if (!sink.take(record)) return
    await sink.flush()
    if (end === 'latest') return
    await follow(
      consumer,
      ranges.map((range) => ({ ...range, startOffset: range.endOffset!, endOffset: null })),
      sink,
      signal,
    )
    return
  }
  const ranges = await resolveRanges(consumer, places, parseStart(options.from ?? 'end', nowMs), end)
  await follow(consumer, ranges, sink, signal)
}

/** Hands every record of the ranges to the sink, until all are read, the sink is full, or Ctrl-C. */
async function follow(
  consumer: Consumer,
  ranges: readonly PartitionRange[],
  sink: RecordSink,
  signal: AbortSignal,
): Promise<void> {
  await readRanges(consumer, ranges, signal, async (records) => {
    for (const record of records) if (!sink.take(record)) return false
    await sink.flush()
    return !sink.isFull
  })
}

async function collect(
  consumer: Consumer,
  ranges: readonly PartitionRange[],
  signal: AbortSignal,
): Promise<ConsumerRecord[]> {
  const all: ConsumerRecord[] = []
  await readRanges(consumer, ranges, signal, (records) => {
    all.push(...records)
    return Promise.resolve(true)
  })
  return all
}

/** Assigns what is not read yet and goes on until every range is done or `onRecords` gives false. */
async function readRanges(
  consumer: Consumer,
  ranges: readonly PartitionRange[],
  signal: AbortSignal,
  onRecords: (records: readonly ConsumerRecord[], batch: ConsumerBatch) => Promise<boolean>,
): Promise<void> {
  const open = ranges.filter(({ startOffset, endOffset }) => endOffset === null || startOffset < endOffset)
  if (open.length === 0) return
  consumer.assign(open.map(({ topic, partition, startOffset }) => ({ topic, partition, start: startOffset })))
  const left = new Map(open.map((range) => [`${range.topic}/${range.partition}`, range]))
  while (left.size > 0 && !signal.aborted) {
    for (const batch of await consumer.poll({ signal, timeoutMs: 1000 })) {
      const key = `${batch.topic}/${batch.partition}`
      const range = left.get(key)
      if (range === undefined) continue
      const { endOffset } = range
      const inside = endOffset === null ? batch.records : batch.records.filter(({ offset }) => offset < endOffset)
      if (inside.length > 0 && !(await onRecords(inside, batch))) return
      if (endOffset !== null && batch.nextOffset >= endOffset) finish(consumer, left, key, range)
    }
    await finishAtMarkers(consumer, left)
  }
}

/** Ranges that end in transaction markers or removed records bring no record beyond their end: the position tells. */
async function finishAtMarkers(consumer: Consumer, left: Map<string, PartitionRange>): Promise<void> {
  for (const [key, range] of [...left]) {
    if (range.endOffset === null) continue
    const position = await consumer.position(range)
    if (position >= range.endOffset) finish(consumer, left, key, range)
  }
}

function finish(consumer: Consumer, left: Map<string, PartitionRange>, key: string, range: TopicPartition): void {
  left.delete(key)
  consumer.pause([range])
}

/** The last `count` of them in order of time, then of place. */
function newest(records: readonly ConsumerRecord[], count: number): ConsumerRecord[] {
  return [...records]
    .sort((a, b) => a.timestamp - b.timestamp || a.partition - b.partition || Number(a.offset - b.offset))
    .slice(-count)
}

async function namesOf(context: CliContext, topics: readonly string[]): Promise<string[]> {
  if (topics.every((topic) => patternOf(topic) === null)) return [...topics]
  return context.withAdmin((admin) => resolveTopics(admin, topics))
}

async function placesOf(
  consumer: Consumer,
  topics: readonly string[],
  options: ConsumeOptions,
): Promise<TopicPartition[]> {
  const wanted = options.partition === undefined ? null : requireNumberList('--partition', options.partition)
  const places: TopicPartition[] = []
  for (const topic of topics) {
    const partitions = await consumer.partitionsOf(topic, { unknownLimitMs: UNKNOWN_TOPIC_LIMIT_MS })
    for (const partition of wanted ?? partitions) {
      if (!partitions.includes(partition)) {
        throw new CliError(`${topic} has partitions 0 to ${partitions.length - 1}, not ${partition}`)
      }
      places.push({ topic, partition })
    }
  }
  return places
}

function check(options: ConsumeOptions): void {
  const { group, from, last, until, exit, partition } = options
  if (group !== undefined && [last, until, exit, partition].some((option) => option !== undefined)) {
    throw usageError('--group excludes --last, --until, --exit and --partition: the group decides what is read')
  }
  if (group !== undefined && from !== undefined && from !== 'beginning' && from !== 'end') {
    throw usageError('with --group, --from says where to begin without a committed offset: beginning or end')
  }
  if (last !== undefined && from !== undefined) throw usageError('--last and --from exclude each other')
  if (exit && until !== undefined) throw usageError('--exit and --until exclude each other')
  if ([options.format, options.json, options.keys].filter((option) => option !== undefined).length > 1) {
    throw usageError('give one of --format, --json and --keys')
  }
}

function formatterOf(context: CliContext, options: ConsumeOptions): RecordFormatter {
  if (options.json || context.options.output === 'json') return jsonFormat
  if (context.options.output === 'yaml') throw usageError('records are printed as text or JSON, not as YAML')
  if (options.keys) return compileFormat('%k\t%s\n')
  return compileFormat(options.format ?? '%s\n')
}

function maxCount({ count }: ConsumeOptions): number {
  return count === undefined ? Number.POSITIVE_INFINITY : requireWhole('--count', count, 1)
}
