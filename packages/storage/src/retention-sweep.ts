import type { Clock } from '@millrace/base'
import type { Log } from './log.ts'

/** How long logs are looked at without letting anything else happen. */
const SLICE_MS = 4

export interface RetentionSweepOptions {
  clock: Clock
  logs(): Iterable<Log>
  producerIdExpirationMs(): number
  /** Resolves when other work of the loop has had its turn. */
  yieldTurn(): Promise<void>
}

/**
 * Applies retention to all logs, one after the other: the first look at an idle log reads files of it, and thousands of them must not
 * stop the loop. One sweep at a time.
 */
export class RetentionSweep {
  readonly #options: RetentionSweepOptions
  #isRunning: boolean

  constructor(options: RetentionSweepOptions) {
    this.#options = options
    this.#isRunning = false
  }

  /** Resolves when all logs were looked at; at once if a sweep runs. Never rejects with a `DiskError`: they go to the directory. */
  async run(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    try {
      await this.#sweep()
    } finally {
      this.#isRunning = false
    }
  }

  async #sweep(): Promise<void> {
    const { clock, logs, yieldTurn, producerIdExpirationMs } = this.#options
    let sliceStartMs = clock.monotonicMs()
    for (const log of [...logs()]) {
      const nowMs = clock.wallMs()
      await log.applyRetention(nowMs)
      log.removeExpiredProducers(nowMs, producerIdExpirationMs())
      if (clock.monotonicMs() - sliceStartMs < SLICE_MS) continue
      await yieldTurn()
      sliceStartMs = clock.monotonicMs()
    }
  }
}
