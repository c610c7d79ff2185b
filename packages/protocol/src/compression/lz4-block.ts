/**
 * LZ4 blocks (the inner format of LZ4 frames): sequences of a token, literals and a back reference of at most 64 KiB. On Node
 * our own version is as fast as the native one up to a few KiB, where a call costs more than the work; it is also the
 * fallback without native code, the only one for linked blocks, and the one that tells why a block is refused.
 */

/** The block breaks a rule of the format. */
export const LZ4_MALFORMED = -1
/** The block expands beyond `outputEnd`. */
export const LZ4_OUTPUT_FULL = -2

/** A block never expands more: one byte of length stands for at most 255 bytes. */
export const LZ4_MAX_EXPANSION = 255

const MIN_MATCH = 4
/** The last match must begin at least so far from the end, and the last five bytes are always literals (block format, end conditions). */
const MATCH_START_MARGIN = 12
const LAST_LITERALS = 5
const MAX_DISTANCE = 65535

const HASH_BITS = 14
/** Copies from here on are cheaper through the runtime than byte by byte. */
const BULK_COPY_MIN_BYTES = 48

/** Most bytes that compressing `sizeBytes` can give: incompressible data grows by a length byte per 255. */
export function lz4CompressBound(sizeBytes: number): number {
  return sizeBytes + Math.floor(sizeBytes / 255) + 16
}

/**
 * Expands the block `input[start, end)` into `output` from `outputStart` on, never beyond `outputEnd`. Back references may
 * reach down to `historyStart` (below `outputStart` for linked blocks). Returns the end of what was written,
 * {@link LZ4_MALFORMED} or {@link LZ4_OUTPUT_FULL}. Hot path.
 */
export function lz4DecompressBlock(
  input: Buffer,
  start: number,
  end: number,
  output: Buffer,
  outputStart: number,
  outputEnd: number,
  historyStart: number,
): number {
  let position = start
  let out = outputStart
  for (;;) {
    if (position >= end) return LZ4_MALFORMED
    const token = input[position++]!
    let length = token >>> 4
    if (length === 15) {
      let more = 255
      while (more === 255) {
        if (position >= end) return LZ4_MALFORMED
        more = input[position++]!
        length += more
      }
    }
    const literalsEnd = position + length
    if (literalsEnd > end) return LZ4_MALFORMED
    if (out + length > outputEnd) return LZ4_OUTPUT_FULL
    if (length >= BULK_COPY_MIN_BYTES) {
      output.set(input.subarray(position, literalsEnd), out)
      out += length
      position = literalsEnd
    } else {
      while (position < literalsEnd) output[out++] = input[position++]!
    }
    if (position === end) return out // only the last sequence has no match

    if (position + 2 > end) return LZ4_MALFORMED
    const distance = input[position]! | (input[position + 1]! << 8)
    position += 2
    let from = out - distance
    if (distance === 0 || from < historyStart) return LZ4_MALFORMED
    length = token & 15
    if (length === 15) {
      let more = 255
      while (more === 255) {
        if (position >= end) return LZ4_MALFORMED
        more = input[position++]!
        length += more
      }
    }
    const matchEnd = out + length + MIN_MATCH
    if (matchEnd > outputEnd) return LZ4_OUTPUT_FULL
    if (distance >= BULK_COPY_MIN_BYTES && matchEnd - out >= BULK_COPY_MIN_BYTES && from + matchEnd - out <= out) {
      output.copyWithin(out, from, from + matchEnd - out)
      out = matchEnd
    } else {
      while (out < matchEnd) output[out++] = output[from++]! // source and target may overlap: that repeats a pattern
    }
  }
}

/** Position of the last place with a hash, as a position of the input; shared, since blocks are compressed in one go. */
const lastPlace = new Int32Array(1 << HASH_BITS)

/**
 * Compresses `input[start, end)` (at most 4 MiB) into `output` from `outputStart` on, where {@link lz4CompressBound} bytes must
 * be free. Fast and greedy, with a growing step over data without matches. Returns the end of what was written. Hot path.
 */
export function lz4CompressBlock(
  input: Buffer,
  start: number,
  end: number,
  output: Buffer,
  outputStart: number,
): number {
  const places = lastPlace
  places.fill(-1)
  const matchStartLimit = end - MATCH_START_MARGIN
  const matchEndLimit = end - LAST_LITERALS
  let out = outputStart
  let anchor = start
  let position = start
  let search = 1 << 6 // after 64 misses in a row the step grows by one
  while (position <= matchStartLimit) {
    const word = wordAt(input, position)
    const hash = hashOf(word)
    const candidate = places[hash]!
    places[hash] = position
    if (candidate < 0 || position - candidate > MAX_DISTANCE || wordAt(input, candidate) !== word) {
      position += search++ >>> 6
      continue
    }
    search = 1 << 6
    let matchEnd = position + MIN_MATCH
    let reference = candidate + MIN_MATCH
    while (matchEnd < matchEndLimit && input[matchEnd] === input[reference]) {
      matchEnd++
      reference++
    }
    let matchStart = position
    let from = candidate
    while (matchStart > anchor && from > start && input[matchStart - 1] === input[from - 1]) {
      matchStart--
      from--
    }
    out = writeLz4Sequence(input, anchor, matchStart, matchEnd - matchStart, matchStart - from, output, out)
    position = matchEnd
    anchor = matchEnd
    if (position <= matchStartLimit) places[hashOf(wordAt(input, position - 2))] = position - 2
  }
  return writeLz4LastLiterals(input, anchor, end, output, out)
}

/** Writes literals `input[anchor, literalsEnd)` and a match; returns the new end of the output. */
export function writeLz4Sequence(
  input: Buffer,
  anchor: number,
  literalsEnd: number,
  matchLength: number,
  distance: number,
  output: Buffer,
  outputStart: number,
): number {
  const literalLength = literalsEnd - anchor
  const extraMatch = matchLength - MIN_MATCH
  let out = outputStart
  output[out++] = (Math.min(literalLength, 15) << 4) | Math.min(extraMatch, 15)
  if (literalLength >= 15) out = writeLength(literalLength - 15, output, out)
  out = copyLiterals(input, anchor, literalsEnd, output, out)
  output[out++] = distance & 0xff
  output[out++] = distance >>> 8
  if (extraMatch >= 15) out = writeLength(extraMatch - 15, output, out)
  return out
}

/** Writes the closing sequence, which has literals only. */
export function writeLz4LastLiterals(
  input: Buffer,
  anchor: number,
  end: number,
  output: Buffer,
  outputStart: number,
): number {
  const literalLength = end - anchor
  let out = outputStart
  output[out++] = Math.min(literalLength, 15) << 4
  if (literalLength >= 15) out = writeLength(literalLength - 15, output, out)
  return copyLiterals(input, anchor, end, output, out)
}

function writeLength(length: number, output: Buffer, outputStart: number): number {
  let out = outputStart
  let rest = length
  for (; rest >= 255; rest -= 255) output[out++] = 255
  output[out++] = rest
  return out
}

function copyLiterals(input: Buffer, start: number, end: number, output: Buffer, outputStart: number): number {
  let out = outputStart
  if (end - start >= BULK_COPY_MIN_BYTES) {
    output.set(input.subarray(start, end), out)
    return out + end - start
  }
  for (let position = start; position < end; position++) output[out++] = input[position]!
  return out
}

function wordAt(buffer: Buffer, position: number): number {
  return (
    buffer[position]! | (buffer[position + 1]! << 8) | (buffer[position + 2]! << 16) | (buffer[position + 3]! << 24)
  )
}

function hashOf(word: number): number {
  return Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)
}
