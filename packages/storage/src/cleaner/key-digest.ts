/** Words of a digest. */
export const DIGEST_WORDS = 4

/**
 * A 128-bit digest of a record's key: two HalfSipHash-2-4 of 64 bits, each with a secret key of its own, computed in one pass over the
 * bytes. Compaction takes equal digests for equal keys, so that a collision would lose a record: with secret keys nobody can look for
 * one, and by chance a million keys have one in 10^26 tries. Not MD5 as Kafka's: a call of the crypto library and a buffer for each
 * record cost several times as much. The digest is left in {@link words}; nothing is allocated. Digests of different instances differ.
 */
export class KeyDigest {
  readonly words: Int32Array
  readonly #secret: Int32Array
  readonly #left: Int32Array
  readonly #right: Int32Array

  /** `secret`: 16 random bytes. */
  constructor(secret: Buffer) {
    this.words = new Int32Array(DIGEST_WORDS)
    this.#secret = new Int32Array(DIGEST_WORDS)
    for (let slot = 0; slot < DIGEST_WORDS; slot++) this.#secret[slot] = secret.readInt32LE(slot * 4)
    this.#left = new Int32Array(4)
    this.#right = new Int32Array(4)
  }

  /** Digests `bytes[start, end)`. Hot path of compaction. */
  update(bytes: Buffer, start: number, end: number): void {
    const left = this.#left
    const right = this.#right
    const secret = this.#secret
    begin(left, secret[0]!, secret[1]!)
    begin(right, secret[2]!, secret[3]!)
    let position = start
    for (; position + 4 <= end; position += 4) {
      const word =
        bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16) | (bytes[position + 3]! << 24)
      absorb(left, word)
      absorb(right, word)
    }
    // The last word holds what is left and the length, so that keys that end in zeros differ.
    let last = (end - start) << 24
    for (let shift = 0; position < end; position++, shift += 8) last |= bytes[position]! << shift
    absorb(left, last)
    absorb(right, last)
    finish(left, this.words, 0)
    finish(right, this.words, 2)
  }
}

function begin(state: Int32Array, low: number, high: number): void {
  state[0] = low
  state[1] = high ^ 0xee
  state[2] = 0x6c796765 ^ low
  state[3] = 0x74656462 ^ high
}

function absorb(state: Int32Array, word: number): void {
  state[3] = state[3]! ^ word
  rounds(state, 2)
  state[0] = state[0]! ^ word
}

function finish(state: Int32Array, words: Int32Array, slot: number): void {
  state[2] = state[2]! ^ 0xee
  rounds(state, 4)
  words[slot] = state[1]! ^ state[3]!
  state[1] = state[1]! ^ 0xdd
  rounds(state, 4)
  words[slot + 1] = state[1]! ^ state[3]!
}

function rounds(state: Int32Array, count: number): void {
  let v0 = state[0]!
  let v1 = state[1]!
  let v2 = state[2]!
  let v3 = state[3]!
  for (let round = 0; round < count; round++) {
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
  }
  state[0] = v0
  state[1] = v1
  state[2] = v2
  state[3] = v3
}
