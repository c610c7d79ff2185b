import type { Offset } from '@millrace/base'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchCrcOk,
  batchSizeOf,
  ErrorCode,
  lastOffsetOf,
  magicOf,
} from '@millrace/protocol'
import type { ReadResult } from './log-results.ts'
import type { Segment } from './segment.ts'

/** A read of one segment. Reused by the log for reads that end at once. */
export class SegmentRead {
  segment: Segment
  fromOffset: Offset
  /** Exclusive; batches that reach past it are left out. */
  endOffset: Offset
  maxBytes: number
  /** Give the first batch even if it is larger than `maxBytes`. */
  minOneBatch: boolean
  /** How far apart index entries may be: what a scan may have to skip. */
  indexIntervalBytes: number

  constructor(
    segment: Segment,
    fromOffset: Offset,
    endOffset: Offset,
    maxBytes: number,
    minOneBatch: boolean,
    indexIntervalBytes: number,
  ) {
    this.segment = segment
    this.fromOffset = fromOffset
    this.endOffset = endOffset
    this.maxBytes = maxBytes
    this.minOneBatch = minOneBatch
    this.indexIntervalBytes = indexIntervalBytes
  }
}

/** The range is not in memory, or finding it would read from the disk. */
export const COLD = -1
/** The segment ends before the offset: compaction or damage took what followed. The next segment has it. */
export const EXHAUSTED = -2
/** Headers that are none, or whose offsets do not follow one another. */
const CORRUPT = -3

/** The batch that was asked for begins behind what was read: at {@link walkedBytes}. */
const FURTHER_ON = -4

/** A walk from batch to batch, where index entries are missing, reads as much at a time at most, beside what was asked for. */
const WALK_BYTES_MAX = 1 << 20

/** Where the last {@link endOfBatches} ended. Module state: reads are synchronous and this saves an object each. */
let foundLastOffset: Offset = -1
/** Where the last {@link startOfBatches} that found none ended, and the offset that should follow there (-1: not known). */
let walkedBytes = 0
let walkedOffset: Offset = -1

/**
 * Reads if the range is in memory: a view into the mapping, without a copy. Otherwise {@link COLD}, with nothing done, for
 * {@link readCold}; else {@link EXHAUSTED} or the error code, also in `out`. Hot path: allocates the view and its list only.
 */
export function readHot(read: SegmentRead, out: ReadResult): number {
  const { segment, fromOffset } = read
  if (segment.soundness.holes.length > 0 && !stayOutOfHoles(read)) return out.fail(ErrorCode.KAFKA_STORAGE_ERROR)
  const position = segment.lookUp(fromOffset)
  if (position < 0) return COLD
  const { lookedUpOffset } = segment
  const { writtenBytes } = segment
  const hot = segment.isHot(position)
  const touchedEnd = Math.min(writtenBytes, position + read.indexIntervalBytes + read.maxBytes + BATCH_HEADER_BYTES)
  let mapping = segment.mapping(touchedEnd)
  if (mapping === null) return hot ? readByCopy(read, position, out) : COLD
  if (!hot && !mapping.isResident(position, touchedEnd)) return COLD
  let bytes = mapping.bytesUnsafe()
  if (lookedUpOffset >= 0 && lastOffsetOf(bytes, position) !== lookedUpOffset) {
    segment.indexes.suspect()
    return COLD
  }
  const isChecked = segment.soundness.isDoubtedAt(position)
  const start = startOfBatches(bytes, position, touchedEnd, fromOffset, isChecked, -1)
  // A batch longer than the interval between index entries ends outside of what is known to be in memory.
  if (start < 0) {
    const isExhausted = start === EXHAUSTED && touchedEnd === writtenBytes && !(isChecked && lacksOffset(read))
    return isExhausted ? EXHAUSTED : COLD
  }
  const firstBytes = batchSizeOf(bytes, start)
  if (firstBytes > writtenBytes - start) return COLD
  // Behind a batch longer than the interval lies more than was asked about above.
  const wantedBytes = Math.max(read.maxBytes, read.minOneBatch ? firstBytes : 0)
  const takenEnd = Math.min(writtenBytes, start + wantedBytes + BATCH_HEADER_BYTES)
  if (takenEnd > mapping.sizeBytes) {
    mapping = segment.mapping(takenEnd)
    if (mapping === null) return COLD
    bytes = mapping.bytesUnsafe()
  }
  if (!hot && takenEnd > touchedEnd && !mapping.isResident(start, takenEnd)) return COLD
  const limit = Math.max(touchedEnd, takenEnd)
  const end = isChecked ? endOfCheckedBatches(read, bytes, start, limit, 0) : endOfBatches(read, bytes, start, limit, 0)
  if (end < 0) return COLD
  if (end > start) {
    out.set(mapping.view(start, end), foundLastOffset)
    if (end > segment.mapped.viewedEndBytes) segment.mapped.viewedEndBytes = end
    segment.addHint(foundLastOffset + 1, end)
  }
  return ErrorCode.NONE
}

