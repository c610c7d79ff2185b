import type { Timer, Timers } from '@millrace/base'

interface Waiter {
  readonly timer: Timer
  resolve(): void
}

/**
 * Producers that begin their next transaction before the markers of the last one are written. The end of a transaction is answered when it is
 * decided, so nearly all of them do; whoever is told to come back later than the markers take loses that time with each transaction.
 */
export class EndingTransactions {
  readonly #timers: Timers
  /** By transactional id. */
  readonly #waiters = new Map<string, Set<Waiter>>()

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** Ids that somebody waits for. */
  get size(): number {
    return this.#waiters.size
  }

  /** Resolves when the id is released, or its time is over. Never rejects. */
  wait(transactionalId: string, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      let together = this.#waiters.get(transactionalId)
      if (together === undefined) {
        together = new Set()
        this.#waiters.set(transactionalId, together)
      }
      const timer = this.#timers.setTimer(timeoutMs, () => {
        this.#drop(transactionalId, waiter)
        resolve()
      })
      const waiter: Waiter = { timer, resolve }
      together.add(waiter)
    })
  }

  /** The id can go on, or will not here. */
  release(transactionalId: string): void {
    const waiters = this.#waiters.get(transactionalId)
    if (waiters === undefined) return
    this.#waiters.delete(transactionalId)
    for (const { timer, resolve } of waiters) {
      timer.cancel()
      resolve()
    }
  }

  releaseAll(): void {
    for (const transactionalId of [...this.#waiters.keys()]) this.release(transactionalId)
  }

  #drop(transactionalId: string, waiter: Waiter): void {
    const together = this.#waiters.get(transactionalId)
    together?.delete(waiter)
    if (together?.size === 0) this.#waiters.delete(transactionalId)
  }
}
