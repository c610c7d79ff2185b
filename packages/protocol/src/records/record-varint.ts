/**
 * Variable-length integers as records use them: little-endian groups of seven bits, zigzag for the sign. The caller reads a first byte
 * below 0x80 itself, which is most of them; these functions read the rest. A result and its end are two values, and an object for each
 * would be an allocation per field of every record, so the end is left in {@link varintEnd}.
 */

/** Where the last varint ended; {@link VARINT_INVALID} if it was longer than its type allows or ran over the end. */
export let varintEnd = 0

/** Beyond any buffer's end, so that every later comparison with an end fails. */
export const VARINT_INVALID = 0x7fffffff

/** The unsigned varint at `position` as int32 bits, at most five bytes; excess bits of the fifth are dropped, as Java does. */
export function readVarint(bytes: Buffer, position: number, end: number): number {
  const first = bytes[position]!
  const second = bytes[position + 1]!
  if (first >= 0x80 && second < 0x80 && position + 2 <= end) {
    varintEnd = position + 2 // apart, so that two bytes, the commonest of those that come here, are decoded in line
    return (first & 0x7f) | (second << 7)
  }
  return readAnyVarint(bytes, position, end)
}

function readAnyVarint(bytes: Buffer, position: number, end: number): number {
  let value = 0
  let at = position
  for (let shift = 0; shift < 35 && at < end; shift += 7) {
    const byte = bytes[at++]!
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) {
      varintEnd = at
      return value
    }
  }
  varintEnd = VARINT_INVALID
  return 0
}

/** The zigzag varlong at `position`, at most ten bytes. Exact if it is a safe integer, otherwise rounded and still no safe integer. */
export function readZigzagVarlong(bytes: Buffer, position: number, end: number): number {
  let low = 0 // bits 0–27
  let middle = 0 // bits 28–55
  let high = 0 // bits 56–63
  let at = position
  for (let slot = 0; slot < 10 && at < end; slot++) {
    const byte = bytes[at++]!
    const bits = byte & 0x7f
    if (slot < 4) low |= bits << (7 * slot)
    else if (slot < 8) middle |= bits << (7 * (slot - 4))
    else high |= slot === 8 ? bits : (bits & 1) << 7
    if (byte < 0x80) {
      varintEnd = at
      const half = (low >>> 1) + middle * 2 ** 27 + high * 2 ** 55
      return (low & 1) === 0 ? half : -half - 1
    }
  }
  varintEnd = VARINT_INVALID
  return 0
}

/** As {@link readZigzagVarlong}, exact for every int64; `position` must hold a valid varlong. For tools. */
export function readZigzagVarlongExactly(bytes: Buffer, position: number): bigint {
  let raw = 0n
  for (let slot = 0; slot < 10; slot++) {
    const byte = bytes[position + slot]!
    raw |= BigInt(byte & 0x7f) << BigInt(7 * slot)
    if (byte < 0x80) break
  }
  raw = BigInt.asUintN(64, raw)
  return (raw >> 1n) ^ -(raw & 1n)
}

/**
 * The end of a record's headers, whose count stands at `position`, or a position other than `end` where they do not end there. The count
 * is checked against the bytes left, of which each header takes two or more: that bounds the loop.
 */
export function skipHeaders(bytes: Buffer, position: number, end: number): number {
  let raw = readVarint(bytes, position, end)
  const headerCount = (raw >>> 1) ^ -(raw & 1)
  let at = varintEnd
  if (headerCount < 0 || headerCount > end - at) return VARINT_INVALID
  for (let header = 0; header < headerCount; header++) {
    if (at >= end) return VARINT_INVALID
    raw = readVarint(bytes, at, end)
    const keyLength = (raw >>> 1) ^ -(raw & 1)
    if (keyLength < 0) return VARINT_INVALID
    at = varintEnd + keyLength
    raw = readVarint(bytes, at, end)
    const valueLength = (raw >>> 1) ^ -(raw & 1)
    if (valueLength < -1) return VARINT_INVALID
    at = varintEnd + Math.max(0, valueLength)
  }
  return at
}

/** Bytes of the zigzag varint of an int32. */
export function sizeOfVarint(value: number): number {
  return sizeOfUnsignedVarint((value << 1) ^ (value >> 31))
}

function sizeOfUnsignedVarint(bits: number): number {
  const unsigned = bits >>> 0
  if (unsigned < 0x80) return 1
  if (unsigned < 0x4000) return 2
  if (unsigned < 0x200000) return 3
  return unsigned < 0x10000000 ? 4 : 5
}

/** Bytes of the zigzag varlong of an int64. */
export function sizeOfVarlong(value: number | bigint): number {
  if (typeof value === 'number') {
    if (value >= -0x40000000 && value < 0x40000000) return sizeOfVarint(value)
    // The zigzag value, 2v or -2v - 1, needs a bit more than v or -v - 1 does.
    let rest = value < 0 ? -value - 1 : value
    let size = 1
    for (rest = Math.floor(rest / 64); rest > 0; rest = Math.floor(rest / 128)) size++
    return size
  }
  let size = 1
  for (let raw = zigzag(value) >> 7n; raw > 0n; raw >>= 7n) size++
  return size
}

/** Writes the zigzag varint of an int32 at `position`; returns its end. */
export function writeVarint(bytes: Buffer, position: number, value: number): number {
  let bits = ((value << 1) ^ (value >> 31)) >>> 0
  let at = position
  for (; bits >= 0x80; bits >>>= 7) bytes[at++] = (bits & 0x7f) | 0x80
  bytes[at++] = bits
  return at
}

/** Writes the zigzag varlong of an int64 at `position`; returns its end. */
export function writeVarlong(bytes: Buffer, position: number, value: number | bigint): number {
  if (typeof value === 'number' && value >= -0x40000000 && value < 0x40000000) {
    return writeVarint(bytes, position, value)
  }
  let at = position
  let raw = zigzag(BigInt(value))
  for (; raw >= 0x80n; raw >>= 7n) bytes[at++] = Number(raw & 0x7fn) | 0x80
  bytes[at++] = Number(raw)
  return at
}

function zigzag(value: bigint): bigint {
  return BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
}
