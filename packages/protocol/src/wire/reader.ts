import { isUtf8 } from 'node:buffer'
import type { Uuid } from '@millrace/base'
import { MalformedMessageError } from './malformed-message-error.ts'
import { MAX_STRING_BYTES, MAX_TAGGED_FIELD_BYTES, type TaggedField } from './tagged-field.ts'
import { cachedAscii } from './text-cache.ts'
import { decodeUuid } from './uuid-codec.ts'

const TWO_32 = 2 ** 32
/** Default of `maxElementCount`: no frame has room for more. */
const NO_ELEMENT_LIMIT = 0x7fffffff
/** Upper halves of safe integers lie in [-2^21, 2^21). */
const SAFE_HIGH = 2 ** 21

/**
 * Cursor over `[start, end)` of a buffer, big-endian, for Kafka's primitive types. Every read checks the bytes left first and throws
 * {@link MalformedMessageError}; nothing is ever allocated by a length that was not checked against them. `bytes` and
 * `records` are views of the buffer, valid as long as it is. Hot path: may be reused through `reset`.
 */
export class Reader {
  buffer: Buffer
  position: number
  end: number
  readonly #maxElementCount: number
  readonly #maxNameBytes: number
  /** How many more array elements and tagged fields may be announced, and how many there could be in all. */
  #elementsLeft: number
  #elementLimit: number

  /**
   * `maxElementCount` bounds the array elements and tagged fields of what is read in all. An element of one byte becomes an object of a
   * hundred, so whoever reads what strangers send sets it far below the size of a frame. `maxNameBytes` bounds every string that is not
   * free text: see {@link MAX_NAME_BYTES}.
   */
  constructor(
    buffer: Buffer,
    start = 0,
    end = buffer.length,
    maxElementCount = NO_ELEMENT_LIMIT,
    maxNameBytes = MAX_STRING_BYTES,
  ) {
    this.buffer = buffer
    this.position = start
    this.end = end
    this.#maxElementCount = maxElementCount
    this.#maxNameBytes = maxNameBytes
    this.#elementsLeft = maxElementCount
    this.#elementLimit = maxElementCount
    if (start < 0 || end > buffer.length || start > end) throw new RangeError('reader range is outside the buffer')
  }

  /** Points this reader at `[start, end)` of another buffer, so that one reader serves a connection. */
  reset(buffer: Buffer, start = 0, end = buffer.length): this {
    if (start < 0 || end > buffer.length || start > end) throw new RangeError('reader range is outside the buffer')
    this.buffer = buffer
    this.position = start
    this.end = end
    this.#elementsLeft = this.#maxElementCount
    this.#elementLimit = this.#maxElementCount
    return this
  }

