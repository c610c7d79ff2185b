/**
 * Raw Snappy: the expanded size as a varint, then literals and back references. Our own version serves short inputs, for which a
 * native call costs more than the work, platforms without native code, and the question why an input is refused.
 */

/** The data breaks a rule of the format. */
export const SNAPPY_MALFORMED = -1

/** Snappy compresses pieces of this size apart from one another. */
const FRAGMENT_SIZE_BYTES = 65536
const MAX_HASH_BITS = 14
const MIN_HASH_BITS = 8
/** No match is looked for so near the end of a fragment, so that reading four bytes stays inside. */
const MATCH_START_MARGIN = 15
const BULK_COPY_MIN_BYTES = 48

/** Most bytes that compressing `sizeBytes` can give (the bound of Snappy's own library). */
export function snappyCompressBound(sizeBytes: number): number {
  return 32 + sizeBytes + Math.floor(sizeBytes / 6)
}

/**
 * Most bytes that `compressedSizeBytes` of any elements can expand to: a copy of three bytes gives at most 64. A declared size above
 * it is a lie, and what is below it is in proportion to bytes that were really received.
 */
export function snappyMaxExpandedSize(compressedSizeBytes: number): number {
  return Math.ceil((compressedSizeBytes * 64) / 3)
}

/** The declared size of the raw Snappy data `input[start, end)`, or {@link SNAPPY_MALFORMED}. */
export function snappyDeclaredSize(input: Buffer, start: number, end: number): number {
  let size = 0
  for (let slot = 0; slot < 5 && start + slot < end; slot++) {
    const byte = input[start + slot]!
    size += (byte & 0x7f) * 2 ** (7 * slot)
    if (byte < 0x80) return size > 0xffffffff ? SNAPPY_MALFORMED : size
  }
  return SNAPPY_MALFORMED
}

/**
 * Expands raw Snappy data into `output[outputStart, outputEnd)`, which must be exactly its declared size. Returns `outputEnd`, or
 * {@link SNAPPY_MALFORMED}. Hot path.
 */
export function snappyDecompress(
  input: Buffer,
  start: number,
  end: number,
  output: Buffer,
  outputStart: number,
  outputEnd: number,
): number {
  let position = start
  while (position < end && input[position]! >= 0x80) position++
  position++
  let out = outputStart
  while (position < end) {
    const tag = input[position++]!
    if ((tag & 3) === 0) {
      let length = tag >>> 2
      if (length >= 60) {
        const byteCount = length - 59
        if (position + byteCount > end) return SNAPPY_MALFORMED
        length = littleEndianAt(input, position, byteCount)
        position += byteCount
      }
      length++
      if (length > end - position || length > outputEnd - out) return SNAPPY_MALFORMED
      const literalsEnd = position + length
      if (length >= BULK_COPY_MIN_BYTES) {
        output.set(input.subarray(position, literalsEnd), out)
        out += length
        position = literalsEnd
      } else {
        while (position < literalsEnd) output[out++] = input[position++]!
      }
      continue
    }
    let length = (tag >>> 2) + 1
    let distance: number
    if ((tag & 3) === 1) {
      if (position >= end) return SNAPPY_MALFORMED
      length = ((tag >>> 2) & 7) + 4
      distance = ((tag >>> 5) << 8) | input[position++]!
    } else {
      const byteCount = (tag & 3) === 2 ? 2 : 4
      if (position + byteCount > end) return SNAPPY_MALFORMED
      distance = littleEndianAt(input, position, byteCount)
      position += byteCount
    }
    if (distance === 0 || distance > out - outputStart || length > outputEnd - out) return SNAPPY_MALFORMED
    let from = out - distance
    const copyEnd = out + length
    while (out < copyEnd) output[out++] = output[from++]! // source and target may overlap: that repeats a pattern
  }
  return out === outputEnd ? out : SNAPPY_MALFORMED
}

function littleEndianAt(input: Buffer, position: number, byteCount: number): number {
  let value = 0
  for (let slot = 0; slot < byteCount; slot++) value |= input[position + slot]! << (8 * slot)
  return value >>> 0
}

/** Place of the last occurrence of a hash, from the start of the fragment; shared, since inputs are compressed in one go. */
const lastPlace = new Uint16Array(1 << MAX_HASH_BITS)

