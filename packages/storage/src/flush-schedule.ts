import type { Clock, Timer, Timers } from '@millrace/base'

/** A log whose writes stay in the page cache until they are old enough. */
export interface LateFlushed {
  /** Starts a sync if the oldest unsynced write is old enough; else how many milliseconds are left, -1 if nothing is to be synced. */
  flushIfDue(nowMs: number): number
}

/** A timer takes no longer delays; nobody waits for 24 days. */
const DELAY_MS_MAX = 2 ** 31 - 1
/** Logs whose times lie as close as this are synced together. */
const DELAY_MS_MIN = 5

/** `flush.ms` of logs that trust the page cache, also of those to which nothing more is written: one timer for all of them. */
export class FlushSchedule {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #logs: Set<LateFlushed>
  #timer: Timer | null
  /** When the timer goes off. */
  #dueMs: number
  #stopped: boolean

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock
    this.#timers = timers
    this.#logs = new Set()
    this.#timer = null
    this.#dueMs = 0
    this.#stopped = false
  }

  /** The log has unsynced writes. Cheap for one that is known already, unless its time has become shorter. */
  add(log: LateFlushed, flushMs: number): void {
    if (flushMs > DELAY_MS_MAX || this.#stopped) return
    const nowMs = this.#clock.monotonicMs()
    const isKnown = this.#logs.has(log)
    if (isKnown && this.#timer !== null && nowMs + flushMs >= this.#dueMs) return
    this.#logs.add(log)
    this.#arm(nowMs, flushMs)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#timer = null
    this.#logs.clear()
  }

  #arm(nowMs: number, delayMs: number): void {
    if (this.#timer !== null && this.#dueMs <= nowMs + delayMs) return
    this.#timer?.cancel()
    const waitMs = Math.max(DELAY_MS_MIN, delayMs)
    this.#dueMs = nowMs + waitMs
    this.#timer = this.#timers.setTimer(waitMs, () => this.#run())
  }

  #run(): void {
    this.#timer = null
    const nowMs = this.#clock.monotonicMs()
    let nextMs = Number.POSITIVE_INFINITY
    for (const log of this.#logs) {
      const leftMs = log.flushIfDue(nowMs)
      if (leftMs < 0) this.#logs.delete(log)
      else nextMs = Math.min(nextMs, leftMs)
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#arm(nowMs, nextMs)
  }
}
