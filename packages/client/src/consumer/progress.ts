import type { ClientPorts } from '../ports/client-ports.ts'
import { wait } from '../retry/wait.ts'

/** Lets one side say "look again" and others wait for it; what was said while nobody waited is not lost. */
export class Progress {
  readonly #ports: ClientPorts
  #signal = new AbortController()
  #isFresh = false

  constructor(ports: ClientPorts) {
    this.#ports = ports
  }

  /** Something changed. */
  notify(): void {
    this.#isFresh = true
    const signal = this.#signal
    this.#signal = new AbortController()
    signal.abort()
  }

  /** Resolves at the next {@link notify}, at once if there was one since the last wait, or after `timeoutMs`. */
  async next(timeoutMs: number): Promise<void> {
    if (!this.#isFresh) await wait(this.#ports.timers, timeoutMs, this.#signal.signal)
    this.#isFresh = false
  }
}
