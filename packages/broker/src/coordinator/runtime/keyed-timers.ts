import type { Clock, Timer, Timers } from '@millrace/base'

interface Entry<Event> {
  event: Event
  retryDelayMs: number | null
  deadlineMs: number
  /** The port's timer. It may fire before `deadlineMs`: then the deadline was moved and it is set again. */
  timer: Timer
  timerAtMs: number
}

/** Called when the timer of a key fires. The key is free again by then. */
export type OnTimer<Event> = (key: string, event: Event, retryDelayMs: number | null) => void

/**
 * Timers by key, at most one per key. Moving a deadline further away, which each heartbeat of each group member does, only
 * writes the new deadline down: the port's timer is left to fire early and is set again then.
 */
export class KeyedTimers<Event> {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #onTimer: OnTimer<Event>
  readonly #entries = new Map<string, Entry<Event>>()

  constructor(clock: Clock, timers: Timers, onTimer: OnTimer<Event>) {
    this.#clock = clock
    this.#timers = timers
    this.#onTimer = onTimer
  }

  get size(): number {
    return this.#entries.size
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  schedule(key: string, delayMs: number, event: Event, retryDelayMs: number | null): void {
    const deadlineMs = this.#clock.monotonicMs() + delayMs
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      const timer = this.#timers.setTimer(delayMs, () => this.#onFire(key))
      this.#entries.set(key, { event, retryDelayMs, deadlineMs, timer, timerAtMs: deadlineMs })
      return
    }
    entry.event = event
    entry.retryDelayMs = retryDelayMs
    entry.deadlineMs = deadlineMs
    if (deadlineMs < entry.timerAtMs) {
      entry.timer.cancel()
      entry.timer = this.#timers.setTimer(delayMs, () => this.#onFire(key))
      entry.timerAtMs = deadlineMs
    }
  }

  cancel(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.timer.cancel()
    this.#entries.delete(key)
  }

  cancelAll(): void {
    for (const entry of this.#entries.values()) entry.timer.cancel()
    this.#entries.clear()
  }

  #onFire(key: string): void {
    const entry = this.#entries.get(key)!
    const remainingMs = entry.deadlineMs - this.#clock.monotonicMs()
    if (remainingMs > 0) {
      entry.timer = this.#timers.setTimer(remainingMs, () => this.#onFire(key))
      entry.timerAtMs = entry.deadlineMs
      return
    }
    this.#entries.delete(key)
    this.#onTimer(key, entry.event, entry.retryDelayMs)
  }
}
