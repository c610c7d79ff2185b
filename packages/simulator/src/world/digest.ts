const PRIME = 0x01000193
const real = new Float64Array(1)
const words = new Uint32Array(real.buffer)

/** A running 64-bit fingerprint of everything that happened, cheap enough for every event. Not for secrets. */
export class Digest {
  #low = 0x811c9dc5
  #high = 0x9e3779b9

  /** Any number, fractions included. */
  add(value: number): void {
    real[0] = value
    this.#mix(words[0]!)
    this.#mix(words[1]!)
  }

  addText(text: string): void {
    for (let slot = 0; slot < text.length; slot++) this.#mix(text.charCodeAt(slot))
  }

  /** Sixteen hexadecimal digits. */
  toString(): string {
    return hex(this.#high) + hex(this.#low)
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, PRIME)
    this.#low ^= this.#low >>> 15
    this.#high = Math.imul(this.#high + (this.#low ^ word), 0x735a2d97)
    this.#high ^= this.#high >>> 13
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}

/** A 53-bit hash of an entry after what came before it, as a safe integer: hash chains for checkers, independent of the code under test. */
export function chainHash(previous: number, a: number, b: number, bytes: Buffer | null): number {
  let low = (previous % 2 ** 32) | 0
  let high = Math.floor(previous / 2 ** 32) | 0
  low = Math.imul(low ^ a, PRIME)
  high = Math.imul(high ^ b, 0x735a2d97)
  if (bytes !== null) {
    for (let slot = 0; slot < bytes.length; slot++) low = Math.imul(low ^ bytes[slot]!, PRIME)
    low = Math.imul(low ^ bytes.length, PRIME)
  }
  low ^= low >>> 15
  high = Math.imul(high ^ low, 0x85ebca6b)
  high ^= high >>> 13
  low = Math.imul(low + high, 0xc2b2ae35)
  low ^= low >>> 16
  return ((high >>> 0) & 0x1fffff) * 2 ** 32 + (low >>> 0)
}
