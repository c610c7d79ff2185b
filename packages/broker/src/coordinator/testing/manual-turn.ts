/** Ends of turns that happen when told. */
export class ManualTurn {
  #callbacks: (() => void)[] = []

  readonly enqueue = (callback: () => void): void => {
    this.#callbacks.push(callback)
  }

  /** Runs what was enqueued, and what that enqueues. */
  end(): void {
    while (this.#callbacks.length > 0) {
      const callbacks = this.#callbacks
      this.#callbacks = []
      for (const callback of callbacks) callback()
    }
  }
}
