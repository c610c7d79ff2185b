import type { LogCore } from './log-core.ts'

/** Idle logs closed at a time: each takes some descriptors and syncs. */
const CONCURRENCY = 4

/**
 * Closes logs that were not used since the last look: a few at a time, so that thousands do not take disk and descriptors from the
 * others.
 */
export class IdleCloser {
  readonly #openLogs: ReadonlySet<LogCore>
  /** Whose turn to be closed has not come. */
  readonly #idleLogs: Set<LogCore>
  #workerCount: number
  #stopped: boolean

  /** `openLogs`: those with open files. */
  constructor(openLogs: ReadonlySet<LogCore>) {
    this.#openLogs = openLogs
    this.#idleLogs = new Set()
    this.#workerCount = 0
    this.#stopped = false
  }

  look(): void {
    for (const log of this.#openLogs) {
      if (log.touched) log.touched = false
      else this.#idleLogs.add(log)
    }
    while (this.#workerCount < CONCURRENCY && this.#workerCount < this.#idleLogs.size) {
      this.#workerCount++
      void this.#close()
    }
  }

  /** None is begun any more. */
  stop(): void {
    this.#stopped = true
  }

  async #close(): Promise<void> {
    for (const log of this.#idleLogs) {
      this.#idleLogs.delete(log)
      if (!this.#stopped && !log.touched) await log.closeIdle()
    }
    this.#workerCount--
  }
}
