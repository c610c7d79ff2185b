import type { Offset, TimestampMs } from '@millrace/base'
import type { LogConfig } from './log-config.ts'
import type { LogSegments } from './log-segments.ts'
import type { Segment } from './segment.ts'

/** What retention looks at. */
interface RetainedLog {
  readonly config: LogConfig
  readonly segments: LogSegments
  readonly logStartOffset: Offset
  readonly highWatermark: Offset
  readonly durableOffset: Offset
  /** Only what the log that it follows has given up goes from it: with other segments, size and time would say something else. */
  readonly isFuture: boolean
}

/** What may go, as far as that is known. */
export interface RemovableSegments {
  /** So many of the oldest. */
  count: number
  /** The one behind them, if nobody has looked yet how late its records are: it may go as well. */
  unknown: Segment | null
}

/**
 * How many of the oldest segments may go (replication-and-transactions.md, 3): those below the log start, then by size, then by
 * time; only committed ones, and of the active one only if it has data. All of them: the caller rolls first. Reads nothing but when a
 * file was last written.
 */
export function removableSegments(log: RetainedLog, nowMs: TimestampMs): RemovableSegments {
  const belowStart = countWhile(log, 0, (_, endOffset) => endOffset <= log.logStartOffset)
  // A segment that ends at the log start and is the last one is the active one: it stays.
  const count = Math.min(belowStart, log.segments.count - 1)
  if (!log.config.cleanupDelete || log.isFuture) return { count, unknown: null }
  const found = countByTime(log, countBySize(log, count), nowMs)
  return { count: Math.max(count, found.count), unknown: found.unknown }
}

function countBySize(log: RetainedLog, from: number): number {
  const { retentionBytes } = log.config
  if (retentionBytes < 0) return from
  let excessBytes = log.segments.sizeBytes - retentionBytes
  for (let slot = 0; slot < from; slot++) excessBytes -= log.segments.at(slot).sizeBytes
  return countWhile(log, from, (slot) => {
    excessBytes -= log.segments.at(slot).sizeBytes
    return excessBytes >= 0
  })
}

function countByTime(log: RetainedLog, from: number, nowMs: TimestampMs): RemovableSegments {
  const { retentionMs } = log.config
  let unknown: Segment | null = null
  if (retentionMs < 0) return { count: from, unknown }
  const count = countWhile(log, from, (slot) => {
    const segment = log.segments.at(slot)
    if (segment.indexes.isMaxTimestampKnown) return nowMs - largestTimestamp(segment) > retentionMs
    unknown = segment
    return false
  })
  return { count, unknown }
}

/** Of a segment whose batches carry none: the time when its file was last written. */
function largestTimestamp(segment: Segment): TimestampMs {
  return segment.maxTimestamp >= 0 ? segment.maxTimestamp : segment.modifiedMs
}

/** Number of the first segment, from `from` on, that may not go or does not match. */
function countWhile(log: RetainedLog, from: number, matches: (slot: number, endOffset: Offset) => boolean): number {
  let slot = from
  while (slot < log.segments.count) {
    const endOffset = log.segments.endOffsetOf(slot)
    const isEmptyActive = slot === log.segments.count - 1 && log.segments.at(slot).sizeBytes === 0
    // What was never synced stays: recovery takes a log that starts above its durable mark for one that lost its head.
    if (isEmptyActive || endOffset > Math.min(log.highWatermark, log.durableOffset) || !matches(slot, endOffset)) break
    slot++
  }
  return slot
}
