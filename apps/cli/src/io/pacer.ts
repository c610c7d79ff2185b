import type { Clock, Timers } from '@millrace/base'

/** Slower than this, pauses are counted exactly; faster, several go through between two pauses. */
const SHORTEST_PAUSE_MS = 5

/** Keeps something at a rate on average: `await pace()` before each. */
export class Pacer {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #signal: AbortSignal
  readonly #perSecond: number
  readonly #startMs: number
  #count = 0

  /** `perSecond` may be infinite. */
  constructor(clock: Clock, timers: Timers, signal: AbortSignal, perSecond: number) {
    this.#clock = clock
    this.#timers = timers
    this.#signal = signal
    this.#perSecond = perSecond
    this.#startMs = clock.monotonicMs()
  }

  /** Null: go on at once. */
  pace(): Promise<void> | null {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return null
    const dueMs = this.#startMs + (this.#count++ / this.#perSecond) * 1000
    const pauseMs = dueMs - this.#clock.monotonicMs()
    return pauseMs < SHORTEST_PAUSE_MS ? null : sleep(this.#timers, pauseMs, this.#signal)
  }
}

/** Resolves after `delayMs`, or when the signal aborts. */
export function sleep(timers: Timers, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const finish = () => {
      timer.cancel()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = timers.setTimer(delayMs, finish)
    signal.addEventListener('abort', finish)
  })
}
