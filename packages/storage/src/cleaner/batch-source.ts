import { assert, type Disk, type DiskFile, type Offset } from '@millrace/base'
import { BATCH_HEADER_BYTES, baseOffsetOf, batchCrcOk, batchSizeOf, lastOffsetOf, magicOf } from '@millrace/protocol'
import type { SourceSegment } from './clean-orders.ts'

/**
 * Reads the batches of a segment file in order, each whole, through a buffer of its own that grows for a batch that does not fit and is
 * given back with the segment. A batch counts only if its checksum and its place among the others are right.
 */
export class BatchSource {
  /** Holds the current batch at `[position, end)`; valid until the next call. */
  buffer: Buffer
  position: number
  end: number
  /** Bytes read from the file. */
  readBytes: number
  readonly #segment: SourceSegment
  readonly #file: DiskFile
  readonly #bufferBytes: number
  /** Of the file: where `buffer` begins, and what has been read. */
  #bufferStart: number
  #filledBytes: number
  #expectedOffset: Offset

  /** Throws `DiskError`. */
  constructor(disk: Disk, segment: SourceSegment, bufferBytes: number) {
    this.#segment = segment
    this.#bufferBytes = Math.max(BATCH_HEADER_BYTES, Math.min(bufferBytes, segment.sizeBytes))
    this.buffer = Buffer.allocUnsafeSlow(this.#bufferBytes)
    this.position = 0
    this.end = 0
    this.readBytes = 0
    this.#file = disk.openFile(segment.path, { create: false })
    this.#bufferStart = 0
    this.#filledBytes = 0
    this.#expectedOffset = segment.baseOffset
  }

  /** Position of the current batch in the file, or after 'end' and 'damaged' where the next one should be. */
  get filePosition(): number {
    return this.#bufferStart + this.position
  }

  /** Moves to the next batch. Throws `DiskError`. */
  next(): 'batch' | 'end' | 'damaged' {
    this.position = this.end
    const leftBytes = this.#segment.sizeBytes - this.filePosition
    if (leftBytes === 0) return 'end'
    if (leftBytes < BATCH_HEADER_BYTES || !this.#hold(BATCH_HEADER_BYTES)) return 'damaged'
    const sizeBytes = batchSizeOf(this.buffer, this.position)
    if (!this.#isPlausible(sizeBytes, leftBytes) || !this.#hold(sizeBytes)) return 'damaged'
    if (!batchCrcOk(this.buffer, this.position)) return 'damaged'
    this.end = this.position + sizeBytes
    this.#expectedOffset = lastOffsetOf(this.buffer, this.position) + 1
    return 'batch'
  }

  close(): void {
    this.#file.close()
  }

  #isPlausible(sizeBytes: number, leftBytes: number): boolean {
    const { buffer, position } = this
    if (magicOf(buffer, position) !== 2 || sizeBytes < BATCH_HEADER_BYTES || sizeBytes > leftBytes) return false
    const baseOffset = baseOffsetOf(buffer, position)
    const lastOffset = lastOffsetOf(buffer, position)
    return baseOffset >= this.#expectedOffset && lastOffset >= baseOffset && lastOffset < this.#segment.endOffset
  }

  /** Whether so many bytes from the position on are in the buffer, after reading them if they are not. */
  #hold(sizeBytes: number): boolean {
    if (this.position + sizeBytes <= this.#filledBytes) return true
    const heldBytes = this.#filledBytes - this.position
    assert(heldBytes >= 0, 'what was read is read on')
    const neededBytes = Math.max(sizeBytes, this.#bufferBytes)
    const target = this.buffer.length < sizeBytes ? Buffer.allocUnsafeSlow(neededBytes) : this.buffer
    this.buffer.copy(target, 0, this.position, this.#filledBytes)
    this.#bufferStart += this.position
    this.buffer = target
    this.position = 0
    this.end = 0
    const wantedBytes = Math.min(target.length, this.#segment.sizeBytes - this.#bufferStart)
    const count = this.#file.read(target, heldBytes, wantedBytes, this.#bufferStart + heldBytes)
    this.readBytes += count
    this.#filledBytes = heldBytes + count
    return sizeBytes <= this.#filledBytes
  }
}
