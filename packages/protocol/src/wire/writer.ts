import { assert, type Uuid } from '@millrace/base'
import { StringTooLongError } from './encode-errors.ts'
import { type RecordsData, recordsSizeBytes } from './records-data.ts'
import { END_OF_TAGS, MAX_STRING_BYTES, type TaggedField } from './tagged-field.ts'
import { encodeUuid } from './uuid-codec.ts'

const TWO_32 = 2 ** 32
/** Records below this size are copied: a slot in the write list and a system call's vector cost more than copying them. */
const SPLICE_MIN_BYTES = 4096
/** Text up to this length is tried as ASCII in a loop, which beats the native call (measured in `wire.bench.ts`). */
const SHORT_TEXT_LENGTH = 48
const DEFAULT_SIZE_BYTES = 1024

/**
 * Growing buffer for Kafka's primitive types, big-endian. Values out of a type's range are programmer errors and fail an assert
 * rather than wrap; a text that is too long is none and throws {@link StringTooLongError}. Big record data is not copied: `splice`
 * remembers where foreign buffers belong, and `takeChunks` gives the list in order for a vectored write. Hot path: one writer may
 * collect many frames before its chunks are taken.
 */
export class Writer {
  /** The backing store. Bytes in [start, position) are written; it is replaced when it grows. */
  buffer: Buffer
  /** Where the next byte goes, a position in `buffer`. Spliced bytes do not count. */
  position: number
  /** The same store for the multi-byte integers: one bounds check and one store each instead of four. */
  #view: DataView
  /** Everything before was handed out by `takeChunks` and must not change any more. */
  #start: number
  #initialSizeBytes: number
  /** Positions of the splices, ascending, and what belongs there. */
  #splicePositions: number[]
  #splices: Buffer[]
  #splicedBytes: number
  #frameStart: number
  #frameSplicedBytes: number

  constructor(initialSizeBytes = DEFAULT_SIZE_BYTES) {
    this.buffer = Buffer.allocUnsafeSlow(initialSizeBytes)
    this.#view = viewOf(this.buffer)
    this.position = 0
    this.#start = 0
    this.#initialSizeBytes = initialSizeBytes
    this.#splicePositions = []
    this.#splices = []
    this.#splicedBytes = 0
    this.#frameStart = -1
    this.#frameSplicedBytes = 0
  }

  /** Bytes written since the last `reset` or `takeChunks`, spliced ones included. */
  get sizeBytes(): number {
    return this.position - this.#start + this.#splicedBytes
  }

  /** Forgets what was written and reuses the backing store: nothing taken from it may be in use any more. */
  reset(): void {
    this.position = 0
    this.#start = 0
    this.#frameStart = -1
    this.#clearSplices()
  }

