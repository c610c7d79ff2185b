import type { Offset, ProducerId, TimestampMs } from '@millrace/base'
import type { FoundOffset } from './log-results.ts'
import type { LogSegments } from './log-segments.ts'
import { confirmsIndexes, findRecordAtOrAfter, largestRecordTimestamp } from './record-search.ts'
import type { Segment } from './segment.ts'

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
    for (const transaction of segments.at(slot).indexes.transactions.from(fromOffset, endOffset)) {
      if (transaction.firstOffset < endOffset) {
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
    if (segment.sizeBytes === 0) continue
    await segment.loadMaxTimestamp()
    if (segment.maxTimestamp < timestamp) continue
    const position = await positionForTime(segment, timestamp, logStartOffset)
    const found = await findRecordAtOrAfter(segment, position, timestamp, logStartOffset)
    if (found !== null) return found.offset < endOffset ? found : null
  }
  return null
}

/**
 * Where the records with at least this timestamp and offset begin, or somewhere before. The entries of both indexes that say so are held
 * against the log: if they lie, the indexes are rebuilt.
 */
async function positionForTime(segment: Segment, timestamp: TimestampMs, startOffset: Offset): Promise<number> {
  await segment.indexes.times.file.load()
  await segment.loadIndex()
  const entry = segment.indexes.times.entryFor(timestamp)
  if (entry === null || entry.offset < startOffset) return confirmedPosition(segment, startOffset, null)
  return confirmedPosition(segment, entry.offset, entry)
}

/** What the offset index says of `offset`, and `entry` of the time index behind it, as far as the log confirms them. */
async function confirmedPosition(
  segment: Segment,
  offset: Offset,
  entry: { timestamp: TimestampMs; offset: Offset } | null,
): Promise<number> {
  const { offsets } = segment.indexes
  const position = offsets.positionFor(offset)
  if (await confirmsIndexes(segment, position, offsets.foundOffset, entry)) return position
  await segment.soundness.searchDamage()
  return 0
}

/** First record whose timestamp is the largest of the log. */
export async function findByMaxTimestamp(segments: LogSegments, endOffset: Offset): Promise<FoundOffset | null> {
  const filled = segments.all.filter(({ sizeBytes }) => sizeBytes > 0)
  for (const segment of filled) await segment.loadMaxTimestamp()
  let best: FoundOffset | null = null
  // The sort is stable: of equal ones the first segment counts.
  for (const segment of filled.toSorted((left, right) => right.maxTimestamp - left.maxTimestamp)) {
    if (segment.maxTimestamp < 0 || (best !== null && segment.maxTimestamp <= best.timestamp)) break
    const found = await newestIn(segment)
    if (found !== null && (best === null || found.timestamp > best.timestamp)) best = found
  }
  return best !== null && best.offset < endOffset ? best : null
}

async function newestIn(segment: Segment): Promise<FoundOffset | null> {
  const { maxTimestamp, maxTimestampOffset } = segment.indexes
  await segment.loadIndex()
  const position = await confirmedPosition(segment, maxTimestampOffset, null)
  const found = await findRecordAtOrAfter(segment, position, maxTimestamp, segment.baseOffset)
  if (found !== null) return found
  // That timestamp is the one of a batch which compaction has emptied.
  const largest = await largestRecordTimestamp(segment)
  return largest < 0 ? null : findRecordAtOrAfter(segment, 0, largest, segment.baseOffset)
}
