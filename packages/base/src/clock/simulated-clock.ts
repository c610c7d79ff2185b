import type { Clock } from '../clock.ts'
import { assert } from '../errors.ts'

/** A clock that moves only when told. Wall time follows monotonic time plus a difference that {@link jumpWall} changes. */
export class SimulatedClock implements Clock {
  #monotonicMs: number
  #wallDifferenceMs: number

  constructor(wallMs = 1_700_000_000_000) {
    this.#monotonicMs = 0
    this.#wallDifferenceMs = wallMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  wallMs(): number {
    return Math.floor(this.#monotonicMs + this.#wallDifferenceMs)
  }

  /** Lets time pass without running timers: `SimulatedTimers.advance` does both. */
  advance(durationMs: number): void {
    assert(durationMs >= 0, 'time does not go back')
    this.#monotonicMs += durationMs
  }

  /** Sets the wall clock forward or back; durations do not notice. */
  jumpWall(differenceMs: number): void {
    this.#wallDifferenceMs += differenceMs
  }
}
