import type { Clock, Timer, Timers } from '@millrace/base'
import type { BufferPool } from './buffer-pool.ts'

/** A connection that holds an incomplete frame. */
export interface BudgetHolder {
  /** Memory of its frame. */
  readonly frameBytes: number
  /** It may be read again. Called outside of its own calls into the budget. */
  onBudgetFreed(): void
  /** Its frame has taken its time while others wait for room: the connection closes. Called outside of its own calls into the budget. */
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
 * the other. So while somebody waits, the frames that were begun longest ago are given up, as many as it takes to make room.
 */
export class RequestBudget {
  readonly #pool: BufferPool
  readonly #maxBytes: number
  readonly #clock: Clock
  readonly #timers: Timers
  /** Whose frames are incomplete, and since when; the oldest first. */
  readonly #incomplete = new Map<BudgetHolder, number>()
  #timer: Timer | null = null
  /** Connections closed to make room. */
  shedCount = 0
  /** The one that may go on above the bound. */
  #privileged: BudgetHolder | null = null
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
      this.#privileged = holder
      return true
    }
    this.#stopped.add(holder)
    if (!this.#ended) this.#timer ??= this.#timers.setTimer(PRESSURE_CHECK_MS, () => this.#onPressure())
    return false
  }

  /** The holder gave its memory back. Lets others go on: all of them below the bound, else the next in line. */
  release(holder: BudgetHolder): void {
    this.#incomplete.delete(holder)
    this.#stopped.delete(holder)
    if (this.#privileged === holder) this.#privileged = null
    if (this.#stopped.size === 0) return
    if (this.#pool.usedBytes <= this.#maxBytes) {
      const freed = [...this.#stopped]
      this.#stopped.clear()
      for (const next of freed) next.onBudgetFreed()
      return
    }
    if (this.#privileged !== null) return
    const next = this.#stopped.values().next().value!
    this.#stopped.delete(next)
    this.#privileged = next
    next.onBudgetFreed()
  }

  /** No timer may outlive the broker: connections that still close let others go on, which may be stopped anew. */
  stop(): void {
    this.#ended = true
    this.#timer?.cancel()
    this.#timer = null
  }

  #onPressure(): void {
    this.#timer = null
    if (this.#stopped.size === 0) return
    const nowMs = this.#clock.monotonicMs()
    let excessBytes = this.#pool.usedBytes - this.#maxBytes
    for (const [holder, sinceMs] of this.#incomplete) {
      if (excessBytes <= 0 || nowMs - sinceMs < FRAME_UNDER_PRESSURE_MS) break
      excessBytes -= holder.frameBytes
      this.#incomplete.delete(holder)
      this.shedCount++
      holder.onFrameShed()
    }
    this.#timer = this.#timers.setTimer(PRESSURE_CHECK_MS, () => this.#onPressure())
  }
}
