import { decompressedSizeLimit } from '../compression/codec.ts'
import { codecOf } from '../compression/codec-table.ts'
import {
  addToSequence,
  BASE_TIMESTAMP_POSITION,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseSequenceOf,
  baseTimestampOf,
  batchCodecOf,
  batchSizeOf,
  exactInt64At,
  hasLogAppendTime,
  int32At,
  int64At,
  MAX_TIMESTAMP_POSITION,
  magicOf,
  maxTimestampOf,
  recordCountOf,
} from './batch-header.ts'
import { type BatchFailure, CorruptBatchError } from './corrupt-batch-error.ts'
import {
  checkedInnerSize,
  legacyCodecOf,
  legacyCrcOk,
  legacyHasLogAppendTime,
  legacyKeyPosition,
  legacySizeOf,
  legacyTimestampOf,
} from './legacy-message.ts'
import { readVarint, readZigzagVarlong, readZigzagVarlongExactly, skipHeaders, varintEnd } from './record-varint.ts'

/** A header of a record (KIP-82): keys may repeat. `value` is a view into the records' bytes. */
export interface RecordHeader {
  readonly key: string
  readonly value: Buffer | null
}

const EMPTY = Buffer.alloc(0)
const ZSTD = 4

/**
 * Walks the records of one batch of any format, expanding it if it is compressed. One reader serves any number of batches:
 *
 *     reader.open(buffer, position)
 *     while (reader.next()) use(reader.offset, reader.timestamp, reader.key(), reader.value())
 *
 * The fields describe the current record, with positions in `bytes`; nothing is allocated until `key()`, `value()` or `headers()` is
 * called, and those give views into `bytes` (the caller's buffer, or the expanded copy). `next()` checks a record's whole structure and,
 * with the last one, that exactly the declared bytes were used. Checksums are not looked at: `BatchCursor.checkCrc`.
 *
 * Damage throws {@link CorruptBatchError}; records before it were delivered, as far as Kafka's own reader delivers them.
 */
export class RecordReader {
  /** What the positions below refer to. */
  bytes: Buffer
  /** Distances from the batch's base offset and base timestamp; from 0 in old formats. */
  offsetDelta: number
  timestampDelta: number
  /** Lengths are -1 for null; positions are then meaningless. */
  keyPosition: number
  keyLength: number
  valuePosition: number
  valueLength: number
  headerCount: number
  /** Range of the whole record, its length field included. */
  recordPosition: number
  recordEnd: number
  /** Where the key's length stands: from there to `recordEnd` a record of format 2 does not depend on its place in the batch. */
  bodyPosition: number
  /** Header found by {@link nextHeader}. */
  headerKeyPosition: number
  headerKeyLength: number
  headerValuePosition: number
  headerValueLength: number
  /** Format of the batch. */
  magic: number

  private batch: Buffer
  private batchPosition: number
  private bytesEnd: number
  private declaredCount: number
  private readCount: number
  private baseOffset: number
  private baseTimestamp: number
  private logAppendTime: boolean
  private maxTimestamp: number
  private headersPosition: number
  private headersRead: number
  /** Format 1, compressed: what to add to an inner offset. */
  private innerBaseOffset: number
  private compressed: boolean
  /** Why `bytes` is only the beginning of the records; thrown when they run out. */
  private expansionError: unknown

  constructor() {
    this.bytes = EMPTY
    this.offsetDelta = 0
    this.timestampDelta = 0
    this.keyPosition = 0
    this.keyLength = -1
    this.valuePosition = 0
    this.valueLength = -1
    this.headerCount = 0
    this.recordPosition = 0
    this.recordEnd = 0
    this.bodyPosition = 0
    this.headerKeyPosition = 0
    this.headerKeyLength = 0
    this.headerValuePosition = 0
    this.headerValueLength = -1
    this.magic = 2
    this.batch = EMPTY
    this.batchPosition = 0
    this.bytesEnd = 0
    this.declaredCount = 0
    this.readCount = 0
    this.baseOffset = 0
    this.baseTimestamp = 0
    this.logAppendTime = false
    this.maxTimestamp = 0
    this.headersPosition = 0
    this.headersRead = 0
    this.innerBaseOffset = 0
    this.compressed = false
    this.expansionError = null
  }

