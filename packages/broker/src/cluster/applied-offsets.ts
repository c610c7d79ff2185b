import type { Timer, Timers } from '@millrace/base'

interface Waiter {
  readonly offset: number
  readonly timer: Timer
  resolve(isReached: boolean): void
}

/** Those who wait until this broker has applied the metadata up to some offset, each for a bounded time. */
export class AppliedOffsets {
  readonly #timers: Timers
  readonly #waiters = new Set<Waiter>()
  #offset = 0

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** Resolves to whether all records below the offset are applied within the time. */
  whenReached(offset: number, timeoutMs: number): Promise<boolean> {
    if (this.#offset >= offset) return Promise.resolve(true)
    return new Promise((resolve) => {
      const waiter: Waiter = {
        offset,
        timer: this.#timers.setTimer(timeoutMs, () => this.#end(waiter, false)),
        resolve,
      }
      this.#waiters.add(waiter)
    })
  }

  onApplied(offset: number): void {
    this.#offset = offset
    for (const waiter of this.#waiters) if (waiter.offset <= offset) this.#end(waiter, true)
  }

  /** Nothing more is applied. */
  close(): void {
    for (const waiter of this.#waiters) this.#end(waiter, false)
  }

  #end(waiter: Waiter, isReached: boolean): void {
    if (!this.#waiters.delete(waiter)) return
    waiter.timer.cancel()
    waiter.resolve(isReached)
  }
}
