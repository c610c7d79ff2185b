import type { Clock, Timer, Timers } from '@millrace/base'
import type { BufferPool } from './buffer-pool.ts'

/** A connection that holds an incomplete frame, or a whole one that waits for its turn. */
export interface BudgetHolder {
  /** Memory of its frame. */
  readonly frameBytes: number
  /** It may be read again. Called outside of its own calls into the budget. */
  onBudgetFreed(): void
  /** Its frame has taken its time, or its turn did not come, while others wait for room: the connection closes. Called outside of its own calls into the budget. */
  onFrameShed(): void
}

/** While others wait for room a frame may take so long. Who sends without a pause needs a fraction of it. */
const FRAME_UNDER_PRESSURE_MS = 5_000
const PRESSURE_CHECK_MS = 1_000

/**
 * Bounds the memory of incomplete request frames over all connections (`queued.max.request.bytes`). Above the bound a connection
 * that would grow its frame is not read, but for one: it alone goes on until its frame is complete, so the frames finish one after
 * the other and nobody waits for ever.
 *
 * Fifty clients that send the first half of a large frame would keep everybody else waiting for as long as each may dawdle, one after
 * the other. So while somebody waits, the frames that were begun longest ago are given up, as many as it takes to make room: those first
 * whose peers were free to go on. A whole frame that waits for its turn is no fault of its peer's, and stays, unless it is the one above
 * the bound: the requests before it may take for ever.
 */
export class RequestBudget {
  readonly #pool: BufferPool
  readonly #maxBytes: number
  readonly #clock: Clock
  readonly #timers: Timers
  /** Whose frames are incomplete, and since when they may take their time; the oldest first. */
  readonly #incomplete = new Map<BudgetHolder, number>()
  #timer: Timer | null = null
  /** Connections closed to make room. */
  shedCount = 0
  /** The one that may go on above the bound. */
  #privileged: BudgetHolder | null = null
  /** Since when its frame is whole and waits for its turn; -1: it is not. */
  #privilegedWholeMs = -1
  /** In the order in which they were stopped. */
  readonly #stopped = new Set<BudgetHolder>()
  /** The broker stops. */
  #ended = false

  constructor(pool: BufferPool, maxBytes: number, clock: Clock, timers: Timers) {
    this.#pool = pool
    this.#maxBytes = maxBytes
    this.#clock = clock
    this.#timers = timers
  }

  get maxBytes(): number {
    return this.#maxBytes
  }

  /** Half of it is in use: nobody gets more than what has arrived. */
  get isTight(): boolean {
    return this.#pool.usedBytes > this.#maxBytes / 2
  }

  get isFull(): boolean {
    return this.#pool.usedBytes > this.#maxBytes
  }

  get stoppedCount(): number {
    return this.#stopped.size
  }

  /** After the holder's frame has grown and is still incomplete. False: it must not be read until `onBudgetFreed`. */
  admit(holder: BudgetHolder): boolean {
    if (!this.#incomplete.has(holder)) this.#incomplete.set(holder, this.#clock.monotonicMs())
    if (this.#pool.usedBytes <= this.#maxBytes || this.#privileged === holder) return true
    if (this.#privileged === null) {
      this.#privilege(holder)
      return true
    }
    this.#stopped.add(holder)
    if (!this.#ended) this.#timer ??= this.#timers.setTimer(PRESSURE_CHECK_MS, () => this.#onPressure())
    return false
  }

  /** The holder's frame is whole and waits for its turn: it does not age any more. */
  onFrameWhole(holder: BudgetHolder): void {
    this.#incomplete.delete(holder)
    if (this.#privileged === holder && this.#privilegedWholeMs < 0) {
      this.#privilegedWholeMs = this.#clock.monotonicMs()
    }
  }

  /** The holder gave its memory back. Lets others go on: all of them below the bound, else the next in line. */
  release(holder: BudgetHolder): void {
    this.#incomplete.delete(holder)
    this.#stopped.delete(holder)
    if (this.#privileged === holder) this.#privilege(null)
    if (this.#stopped.size === 0) return
    if (this.#pool.usedBytes <= this.#maxBytes) {
      const freed = [...this.#stopped]
      this.#stopped.clear()
      for (const next of freed) this.#free(next)
      return
    }
    if (this.#privileged !== null) return
    const next = this.#stopped.values().next().value!
    this.#stopped.delete(next)
    this.#privilege(next)
    this.#free(next)
  }

  /** No timer may outlive the broker: connections that still close let others go on, which may be stopped anew. */
  stop(): void {
    this.#ended = true
    this.#timer?.cancel()
    this.#timer = null
  }

  #privilege(holder: BudgetHolder | null): void {
    this.#privileged = holder
    this.#privilegedWholeMs = -1
  }

  /** The time that it had to wait is not held against it. */
  #free(holder: BudgetHolder): void {
    if (this.#incomplete.delete(holder)) this.#incomplete.set(holder, this.#clock.monotonicMs())
    holder.onBudgetFreed()
  }

  #onPressure(): void {
    this.#timer = null
    if (this.#stopped.size === 0) return
    const nowMs = this.#clock.monotonicMs()
    let excessBytes = this.#shedOldest(this.#pool.usedBytes - this.#maxBytes, nowMs, false)
    const wholeMs = this.#privilegedWholeMs
    if (excessBytes > 0 && wholeMs >= 0 && nowMs - wholeMs >= FRAME_UNDER_PRESSURE_MS) {
      this.#privilegedWholeMs = -1
      excessBytes -= this.#shed(this.#privileged!)
    }
    // Who was stopped waits for the one above the bound for as long as that one may take.
    const privileged = this.#privileged
    const mayGoOn = this.#privilegedWholeMs >= 0 || (privileged !== null && this.#incomplete.has(privileged))
    if (!mayGoOn) this.#shedOldest(excessBytes, nowMs, true)
    this.#timer = this.#timers.setTimer(PRESSURE_CHECK_MS, () => this.#onPressure())
  }

  /** Gives up incomplete frames that had their time, either those that were stopped or the others. Returns the excess that is left. */
  #shedOldest(excessBytes: number, nowMs: number, stopped: boolean): number {
    let left = excessBytes
    for (const [holder, sinceMs] of this.#incomplete) {
      if (left <= 0 || nowMs - sinceMs < FRAME_UNDER_PRESSURE_MS) break
      if (this.#stopped.has(holder) === stopped) left -= this.#shed(holder)
    }
    return left
  }

  /** Returns the bytes that it will give back. */
  #shed(holder: BudgetHolder): number {
    const { frameBytes } = holder
    this.#incomplete.delete(holder)
    this.shedCount++
    holder.onFrameShed()
    return frameBytes
  }
}
