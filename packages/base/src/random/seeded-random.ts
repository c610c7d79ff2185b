import type { Random } from '../random.ts'

/** A repeatable generator (SplitMix32): equal seeds give equal sequences. Not for secrets. */
export class SeededRandom implements Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  uint32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let mixed = this.#state ^ (this.#state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }

  bytes(sizeBytes: number): Buffer {
    const bytes = Buffer.alloc(sizeBytes)
    for (let position = 0; position < sizeBytes; position++) bytes[position] = this.uint32() >>> 24
    return bytes
  }

  /** An independent stream, so that what one part draws does not shift another's. */
  fork(label: string): SeededRandom {
    let seed = this.#state
    for (let slot = 0; slot < label.length; slot++) seed = Math.imul(seed ^ label.charCodeAt(slot), 0x01000193)
    return new SeededRandom(seed)
  }
}