  /**
   * Begins with the batch at `position`, whose bytes must be complete and at least a header (as `BatchCursor` makes sure). A compressed
   * one is expanded to at most `maxOutputBytes`, by default 100 times its size plus 1 MiB and at most 64 MiB.
   */
  open(buffer: Buffer, position: number, maxOutputBytes?: number): void {
    this.begin(buffer, position)
    if (this.magic < 2) {
      this.openLegacy(maxOutputBytes)
      return
    }
    const start = position + BATCH_HEADER_BYTES
    const end = position + batchSizeOf(buffer, position)
    const codecId = batchCodecOf(buffer, position)
    this.compressed = codecId !== 0
    if (codecId === 0 || this.declaredCount <= 0) {
      this.setBytes(buffer, start, end)
      return
    }
    const limit = maxOutputBytes ?? decompressedSizeLimit(end - start)
    this.setBytes(EMPTY, 0, 0)
    const expanded = this.expand(codecId, buffer, start, end, limit, true)
    this.setBytes(expanded, 0, expanded.length)
  }

  /** As {@link open} for a compressed batch of format 2 whose records the caller has expanded, on the thread pool for example. */
  openExpanded(buffer: Buffer, position: number, expanded: Buffer): void {
    this.begin(buffer, position)
    this.compressed = true
    this.setBytes(expanded, 0, expanded.length)
  }

  /** Moves to the next record; false after the last. Throws {@link CorruptBatchError} `count`, `record` or `compressed-data`. */
  next(): boolean {
    if (this.magic < 2) return this.nextLegacy()
    const readCount = this.readCount
    if (readCount >= this.declaredCount) return this.checkNone()
    const bytes = this.bytes
    const start = this.recordEnd
    const bytesEnd = this.bytesEnd
    if (start >= bytesEnd) this.fail('count', 'fewer records than declared')

    // Lengths only move `position` forward, so that one comparison with the record's end covers all of them.
    let position = start + 1
    let raw = bytes[start]!
    if (raw >= 0x80) {
      raw = readVarint(bytes, start, bytesEnd)
      position = varintEnd
    }
    const end = position + ((raw >>> 1) ^ -(raw & 1))
    if (end <= position || end > bytesEnd) this.fail('record', 'a length beyond the batch')
    position++ // attributes, of which none is defined

    let timestampDelta = bytes[position]!
    if (timestampDelta < 0x80) {
      position++
      timestampDelta = (timestampDelta >>> 1) ^ -(timestampDelta & 1)
    } else {
      timestampDelta = readZigzagVarlong(bytes, position, end)
      position = varintEnd
    }
    raw = bytes[position++]!
    if (!(raw < 0x80)) {
      raw = readVarint(bytes, position - 1, end)
      position = varintEnd
    }
    const offsetDelta = (raw >>> 1) ^ -(raw & 1)
    this.bodyPosition = position
    raw = bytes[position++]!
    if (!(raw < 0x80)) {
      raw = readVarint(bytes, position - 1, end)
      position = varintEnd
    }
    const keyLength = (raw >>> 1) ^ -(raw & 1)
    this.keyPosition = position
    this.keyLength = keyLength
    if (keyLength > 0) position += keyLength

    raw = bytes[position++]!
    if (!(raw < 0x80)) {
      raw = readVarint(bytes, position - 1, end)
      position = varintEnd
    }
    const valueLength = (raw >>> 1) ^ -(raw & 1)
    this.valuePosition = position
    this.valueLength = valueLength
    if (valueLength > 0) position += valueLength

    const headersPosition = position
    raw = bytes[position++]!
    if (raw !== 0) position = skipHeaders(bytes, position - 1, end)
    if (position !== end || keyLength < -1 || valueLength < -1) this.fail('record', 'its parts do not fill it')

    if (readCount + 1 === this.declaredCount) this.checkLast(end)
    this.readCount = readCount + 1
    this.headerCount = raw === 0 ? 0 : this.beginHeaders(headersPosition, end)
    this.headersRead = 0
    this.recordPosition = start
    this.recordEnd = end
    this.offsetDelta = offsetDelta
    this.timestampDelta = timestampDelta
    return true
  }

  /** Offset of the record. Rounded beyond 2^53, see {@link exactOffset}. */
  get offset(): number {
    return this.baseOffset + this.offsetDelta
  }

  /** Timestamp of the record, -1 if it has none. Rounded beyond 2^53, see {@link exactTimestamp}. */
  get timestamp(): number {
    return this.logAppendTime ? this.maxTimestamp : this.baseTimestamp + this.timestampDelta
  }

  /** The record's key: a view, or null. */
  key(): Buffer | null {
    return this.keyLength < 0 ? null : this.bytes.subarray(this.keyPosition, this.keyPosition + this.keyLength)
  }

  /** The record's value: a view, or null for a tombstone. */
  value(): Buffer | null {
    return this.valueLength < 0 ? null : this.bytes.subarray(this.valuePosition, this.valuePosition + this.valueLength)
  }

