import { type Random, SeededRandom } from '@millrace/base'

/**
 * One concern's own randomness. Streams are forked from the seed by name, so that what one of them draws, or no longer draws, does not
 * shift another: shrinking rests on that.
 */
export class RandomStream implements Random {
  readonly #random: SeededRandom

  constructor(seed: number, name: string) {
    // Seeds that follow each other differ in few bits, and so would their forks: the first drawn number is mixed.
    this.#random = new SeededRandom(new SeededRandom(seed).fork(name).uint32())
  }

  uint32(): number {
    return this.#random.uint32()
  }

  bytes(sizeBytes: number): Buffer {
    return this.#random.bytes(sizeBytes)
  }

  /** Uniform in [0, 1). */
  unit(): number {
    return this.#random.uint32() / 2 ** 32
  }

  /** True with the probability `share`. A share of 0 or less draws nothing. */
  chance(share: number): boolean {
    return share > 0 && this.unit() < share
  }

  /** An integer in [from, to). */
  integer(from: number, to: number): number {
    return from + Math.floor(this.unit() * (to - from))
  }

  /** A real number in [from, to). */
  real(from: number, to: number): number {
    return from + this.unit() * (to - from)
  }

  /** Mostly short, sometimes long: exponential with this mean, at most twenty times it. */
  exponential(mean: number): number {
    return Math.min(20 * mean, -Math.log(1 - this.unit()) * mean)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.integer(0, list.length)]!
  }

  /** A new list of the same elements in another order. */
  shuffled<T>(list: readonly T[]): T[] {
    const shuffled = [...list]
    for (let slot = shuffled.length - 1; slot > 0; slot--) {
      const other = this.integer(0, slot + 1)
      const kept = shuffled[slot]!
      shuffled[slot] = shuffled[other]!
      shuffled[other] = kept
    }
    return shuffled
  }
}
