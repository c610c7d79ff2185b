import type { Random } from '@millrace/base'

/** When a broker that serves is killed. */
export interface ServingMoment {
  readonly afterMs: number
  /** So soon after it was ready that there is no time to look at it before: that is left to the next start. */
  readonly isEarly: boolean
}

/** Kills this soon after the ready line catch what clients do when they come back. */
const EARLY_MS = 100
const LATE_MS = 1500

/** Draws the moments of kills: a quarter while the broker starts and recovers, a quarter of the others just after. */
export class Moments {
  readonly #random: Random
  /** What a start took of late: kills during one are spread over it, and a little beyond. */
  #startMs: number

  constructor(random: Random) {
    this.#random = random
    this.#startMs = 300
  }

  onStarted(startMs: number): void {
    this.#startMs = this.#startMs * 0.8 + startMs * 0.2
  }

  /** How long after its process began the broker is killed, ready or not; null if it may start in peace. */
  whileStarting(): number | null {
    return this.#random.uint32() % 4 === 0 ? this.#upTo(this.#startMs * 1.2) : null
  }

  whileServing(): ServingMoment {
    const isEarly = this.#random.uint32() % 4 === 0
    return { isEarly, afterMs: isEarly ? this.#upTo(EARLY_MS) : EARLY_MS + this.#upTo(LATE_MS - EARLY_MS) }
  }

  #upTo(most: number): number {
    return (this.#random.uint32() / 2 ** 32) * most
  }
}
