const PRIME_1 = 0x9e3779b1
const PRIME_2 = 0x85ebca77
const PRIME_3 = 0xc2b2ae3d
const PRIME_4 = 0x27d4eb2f
const PRIME_5 = 0x165667b1

/** XXH32 with seed 0 of `buffer[start, end)`, unsigned: the checksum of LZ4 frames. Allocates nothing. */
export function xxhash32(buffer: Uint8Array, start: number, end: number): number {
  let position = start
  let hash: number
  if (end - start >= 16) {
    let lane1 = (PRIME_1 + PRIME_2) | 0
    let lane2 = PRIME_2 | 0
    let lane3 = 0
    let lane4 = -PRIME_1 | 0
    for (; position + 16 <= end; position += 16) {
      lane1 = round(lane1, wordAt(buffer, position))
      lane2 = round(lane2, wordAt(buffer, position + 4))
      lane3 = round(lane3, wordAt(buffer, position + 8))
      lane4 = round(lane4, wordAt(buffer, position + 12))
    }
    hash = (rotate(lane1, 1) + rotate(lane2, 7) + rotate(lane3, 12) + rotate(lane4, 18)) | 0
  } else {
    hash = PRIME_5 | 0
  }
  hash = (hash + (end - start)) | 0
  for (; position + 4 <= end; position += 4) {
    hash = Math.imul(rotate((hash + Math.imul(wordAt(buffer, position), PRIME_3)) | 0, 17), PRIME_4)
  }
  for (; position < end; position++) {
    hash = Math.imul(rotate((hash + Math.imul(buffer[position]!, PRIME_5)) | 0, 11), PRIME_1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3)
  return (hash ^ (hash >>> 16)) >>> 0
}

function round(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, PRIME_2)) | 0, 13), PRIME_1)
}

function rotate(value: number, bitCount: number): number {
  return (value << bitCount) | (value >>> (32 - bitCount))
}

function wordAt(buffer: Uint8Array, position: number): number {
  return (
    buffer[position]! | (buffer[position + 1]! << 8) | (buffer[position + 2]! << 16) | (buffer[position + 3]! << 24)
  )
}
