import type { Clock } from '@millrace/base'

/** A text that took long to make is good for so many times as long: making it takes a tenth of the loop's time at most. */
const REST_FACTOR = 9

export interface Scrape {
  readonly contentType: string
  readonly body: string
  /** How long making it held the loop, over all its turns. */
  readonly workMs: number
}

/**
 * Makes the metrics' text for whoever asks, once for all who ask at the same time. With ten thousand partitions it takes a tenth of a
 * second of the loop that serves everybody: who asks again and again gets the last one.
 */
export class Scrapes {
  readonly #clock: Clock
  readonly #make: () => Promise<Scrape>
  #last: Promise<Scrape> | null = null
  /** Until then the last one is given; infinity while it is being made. */
  #freshUntilMs = 0

  constructor(clock: Clock, make: () => Promise<Scrape>) {
    this.#clock = clock
    this.#make = make
  }

  take(): Promise<Scrape> {
    if (this.#last === null || this.#clock.monotonicMs() >= this.#freshUntilMs) this.#last = this.#begin()
    return this.#last
  }

  async #begin(): Promise<Scrape> {
    this.#freshUntilMs = Number.POSITIVE_INFINITY
    let workMs = 0
    try {
      const scrape = await this.#make()
      workMs = scrape.workMs
      return scrape
    } finally {
      this.#freshUntilMs = this.#clock.monotonicMs() + REST_FACTOR * workMs
    }
  }
}