  /** From here on at most `count` array elements and tagged fields, until `reset`: for a message that needs fewer than others. */
  limitElements(count: number): void {
    if (count >= this.#elementsLeft) return
    this.#elementsLeft = count
    this.#elementLimit = count
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.end - this.position
  }

  /** Throws unless all was read: bytes left after a message mean that sender and receiver disagree on its layout. */
  expectEnd(): void {
    if (this.position !== this.end) throw new MalformedMessageError(`${this.remaining} bytes left after the message`)
  }

  int8(): number {
    const at = this.#take(1)
    return (this.buffer[at]! << 24) >> 24
  }

  /** Any byte but 0 is true, as in Kafka. */
  bool(): boolean {
    const at = this.#take(1)
    return this.buffer[at] !== 0
  }

  int16(): number {
    const at = this.#take(2)
    const buffer = this.buffer
    return (((buffer[at]! << 8) | buffer[at + 1]!) << 16) >> 16
  }

  uint16(): number {
    const at = this.#take(2)
    const buffer = this.buffer
    return (buffer[at]! << 8) | buffer[at + 1]!
  }

  int32(): number {
    const at = this.#take(4)
    const buffer = this.buffer
    return (buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  /** A number when it is a safe integer, else a bigint: hostile values get an answer from the handler, not a closed connection. */
  int64(): number | bigint {
    const at = this.#take(8)
    const buffer = this.buffer
    const high = (buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!
    const low = (buffer[at + 4]! << 24) | (buffer[at + 5]! << 16) | (buffer[at + 6]! << 8) | buffer[at + 7]!
    if (high < SAFE_HIGH && (high > -SAFE_HIGH || (high === -SAFE_HIGH && low !== 0))) {
      return high * TWO_32 + (low >>> 0)
    }
    return (BigInt(high) << 32n) | BigInt(low >>> 0)
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.#take(8))
  }

  uuid(): Uuid {
    return decodeUuid(this.buffer, this.#take(16))
  }

  /** Unsigned varint of at most five bytes, in [0, 2^32). Excess bits of the fifth byte are dropped, as in Kafka. */
  unsignedVarint(): number {
    const buffer = this.buffer
    const end = this.end
    let position = this.position
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (position >= end) throw truncated('varint ends beyond the message')
      const byte = buffer[position++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.position = position
        return value >>> 0
      }
    }
    throw new MalformedMessageError('varint is longer than five bytes')
  }

  /** Zigzag varint of at most five bytes, an int32. */
  varint(): number {
    const value = this.unsignedVarint()
    return (value >>> 1) ^ -(value & 1)
  }

  /** Zigzag varint of at most ten bytes, an int64: a number when safe, else a bigint. */
  varlong(): number | bigint {
    const buffer = this.buffer
    const end = this.end
    let position = this.position
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (position >= end) throw truncated('varint ends beyond the message')
      const byte = buffer[position++]!
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte < 0x80) {
        this.position = position
        return unzigzag64(low, high)
      }
    }
    throw new MalformedMessageError('varint is longer than ten bytes')
  }

  /** As all strings: a name within the limit of this reader, unless `maxBytes` says that it is free text and may be longer. */
  string(maxBytes = this.#maxNameBytes): string {
    const length = this.int16()
    if (length < 0) throw new MalformedMessageError('string is null where null is forbidden')
    return this.#text(length, maxBytes)
  }

  nullableString(maxBytes = this.#maxNameBytes): string | null {
    const length = this.int16()
    if (length < 0) return this.#null(length)
    return this.#text(length, maxBytes)
  }

  compactString(maxBytes = this.#maxNameBytes): string {
    const length = this.unsignedVarint() - 1
    if (length < 0) throw new MalformedMessageError('string is null where null is forbidden')
    return this.#text(length, maxBytes)
  }

  compactNullableString(maxBytes = this.#maxNameBytes): string | null {
    const length = this.unsignedVarint() - 1
    return length < 0 ? null : this.#text(length, maxBytes)
  }

  /** View of the input. */
  bytes(): Buffer {
    const length = this.int32()
    if (length < 0) throw new MalformedMessageError('bytes are null where null is forbidden')
    return this.view(length)
  }

  nullableBytes(): Buffer | null {
    const length = this.int32()
    if (length < 0) return this.#null(length)
    return this.view(length)
  }

  compactBytes(): Buffer {
    const length = this.unsignedVarint() - 1
    if (length < 0) throw new MalformedMessageError('bytes are null where null is forbidden')
    return this.view(length)
  }

  compactNullableBytes(): Buffer | null {
    const length = this.unsignedVarint() - 1
    return length < 0 ? null : this.view(length)
  }

  /** View of the next `sizeBytes` bytes. A negative size is as malformed as one beyond the end. */
  view(sizeBytes: number): Buffer {
    if (sizeBytes < 0) throw new MalformedMessageError(`negative length ${sizeBytes}`)
    const at = this.#take(sizeBytes)
    return this.buffer.subarray(at, at + sizeBytes)
  }

  /** Moves over the next `sizeBytes` bytes without a view of them; gives the position where they start. */
  skip(sizeBytes: number): number {
    if (sizeBytes < 0) throw new MalformedMessageError(`negative length ${sizeBytes}`)
    return this.#take(sizeBytes)
  }

  /** Count of an array whose elements take at least `minElementSizeBytes` (≥ 1) each, checked against the bytes left. */
  arrayLength(minElementSizeBytes: number): number {
    const count = this.int32()
    if (count < 0) throw new MalformedMessageError('array is null where null is forbidden')
    return this.#checkedCount(count, minElementSizeBytes)
  }

  /** As {@link arrayLength}; -1 for null. */
  nullableArrayLength(minElementSizeBytes: number): number {
    const count = this.int32()
    if (count < -1) throw new MalformedMessageError(`negative length ${count}`)
    return this.#checkedCount(count, minElementSizeBytes)
  }

  compactArrayLength(minElementSizeBytes: number): number {
    const count = this.unsignedVarint() - 1
    if (count < 0) throw new MalformedMessageError('array is null where null is forbidden')
    return this.#checkedCount(count, minElementSizeBytes)
  }

  /** As {@link compactArrayLength}; -1 for null. */
  compactNullableArrayLength(minElementSizeBytes: number): number {
    return this.#checkedCount(this.unsignedVarint() - 1, minElementSizeBytes)
  }

  /** Number of tagged fields that follow. Each takes two bytes at least. */
  taggedFieldCount(): number {
    return this.#checkedCount(this.unsignedVarint(), 2)
  }

  /** The next tag, which must be above the one before (KIP-482: ascending), so no tag can repeat. Start with `previous` -1. */
  tag(previous: number): number {
    const tag = this.unsignedVarint()
    if (tag <= previous) throw new MalformedMessageError(`tag ${tag} follows tag ${previous}`)
    return tag
  }

  /** Reads the size of a tagged field and gives the position where it ends. */
  taggedFieldEnd(): number {
    const sizeBytes = this.unsignedVarint()
    if (sizeBytes > this.end - this.position) throw truncated('tagged field ends beyond the message')
    return this.position + sizeBytes
  }

  /** Throws unless a known tagged field took exactly its declared size. */
  expectPosition(position: number): void {
    if (this.position !== position) throw new MalformedMessageError('tagged field does not fill its size')
  }

  /** Keeps an unknown tagged field that ends at `end`. Gives the list it was added to; a null list stands for an empty one. */
  unknownTaggedField(fields: TaggedField[] | null, tag: number, end: number): TaggedField[] {
    const sizeBytes = end - this.position
    if (sizeBytes > MAX_TAGGED_FIELD_BYTES)
      throw new MalformedMessageError(`unknown tagged field of ${sizeBytes} bytes`)
    const field: TaggedField = { tag, data: this.view(sizeBytes) }
    if (fields === null) return [field]
    fields.push(field)
    return fields
  }

  /** All tagged fields of a struct that knows none; null when there are none. */
  unknownTaggedFields(): TaggedField[] | null {
    if (this.position < this.end && this.buffer[this.position] === 0) {
      this.position++
      return null
    }
    let fields: TaggedField[] | null = null
    let tag = -1
    for (let count = this.taggedFieldCount(); count > 0; count--) {
      tag = this.tag(tag)
      fields = this.unknownTaggedField(fields, tag, this.taggedFieldEnd())
    }
    return fields
  }

  /** Moves over `sizeBytes` bytes and gives the position where they start. */
  #take(sizeBytes: number): number {
    const at = this.position
    if (sizeBytes > this.end - at) {
      throw truncated(`${sizeBytes} bytes expected, ${this.end - at} left`)
    }
    this.position = at + sizeBytes
    return at
  }

  #text(length: number, maxBytes: number): string {
    if (length > maxBytes) throw new MalformedMessageError(`string of ${length} bytes, at most ${maxBytes} are taken`)
    const at = this.#take(length)
    const cached = cachedAscii(this.buffer, at, at + length)
    if (cached !== null) return cached
    const text = this.buffer.toString('utf8', at, at + length)
    // Decoding replaces bad bytes by U+FFFD, so only text that holds one needs the exact check.
    if (text.includes('\ufffd') && !isUtf8(this.buffer.subarray(at, at + length))) {
      throw new MalformedMessageError('string is not valid UTF-8')
    }
    return text
  }

