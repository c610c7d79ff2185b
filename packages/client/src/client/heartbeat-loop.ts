import type { Timer, Timers } from '@millrace/base'

/** Sends heartbeats one at a time: when the pause after the last is over, or at once when there is something to say. */
export class HeartbeatLoop {
  readonly #timers: Timers
  readonly #beat: () => Promise<number | null>
  #timer: Timer | null = null
  #isBeating = false
  /** Something came up while one was under way. */
  #isWanted = false
  /** Counts stops: what was under way then does not go on. */
  #round = 0

  /** `beat` sends one and gives the milliseconds until the next, null for none. It must not reject. */
  constructor(timers: Timers, beat: () => Promise<number | null>) {
    this.#timers = timers
    this.#beat = beat
  }

  /** The next one now, or as soon as the one under way has its answer. */
  now(): void {
    this.#cancel()
    if (this.#isBeating) this.#isWanted = true
    else void this.#run()
  }

  /** None any more, until {@link now}. */
  stop(): void {
    this.#round++
    this.#isBeating = false
    this.#isWanted = false
    this.#cancel()
  }

  async #run(): Promise<void> {
    const round = this.#round
    this.#isBeating = true
    this.#isWanted = false
    const delayMs = await this.#beat()
    if (round !== this.#round) return
    this.#isBeating = false
    if (this.#isWanted) void this.#run()
    else if (delayMs !== null) {
      this.#timer = this.#timers.setTimer(delayMs, () => {
        this.#timer = null
        void this.#run()
      })
    }
  }

  #cancel(): void {
    this.#timer?.cancel()
    this.#timer = null
  }
}