  /** All that was written since the last `takeChunks`: a view of the backing store, or a copy when there are splices. */
  toBuffer(): Buffer {
    if (this.#splices.length === 0) return this.buffer.subarray(this.#start, this.position)
    return Buffer.concat(this.#chunks())
  }

  /**
   * Hands over all that was written, in order, without copying: views of the backing store and the spliced buffers. The writer goes on
   * behind them (or in a new store when little room is left), so the chunks stay as they are until dropped.
   */
  takeChunks(): Buffer[] {
    assert(this.#frameStart === -1, 'chunks taken inside a frame')
    const chunks = this.#chunks()
    this.#clearSplices()
    this.#start = this.position
    if (this.buffer.length - this.position < this.#initialSizeBytes / 2) {
      this.buffer = Buffer.allocUnsafeSlow(this.#initialSizeBytes)
      this.#view = viewOf(this.buffer)
      this.position = 0
      this.#start = 0
    }
    return chunks
  }

  /** Makes room for `sizeBytes` more bytes. Written positions keep their place when the store is replaced. */
  ensure(sizeBytes: number): void {
    if (this.position + sizeBytes > this.buffer.length) this.#grow(sizeBytes)
  }

  /** Begins a frame: an int32 size that `endFrame` fills in. */
  beginFrame(): void {
    assert(this.#frameStart === -1, 'frame inside a frame')
    this.ensure(4)
    this.#frameStart = this.position
    this.#frameSplicedBytes = this.#splicedBytes
    this.position += 4
  }

  endFrame(): void {
    const start = this.#frameStart
    assert(start !== -1, 'no frame to end')
    this.buffer.writeInt32BE(this.position - start - 4 + this.#splicedBytes - this.#frameSplicedBytes, start)
    this.#frameStart = -1
  }

  /** Drops what was written since `beginFrame`, for an answer that turned out to be none or failed to encode. */
  abandonFrame(): void {
    const start = this.#frameStart
    assert(start !== -1, 'no frame to abandon')
    this.position = start
    while (this.#splicePositions.length > 0 && this.#splicePositions.at(-1)! >= start + 4) {
      this.#splicePositions.pop()
      this.#splices.pop()
    }
    this.#splicedBytes = this.#frameSplicedBytes
    this.#frameStart = -1
  }

  int8(value: number): void {
    assert((value << 24) >> 24 === value, 'value is no int8')
    this.ensure(1)
    this.buffer[this.position++] = value
  }

  bool(value: boolean): void {
    this.ensure(1)
    this.buffer[this.position++] = value ? 1 : 0
  }

  int16(value: number): void {
    assert((value << 16) >> 16 === value, 'value is no int16')
    this.#put16(value)
  }

  uint16(value: number): void {
    assert((value & 0xffff) === value, 'value is no uint16')
    this.#put16(value)
  }

  int32(value: number): void {
    assert((value | 0) === value, 'value is no int32')
    this.#put32(value)
  }

  uint32(value: number): void {
    assert(value >>> 0 === value, 'value is no uint32')
    this.#put32(value)
  }

  int64(value: number | bigint): void {
    this.ensure(8)
    const view = this.#view
    const position = this.position
    if (typeof value === 'number') {
      assert(Number.isSafeInteger(value), 'value is no safe integer')
      const low = value >>> 0
      view.setInt32(position, (value - low) / TWO_32)
      view.setInt32(position + 4, low)
    } else {
      assert(BigInt.asIntN(64, value) === value, 'value is no int64')
      view.setBigInt64(position, value)
    }
    this.position = position + 8
  }

  float64(value: number): void {
    this.ensure(8)
    this.#view.setFloat64(this.position, value)
    this.position += 8
  }

  uuid(value: Uuid): void {
    this.ensure(16)
    encodeUuid(this.buffer, this.position, value)
    this.position += 16
  }

  /** At most five bytes; `value` in [0, 2^32). */
  unsignedVarint(value: number): void {
    assert(value >>> 0 === value, 'value is no uint32')
    this.ensure(5)
    const buffer = this.buffer
    let position = this.position
    let rest = value
    while (rest > 0x7f) {
      buffer[position++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    buffer[position++] = rest
    this.position = position
  }

  /** Zigzag varint of an int32. */
  varint(value: number): void {
    assert((value | 0) === value, 'value is no int32')
    this.unsignedVarint(((value << 1) ^ (value >> 31)) >>> 0)
  }

  /** Zigzag varint of an int64. */
  varlong(value: number | bigint): void {
    if (typeof value === 'number' && (value | 0) === value) {
      this.varint(value)
      return
    }
    const wide = BigInt(value)
    assert(BigInt.asIntN(64, wide) === wide, 'value is no int64')
    this.ensure(10)
    let rest = BigInt.asUintN(64, (wide << 1n) ^ (wide >> 63n))
    while (rest > 0x7fn) {
      this.buffer[this.position++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.buffer[this.position++] = Number(rest)
  }

  string(value: string): void {
    const length = value.length
    if (length <= SHORT_TEXT_LENGTH) {
      this.ensure(2 + length)
      const end = putAscii(this.buffer, this.position + 2, value)
      if (end !== -1) {
        this.#put16(length)
        this.position = end
        return
      }
    }
    const sizeBytes = textSizeBytes(value)
    this.#put16(sizeBytes)
    this.#text(value, sizeBytes)
  }

  nullableString(value: string | null): void {
    if (value === null) this.#put16(-1)
    else this.string(value)
  }

  compactString(value: string): void {
    const length = value.length
    if (length <= SHORT_TEXT_LENGTH) {
      this.ensure(1 + length)
      const end = putAscii(this.buffer, this.position + 1, value)
      if (end !== -1) {
        this.buffer[this.position] = length + 1
        this.position = end
        return
      }
    }
    const sizeBytes = textSizeBytes(value)
    this.unsignedVarint(sizeBytes + 1)
    this.#text(value, sizeBytes)
  }

  compactNullableString(value: string | null): void {
    if (value === null) this.unsignedVarint(0)
    else this.compactString(value)
  }

  bytes(value: Buffer): void {
    this.int32(value.length)
    this.raw(value)
  }

  nullableBytes(value: Buffer | null): void {
    if (value === null) this.int32(-1)
    else this.bytes(value)
  }

  compactBytes(value: Buffer): void {
    this.unsignedVarint(value.length + 1)
    this.raw(value)
  }

  compactNullableBytes(value: Buffer | null): void {
    if (value === null) this.unsignedVarint(0)
    else this.compactBytes(value)
  }

  /** Copies bytes without a length before them. */
  raw(value: Buffer): void {
    const length = value.length
    this.ensure(length)
    value.copy(this.buffer, this.position)
    this.position += length
  }

  /** Record data with an int32 length. Big buffers are spliced, not copied: they must not change until the chunks are written. */
  records(value: RecordsData): void {
    if (value === null) {
      this.int32(-1)
      return
    }
    const sizeBytes = recordsSizeBytes(value)
    this.int32(sizeBytes)
    this.splice(value, sizeBytes)
  }

  /** As {@link records} with the compact length. */
  compactRecords(value: RecordsData): void {
    if (value === null) {
      this.unsignedVarint(0)
      return
    }
    const sizeBytes = recordsSizeBytes(value)
    this.unsignedVarint(sizeBytes + 1)
    this.splice(value, sizeBytes)
  }

  /** Puts foreign buffers of `totalBytes` in all at this place: copied when few bytes, else only remembered. */
  splice(buffers: Buffer | readonly Buffer[], totalBytes: number): void {
    if (Buffer.isBuffer(buffers)) {
      if (totalBytes < SPLICE_MIN_BYTES) this.raw(buffers)
      else this.#splice(buffers)
    } else if (totalBytes < SPLICE_MIN_BYTES) {
      for (let slot = 0; slot < buffers.length; slot++) this.raw(buffers[slot]!)
    } else {
      for (let slot = 0; slot < buffers.length; slot++) this.#splice(buffers[slot]!)
    }
  }

  /** -1 stands for null, here and in the compact form. */
  arrayLength(count: number): void {
    this.int32(count)
  }

  compactArrayLength(count: number): void {
    this.unsignedVarint(count + 1)
  }

  /** Starts a tagged field and gives the mark for {@link endTaggedField}. */
  beginTaggedField(tag: number): number {
    this.unsignedVarint(tag)
    this.ensure(1)
    return this.position++
  }

  /** Fills in the size of a tagged field. One byte was left for it; what is longer moves the field, which is rare. */
  endTaggedField(mark: number): void {
    const sizeBytes = this.position - mark - 1
    if (sizeBytes > 0x7f) {
      assert(this.#splicePositions.length === 0 || this.#splicePositions.at(-1)! <= mark, 'splice in a tagged field')
      const extraBytes = unsignedVarintSizeBytes(sizeBytes) - 1
      this.ensure(extraBytes)
      this.buffer.copyWithin(mark + 1 + extraBytes, mark + 1, this.position)
      this.position = mark
      this.unsignedVarint(sizeBytes)
      this.position += sizeBytes
    } else {
      this.buffer[mark] = sizeBytes
    }
  }

  /** The tagged fields of a struct that knows none. */
  unknownTaggedFields(fields: readonly TaggedField[] | null): void {
    if (fields === null) {
      this.ensure(1)
      this.buffer[this.position++] = 0
      return
    }
    this.unsignedVarint(fields.length)
    this.taggedFieldsBelow(fields, 0, END_OF_TAGS)
  }

  /**
   * Writes the unknown tagged fields from `slot` on whose tags are below `tagLimit` and gives the slot after them, so that known and
   * unknown ones come in one ascending order. A tag that does not ascend is a programmer error.
   */
  taggedFieldsBelow(fields: readonly TaggedField[] | null, slot: number, tagLimit: number): number {
    if (fields === null) return slot
    let next = slot
    for (; next < fields.length; next++) {
      const field = fields[next]!
      assert(field.tag !== tagLimit, 'a known tagged field is among the unknown ones')
      if (field.tag > tagLimit) break
      assert(next === 0 || fields[next - 1]!.tag < field.tag, 'unknown tagged fields do not ascend')
      this.unsignedVarint(field.tag)
      this.unsignedVarint(field.data.length)
      this.raw(field.data)
    }
    return next
  }

  #put16(value: number): void {
    this.ensure(2)
    this.#view.setInt16(this.position, value)
    this.position += 2
  }

  #put32(value: number): void {
    this.ensure(4)
    this.#view.setInt32(this.position, value)
    this.position += 4
  }

  #text(value: string, sizeBytes: number): void {
    this.ensure(sizeBytes)
    this.buffer.write(value, this.position, sizeBytes, 'utf8')
    this.position += sizeBytes
  }

  #splice(buffer: Buffer): void {
    if (buffer.length === 0) return
    this.#splicePositions.push(this.position)
    this.#splices.push(buffer)
    this.#splicedBytes += buffer.length
  }

  #chunks(): Buffer[] {
    const chunks: Buffer[] = []
    let from = this.#start
    for (let slot = 0; slot < this.#splices.length; slot++) {
      const at = this.#splicePositions[slot]!
      if (at > from) chunks.push(this.buffer.subarray(from, at))
      chunks.push(this.#splices[slot]!)
      from = at
    }
    if (this.position > from) chunks.push(this.buffer.subarray(from, this.position))
    return chunks
  }

  #clearSplices(): void {
    if (this.#splices.length > 0) {
      this.#splices = []
      this.#splicePositions = []
      this.#splicedBytes = 0
    }
  }

  #grow(sizeBytes: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.position + sizeBytes))
    this.buffer.copy(grown, this.#start, this.#start, this.position)
    this.buffer = grown
    this.#view = viewOf(grown)
  }
}

/** Writes `text` at `position` if it is ASCII and gives the end, else -1 (and garbage above `position`). */
function putAscii(buffer: Buffer, position: number, text: string): number {
  const length = text.length
  for (let slot = 0; slot < length; slot++) {
    const unit = text.charCodeAt(slot)
    if (unit > 0x7f) return -1
    buffer[position + slot] = unit
  }
  return position + length
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
}

function textSizeBytes(text: string): number {
  const sizeBytes = Buffer.byteLength(text, 'utf8')
  if (sizeBytes > MAX_STRING_BYTES) throw new StringTooLongError(sizeBytes)
  return sizeBytes
}

function unsignedVarintSizeBytes(value: number): number {
  return value === 0 ? 1 : Math.ceil((32 - Math.clz32(value)) / 7)
}
