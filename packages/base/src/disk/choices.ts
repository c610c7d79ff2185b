import type { Random } from '../random.ts'

/** Decides what is left open: one of `count` ways, 0 being the mildest. */
export interface Choices {
  choose(count: number): number
}

/** Decides by chance. */
export class RandomChoices implements Choices {
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  choose(count: number): number {
    return this.#random.uint32() % count
  }
}

/**
 * Runs through all combinations, one after the other: choose as often as needed, then `next()` and start again, until it says that
 * there is no more.
 */
export class ExhaustiveChoices implements Choices {
  /** Decisions of this round, with the number of ways each had. */
  #path: { choice: number; count: number }[]
  #depth: number

  constructor() {
    this.#path = []
    this.#depth = 0
  }

  choose(count: number): number {
    if (this.#depth === this.#path.length) this.#path.push({ choice: 0, count })
    const decision = this.#path[this.#depth]!
    this.#depth++
    return decision.choice
  }

  /** Combinations there would be if later decisions never depended on earlier ones: of this round, known once it has been chosen. */
  get estimatedCount(): number {
    let product = 1
    for (let slot = 0; slot < this.#depth; slot++) product *= this.#path[slot]!.count
    return product
  }

  /** Moves to the next combination. False after the last. */
  next(): boolean {
    this.#path.length = this.#depth
    this.#depth = 0
    for (;;) {
      const last = this.#path.at(-1)
      if (last === undefined) return false
      last.choice++
      if (last.choice < last.count) return true
      this.#path.pop()
    }
  }
}
