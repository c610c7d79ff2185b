import type { LeaderEpoch, Offset } from '@millrace/base'
import { partitionLeaderEpochOf } from '@millrace/protocol'
import { BatchScanner } from './batch-scanner.ts'
import type { Segment } from './segment.ts'

/** Epochs that are held against the log, from the newest back: each takes a short read, and a log may have thousands. */
const CHECKED_COUNT = 64

/** Read at once: an index entry leads to within a few KiB of the batch. */
const PROBE_BYTES = 4096

/**
 * Whether the log bears out its leader epochs below `endOffset`: where one starts a batch begins that has it, and the batch before has a
 * lower one. `leader-epoch-checkpoint` has no checksum, in Kafka's format: a digit that changed, or the file of another partition, is
 * found by what it says only. Reads headers and the offset indexes; throws `DiskError`.
 */
export function epochsMatchLog(
  entries: readonly EpochStart[],
  segments: readonly Segment[],
  logStartOffset: Offset,
  endOffset: Offset,
): boolean {
  const first = segments.find(({ sizeBytes }) => sizeBytes > 0)
  if (first === undefined) return true
  // What retention and deleted records took bears out nothing: the oldest epoch starts where the log does, or before.
  const startOfAll = Math.max(first.baseOffset, logStartOffset)
  if (entries.length > 0 && entries[0]!.startOffset > startOfAll) return false
  const oldest = batchWith(segments, first.baseOffset)
  const inForce = entries.findLast(({ startOffset }) => startOffset <= first.baseOffset)
  if (oldest !== null && inForce !== undefined && first.baseOffset < endOffset && oldest.epoch !== inForce.epoch)
    return false
  for (const { epoch, startOffset } of entries.slice(-CHECKED_COUNT)) {
    if (startOffset <= startOfAll || startOffset >= endOffset) continue
    const before = batchWith(segments, startOffset - 1)
    const at = batchWith(segments, startOffset)
    // Where compaction left a gap, what is found lies behind it, perhaps behind the whole epoch.
    const isBefore = before !== null && before.baseOffset < startOffset
    if (isBefore && (before.epoch >= epoch || before.lastOffset >= startOffset)) return false
    if (at !== null && (at.baseOffset === startOffset ? at.epoch !== epoch : at.epoch < epoch)) return false
  }
  return true
}

/**
 * The epochs of `[startOffset, endOffset)`, from the log: the first one starts at `startOffset`. For the records that were deleted a
 * moment before a crash, and are there again: the epochs were cut at the new start of the log, which no checkpoint tells yet. By bisection,
 * since epochs only rise. Null if the log does not bear that out, or there are too many. Reads as {@link epochsMatchLog}; throws `DiskError`.
 */
export function epochsBetween(
  segments: readonly Segment[],
  startOffset: Offset,
  endOffset: Offset,
): EpochStart[] | null {
  const first = batchWith(segments, startOffset)
  const last = batchWith(segments, endOffset - 1)
  if (first === null || last === null) return null
  const found = [{ epoch: first.epoch, startOffset }]
  return collectStarts(segments, first, last, found) ? found : null
}

/** Adds the epochs that start behind the first batch, up to the second one. False if they do not rise, or there are too many. */
function collectStarts(segments: readonly Segment[], low: FoundBatch, high: FoundBatch, found: EpochStart[]): boolean {
  if (low.epoch === high.epoch) return true
  if (low.epoch > high.epoch || found.length > CHECKED_COUNT) return false
  if (high.baseOffset === low.lastOffset + 1) {
    found.push({ epoch: high.epoch, startOffset: high.baseOffset })
    return true
  }
  const middle = batchWith(segments, Math.floor((low.lastOffset + high.baseOffset) / 2))
  // Of a log with gaps nothing is taken for granted.
  if (middle === null || middle.baseOffset <= low.lastOffset || middle.lastOffset >= high.baseOffset) return false
  return collectStarts(segments, low, middle, found) && collectStarts(segments, middle, high, found)
}

interface EpochStart {
  epoch: LeaderEpoch
  startOffset: Offset
}

interface FoundBatch {
  epoch: LeaderEpoch
  baseOffset: Offset
  lastOffset: Offset
}

/** The batch that holds an offset, or the first one behind it in the same segment; null if there is none that can be read. */
function batchWith(segments: readonly Segment[], offset: Offset): FoundBatch | null {
  const segment = segments.findLast(({ sizeBytes, baseOffset }) => sizeBytes > 0 && baseOffset <= offset)
  if (segment === undefined) return null
  segment.indexes.loadNow()
  const { writtenBytes, baseOffset } = segment
  const position = segment.indexes.offsets.positionFor(offset)
  const scanner = new BatchScanner(segment.file(), position, writtenBytes, baseOffset, PROBE_BYTES)
  while (scanner.next() === 'batch') {
    if (scanner.lastOffset < offset) continue
    const epoch = partitionLeaderEpochOf(scanner.header, scanner.headerPosition)
    return { epoch, baseOffset: scanner.baseOffset, lastOffset: scanner.lastOffset }
  }
  return null
}
