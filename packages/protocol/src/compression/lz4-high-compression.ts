import { writeLz4LastLiterals, writeLz4Sequence } from './lz4-block.ts'

const MIN_MATCH = 4
const MATCH_START_MARGIN = 12
const LAST_LITERALS = 5
const MAX_DISTANCE = 65535
const HASH_BITS = 15

/** Candidates tried per place: doubles with the level, up to here, so that no level turns a hostile block into seconds of work. */
const MAX_ATTEMPT_COUNT = 256
/** A match of this length is taken without looking further. */
const GOOD_MATCH_BYTES = 128

/** Last place with a hash, and for each place (by its low 16 bits) the distance to the one before it with the same hash. */
const lastPlace = new Int32Array(1 << HASH_BITS)
const chain = new Uint16Array(1 << 16)

// The best match at a place, as left by `findLongestMatch`: two results without an object per place.
let foundLength = 0
let foundDistance = 0

/**
 * As `lz4CompressBlock`, but it follows the chain of earlier places with the same four bytes and looks one place ahead before it
 * takes a match: smaller and slower output, as LZ4's "high compression" gives. `level` 1–17.
 */
export function lz4CompressBlockHigh(
  input: Buffer,
  start: number,
  end: number,
  output: Buffer,
  outputStart: number,
  level: number,
): number {
  lastPlace.fill(-1)
  const attemptCount = Math.min(MAX_ATTEMPT_COUNT, 2 ** (level - 1))
  const matchStartLimit = end - MATCH_START_MARGIN
  const matchEndLimit = end - LAST_LITERALS
  let out = outputStart
  let anchor = start
  let position = start
  let inserted = start // places below are in the chains
  while (position <= matchStartLimit) {
    inserted = insertPlaces(input, inserted, position)
    findLongestMatch(input, position, matchEndLimit, attemptCount)
    if (foundLength < MIN_MATCH) {
      position++
      continue
    }
    let length = foundLength
    let distance = foundDistance
    while (length < GOOD_MATCH_BYTES && position + 1 <= matchStartLimit) {
      inserted = insertPlaces(input, inserted, position + 1)
      findLongestMatch(input, position + 1, matchEndLimit, attemptCount)
      if (foundLength <= length + 1) break // a literal more must save at least two bytes
      position++
      length = foundLength
      distance = foundDistance
    }
    out = writeLz4Sequence(input, anchor, position, length, distance, output, out)
    position += length
    anchor = position
  }
  return writeLz4LastLiterals(input, anchor, end, output, out)
}

function insertPlaces(input: Buffer, from: number, to: number): number {
  for (let place = from; place < to; place++) {
    const hash = hashAt(input, place)
    const before = lastPlace[hash]!
    const distance = before < 0 ? 0 : place - before
    chain[place & 0xffff] = distance > MAX_DISTANCE ? 0 : distance // 0 ends the chain
    lastPlace[hash] = place
  }
  return to
}

function findLongestMatch(input: Buffer, position: number, matchEndLimit: number, attemptCount: number): void {
  foundLength = 0
  foundDistance = 0
  let candidate = lastPlace[hashAt(input, position)]!
  for (let attempt = 0; attempt < attemptCount && candidate >= 0; attempt++) {
    const distance = position - candidate
    if (distance > MAX_DISTANCE) return
    if (input[candidate + foundLength] === input[position + foundLength]) {
      let length = 0
      while (position + length < matchEndLimit && input[candidate + length] === input[position + length]) length++
      if (length > foundLength) {
        foundLength = length
        foundDistance = distance
        if (length >= GOOD_MATCH_BYTES) return
      }
    }
    const step = chain[candidate & 0xffff]!
    if (step === 0) return
    candidate -= step
  }
}

function hashAt(buffer: Buffer, position: number): number {
  const word =
    buffer[position]! | (buffer[position + 1]! << 8) | (buffer[position + 2]! << 16) | (buffer[position + 3]! << 24)
  return Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)
}
