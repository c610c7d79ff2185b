import type { LeaderEpoch, Offset } from '@millrace/base'
import { partitionLeaderEpochOf } from '@millrace/protocol'
import { BatchScanner } from './batch-scanner.ts'
import type { Segment } from './segment.ts'

/** Epochs that are held against the log, from the newest back: each takes a short read, and a log may have thousands. */
const CHECKED_COUNT = 64

/** Epochs that are searched for in the log: each takes a bisection, and more of them than walking the log would. */
const FOUND_COUNT_MAX = 1024

/** Read at once: an index entry leads to within a few KiB of the batch. */
const PROBE_BYTES = 4096

/** Searched behind damage for the batch that goes on there. */
const SEARCH_BYTES = 1 << 20

/**
 * Whether the log bears out its leader epochs below `endOffset`: where one starts a batch begins that has it, the batch before has that
 * of the entry before, and the last one that of the last entry. `leader-epoch-checkpoint` has no checksum, in Kafka's format: a digit
 * that changed, an older copy, or the file of another partition, is found by what it says only. Reads headers and the offset indexes, of
 * which what the log does not confirm is built anew: they may be damaged as well. Throws `DiskError`.
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
  const isBorneOut = (batch: FoundBatch): boolean => {
    if (batch.lastOffset < startOfAll || batch.baseOffset >= endOffset) return true
    const offset = Math.max(batch.baseOffset, startOfAll)
    return entries.findLast(({ startOffset }) => startOffset <= offset)?.epoch === batch.epoch
  }
  // The very last one, not what an entry of the index leads to: behind that an epoch may start that an older file lacks.
  for (const batch of [batchWith(segments, startOfAll), lastBatchBelow(segments, endOffset)])
    if (batch !== null && !isBorneOut(batch)) return false
  for (const { epoch, startOffset } of entries.slice(-CHECKED_COUNT)) {
    if (startOffset <= startOfAll || startOffset >= endOffset) continue
    const before = lastBatchBelow(segments, startOffset)
    if (before !== null && (before.lastOffset >= startOffset || !isBorneOut(before))) return false
    // Where compaction left a gap, what is found lies behind it, perhaps behind the whole epoch.
    const at = batchWith(segments, startOffset)
    if (at !== null && (at.epoch < epoch || !isBorneOut(at))) return false
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
  // Older than epochs are: Kafka's file does not tell of it either.
  if (first.epoch < 0) return []
  const found = [{ epoch: first.epoch, startOffset }]
  return collectStarts(segments, first, last, found) ? found : null
}

/** Adds the epochs that start behind the first batch, up to the second one. False if they do not rise, or there are too many. */
function collectStarts(segments: readonly Segment[], low: FoundBatch, high: FoundBatch, found: EpochStart[]): boolean {
  if (low.epoch === high.epoch) return true
  if (low.epoch > high.epoch || found.length > FOUND_COUNT_MAX) return false
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
  const scanner = scannerBefore(segment, offset)
  for (let isBatch = scanner.sizeBytes > 0; isBatch; isBatch = scanner.next() === 'batch') {
    if (scanner.lastOffset >= offset) return foundAt(scanner)
  }
  return null
}

/** The last batch that begins below an offset; null if there is none that can be read. */
function lastBatchBelow(segments: readonly Segment[], offset: Offset): FoundBatch | null {
  for (let slot = segments.length - 1; slot >= 0; slot--) {
    const segment = segments[slot]!
    if (segment.sizeBytes === 0 || segment.baseOffset >= offset) continue
    const found = lastBatchOf(segment, offset)
    if (found !== null) return found
  }
  return null
}

function lastBatchOf(segment: Segment, offset: Offset): FoundBatch | null {
  const scanner = scannerBefore(segment, offset - 1)
  let last: FoundBatch | null = null
  let isBatch = scanner.sizeBytes > 0
  while (isBatch || scanner.resyncWithin(offset, SEARCH_BYTES) === 'batch') {
    if (scanner.baseOffset >= offset) break
    last = foundAt(scanner)
    // What is reserved behind the log's end is not searched.
    if (last.lastOffset + 1 >= offset) break
    isBatch = scanner.next() === 'batch'
  }
  return last
}

/**
 * At a batch of the segment that ends at or below `offset`, near it where the index has entries, or at its first one; its size is 0 if that
 * cannot be read. An entry counts only if the log has the batch that it names where it says: else the index is built anew. No look at the
 * rest of the index, which after a crash may have entries for batches that are gone.
 */
function scannerBefore(segment: Segment, offset: Offset): BatchScanner {
  const { indexes, writtenBytes, baseOffset } = segment
  const { offsets } = indexes
  const scannerAt = (position: number): BatchScanner => {
    const scanner = new BatchScanner(segment.file(), position, writtenBytes, baseOffset, PROBE_BYTES)
    scanner.next()
    return scanner
  }
  offsets.file.loadNow()
  const position = offsets.positionFor(offset)
  if (position > 0 && position < writtenBytes) {
    const scanner = scannerAt(position)
    if (scanner.sizeBytes > 0 && scanner.lastOffset === offsets.foundOffset) return scanner
  }
  if (position === 0) indexes.loadNow()
  else indexes.rebuild()
  return scannerAt(offsets.positionFor(offset))
}

function foundAt({ header, headerPosition, baseOffset, lastOffset }: BatchScanner): FoundBatch {
  return { epoch: partitionLeaderEpochOf(header, headerPosition), baseOffset, lastOffset }
}
