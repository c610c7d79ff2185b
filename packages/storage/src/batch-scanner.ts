import type { DiskFile, Offset } from '@millrace/base'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchSizeOf,
  crc32cUpdate,
  lastOffsetDeltaOf,
  magicOf,
} from '@millrace/protocol'

const WINDOW_BYTES = 128 * 1024
/** First byte that the checksum covers; it stands in the four bytes before. */
const CRC_START = 21
/** Index entries hold offsets relative to their segment in 31 bits: nothing further away can be in it. */
const RELATIVE_OFFSET_MAX = 0x7fffffff

/** What a scan found at its position. */
export type ScanResult = 'batch' | 'end' | 'invalid'

/**
 * Walks the batches of a log file by their headers, with positioned reads of a window, so that large batches are skipped and small
 * ones share a read. Synchronous: for recovery and short look-ups. The checksum is read only when asked for.
 */
export class BatchScanner {
  #file: DiskFile
  #end: number
  readonly #segmentOffset: Offset
  readonly #window: Buffer
  #windowStart: number
  #windowEnd: number
  /** Of the current batch, in the file. */
  position: number
  sizeBytes: number
  baseOffset: Offset
  lastOffset: Offset
  /** Offsets must start at or above this; the end of the batch before. */
  expectedOffset: Offset
  /** Bytes that checksums may still be computed of before the search, or the check, is to be gone on with later. */
  #budgetBytes: number
  /** Batch whose checksum was left off at a position, and what it was up to there; -1 if none was. */
  #pausedBatch: number
  #pausedAt: number
  #pausedCrc: number
  /** Batch that matches its checksum: of one that is looked at again for what stands behind it. */
  #soundBatch: number

  /** `segmentOffset`: the base offset of the segment whose file it is. `windowBytes`: read at once. */
  constructor(file: DiskFile, start: number, end: number, segmentOffset: Offset, windowBytes = WINDOW_BYTES) {
    this.#file = file
    this.#end = end
    this.#segmentOffset = segmentOffset
    this.#window = Buffer.allocUnsafe(Math.min(windowBytes, Math.max(BATCH_HEADER_BYTES, end - start)))
    this.#windowStart = 0
    this.#windowEnd = 0
    this.position = start
    this.sizeBytes = 0
    this.baseOffset = -1
    this.lastOffset = -1
    this.expectedOffset = segmentOffset
    this.#budgetBytes = Number.POSITIVE_INFINITY
    this.#pausedBatch = -1
    this.#pausedAt = 0
    this.#pausedCrc = 0
    this.#soundBatch = -1
  }

  /** Buffer that holds the current header, at {@link headerPosition}. Valid until the next call. */
  get header(): Buffer {
    return this.#window
  }

  get headerPosition(): number {
    return this.position - this.#windowStart
  }

  /** Where the file is read next: in the middle of a batch if its checksum was left off there. */
  get readPosition(): number {
    return this.#pausedBatch >= 0 ? this.#pausedAt : this.position
  }

