import type { Clock, Timer, Timers } from '@millrace/base'

export interface TickTimerOptions {
  readonly clock: Clock
  readonly timers: Timers
  readonly tickMs: number
  /** A tick that comes later than this means that the process stood still. */
  readonly maxLateMs: number
  onTick(): void
  onStall(): void
}

/**
 * The quorum's ticks. After a stall of the process its sockets hold what came meanwhile, so a follower reads that before the next tick
 * counts: the leader may well be alive. Every other tick counts all the same, or where every one is late there would be no elections.
 */
export class TickTimer {
  readonly #options: TickTimerOptions
  #timer: Timer | null = null
  #dueMs = 0
  /** The last tick came late and was not counted. */
  #hasSkipped = false

  constructor(options: TickTimerOptions) {
    this.#options = options
    this.#schedule()
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #schedule(): void {
    const { clock, timers, tickMs } = this.#options
    this.#dueMs = clock.monotonicMs() + tickMs
    this.#timer = timers.setTimer(tickMs, () => this.#onTimer())
  }

  #onTimer(): void {
    const { clock, maxLateMs, onTick, onStall } = this.#options
    const isLate = clock.monotonicMs() - this.#dueMs > maxLateMs
    this.#schedule()
    if (isLate) onStall()
    this.#hasSkipped = isLate && !this.#hasSkipped
    if (!this.#hasSkipped) onTick()
  }
}
