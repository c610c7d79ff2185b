import type { Offset, ProducerId, TimestampMs } from '@millrace/base'
import type { FoundOffset } from './log-results.ts'
import type { LogSegments } from './log-segments.ts'
import { findRecordAtOrAfter } from './record-search.ts'

/** Bytes of `[fromOffset, endOffset)`, exact where the ends were just written or read, else as far as the indexes in memory tell. */
export function bytesBetween(segments: LogSegments, fromOffset: Offset, endOffset: Offset): number {
  const fromSlot = Math.max(0, segments.slotFor(fromOffset))
  const endSlot = Math.max(fromSlot, segments.slotFor(endOffset - 1))
  const start = positionOf(segments, fromSlot, fromOffset)
  if (fromSlot === endSlot) return Math.max(0, positionOf(segments, fromSlot, endOffset) - start)
  let bytes = segments.at(fromSlot).writtenBytes - start
  for (let slot = fromSlot + 1; slot < endSlot; slot++) bytes += segments.at(slot).writtenBytes
  return bytes + positionOf(segments, endSlot, endOffset)
}

function positionOf(segments: LogSegments, slot: number, offset: Offset): number {
  const segment = segments.at(slot)
  if (offset >= segment.writtenNextOffset || offset >= segments.endOffsetOf(slot)) return segment.writtenBytes
  return Math.max(0, segment.lookUp(offset))
}

/** Aborted transactions for a reader of `[fromOffset, endOffset)` (replication-and-transactions.md, 1.6). */
export function findAborted(
  segments: LogSegments,
  fromOffset: Offset,
  endOffset: Offset,
): { producerId: ProducerId; firstOffset: Offset }[] {
  const found: { producerId: ProducerId; firstOffset: Offset }[] = []
  for (let slot = Math.max(0, segments.slotFor(fromOffset)); slot < segments.count; slot++) {
    for (const transaction of segments.at(slot).indexes.transactions.all()) {
      if (transaction.lastOffset >= fromOffset && transaction.firstOffset < endOffset) {
        found.push({ producerId: transaction.producerId, firstOffset: transaction.firstOffset })
      }
      if (transaction.lastStableOffset >= endOffset) return found
    }
  }
  return found
}

/** First record at or above `logStartOffset` with at least this timestamp, below `endOffset`. */
export async function findByTimestamp(
  segments: LogSegments,
  logStartOffset: Offset,
  timestamp: TimestampMs,
  endOffset: Offset,
): Promise<FoundOffset | null> {
  for (const segment of [...segments.all]) {
    if (segment.baseOffset >= endOffset) return null
    if (segment.sizeBytes === 0 || segment.maxTimestamp < timestamp) continue
    await segment.indexes.times.file.load()
    await segment.loadIndex()
    const lowerOffset = Math.max(segment.indexes.times.offsetFor(timestamp), logStartOffset)
    const position = segment.indexes.offsets.positionFor(lowerOffset)
    const found = await findRecordAtOrAfter(segment, position, timestamp, logStartOffset)
    if (found !== null) return found.offset < endOffset ? found : null
  }
  return null
}

/** First record whose timestamp is the largest of the log. */
export async function findByMaxTimestamp(segments: LogSegments, endOffset: Offset): Promise<FoundOffset | null> {
  let largest = null
  for (const segment of segments.all) {
    if (segment.sizeBytes > 0 && (largest === null || segment.maxTimestamp > largest.maxTimestamp)) largest = segment
  }
  if (largest === null || largest.maxTimestamp < 0) return null
  const { maxTimestamp, maxTimestampOffset } = largest.indexes
  await largest.loadIndex()
  const position = largest.indexes.offsets.positionFor(maxTimestampOffset)
  const found = await findRecordAtOrAfter(largest, position, maxTimestamp, largest.baseOffset)
  return found !== null && found.offset < endOffset ? found : null
}
