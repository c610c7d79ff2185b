import type { SimulatedClock } from '../clock/simulated-clock.ts'
import type { Timer, Timers } from '../clock.ts'

/** Timers on a {@link SimulatedClock}: they fire in order of deadline, then of setting, when a test lets time pass. */
export class SimulatedTimers implements Timers {
  readonly #clock: SimulatedClock
  #pending: SimulatedTimer[]
  #nextSequence: number

  constructor(clock: SimulatedClock) {
    this.#clock = clock
    this.#pending = []
    this.#nextSequence = 0
  }

  get pendingCount(): number {
    return this.#pending.length
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = new SimulatedTimer(
      this,
      this.#clock.monotonicMs() + Math.max(0, delayMs),
      this.#nextSequence++,
      callback,
    )
    this.#pending.push(timer)
    return timer
  }

  cancel(timer: SimulatedTimer): void {
    const slot = this.#pending.indexOf(timer)
    if (slot >= 0) this.#pending.splice(slot, 1)
  }

  /** Lets `durationMs` pass, firing what falls due at its own time, also what callbacks set meanwhile. */
  advance(durationMs: number): void {
    const endMs = this.#clock.monotonicMs() + durationMs
    for (let timer = this.#nextDue(endMs); timer !== null; timer = this.#nextDue(endMs)) this.#fire(timer)
    this.#clock.advance(endMs - this.#clock.monotonicMs())
  }

  /** Jumps to the earliest deadline and fires that one timer. False if none is pending. */
  runNext(): boolean {
    const timer = this.#nextDue(Number.POSITIVE_INFINITY)
    if (timer === null) return false
    this.#fire(timer)
    return true
  }

  #fire(timer: SimulatedTimer): void {
    this.#clock.advance(Math.max(0, timer.deadlineMs - this.#clock.monotonicMs()))
    this.cancel(timer)
    timer.callback()
  }

  #nextDue(endMs: number): SimulatedTimer | null {
    let first: SimulatedTimer | null = null
    for (const timer of this.#pending) {
      if (timer.deadlineMs > endMs) continue
      if (first === null || timer.deadlineMs < first.deadlineMs) first = timer
      else if (timer.deadlineMs === first.deadlineMs && timer.sequence < first.sequence) first = timer
    }
    return first
  }
}

class SimulatedTimer implements Timer {
  readonly deadlineMs: number
  readonly sequence: number
  readonly callback: () => void
  readonly #timers: SimulatedTimers

  constructor(timers: SimulatedTimers, deadlineMs: number, sequence: number, callback: () => void) {
    this.#timers = timers
    this.deadlineMs = deadlineMs
    this.sequence = sequence
    this.callback = callback
  }

  cancel(): void {
    this.#timers.cancel(this)
  }
}