/** Without a mapping: what was written just now is read by a call that does not wait for the disk. */
function readByCopy(read: SegmentRead, position: number, out: ReadResult): number {
  const wantedBytes = Math.min(
    read.segment.writtenBytes - position,
    read.maxBytes + read.indexIntervalBytes + BATCH_HEADER_BYTES,
  )
  const buffer = Buffer.allocUnsafeSlow(wantedBytes)
  const count = read.segment.file().read(buffer, 0, wantedBytes, position)
  const isChecked = read.segment.soundness.isDoubtedAt(position)
  const missingBytes = takeFromCopy(read, buffer.subarray(0, count), position, -1, isChecked, out)
  if (missingBytes > 0 || missingBytes === FURTHER_ON) return COLD
  return missingBytes === EXHAUSTED ? EXHAUSTED : out.errorCode
}

/**
 * Reads on the thread pool, whatever is in memory. The index is loaded if needed. Resolves with {@link EXHAUSTED} or the error code,
 * also in `out`: KAFKA_STORAGE_ERROR inside of what is known to be damaged, CORRUPT_MESSAGE where nothing can be made out. Damage that
 * is met makes the segment be walked once, so that what is sound behind it can be read. Rejects with `DiskError`.
 */
export async function readCold(read: SegmentRead, out: ReadResult): Promise<number> {
  const { segment } = read
  for (let isSearched = false; ; isSearched = true) {
    await segment.loadIndex()
    if (segment.soundness.holes.length > 0 && !stayOutOfHoles(read)) return out.fail(ErrorCode.KAFKA_STORAGE_ERROR)
    const code = await readOnce(read, out)
    if (code !== ErrorCode.CORRUPT_MESSAGE || isSearched || !(await segment.soundness.searchDamage())) return code
    out.clear()
  }
}

/** Empty if records of the segment were cut off meanwhile: what was read may be nobody's, and nothing is to be learned from it. */
async function readOnce(read: SegmentRead, out: ReadResult): Promise<number> {
  const { segment } = read
  const { cutCount } = segment
  const leastBytes = read.maxBytes + read.indexIntervalBytes + BATCH_HEADER_BYTES
  let position = Math.max(0, segment.lookUp(read.fromOffset))
  let { lookedUpOffset } = segment
  let expectedOffset = -1
  let stepBytes = leastBytes
  let wantedBytes = leastBytes
  for (;;) {
    const buffer = Buffer.allocUnsafeSlow(Math.max(0, Math.min(wantedBytes, segment.writtenBytes - position)))
    // Asked for anew: what was read first may have taken so long that the file is another one, or gone.
    const count = await segment.file().readAsync(buffer, 0, buffer.length, position)
    if (segment.cutCount !== cutCount) return ErrorCode.NONE
    if (lookedUpOffset >= 0 && (count < BATCH_HEADER_BYTES || lastOffsetOf(buffer, 0) !== lookedUpOffset)) {
      return out.fail(ErrorCode.CORRUPT_MESSAGE)
    }
    lookedUpOffset = -1
    // Also what this process has written: the bytes come from the disk again, and the look costs less than the copy.
    const isChecked = !segment.soundness.isSearched
    const missingBytes = takeFromCopy(read, buffer.subarray(0, count), position, expectedOffset, isChecked, out)
    if (missingBytes <= 0 && missingBytes !== FURTHER_ON) return missingBytes === EXHAUSTED ? EXHAUSTED : out.errorCode
    if (count < buffer.length) return out.fail(ErrorCode.CORRUPT_MESSAGE)
    if (missingBytes === FURTHER_ON) {
      // On from there, not all of it again: what lies between two index entries can be a batch of any size, or all of the segment.
      position += walkedBytes
      expectedOffset = walkedOffset
      stepBytes = Math.max(leastBytes, Math.min(2 * stepBytes, WALK_BYTES_MAX))
      wantedBytes = stepBytes
    } else wantedBytes += missingBytes
  }
}