  /** The record's headers in order. */
  headers(): RecordHeader[] {
    const headers: RecordHeader[] = []
    this.headersRead = 0
    while (this.nextHeader()) {
      const { bytes, headerKeyPosition, headerValuePosition, headerValueLength } = this
      headers.push({
        key: bytes.toString('utf8', headerKeyPosition, headerKeyPosition + this.headerKeyLength),
        value:
          headerValueLength < 0 ? null : bytes.subarray(headerValuePosition, headerValuePosition + headerValueLength),
      })
    }
    return headers
  }

  /** Moves to the record's next header, the first after `next()`; false after the last, and then begins again. Allocates nothing. */
  nextHeader(): boolean {
    if (this.headersRead >= this.headerCount) {
      this.headersRead = 0
      return false
    }
    const { bytes, recordEnd } = this
    const position =
      this.headersRead === 0 ? this.headersPosition : this.headerValuePosition + Math.max(0, this.headerValueLength)
    let raw = readVarint(bytes, position, recordEnd)
    this.headerKeyLength = (raw >>> 1) ^ -(raw & 1)
    this.headerKeyPosition = varintEnd
    raw = readVarint(bytes, this.headerKeyPosition + this.headerKeyLength, recordEnd)
    this.headerValueLength = (raw >>> 1) ^ -(raw & 1)
    this.headerValuePosition = varintEnd
    this.headersRead++
    return true
  }

  /** Sequence number of the record, -1 if its producer has no id. */
  get sequence(): number {
    const baseSequence = this.magic < 2 ? -1 : baseSequenceOf(this.batch, this.batchPosition)
    return baseSequence < 0 ? -1 : addToSequence(baseSequence, this.offsetDelta)
  }

  /** The offset, also where `offset` is rounded. For tools. */
  exactOffset(): number | bigint {
    if (Number.isSafeInteger(this.offset)) return this.offset
    if (this.magic === 2) return BigInt(exactInt64At(this.batch, this.batchPosition)) + BigInt(this.offsetDelta)
    const own = BigInt(exactInt64At(this.bytes, this.recordPosition))
    if (!this.compressed || this.magic === 0 || this.innerBaseOffset === 0) return own
    return BigInt(exactInt64At(this.batch, this.batchPosition)) - BigInt(this.lastInnerOffset()) + own
  }

  /** The timestamp, also where `timestamp` is rounded. For tools. */
  exactTimestamp(): number | bigint {
    const { baseTimestamp, timestampDelta, timestamp } = this
    // Two rounded numbers may well have a safe sum.
    const exact = this.logAppendTime || (Number.isSafeInteger(baseTimestamp) && Number.isSafeInteger(timestampDelta))
    if (exact && Number.isSafeInteger(timestamp)) return timestamp
    if (this.magic < 2) {
      const inherited = this.compressed && legacyHasLogAppendTime(this.batch, this.batchPosition)
      return exactInt64At(
        inherited ? this.batch : this.bytes,
        (inherited ? this.batchPosition : this.recordPosition) + 18,
      )
    }
    if (this.logAppendTime) return exactInt64At(this.batch, this.batchPosition + MAX_TIMESTAMP_POSITION)
    const base = BigInt(exactInt64At(this.batch, this.batchPosition + BASE_TIMESTAMP_POSITION))
    let position = this.recordPosition
    while (this.bytes[position]! >= 0x80) position++ // the length
    const sum = BigInt.asIntN(64, base + readZigzagVarlongExactly(this.bytes, position + 2))
    return Number.isSafeInteger(Number(sum)) ? Number(sum) : sum
  }

  /** After the declared records: a batch that declares none, or fewer, may have no bytes either. */
  private checkNone(): false {
    if (this.readCount === 0 && (this.declaredCount < 0 || this.recordEnd !== this.bytesEnd)) {
      this.fail('count', 'records or bytes that the count denies')
    }
    return false
  }

  private checkLast(end: number): void {
    if (end !== this.bytesEnd) this.fail('count', 'bytes left after the last record')
    if (this.expansionError !== null) this.fail('compressed-data', 'cut off')
  }

  /** Notes where the first header stands; returns how many there are, which `skipHeaders` has checked. */
  private beginHeaders(countPosition: number, end: number): number {
    const raw = readVarint(this.bytes, countPosition, end)
    this.headersPosition = varintEnd
    return raw >>> 1
  }

  private begin(buffer: Buffer, position: number): void {
    this.batch = buffer
    this.batchPosition = position
    this.magic = magicOf(buffer, position)
    this.readCount = 0
    this.headerCount = 0
    this.headersRead = 0
    this.compressed = false
    this.expansionError = null
    if (this.magic < 2) {
      this.baseOffset = 0
      this.baseTimestamp = 0
      this.logAppendTime = false
      return
    }
    this.declaredCount = recordCountOf(buffer, position)
    this.baseOffset = baseOffsetOf(buffer, position)
    this.baseTimestamp = baseTimestampOf(buffer, position)
    this.logAppendTime = hasLogAppendTime(buffer, position)
    this.maxTimestamp = maxTimestampOf(buffer, position)
  }