  /** Moves to the batch after the current one. After `end` and `invalid`, `position` is where the valid part ends. */
  next(): ScanResult {
    if (this.sizeBytes > 0) {
      this.position += this.sizeBytes
      this.expectedOffset = this.lastOffset + 1
      this.sizeBytes = 0
    }
    if (this.position >= this.#end) return 'end'
    if (!this.#hold(this.position, BATCH_HEADER_BYTES)) return 'invalid'
    const at = this.headerPosition
    const sizeBytes = batchSizeOf(this.#window, at)
    const baseOffset = baseOffsetOf(this.#window, at)
    const lastOffsetDelta = lastOffsetDeltaOf(this.#window, at)
    if (magicOf(this.#window, at) !== 2 || sizeBytes < BATCH_HEADER_BYTES) return 'invalid'
    if (sizeBytes > this.#end - this.position) return 'invalid'
    if (baseOffset < this.expectedOffset || lastOffsetDelta < 0) return 'invalid'
    // The checksum does not cover the base offset: a damaged one is told by its size only.
    if (baseOffset + lastOffsetDelta - this.#segmentOffset > RELATIVE_OFFSET_MAX) return 'invalid'
    this.sizeBytes = sizeBytes
    this.baseOffset = baseOffset
    this.lastOffset = baseOffset + lastOffsetDelta
    return 'batch'
  }

  /** Whether the current batch matches its checksum. Reads the whole batch through the window. */
  crcOk(): boolean {
    return this.#checksumHolds() === true
  }

  /** The same, or null where the budget was spent before it was known: the next call goes on there. */
  #checksumHolds(): boolean | null {
    const { position } = this
    if (position === this.#soundBatch) return true
    const isPaused = position === this.#pausedBatch
    let crc = isPaused ? this.#pausedCrc : 0
    let at = isPaused ? this.#pausedAt : position + CRC_START
    this.#pausedBatch = -1
    // Once from its beginning: what stands in the window already would be read again for its header, and the rest for the next batch.
    if (this.sizeBytes <= this.#window.length && !this.#hold(position, this.sizeBytes)) return false
    const expected = this.#window.readUInt32BE(this.headerPosition + CRC_START - 4)
    const end = position + this.sizeBytes
    while (at < end) {
      if (this.#budgetBytes <= 0) {
        this.#pausedBatch = position
        this.#pausedAt = at
        this.#pausedCrc = crc
        return null
      }
      // What was left off may also stand before the window.
      if ((at >= this.#windowEnd || at < this.#windowStart) && !this.#fill(at)) return false
      const until = Math.min(end, this.#windowEnd)
      crc = crc32cUpdate(crc, this.#window, at - this.#windowStart, until - this.#windowStart)
      this.#budgetBytes -= until - at
      at = until
    }
    return this.#holdHeader(position) && crc === expected
  }

  /**
   * Whether the current batch is as it was written: by its checksum, and by its offsets, of which the base is not covered by that. They
   * end below `endOffset`, and below those of the batch behind it.
   */
  isWhole(endOffset: Offset): boolean {
    return this.#isWhole(endOffset) === true
  }

  /**
   * The same in pieces: null once checksums of about `sizeBytes` have been computed and it is not known yet, which the next call goes on
   * with. A length is covered by no checksum that could be had for less than reading all that it claims, up to the end of the file.
   */
  isWholeWithin(endOffset: Offset, sizeBytes: number): boolean | null {
    if (!this.#hold(this.position, BATCH_HEADER_BYTES)) return false
    this.#budgetBytes = sizeBytes
    const isWhole = this.#isWhole(endOffset)
    this.#budgetBytes = Number.POSITIVE_INFINITY
    return isWhole
  }

  #isWhole(endOffset: Offset): boolean | null {
    if (this.lastOffset >= endOffset) return false
    const holds = this.#checksumHolds()
    if (holds !== true) return holds
    const overtakes = this.#overtakesNext()
    return overtakes === null ? null : !overtakes
  }

  /**
   * Whether the batch behind the current one is whole and has offsets that this one has passed over, or claims: its base offset was
   * damaged upwards then. A gap alone is no damage: compaction leaves some. Nothing is read where there is none. Null if not known yet.
   */
  #overtakesNext(): boolean | null {
    const { position, sizeBytes, baseOffset, lastOffset, expectedOffset } = this
    if (baseOffset === expectedOffset) return false
    this.position = position + sizeBytes
    this.sizeBytes = 0
    // The lowest that the next one can begin with: this one keeps its number of offsets wherever it belongs.
    this.expectedOffset = expectedOffset + lastOffset - baseOffset + 1
    const overtakes = this.next() === 'batch' && this.baseOffset <= lastOffset && this.#checksumHolds()
    this.position = position
    this.sizeBytes = sizeBytes
    this.baseOffset = baseOffset
    this.lastOffset = lastOffset
    this.expectedOffset = expectedOffset
    this.#soundBatch = overtakes === null ? position : -1
    // A file that was cut meanwhile holds nothing whole.
    return !this.#hold(position, BATCH_HEADER_BYTES) || overtakes
  }

  /** Goes on in the same file, which may have been opened anew and have grown to `end`. */
  goOn(file: DiskFile, end: number): void {
    this.#file = file
    this.#end = end
  }

  /** Copy of the first bytes of the current batch, at most `sizeBytes`. */
  readStart(sizeBytes: number): Buffer {
    const start = Buffer.alloc(Math.min(sizeBytes, this.sizeBytes))
    return start.subarray(0, this.#file.read(start, 0, start.length, this.position))
  }

  /** Whether what stands at `position` looks like blocks that were reserved and never written. */
  isZeroAt(position: number): boolean {
    const length = Buffer.alloc(Math.min(16, this.#end - position))
    return this.#file.read(length, 0, length.length, position) === length.length && length.every((byte) => byte === 0)
  }

  /** Whether nothing but zeros follows up to the end: blocks that were reserved and never written. Reads all of it. */
  isZeroToEnd(): boolean {
    for (let at = this.position; at < this.#end; at = this.#windowEnd) {
      if (!this.#fill(at)) return false
      for (let slot = 0; slot < this.#windowEnd - at; slot++) if (this.#window[slot] !== 0) return false
    }
    return true
  }

  /**
   * Searches behind a damaged place for the next batch that is whole and follows in offset, below `endOffset`; then it is the current
   * one. False if there is none up to the end.
   */
  resync(endOffset: Offset): boolean {
    return this.resyncWithin(endOffset, Number.POSITIVE_INFINITY) === 'batch'
  }

  /**
   * The same in pieces: 'more' if `sizeBytes` were searched, or checksums of as many computed, and more are left, which the next call
   * does. What looks like a batch may claim all the rest of the file, and a record may hold thousands of what looks like one.
   */
  resyncWithin(endOffset: Offset, sizeBytes: number): 'batch' | 'end' | 'more' {
    this.#budgetBytes = sizeBytes
    const found = this.#search(endOffset, this.position + sizeBytes)
    this.#budgetBytes = Number.POSITIVE_INFINITY
    if (found !== 'batch') this.sizeBytes = 0
    return found
  }

  /** Looks at positions up to `limit`. */
  #search(endOffset: Offset, limit: number): 'batch' | 'end' | 'more' {
    const { expectedOffset } = this
    for (let position = this.position + 1; position + BATCH_HEADER_BYTES <= this.#end; position++) {
      if (position > limit) return 'more'
      if (!this.#hold(position, BATCH_HEADER_BYTES)) break
      this.position = position
      this.sizeBytes = 0
      // The two bytes that every batch of a log shares spare the rest of the look nearly everywhere.
      if (this.#window[this.headerPosition + 16] !== 2 || this.#window[this.headerPosition] !== 0) continue
      this.expectedOffset = expectedOffset
      const isWhole = this.next() === 'batch' && this.#isWhole(endOffset)
      if (isWhole === true) return 'batch'
      if (isWhole === false) continue
      // It is looked at again.
      this.position = position - 1
      return 'more'
    }
    return 'end'
  }

  #hold(position: number, sizeBytes: number): boolean {
    if (position >= this.#windowStart && position + sizeBytes <= this.#windowEnd) return true
    return this.#fill(position) && position + sizeBytes <= this.#windowEnd
  }

  /** Of a batch larger than the window nothing else is needed again: the next one begins behind it. */
  #holdHeader(position: number): boolean {
    if (this.sizeBytes <= this.#window.length) return this.#hold(position, BATCH_HEADER_BYTES)
    return this.#fill(position, BATCH_HEADER_BYTES) && this.#windowEnd - position >= BATCH_HEADER_BYTES
  }

  /** What stands in the window already moves to its beginning, and is not read again. */
  #fill(position: number, maxBytes = this.#window.length): boolean {
    const wantedBytes = Math.min(maxBytes, this.#end - position)
    const from = position - this.#windowStart
    const heldBytes = from < 0 ? 0 : Math.max(0, Math.min(this.#windowEnd - position, wantedBytes))
    if (heldBytes > 0) this.#window.copyWithin(0, from, from + heldBytes)
    this.#windowStart = position
    this.#windowEnd = position + heldBytes
    this.#windowEnd += this.#file.read(this.#window, heldBytes, wantedBytes, this.#windowEnd)
    return this.#windowEnd > position
  }
}
