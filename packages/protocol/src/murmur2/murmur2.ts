const SEED = 0x9747b28c
const MULTIPLIER = 0x5bd1e995

/**
 * MurmurHash2 as Kafka's Java client computes it over a record key: 32-bit, seed 0x9747b28c, little-endian words. Returns a
 * signed int32. Allocates nothing.
 */
export function murmur2(key: Uint8Array): number {
  const length = key.length
  let hash = SEED ^ length
  let position = 0
  for (; position + 4 <= length; position += 4) {
    const word = key[position]! | (key[position + 1]! << 8) | (key[position + 2]! << 16) | (key[position + 3]! << 24)
    const mixed = Math.imul(word, MULTIPLIER)
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(mixed ^ (mixed >>> 24), MULTIPLIER)
  }
  const rest = length - position
  if (rest > 0) {
    if (rest === 3) hash ^= key[position + 2]! << 16
    if (rest >= 2) hash ^= key[position + 1]! << 8
    hash = Math.imul(hash ^ key[position]!, MULTIPLIER)
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return hash ^ (hash >>> 15)
}

/**
 * The partition, in `[0, partitionCount)`, that Java's default partitioner and every compatible client choose for a key.
 * `partitionCount` must be at least 1.
 */
export function partitionForKey(key: Uint8Array, partitionCount: number): number {
  return (murmur2(key) & 0x7fffffff) % partitionCount // the sign bit is dropped, not negated, as in Java
}