/** Ends the read before damage that follows. False if it begins inside. */
function stayOutOfHoles(read: SegmentRead): boolean {
  for (const hole of read.segment.soundness.holes) {
    if (read.fromOffset >= hole.endOffset || read.endOffset <= hole.startOffset) continue
    if (read.fromOffset >= hole.startOffset) return false
    read.endOffset = hole.startOffset
  }
  return true
}

/**
 * Takes what was asked for out of a copy of the file from `filePosition` on, where the batch begins with `expectedOffset` (-1: with any).
 * Returns 0 when `out` is filled (or left empty), {@link EXHAUSTED}, {@link FURTHER_ON}, or how many bytes more are needed to have the
 * first batch whole.
 */
function takeFromCopy(
  read: SegmentRead,
  buffer: Buffer,
  filePosition: number,
  expectedOffset: Offset,
  isChecked: boolean,
  out: ReadResult,
): number {
  const writtenBytes = read.segment.writtenBytes - filePosition
  const start = startOfBatches(buffer, 0, buffer.length, read.fromOffset, isChecked, expectedOffset)
  if (start === EXHAUSTED && buffer.length < writtenBytes) return FURTHER_ON
  const isMissing = start === EXHAUSTED && isChecked && lacksOffset(read)
  if (start === CORRUPT || isMissing) out.fail(ErrorCode.CORRUPT_MESSAGE)
  if (start < 0) return start === EXHAUSTED && !isMissing ? EXHAUSTED : 0
  const firstBytes = batchSizeOf(buffer, start)
  if (start + firstBytes > writtenBytes) {
    out.fail(ErrorCode.CORRUPT_MESSAGE)
    return 0
  }
  // With the header behind it, which tells whether its own is right.
  const firstEnd = start + firstBytes + (isChecked ? BATCH_HEADER_BYTES : 0)
  // What was skipped may be longer than what was read for it: without more, a batch that fits would be left out.
  const fullEnd = start > read.indexIntervalBytes ? start + read.maxBytes + BATCH_HEADER_BYTES : 0
  const neededEnd = Math.min(Math.max(firstEnd, fullEnd), writtenBytes)
  if (neededEnd > buffer.length && (read.minOneBatch || firstBytes <= read.maxBytes)) return neededEnd - buffer.length
  const end = isChecked
    ? endOfCheckedBatches(read, buffer, start, buffer.length, filePosition)
    : endOfBatches(read, buffer, start, buffer.length, filePosition)
  if (end === CORRUPT) out.fail(ErrorCode.CORRUPT_MESSAGE)
  else if (end > start) {
    out.set(buffer.subarray(start, end), foundLastOffset)
    read.segment.addHint(foundLastOffset + 1, filePosition + end)
  }
  return 0
}

/**
 * Position of the first batch that reaches `fromOffset`; EXHAUSTED if its header lies past `limit`. `isChecked`: CORRUPT where the
 * offsets of the batches on the way do not follow one another, the first one `firstOffset` (-1: any).
 */
function startOfBatches(
  bytes: Buffer,
  position: number,
  limit: number,
  fromOffset: Offset,
  isChecked: boolean,
  firstOffset: Offset,
): number {
  let start = position
  let expectedOffset = firstOffset
  while (start + BATCH_HEADER_BYTES <= limit) {
    const lastOffset = lastOffsetOf(bytes, start)
    if (isChecked && expectedOffset >= 0 && baseOffsetOf(bytes, start) !== expectedOffset) return CORRUPT
    if (lastOffset >= fromOffset) return start
    const sizeBytes = batchSizeOf(bytes, start)
    if (sizeBytes < BATCH_HEADER_BYTES) return CORRUPT
    start += sizeBytes
    expectedOffset = lastOffset + 1
  }
  walkedBytes = start
  walkedOffset = expectedOffset
  return EXHAUSTED
}

/** Whether the segment should hold the offset that was asked for: behind its last batch, it is that one which says too little. */
function lacksOffset({ fromOffset, segment }: SegmentRead): boolean {
  return fromOffset < segment.writtenNextOffset
}

