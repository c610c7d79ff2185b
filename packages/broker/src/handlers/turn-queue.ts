import type { NextTurn } from './slices.ts'

/**
 * Deals the turns of the event loop out to work in slices: one slice a turn, whoever has waited longest first. With a turn for each
 * waiting request, those of forty connections would all come between two reads of the sockets.
 */
export class TurnQueue {
  readonly #schedule: (callback: () => void) => void
  readonly #run: () => void
  readonly #waiting: (() => void)[] = []
  #scheduled = false

  /** `schedule` runs a callback once, after the sockets that are readable now: `setImmediate`. */
  constructor(schedule: (callback: () => void) => void) {
    this.#schedule = schedule
    this.#run = () => this.#runTurn()
  }

  /** Resolves in a later turn, in which no other slice is worked on. */
  readonly next: NextTurn = () =>
    new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#request()
    })

  #runTurn(): void {
    this.#scheduled = false
    const resolve = this.#waiting.shift()
    if (this.#waiting.length > 0) this.#request()
    resolve?.()
  }

  #request(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#schedule(this.#run)
  }
}
