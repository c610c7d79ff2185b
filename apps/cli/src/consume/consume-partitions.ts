import type { Consumer, ConsumerRecord, TopicPartition } from '@millrace/client'
import type { CliContext } from '../command/cli-context.ts'
import { CliError } from '../command/cli-error.ts'
import { WaitNotice } from '../io/wait-notice.ts'
import { requireNumberList, requireWhole } from '../options/numbers.ts'
import { patternOf, resolveTopics, UNKNOWN_TOPIC_LIMIT_MS } from '../topic/topic-names.ts'
import type { ConsumeOptions } from './consume-options.ts'
import { type PartitionRange, parseEnd, parseStart, resolveRanges, type StartPlace } from './consume-range.ts'
import { readRanges } from './range-reader.ts'
import type { RecordSink } from './record-sink.ts'

const MAX_LAST = 1_000_000

/** Reads ranges of partitions without a group. False if it was broken off before it came to an end. */
export async function consumePartitions(
  context: CliContext,
  consumer: Consumer,
  topics: readonly string[],
  options: ConsumeOptions,
  sink: RecordSink,
): Promise<boolean> {
  const { signal, clock } = context.io
  const nowMs = clock.wallMs()
  const last = options.last === undefined ? null : requireWhole('--last', options.last, 1, MAX_LAST)
  const start: StartPlace = last === null ? parseStart(options.from ?? 'end', nowMs) : { beforeEnd: BigInt(last) }
  const until = options.until === undefined ? null : parseEnd(options.until, nowMs)
  const end = options.exit || last !== null ? 'latest' : until
  const finding = placesOf(context, consumer, topics, options).then((places) =>
    resolveRanges(consumer, places, start, end),
  )
  const ranges = await new WaitNotice(context.io).during('the offsets to read from', finding)
  if (ranges === null) return false
  if (last === null) return follow(consumer, ranges, sink, signal)
  if (!(await showLast(consumer, ranges, last, sink, signal))) return false
  if (options.exit || until !== null || sink.isFull) return true
  const rest = ranges.map((range) => ({ ...range, startOffset: range.endOffset!, endOffset: null }))
  return follow(consumer, rest, sink, signal)
}

/** Hands every record of the ranges to the sink, until all are read or the sink is full. False: Ctrl-C. */
function follow(
  consumer: Consumer,
  ranges: readonly PartitionRange[],
  sink: RecordSink,
  signal: AbortSignal,
): Promise<boolean> {
  return readRanges(consumer, ranges, signal, async (records) => {
    for (const record of records) if (!sink.take(record)) return false
    await sink.flush()
    return true
  })
}

/** Shows the newest `count` records of all ranges together. False, and nothing shown: Ctrl-C. */
async function showLast(
  consumer: Consumer,
  ranges: readonly PartitionRange[],
  count: number,
  sink: RecordSink,
  signal: AbortSignal,
): Promise<boolean> {
  let records: ConsumerRecord[] = []
  const isWhole = await readRanges(consumer, ranges, signal, (some) => {
    for (const record of some) records.push(record)
    // Each partition has so many: all of them together may not fit into memory.
    if (records.length > 2 * MAX_LAST) records = newest(records, count)
    return Promise.resolve(true)
  })
  if (!isWhole) return false
  for (const record of newest(records, count)) if (!sink.take(record)) break
  await sink.flush()
  return true
}

/** The last `count` of them in order of time, then of place. */
function newest(records: ConsumerRecord[], count: number): ConsumerRecord[] {
  return records
    .sort((a, b) => a.timestamp - b.timestamp || a.partition - b.partition || Number(a.offset - b.offset))
    .slice(-count)
}

/** The partitions that are meant, each once. */
async function placesOf(
  context: CliContext,
  consumer: Consumer,
  topics: readonly string[],
  options: ConsumeOptions,
): Promise<TopicPartition[]> {
  const wanted = options.partition === undefined ? null : requireNumberList('--partition', options.partition)
  const places: TopicPartition[] = []
  for (const topic of await namesOf(context, topics)) {
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

async function namesOf(context: CliContext, topics: readonly string[]): Promise<string[]> {
  if (topics.every((topic) => patternOf(topic) === null)) return [...new Set(topics)]
  return context.withAdmin((admin) => resolveTopics(admin, topics))
}