  #null(length: number): null {
    if (length !== -1) throw new MalformedMessageError(`negative length ${length}`)
    return null
  }

  #checkedCount(count: number, minElementSizeBytes: number): number {
    if (count * minElementSizeBytes > this.end - this.position) {
      throw truncated(`${count} elements announced, ${this.end - this.position} bytes left`)
    }
    if (count > 0) {
      this.#elementsLeft -= count
      if (this.#elementsLeft < 0) throw new MalformedMessageError(`more than ${this.#elementLimit} elements`)
    }
    return count
  }
}

function truncated(message: string): MalformedMessageError {
  return new MalformedMessageError(message, { reason: 'truncated' })
}

/** Undoes zigzag on 64 bits given as two int32 halves. */
function unzigzag64(low: number, high: number): number | bigint {
  const sign = -(low & 1)
  const valueLow = (((low >>> 1) | (high << 31)) ^ sign) >>> 0
  const valueHigh = (high >>> 1) ^ sign
  if (valueHigh < SAFE_HIGH && (valueHigh > -SAFE_HIGH || (valueHigh === -SAFE_HIGH && valueLow !== 0))) {
    return valueHigh * TWO_32 + valueLow
  }
  return (BigInt(valueHigh) << 32n) | BigInt(valueLow)
}
