import type { Clock, Timer, Timers } from '@millrace/base'
import type { ScheduledEvent } from './event-queue.ts'
import type { World } from './world.ts'

/** A timer is never early, not by a rounding error either: whoever looks at the clock then would set it again, and no time would pass. */
const TIMER_LATE_MS = 0.001
/** Where wall clocks start. */
const WALL_START_MS = 1_700_000_000_000

/**
 * One life of one simulated process: its events, its clock and its timers. While it is paused nothing of it happens; what fell due
 * meanwhile happens in order when it goes on, as for a process that was stopped. After its end nothing of it happens ever again.
 */
export class ProcessLoop implements Clock, Timers {
  readonly node: number
  readonly #world: World
  /** Milliseconds of this clock in one of the world's. */
  #rate: number
  #rateSinceMs: number
  #localAtRateMs: number
  /** What the wall clock said when this life began. */
  readonly #wallStartMs: number
  #wallAheadMs = 0
  #isPaused = false
  #isEnded = false
  #held: LoopEvent[] = []

  constructor(world: World, node: number, rate = 1) {
    this.node = node
    this.#world = world
    this.#rate = rate
    this.#rateSinceMs = world.nowMs
    this.#localAtRateMs = 0
    this.#wallStartMs = WALL_START_MS + world.nowMs
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  monotonicMs(): number {
    return this.#localAtRateMs + (this.#world.nowMs - this.#rateSinceMs) * this.#rate
  }

  wallMs(): number {
    return Math.floor(this.monotonicMs() + this.#wallStartMs + this.#wallAheadMs)
  }

  /** The monotonic clock goes faster or slower from now on. Timers that are set keep the time they were given. */
  drift(rate: number): void {
    this.#localAtRateMs = this.monotonicMs()
    this.#rateSinceMs = this.#world.nowMs
    this.#rate = rate
  }

  /** Somebody sets the wall clock: from now on it is so far ahead of where it should be, or behind. */
  setWall(aheadMs: number): void {
    this.#wallAheadMs = aheadMs
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.after(Math.max(0, delayMs) / this.#rate + TIMER_LATE_MS, 'timer', callback)
  }

  /** Something happens to this process after `delayMs` of the world's time, unless it has ended by then. */
  after(delayMs: number, label: string, run: () => void): Timer {
    const event = new LoopEvent(this, label, run)
    event.scheduled = this.#world.schedule(delayMs, label, this.node, event.happen)
    return event
  }

  pause(): void {
    this.#isPaused = true
  }

  /** What was held happens now, one event after the other. */
  resume(): void {
    this.#isPaused = false
    const held = this.#held
    this.#held = []
    for (const event of held) event.scheduled = this.#world.schedule(0, event.label, this.node, event.happen)
  }

  end(): void {
    this.#isEnded = true
    this.#held = []
  }

  /** The event is due. */
  onDue(event: LoopEvent): void {
    if (this.#isEnded) return
    if (this.#isPaused) this.#held.push(event)
    else event.run()
  }
}

/** An event of one process, and the timer that may call it off, also while it is held. */
class LoopEvent implements Timer {
  readonly label: string
  readonly happen: () => void
  scheduled: ScheduledEvent | null = null
  #run: (() => void) | null

  constructor(loop: ProcessLoop, label: string, run: () => void) {
    this.label = label
    this.#run = run
    this.happen = () => loop.onDue(this)
  }

  run(): void {
    this.#run?.()
  }

  cancel(): void {
    this.#run = null
    this.scheduled?.cancel()
  }
}
