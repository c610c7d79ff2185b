import { type Consumer, type ConsumerRecord, TimeoutError, type TopicPartition } from '@millrace/client'
import type { PartitionRange } from './consume-range.ts'

const POLL_MS = 1000

/**
 * Assigns what is not read yet and hands out the records of the ranges, until every range is done or `onRecords` gives false. False if the
 * signal came before that.
 */
export async function readRanges(
  consumer: Consumer,
  ranges: readonly PartitionRange[],
  signal: AbortSignal,
  onRecords: (records: readonly ConsumerRecord[]) => Promise<boolean>,
): Promise<boolean> {
  const open = ranges.filter(({ startOffset, endOffset }) => endOffset === null || startOffset < endOffset)
  if (open.length === 0) return !signal.aborted
  consumer.assign(open.map(({ topic, partition, startOffset }) => ({ topic, partition, start: startOffset })))
  const left = new Map(open.map((range) => [placeKey(range), range]))
  while (left.size > 0) {
    if (signal.aborted) return false
    for (const batch of await consumer.poll({ signal, timeoutMs: POLL_MS })) {
      const key = placeKey(batch)
      const range = left.get(key)
      if (range === undefined) continue
      const { endOffset } = range
      const isInside = endOffset === null || batch.nextOffset <= endOffset
      const inside = isInside ? batch.records : batch.records.filter(({ offset }) => offset < endOffset)
      if (inside.length > 0 && !(await onRecords(inside))) return true
      if (endOffset !== null && batch.nextOffset >= endOffset) finish(consumer, left, key, range)
    }
    await finishAtMarkers(consumer, left)
  }
  return true
}

/** Where the consumer is in a partition; null while it does not know. */
export async function positionOf(consumer: Consumer, place: TopicPartition): Promise<bigint | null> {
  try {
    return await consumer.position(place, { timeoutMs: 0 })
  } catch (error) {
    if (error instanceof TimeoutError) return null
    throw error
  }
}

/** A place as the key of a map. */
export function placeKey({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}

/** Ranges that end in transaction markers or removed records bring no record beyond their end: the position tells. */
async function finishAtMarkers(consumer: Consumer, left: Map<string, PartitionRange>): Promise<void> {
  for (const [key, range] of [...left]) {
    if (range.endOffset === null) continue
    const position = await positionOf(consumer, range)
    if (position !== null && position >= range.endOffset) finish(consumer, left, key, range)
  }
}

function finish(consumer: Consumer, left: Map<string, PartitionRange>, key: string, range: TopicPartition): void {
  left.delete(key)
  consumer.pause([range])
}
