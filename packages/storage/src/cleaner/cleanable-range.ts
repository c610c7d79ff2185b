import type { Offset, TimestampMs } from '@millrace/base'
import type { LogCore } from '../log-core.ts'
import type { Segment } from '../segment.ts'

/** A log as compaction measures it. */
export interface MeasuredLog extends LogCore {
  readonly lastStableOffset: Offset
}

/** What of a log can be compacted anew. Both ends: where a segment begins, but for a first one whose beginning is clean already. */
export interface CleanableRange {
  readonly firstDirtyOffset: Offset
  readonly endOffset: Offset
  readonly dirtyBytes: number
  /** Share of the log that is new since it was compacted. */
  readonly dirtyRatio: number
  /** It holds records older than `max.compaction.lag.ms`: it is compacted whatever its ratio. */
  readonly isOverdue: boolean
}

/**
 * What compaction may look at now (replication-and-transactions.md, 4): closed segments below the last stable offset, that need no
 * recovery any more, and of which no record is younger than `min.compaction.lag.ms`. Null if there is nothing. Reads how late the records
 * of segments are where that is not known, off the loop. Rejects with `DiskError`.
 */
export async function cleanableRange(log: MeasuredLog, nowMs: TimestampMs): Promise<CleanableRange | null> {
  const firstDirtyOffset = firstDirtyOffsetOf(log)
  const { segments } = log
  const firstSlot = Math.max(0, segments.slotFor(firstDirtyOffset))
  // Of most logs this says already that nothing is to be done, without a look at their producers.
  if (endSlotBelow(log, firstSlot, log.highWatermark) === firstSlot) return null
  const endSlot = await youngFrom(log, firstSlot, endSlotBelow(log, firstSlot, log.lastStableOffset), nowMs)
  if (endSlot === firstSlot || endSlot > segments.count - 1) return null
  let dirtyBytes = 0
  for (let slot = firstSlot; slot < endSlot; slot++) dirtyBytes += segments.at(slot).sizeBytes
  let cleanBytes = 0
  for (let slot = 0; slot < firstSlot; slot++) cleanBytes += segments.at(slot).sizeBytes
  const first = segments.at(firstSlot)
  const { maxCompactionLagMs } = log.config
  return {
    firstDirtyOffset: Math.max(firstDirtyOffset, first.baseOffset),
    endOffset: segments.endOffsetOf(endSlot - 1),
    dirtyBytes,
    dirtyRatio: dirtyBytes / Math.max(1, dirtyBytes + cleanBytes),
    isOverdue: maxCompactionLagMs < Number.MAX_SAFE_INTEGER && nowMs - heldSince(first) > maxCompactionLagMs,
  }
}

/**
 * The part of a log that is compacted already, to be gone over again for the tombstones in it, although nothing was written since; null if
 * that does not end where a segment does, which the next clean sees to.
 */
export function compactedRange(log: MeasuredLog): CleanableRange | null {
  const { segments, cleanedOffset: endOffset } = log
  const slot = segments.slotFor(endOffset)
  if (slot < 1 || segments.at(slot).baseOffset !== endOffset || endOffset <= log.logStartOffset) return null
  return { firstDirtyOffset: endOffset, endOffset, dirtyBytes: 0, dirtyRatio: 0, isOverdue: false }
}

/** Where what was not compacted yet begins. What the checkpoint says counts only within the log. */
export function firstDirtyOffsetOf(log: MeasuredLog): Offset {
  const { cleanedOffset, logStartOffset, logEndOffset } = log
  return cleanedOffset < logStartOffset || cleanedOffset > logEndOffset ? logStartOffset : cleanedOffset
}

/**
 * Behind the last closed segment from `firstSlot` on that ends at or below `offset`, needs no recovery, and has its end on the disk: only
 * then it is one that the durable mark counts for certain.
 */
function endSlotBelow(log: MeasuredLog, firstSlot: number, offset: Offset): number {
  const { segments } = log
  const upperOffset = Math.min(offset, log.recoveryPoint, log.durableOffset)
  let slot = firstSlot
  while (slot < segments.count - 1 && segments.endOffsetOf(slot) <= upperOffset) {
    if (segments.at(slot).hasUnsettledEnd) break
    slot++
  }
  return slot
}

/** The first segment of `[firstSlot, endSlot)` that holds a record that is too young, or its end. */
async function youngFrom(log: MeasuredLog, firstSlot: number, endSlot: number, nowMs: TimestampMs): Promise<number> {
  const { minCompactionLagMs } = log.config
  if (minCompactionLagMs <= 0) return endSlot
  for (let slot = firstSlot; slot < endSlot; slot++) {
    const segment = log.segments.at(slot)
    await segment.loadMaxTimestamp()
    // What changed meanwhile is measured anew with the next look.
    if (log.failed || log.segments.at(slot) !== segment) return firstSlot
    const timestamp = segment.maxTimestamp >= 0 ? segment.maxTimestamp : segment.modifiedMs
    if (timestamp > nowMs - minCompactionLagMs) return slot
  }
  return endSlot
}

/**
 * Since when a segment holds records: the timestamp of its first batch, which may be as old as its producer likes, but not before the segment
 * was made. Else each look would close a segment of old records and compact the whole log for it. Without a timestamp, when its file was
 * written.
 */
function heldSince(segment: Segment): TimestampMs {
  const { firstTimestamp, appendedFromMs } = segment
  if (firstTimestamp > 0) return Math.max(firstTimestamp, appendedFromMs)
  return Number.isFinite(appendedFromMs) ? appendedFromMs : segment.modifiedMs
}

/** Whether the active segment holds records that `max.compaction.lag.ms` wants compacted: it must be closed for that. */
export function isActiveOverdue(log: MeasuredLog, nowMs: TimestampMs): boolean {
  const { active } = log.segments
  const { maxCompactionLagMs } = log.config
  if (maxCompactionLagMs >= Number.MAX_SAFE_INTEGER || active.writtenBytes === 0) return false
  return nowMs - heldSince(active) > maxCompactionLagMs
}