/**
 * End of the batches from `start` that fit the read, and {@link foundLastOffset}; `start` if none does. `bytes` begin at
 * `filePosition` and end at `limit`. Index entries spare the walk over small batches.
 */
function endOfBatches(read: SegmentRead, bytes: Buffer, start: number, limit: number, filePosition: number): number {
  const { segment, endOffset, maxBytes } = read
  const writtenEnd = segment.writtenBytes - filePosition
  if (endOffset >= segment.writtenNextOffset && writtenEnd - start <= maxBytes && writtenEnd <= limit) {
    foundLastOffset = segment.writtenNextOffset - 1
    return writtenEnd
  }
  let position = start
  const { offsets } = segment.indexes
  const indexed = offsets.lastPositionBelow(filePosition + start + maxBytes, endOffset) - filePosition
  const usable = indexed > start && indexed + BATCH_HEADER_BYTES <= limit
  if (usable && lastOffsetOf(bytes, indexed) === offsets.foundOffset) {
    position = indexed
    foundLastOffset = baseOffsetOf(bytes, indexed) - 1
  }
  let expectedOffset = baseOffsetOf(bytes, position)
  while (position + BATCH_HEADER_BYTES <= limit) {
    const sizeBytes = batchSizeOf(bytes, position)
    if (sizeBytes < BATCH_HEADER_BYTES) return position === start ? CORRUPT : position
    const next = position + sizeBytes
    if (next > limit || (next - start > maxBytes && !(position === start && read.minOneBatch))) break
    const lastOffset = lastOffsetOf(bytes, position)
    // A batch that claims more offsets than its segment has is damaged: an empty answer would have the reader ask for ever. So is one
    // that goes back: a known hole begins with it.
    const goesBack = baseOffsetOf(bytes, position) < expectedOffset || lastOffset < expectedOffset
    if (goesBack || lastOffset >= segment.writtenNextOffset) return position === start ? CORRUPT : position
    if (lastOffset >= endOffset) break
    foundLastOffset = lastOffset
    expectedOffset = lastOffset + 1
    position = next
  }
  return position
}

/**
 * The same of batches that nobody has looked at since the log was opened: each header is looked at, that behind the last one too where it
 * is in `bytes`, and the checksum of each that is taken, once in the life of the process where readers go on from one to the next: whoever
 * gets a damaged batch can do nothing about it, while a replica can get it again. CORRUPT unless checksums are right and they hold the
 * offset that was asked for and follow one another without a gap, up to where the segment ends: then some header says what it did not say
 * when it was written, whichever of two it is. Compaction leaves gaps, too.
 */
function endOfCheckedBatches(
  read: SegmentRead,
  bytes: Buffer,
  start: number,
  limit: number,
  filePosition: number,
): number {
  const { segment, endOffset, maxBytes } = read
  const writtenEnd = segment.writtenBytes - filePosition
  let position = start
  let expectedOffset = baseOffsetOf(bytes, start)
  if (expectedOffset > Math.max(read.fromOffset, segment.baseOffset)) return CORRUPT
  while (position + BATCH_HEADER_BYTES <= limit) {
    const sizeBytes = batchSizeOf(bytes, position)
    const next = position + sizeBytes
    if (sizeBytes < BATCH_HEADER_BYTES || next > writtenEnd || magicOf(bytes, position) !== 2) return CORRUPT
    const lastOffset = lastOffsetOf(bytes, position)
    if (baseOffsetOf(bytes, position) !== expectedOffset || lastOffset < expectedOffset) return CORRUPT
    const isBehind = lastOffset >= segment.writtenNextOffset
    if (isBehind || (next === writtenEnd && lastOffset + 1 < segment.writtenNextOffset)) return CORRUPT
    if (next > limit || (next - start > maxBytes && !(position === start && read.minOneBatch))) break
    if (lastOffset >= endOffset) break
    if (!segment.soundness.isChecked(filePosition + position, filePosition + next) && !batchCrcOk(bytes, position))
      return CORRUPT
    foundLastOffset = lastOffset
    expectedOffset = lastOffset + 1
    position = next
  }
  if (position > start) segment.soundness.noteChecked(filePosition + start, filePosition + position)
  return position
}