  private setBytes(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes
    this.recordPosition = start
    this.recordEnd = start
    this.bytesEnd = end
  }

  /** The expanded records; with `prefix`, what precedes the damage and `expansionError` set, since a streaming reader sees that much. */
  private expand(codecId: number, buffer: Buffer, start: number, end: number, limit: number, prefix: boolean): Buffer {
    const codec = codecOf(codecId)
    if (codec === null) this.fail('codec', `${codecId} is not assigned`)
    try {
      return codec.decompress(buffer, start, end, limit)
    } catch (error) {
      this.expansionError = error
      if (!prefix) this.fail('compressed-data', 'cannot be expanded')
      return codec.decompressPrefix(buffer, start, end, limit)
    }
  }

  private fail(failure: BatchFailure, message: string): never {
    if (this.expansionError !== null) {
      throw new CorruptBatchError('compressed-data', this.batchPosition, 'cannot be expanded', {
        cause: this.expansionError,
      })
    }
    throw new CorruptBatchError(failure, this.batchPosition, message)
  }

  private openLegacy(maxOutputBytes: number | undefined): void {
    const { batch, batchPosition } = this
    const end = batchPosition + legacySizeOf(batch, batchPosition)
    const codecId = legacyCodecOf(batch, batchPosition)
    this.setBytes(batch, batchPosition, end)
    if (codecId === 0) return
    if (codecId >= ZSTD) this.fail('codec', `${codecId} is not allowed in format ${this.magic}`)
    this.parseLegacyFields(batch, batchPosition, end)
    if (this.valueLength < 0) this.fail('record', 'a compressed message without a value')
    this.compressed = true
    const valueEnd = this.valuePosition + this.valueLength
    const limit = maxOutputBytes ?? decompressedSizeLimit(this.valueLength)
    const expanded = this.expand(codecId, batch, this.valuePosition, valueEnd, limit, false)
    this.setBytes(expanded, 0, expanded.length)
    if (expanded.length === 0) this.fail('record', 'a compressed message without inner messages')
    const lastInnerOffset = this.lastInnerOffset()
    const wrapperOffset = baseOffsetOf(batch, batchPosition)
    // Some producers leave the wrapper's offset 0: then the inner ones count from 0.
    this.innerBaseOffset = this.magic === 0 || wrapperOffset === 0 ? 0 : wrapperOffset - lastInnerOffset
    if (this.innerBaseOffset < 0) this.fail('record', 'an inner offset beyond that of its wrapper')
  }

  /** Offset field of the last inner message. Checks on the way that the inner messages fill the bytes. */
  private lastInnerOffset(): number {
    let last = 0
    for (let position = 0; position < this.bytesEnd; ) {
      last = int64At(this.bytes, position)
      position += checkedInnerSize(this.bytes, position, this.bytesEnd, this.batchPosition)
    }
    return last
  }

  private nextLegacy(): boolean {
    const { bytes, batch, batchPosition } = this
    const position = this.recordEnd
    if (position >= this.bytesEnd) return false
    const size = legacySizeOf(bytes, position) // checked by the cursor, or by `lastInnerOffset`
    if (this.compressed) {
      if (!legacyCrcOk(bytes, position, size)) this.fail('compressed-data', 'the checksum of an inner message differs')
      if (legacyCodecOf(bytes, position) !== 0) this.fail('record', 'a compressed message within a compressed one')
    }
    this.parseLegacyFields(bytes, position, position + size)
    this.recordPosition = position
    this.recordEnd = position + size
    this.offsetDelta = int64At(bytes, position) + (this.compressed ? this.innerBaseOffset : 0)
    const inherited = this.compressed && legacyHasLogAppendTime(batch, batchPosition) && magicOf(bytes, position) === 1
    this.timestampDelta = inherited ? legacyTimestampOf(batch, batchPosition) : legacyTimestampOf(bytes, position)
    this.readCount++
    return true
  }

  private parseLegacyFields(bytes: Buffer, position: number, end: number): void {
    const keyAt = legacyKeyPosition(bytes, position)
    this.bodyPosition = keyAt
    this.keyLength = int32At(bytes, keyAt)
    this.keyPosition = keyAt + 4
    const valueAt = this.keyPosition + Math.max(0, this.keyLength)
    if (this.keyLength < -1 || valueAt + 4 > end) this.fail('record', 'a key length beyond the message')
    this.valueLength = int32At(bytes, valueAt)
    this.valuePosition = valueAt + 4
    if (this.valueLength < -1 || this.valuePosition + Math.max(0, this.valueLength) !== end) {
      this.fail('record', 'a value that does not fill the message')
    }
  }
}
