import type { Clock, Timer, Timers } from '@millrace/base'
import type { BufferPool } from './buffer-pool.ts'

/** A connection that holds an incomplete frame, or a whole one that waits for its turn. */
export interface BudgetHolder {
  /** Memory of its frame. */
  readonly frameBytes: number
  /** Memory without which its large frame cannot go on. 0: it has room, or its frame is a small one. */
  readonly growthBytes: number
  /** Its frame says that it has more than `LARGE_FRAME_BYTES`. */
  readonly isLarge: boolean
  /** It may be read again. Called outside of its own calls into the budget. */
  onBudgetFreed(): void
  /** Its frame has taken its time, or its turn did not come, while others wait for room: the connection closes. Called outside of its own calls into the budget. */
  onFrameShed(): void
}

/** What a frame must announce to count as large. Producers' batches have a megabyte at most unless they are told otherwise. */
export const LARGE_FRAME_BYTES = 1024 * 1024
/** Of the bound, what is left to small frames however many large ones there are. */
const SMALL_SHARE = 1 / 4
/** In so many times the bound, without the two frames above it, nothing more is kept of what has been read already. */
const OVERRUN_FACTOR = 2
/** While others wait for room a frame may take so long. Who sends without a pause needs a fraction of it. */
const FRAME_UNDER_PRESSURE_MS = 5_000
const PRESSURE_CHECK_MS = 1_000

/** Frames of one kind, large or small. */
interface Lane {
  readonly isLarge: boolean
  /** In the order in which they were stopped. While there is one, somebody goes on above the bound. */
  readonly stopped: Set<BudgetHolder>
  /** The one that may go on above the bound. */
  privileged: BudgetHolder | null
  /** Since when its frame is whole and waits for its turn; -1: it is not. */
  privilegedWholeMs: number
}

/**
 * Bounds the memory of incomplete request frames over all connections (`queued.max.request.bytes`). Large frames ask before they
 * grow, and take three quarters of the bound at most; small ones are stopped once they have grown, when they have more than the last
 * quarter and all together more than the bound. So a few large frames that dawdle keep no small one waiting. Who is stopped is not read,
 * but for one of each kind: these go on above the bound until their frames are complete, so the frames finish one after the other and
 * nobody waits for ever, nor one kind for the other.
 *
 * Fifty clients that send the first half of a large frame would keep other large frames waiting for as long as each may dawdle, one
 * after the other. So while somebody waits, the frames that were begun longest ago are given up, as many as it takes to make room: those
 * first whose peers were free to go on. A whole frame that waits for its turn is no fault of its peer's, and stays, unless it is the one
 * above the bound: the requests before it may take for ever.
 */
export class RequestBudget {
  readonly #pool: BufferPool
  readonly #maxBytes: number
  readonly #maxSmallBytes: number
  readonly #clock: Clock
  readonly #timers: Timers
  /** Of the pool's bytes in use, those of large frames. */
  #largeBytes = 0
  /** Whose frames are incomplete, and since when they may take their time; the oldest first. */
  readonly #incomplete = new Map<BudgetHolder, number>()
  #timer: Timer | null = null
  /** Connections closed to make room. */
  shedCount = 0
  readonly #small: Lane = { isLarge: false, stopped: new Set(), privileged: null, privilegedWholeMs: -1 }
  readonly #large: Lane = { isLarge: true, stopped: new Set(), privileged: null, privilegedWholeMs: -1 }
  readonly #lanes = [this.#small, this.#large]
  /** The broker stops. */
  #ended = false

  constructor(pool: BufferPool, maxBytes: number, clock: Clock, timers: Timers) {
    this.#pool = pool
    this.#maxBytes = maxBytes
    this.#maxSmallBytes = maxBytes * SMALL_SHARE
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
    return this.#small.stopped.size + this.#large.stopped.size
  }

  /** A buffer of the pool for a frame. */
  acquire(sizeBytes: number, isLarge: boolean): Buffer {
    const buffer = this.#pool.acquire(sizeBytes)
    if (isLarge) this.#largeBytes += buffer.length
    return buffer
  }

  /** Takes back a buffer of `acquire`, of a frame of that kind. */
  giveBack(buffer: Buffer, isLarge: boolean): void {
    if (isLarge) this.#largeBytes -= buffer.length
    this.#pool.release(buffer)
  }

  /** A buffer of `acquire` is no frame's any more, and goes on to be in use. */
  giveAway(buffer: Buffer, isLarge: boolean): void {
    if (isLarge) this.#largeBytes -= buffer.length
    this.#pool.giveAway(buffer)
  }

  /** A buffer is from here on that of a frame of the other kind. */
  reclassify(buffer: Buffer, isLarge: boolean): void {
    this.#largeBytes += isLarge ? buffer.length : -buffer.length
  }

  /** Whether there is room for so much more of a large frame. */
  hasRoomForLarge(growthBytes: number): boolean {
    return this.#largeBytes + growthBytes <= this.#maxBytes - this.#maxSmallBytes
  }

  /**
   * Whether bytes that the holder has read, and for which it needs more memory, must be dropped, and its connection closed: sockets are
   * told how much to read before their bytes arrive, and thousands that were told so while there was room may all send at once.
   */
  refuses(holder: BudgetHolder): boolean {
    let usedBytes = this.#pool.usedBytes
    for (const { privileged } of this.#lanes) {
      if (privileged === holder) return false
      usedBytes -= privileged?.frameBytes ?? 0
    }
    return usedBytes > this.#maxBytes * OVERRUN_FACTOR
  }

