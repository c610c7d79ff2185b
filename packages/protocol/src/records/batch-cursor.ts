import { BATCH_HEADER_BYTES, BYTES_UP_TO_MAGIC, batchSizeOf, LOG_OVERHEAD_BYTES, magicOf } from './batch-header.ts'
import { checkBatchCrc } from './check-crc.ts'
import { CorruptBatchError } from './corrupt-batch-error.ts'
import { LEGACY_MIN_BYTES } from './legacy-message.ts'

/** A message of format 0 without key and value: the smallest thing that a length can mean. */
const MIN_LENGTH = 14

/**
 * Walks the batches of a buffer, as a producer sent it or as a log or fetch response holds it: record batches of format 2 and messages
 * of formats 0 and 1, also mixed. Allocates nothing after creation; one cursor can serve many buffers.
 *
 * `next()` checks what is needed to find the next batch (length, magic) and that a header is complete. Checksums are the caller's
 * choice: {@link checkCrc}. An incomplete batch at the end is no error, since fetch responses are cut anywhere: `next()` is false, and
 * `trailingBytes` is above 0.
 */
export class BatchCursor {
  buffer: Buffer
  /** Where the current batch begins. */
  position: number
  /** Whole size of the current batch; 0 before the first. */
  sizeInBytes: number
  /** Format of the current batch: 0, 1 or 2. */
  magic: number
  private end: number

  constructor(buffer: Buffer = EMPTY, start = 0, end: number = buffer.length) {
    this.buffer = buffer
    this.position = start
    this.sizeInBytes = 0
    this.magic = 2
    this.end = end
  }

  /** Begins again with `buffer[start, end)`. */
  reset(buffer: Buffer, start = 0, end: number = buffer.length): void {
    this.buffer = buffer
    this.position = start
    this.sizeInBytes = 0
    this.magic = 2
    this.end = end
  }

  /** Bytes after the current batch (all bytes before the first): once `next()` was false, those of an incomplete batch. */
  get trailingBytes(): number {
    return this.end - this.position - this.sizeInBytes
  }

  /** Moves to the next complete batch; false if there is none. Throws {@link CorruptBatchError} `length` or `magic`. */
  next(): boolean {
    const { buffer } = this
    const position = this.position + this.sizeInBytes
    const remaining = this.end - position
    if (remaining < LOG_OVERHEAD_BYTES) return false
    const sizeInBytes = batchSizeOf(buffer, position)
    if (sizeInBytes - LOG_OVERHEAD_BYTES < MIN_LENGTH) {
      throw new CorruptBatchError('length', position, `${sizeInBytes - LOG_OVERHEAD_BYTES} is too short for any format`)
    }
    if (remaining < BYTES_UP_TO_MAGIC) return false
    const magic = magicOf(buffer, position)
    if (magic < 0 || magic > 2) throw new CorruptBatchError('magic', position, `${magic} is not a known format`)
    if (sizeInBytes > remaining) return false
    if (sizeInBytes < minSizeOf(magic)) {
      throw new CorruptBatchError('length', position, `${sizeInBytes} bytes are too few for format ${magic}`)
    }
    this.position = position
    this.sizeInBytes = sizeInBytes
    this.magic = magic
    return true
  }

  /** Throws {@link CorruptBatchError} `crc` or `length` unless the current batch has the checksum that it stores. */
  checkCrc(): void {
    checkBatchCrc(this.buffer, this.position, this.end)
  }
}

const EMPTY = Buffer.alloc(0)

function minSizeOf(magic: number): number {
  return magic === 2 ? BATCH_HEADER_BYTES : LEGACY_MIN_BYTES + 8 * magic
}
