import type { Consumer, OffsetSpec, TopicPartition } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'
import { parseTime } from '../options/durations.ts'

/** Where reading begins. */
export type StartPlace = 'earliest' | 'latest' | { offset: bigint } | { beforeEnd: bigint } | { timestamp: number }

/** Where reading ends; null for never. */
export type EndPlace = 'latest' | { offset: bigint } | { timestamp: number } | null

/** One partition with the range to read, `endOffset` excluded; null for no end. */
export interface PartitionRange extends TopicPartition {
  startOffset: bigint
  endOffset: bigint | null
}

/** `beginning`, `end`, an offset, `-N` (records before the end) or a time. Throws a usage error. */
export function parseStart(text: string, nowMs: number): StartPlace {
  if (text === 'beginning' || text === 'earliest') return 'earliest'
  if (text === 'end' || text === 'latest') return 'latest'
  if (/^-\d+$/.test(text)) return { beforeEnd: BigInt(text.slice(1)) }
  // Twelve digits and more are a time in milliseconds.
  if (/^\d{1,11}$/.test(text)) return { offset: BigInt(text) }
  const timestamp = parseTime(text, nowMs)
  if (timestamp !== null) return { timestamp }
  throw usageError(
    `--from ${text}: not a place`,
    'Write beginning, end, an offset, -N (from the end), a date, or -15m (ago).',
  )
}

/** `end`, an offset or a time, all excluded. Throws a usage error. */
export function parseEnd(text: string, nowMs: number): EndPlace {
  if (text === 'end' || text === 'latest') return 'latest'
  if (/^\d{1,11}$/.test(text)) return { offset: BigInt(text) }
  const timestamp = parseTime(text, nowMs)
  if (timestamp !== null) return { timestamp }
  throw usageError(`--until ${text}: not a place`, 'Write end, an offset, a date, or -15m (ago).')
}

/** Looks up the offsets of the places in each partition. Ranges are kept inside the logs. */
export async function resolveRanges(
  consumer: Consumer,
  places: readonly TopicPartition[],
  start: StartPlace,
  end: EndPlace,
): Promise<PartitionRange[]> {
  const [earliest, latest, startByTime, endByTime] = await Promise.all([
    consumer.findOffsets(places, 'earliest'),
    consumer.findOffsets(places, 'latest'),
    byTime(consumer, places, start),
    byTime(consumer, places, end),
  ])
  return places.map(({ topic, partition }, slot) => {
    const log = { first: earliest[slot]!.offset, end: latest[slot]!.offset }
    return {
      topic,
      partition,
      startOffset: startOffset(start, log, startByTime?.[slot] ?? -1n),
      endOffset: endOffset(end, log, endByTime?.[slot] ?? -1n),
    }
  })
}

function startOffset(start: StartPlace, log: { first: bigint; end: bigint }, found: bigint): bigint {
  if (start === 'earliest') return log.first
  if (start === 'latest') return log.end
  if ('timestamp' in start) return found < 0n ? log.end : found
  const offset = 'offset' in start ? start.offset : log.end - start.beforeEnd
  return offset < log.first ? log.first : offset > log.end ? log.end : offset
}

function endOffset(end: EndPlace, log: { end: bigint }, found: bigint): bigint | null {
  if (end === null) return null
  if (end === 'latest') return log.end
  // Nothing is that late yet: the range ends where the log does now.
  if ('timestamp' in end) return found < 0n ? log.end : found
  return end.offset
}

async function byTime(
  consumer: Consumer,
  places: readonly TopicPartition[],
  place: StartPlace | EndPlace,
): Promise<bigint[] | null> {
  if (place === null || typeof place === 'string' || !('timestamp' in place)) return null
  const spec: OffsetSpec = { timestamp: place.timestamp }
  return (await consumer.findOffsets(places, spec)).map(({ offset }) => offset)
}