  /** While the holder's frame is incomplete, each time it has more of it. False: it must not be read until `onBudgetFreed`. */
  admit(holder: BudgetHolder): boolean {
    if (!this.#incomplete.has(holder)) this.#incomplete.set(holder, this.#clock.monotonicMs())
    const lane = holder.isLarge ? this.#large : this.#small
    if (lane.privileged === holder) return true
    // It asks again, of its own accord: there may be room for it, but not for those who were stopped before it.
    if (lane.stopped.has(holder)) return false
    if (this.#small.privileged === holder) this.#becomeLarge()
    if (this.#mayGoOn(holder)) return true
    if (lane.privileged === null) {
      privilege(lane, holder)
      return true
    }
    lane.stopped.add(holder)
    if (!this.#ended) this.#timer ??= this.#timers.setTimer(PRESSURE_CHECK_MS, () => this.#onPressure())
    return false
  }

  /** The holder's frame is whole and waits for its turn: it does not age any more. */
  onFrameWhole(holder: BudgetHolder): void {
    this.#incomplete.delete(holder)
    for (const lane of this.#lanes) {
      if (lane.privileged === holder && lane.privilegedWholeMs < 0) lane.privilegedWholeMs = this.#clock.monotonicMs()
    }
  }

  /** The holder gave its memory back. Lets others go on: those for whom there is room, and one above the bound. */
  release(holder: BudgetHolder): void {
    this.#incomplete.delete(holder)
    for (const lane of this.#lanes) {
      lane.stopped.delete(holder)
      if (lane.privileged === holder) privilege(lane, null)
    }
    for (const lane of this.#lanes) this.#freeInOrder(lane)
  }

  /** No timer may outlive the broker: connections that still close let others go on, which may be stopped anew. */
  stop(): void {
    this.#ended = true
    this.#timer?.cancel()
    this.#timer = null
  }

  #mayGoOn({ isLarge, growthBytes }: BudgetHolder): boolean {
    if (isLarge) return growthBytes === 0 || this.hasRoomForLarge(growthBytes)
    const usedBytes = this.#pool.usedBytes
    return usedBytes <= this.#maxBytes || usedBytes - this.#largeBytes <= this.#maxSmallBytes
  }

  /** What had arrived of the one above the bound did not say yet how large it is. */
  #becomeLarge(): void {
    privilege(this.#small, null)
    this.#freeInOrder(this.#small)
  }

  /** Each is asked once: who is stopped again at once joins the end. */
  #freeInOrder(lane: Lane): void {
    const { stopped } = lane
    for (let left = stopped.size; left > 0; left--) {
      const next = stopped.values().next().value
      if (next === undefined) return
      if (!this.#mayGoOn(next)) {
        if (lane.privileged !== null) return
        privilege(lane, next)
      }
      stopped.delete(next)
      this.#free(next)
    }
  }

  /** The time that it had to wait is not held against it. */
  #free(holder: BudgetHolder): void {
    if (this.#incomplete.delete(holder)) this.#incomplete.set(holder, this.#clock.monotonicMs())
    holder.onBudgetFreed()
  }

  #onPressure(): void {
    this.#timer = null
    if (this.stoppedCount === 0) return
    const nowMs = this.#clock.monotonicMs()
    for (const lane of this.#lanes) this.#relieve(lane, nowMs)
    this.#timer = this.#timers.setTimer(PRESSURE_CHECK_MS, () => this.#onPressure())
  }

  #relieve(lane: Lane, nowMs: number): void {
    let excessBytes = this.#shedOldest(lane, this.#excessBytes(lane), nowMs, false)
    const { privileged, privilegedWholeMs: wholeMs } = lane
    if (privileged !== null && excessBytes > 0 && wholeMs >= 0 && nowMs - wholeMs >= FRAME_UNDER_PRESSURE_MS) {
      lane.privilegedWholeMs = -1
      excessBytes -= this.#shed(privileged)
    }
    // Who was stopped waits for the one above the bound for as long as that one may take.
    const mayGoOn = lane.privilegedWholeMs >= 0 || (privileged !== null && this.#incomplete.has(privileged))
    if (!mayGoOn) this.#shedOldest(lane, excessBytes, nowMs, true)
  }

  /** What frames of a kind have to give up before the first of them that was stopped may go on. */
  #excessBytes({ isLarge, stopped }: Lane): number {
    const first = stopped.values().next().value
    if (first === undefined) return 0
    if (isLarge) return this.#largeBytes + first.growthBytes - (this.#maxBytes - this.#maxSmallBytes)
    const usedBytes = this.#pool.usedBytes
    return Math.min(usedBytes - this.#maxBytes, usedBytes - this.#largeBytes - this.#maxSmallBytes)
  }

  /** Gives up incomplete frames of a kind that had their time, either those that were stopped or the others. Returns the excess that is left. */
  #shedOldest({ isLarge, stopped }: Lane, excessBytes: number, nowMs: number, ofStopped: boolean): number {
    let left = excessBytes
    for (const [holder, sinceMs] of this.#incomplete) {
      if (left <= 0 || nowMs - sinceMs < FRAME_UNDER_PRESSURE_MS) break
      if (holder.isLarge === isLarge && stopped.has(holder) === ofStopped) left -= this.#shed(holder)
    }
    return Math.max(0, left)
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

function privilege(lane: Lane, holder: BudgetHolder | null): void {
  lane.privileged = holder
  lane.privilegedWholeMs = -1
}
