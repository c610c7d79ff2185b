/** Bounds how many tasks run at once; the others wait in order. */
export class ColdReads {
  readonly #concurrency: number
  readonly #waiting: (() => void)[]
  #runningCount: number

  constructor(concurrency: number) {
    this.#concurrency = concurrency
    this.#waiting = []
    this.#runningCount = 0
  }

  async run<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#runningCount >= this.#concurrency) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#runningCount++
    try {
      return await task()
    } finally {
      const next = this.#waiting.shift()
      // The place goes over to the next one, so that no newcomer slips in between.
      if (next === undefined) this.#runningCount--
      else next()
    }
  }
}
