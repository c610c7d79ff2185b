import { setTimeout as delay } from 'node:timers/promises'
import { sampleProcess } from '../../load/process-sample.ts'
import { type BudgetReading, budgetsIn, scrape } from '../../load/scrape.ts'

const SAMPLE_MS = 250
/** A scrape is work for the broker: so rarely that no hundredth of the neighbour's produces meets one. */
const SCRAPE_MS = 5_000

/** What a broker held at its worst. */
export class Peaks {
  anonymousBytes = 0
  readonly #budgets = new Map<string, BudgetReading>()

  /** Each budget where it was closest to its limit, or furthest above. */
  get budgets(): BudgetReading[] {
    return [...this.#budgets.values()]
  }

  note(readings: readonly BudgetReading[]): void {
    for (const reading of readings) {
      const worst = this.#budgets.get(reading.name)
      if (worst === undefined || shareOf(reading) > shareOf(worst)) this.#budgets.set(reading.name, reading)
    }
  }
}

function shareOf({ used, limit }: BudgetReading): number {
  // A limit that is not told is the worst there can be.
  if (Number.isNaN(limit)) return Number.POSITIVE_INFINITY
  return limit === Number.POSITIVE_INFINITY ? 0 : used / limit
}

/** Looks at a broker again and again, from before the crowd comes until it goes. */
export class PeakWatch {
  readonly peaks = new Peaks()
  readonly #pid: number
  readonly #port: number
  #isOver = false
  #running: Promise<void> = Promise.resolve()
  /** What ended the watch before its time; null: nothing. */
  #failure: unknown = null

  private constructor(pid: number, port: number) {
    this.#pid = pid
    this.#port = port
  }

  static start(pid: number, port: number): PeakWatch {
    const watch = new PeakWatch(pid, port)
    // Told by `stop`; until then it must not end the process.
    watch.#running = watch.#run().catch((error: unknown) => {
      watch.#failure = error
    })
    return watch
  }

  /** Looks once more, and ends. Rejects if the broker could not be looked at. */
  async stop(): Promise<Peaks> {
    this.#isOver = true
    await this.#running
    const failure = this.abandon()
    if (failure !== null) throw failure
    this.peaks.note(budgetsIn(await scrape(this.#port)))
    return this.peaks
  }

  /** Ends without a last look. Gives what made the watch fail before, if nobody was told of it yet, or null. */
  abandon(): unknown {
    this.#isOver = true
    const failure = this.#failure
    this.#failure = null
    return failure
  }

  async #run(): Promise<void> {
    let scrapedMs = performance.now()
    while (!this.#isOver) {
      this.peaks.anonymousBytes = Math.max(this.peaks.anonymousBytes, sampleProcess(this.#pid).anonymousBytes)
      await delay(SAMPLE_MS)
      if (performance.now() - scrapedMs < SCRAPE_MS) continue
      this.peaks.note(budgetsIn(await scrape(this.#port)))
      scrapedMs = performance.now()
    }
  }
}
