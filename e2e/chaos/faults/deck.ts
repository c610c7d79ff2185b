import type { SeededRandom } from '@millrace/base'
import { shuffled } from '../random-choices.ts'
import type { Fault } from './fault.ts'

/**
 * Deals faults by the dice, and yet all of them: as from a shuffled deck, which is shuffled anew when it is used up. Kills and all else are
 * dealt in turn from a deck each, since a cluster is asked most about the death of nodes.
 */
export class Deck {
  readonly #piles: readonly Pile[]
  #dealtCount = 0

  /** `faults`: at least one. */
  constructor(faults: readonly Fault[], random: SeededRandom) {
    const kills = faults.filter(({ family }) => family === 'kill')
    const others = faults.filter(({ family }) => family !== 'kill')
    this.#piles = [kills, others].filter((pile) => pile.length > 0).map((pile) => new Pile(pile, random))
  }

  deal(): Fault {
    return this.#piles[this.#dealtCount++ % this.#piles.length]!.deal()
  }
}

class Pile {
  readonly #cards: readonly Fault[]
  readonly #random: SeededRandom
  #left: Fault[] = []

  constructor(faults: readonly Fault[], random: SeededRandom) {
    this.#cards = faults.flatMap((fault) => Array.from({ length: fault.weight ?? 1 }, () => fault))
    this.#random = random
  }

  deal(): Fault {
    if (this.#left.length === 0) this.#left = shuffled(this.#random, this.#cards)
    return this.#left.pop()!
  }
}
