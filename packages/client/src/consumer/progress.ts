import type { ClientPorts } from '../ports/client-ports.ts'

/** Lets one side say "look again" and others wait for it; what was said while nobody waited is not lost. */
export class Progress {
  readonly #ports: ClientPorts
  /** Ends a wait. Not an `AbortController`: each abort makes an exception with its stack, and this happens with every answer. */
  #waiters: (() => void)[] = []
  #isFresh = false

  constructor(ports: ClientPorts) {
    this.#ports = ports
  }

  /** Something changed. */
  notify(): void {
    this.#isFresh = true
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }

  /** Resolves at the next {@link notify}, at once if there was one since the last wait, or after `timeoutMs`. */
  async next(timeoutMs: number): Promise<void> {
    if (!this.#isFresh) await this.#wait(timeoutMs)
    this.#isFresh = false
  }

  #wait(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#ports.timers.setTimer(timeoutMs, () => {
        this.#waiters = this.#waiters.filter((waiter) => waiter !== wake)
        resolve()
      })
      const wake = (): void => {
        timer.cancel()
        resolve()
      }
      this.#waiters.push(wake)
    })
  }
}