/**
 * Compresses `input[start, end)` into `output` from `outputStart` on, where {@link snappyCompressBound} bytes must be free. Returns the
 * end of what was written. Hot path.
 */
export function snappyCompress(input: Buffer, start: number, end: number, output: Buffer, outputStart: number): number {
  let out = outputStart
  let size = end - start
  for (; size >= 0x80; size >>>= 7) output[out++] = (size & 0x7f) | 0x80
  output[out++] = size
  for (let fragment = start; fragment < end; fragment += FRAGMENT_SIZE_BYTES) {
    out = compressFragment(input, fragment, Math.min(end, fragment + FRAGMENT_SIZE_BYTES), output, out)
  }
  return out
}

function compressFragment(input: Buffer, start: number, end: number, output: Buffer, outputStart: number): number {
  const places = lastPlace
  let bits = MIN_HASH_BITS
  while (bits < MAX_HASH_BITS && 1 << bits < end - start) bits++
  const shift = 32 - bits
  places.fill(0, 0, 1 << bits)
  const matchStartLimit = end - MATCH_START_MARGIN
  let out = outputStart
  let anchor = start
  let position = start + 1 // an empty entry names the fragment's first byte, a candidate to compare like any other
  let search = 32 // after 32 misses in a row the step grows by one
  while (position <= matchStartLimit) {
    const word = wordAt(input, position)
    const hash = Math.imul(word, 0x1e35a7bd) >>> shift
    const candidate = start + places[hash]!
    places[hash] = position - start
    if (wordAt(input, candidate) !== word) {
      position += search++ >>> 5
      continue
    }
    search = 32
    if (position > anchor) out = writeLiterals(input, anchor, position, output, out)
    let matchEnd = position + 4
    let reference = candidate + 4
    while (matchEnd < end && input[matchEnd] === input[reference]) {
      matchEnd++
      reference++
    }
    out = writeCopy(matchEnd - position, position - candidate, output, out)
    position = matchEnd
    anchor = matchEnd
    if (position <= matchStartLimit) {
      places[Math.imul(wordAt(input, position - 1), 0x1e35a7bd) >>> shift] = position - 1 - start
    }
  }
  return anchor < end ? writeLiterals(input, anchor, end, output, out) : out
}

function writeLiterals(input: Buffer, start: number, end: number, output: Buffer, outputStart: number): number {
  let out = outputStart
  const lengthMinusOne = end - start - 1
  if (lengthMinusOne < 60) {
    output[out++] = lengthMinusOne << 2
  } else if (lengthMinusOne < 256) {
    output[out++] = 60 << 2
    output[out++] = lengthMinusOne
  } else {
    output[out++] = 61 << 2
    output[out++] = lengthMinusOne & 0xff
    output[out++] = lengthMinusOne >>> 8
  }
  if (lengthMinusOne >= BULK_COPY_MIN_BYTES) {
    output.set(input.subarray(start, end), out)
    return out + lengthMinusOne + 1
  }
  for (let position = start; position < end; position++) output[out++] = input[position]!
  return out
}

function writeCopy(matchLength: number, distance: number, output: Buffer, outputStart: number): number {
  let out = outputStart
  let length = matchLength
  for (; length >= 68; length -= 64) out = writeLongCopy(64, distance, output, out)
  if (length > 64) {
    out = writeLongCopy(60, distance, output, out) // leaves at least four, the shortest copy
    length -= 60
  }
  if (length >= 12 || distance >= 2048) return writeLongCopy(length, distance, output, out)
  output[out++] = ((distance >>> 8) << 5) | ((length - 4) << 2) | 1
  output[out++] = distance & 0xff
  return out
}

function writeLongCopy(length: number, distance: number, output: Buffer, outputStart: number): number {
  output[outputStart] = ((length - 1) << 2) | 2
  output[outputStart + 1] = distance & 0xff
  output[outputStart + 2] = distance >>> 8
  return outputStart + 3
}

function wordAt(buffer: Buffer, position: number): number {
  return (
    buffer[position]! | (buffer[position + 1]! << 8) | (buffer[position + 2]! << 16) | (buffer[position + 3]! << 24)
  )
}
