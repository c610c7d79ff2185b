import type { Timer, Timers } from '../clock.ts'

/** Deadlines are rounded up to this, so that thousands of equal waits share one bucket. */
const TICK_MS = 4

/**
 * Coarse timers over one `setTimeout` of the process, which is armed for the earliest deadline. Setting and cancelling cost a list
 * operation each (purgatory sets one per waiting fetch and cancels most). A process stays alive while a timer is pending.
 */
export class RealTimers implements Timers {
  /** Tick number to the timers due then, in order of setting. */
  readonly #buckets: Map<number, Bucket>
  /** Binary min-heap of the ticks that have a bucket. */
  readonly #ticks: number[]
  #pendingCount: number
  #armedTick: number
  #handle: NodeJS.Timeout | null

  constructor() {
    this.#buckets = new Map()
    this.#ticks = []
    this.#pendingCount = 0
    this.#armedTick = -1
    this.#handle = null
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const tick = Math.ceil((performance.now() + Math.max(0, delayMs)) / TICK_MS)
    let bucket = this.#buckets.get(tick)
    if (bucket === undefined) {
      bucket = new Bucket()
      this.#buckets.set(tick, bucket)
      pushTick(this.#ticks, tick)
    }
    const timer = new BucketTimer(this, bucket, callback)
    bucket.add(timer)
    this.#pendingCount++
    if (this.#handle === null || tick < this.#armedTick) this.#arm(tick)
    return timer
  }

  /** Called by a timer that was cancelled before it fired. */
  onCancelled(): void {
    this.#pendingCount--
    if (this.#pendingCount === 0) this.#disarm()
  }

  #arm(tick: number): void {
    if (this.#handle !== null) clearTimeout(this.#handle)
    this.#armedTick = tick
    const delayMs = Math.max(1, Math.ceil(tick * TICK_MS - performance.now()))
    // Longer delays than setTimeout knows wake early and are armed again.
    this.#handle = setTimeout(() => this.#onTimeout(), Math.min(delayMs, 2 ** 31 - 1))
  }

  #disarm(): void {
    if (this.#handle !== null) clearTimeout(this.#handle)
    this.#handle = null
    // Buckets of cancelled timers only; one that is being fired was taken out before.
    this.#buckets.clear()
    this.#ticks.length = 0
  }

  #onTimeout(): void {
    this.#handle = null
    const nowTick = Math.floor(performance.now() / TICK_MS)
    try {
      while (this.#ticks.length > 0 && this.#ticks[0]! <= nowTick) this.#fire(popTick(this.#ticks))
    } finally {
      // Also after a callback that threw: the others must still fire. Ticks of cancelled timers alone would keep the process alive.
      if (this.#pendingCount > 0) this.#arm(this.#ticks[0]!)
      else this.#disarm()
    }
  }

  #fire(tick: number): void {
    const bucket = this.#buckets.get(tick)!
    this.#buckets.delete(tick)
    try {
      for (let timer = bucket.takeFirst(); timer !== null; timer = bucket.takeFirst()) {
        this.#pendingCount--
        timer.callback()
      }
    } finally {
      if (bucket.first !== null && !this.#buckets.has(tick)) {
        this.#buckets.set(tick, bucket)
        pushTick(this.#ticks, tick)
      }
    }
  }
}

class Bucket {
  first: BucketTimer | null = null
  last: BucketTimer | null = null

  add(timer: BucketTimer): void {
    timer.previous = this.last
    if (this.last === null) this.first = timer
    else this.last.next = timer
    this.last = timer
  }

  remove(timer: BucketTimer): void {
    if (timer.previous === null) this.first = timer.next
    else timer.previous.next = timer.next
    if (timer.next === null) this.last = timer.previous
    else timer.next.previous = timer.previous
    timer.previous = null
    timer.next = null
    timer.bucket = null
  }

  takeFirst(): BucketTimer | null {
    const timer = this.first
    if (timer !== null) this.remove(timer)
    return timer
  }
}

class BucketTimer implements Timer {
  readonly callback: () => void
  readonly #timers: RealTimers
  /** Null once fired or cancelled. */
  bucket: Bucket | null
  previous: BucketTimer | null
  next: BucketTimer | null

  constructor(timers: RealTimers, bucket: Bucket, callback: () => void) {
    this.callback = callback
    this.#timers = timers
    this.bucket = bucket
    this.previous = null
    this.next = null
  }

  cancel(): void {
    if (this.bucket === null) return
    this.bucket.remove(this)
    this.#timers.onCancelled()
  }
}

function pushTick(heap: number[], tick: number): void {
  let slot = heap.length
  heap.push(tick)
  while (slot > 0) {
    const parent = (slot - 1) >> 1
    if (heap[parent]! <= tick) break
    heap[slot] = heap[parent]!
    slot = parent
  }
  heap[slot] = tick
}

function popTick(heap: number[]): number {
  const least = heap[0]!
  const moved = heap.pop()!
  if (heap.length === 0) return least
  let slot = 0
  for (;;) {
    let child = slot * 2 + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++
    if (heap[child]! >= moved) break
    heap[slot] = heap[child]!
    slot = child
  }
  heap[slot] = moved
  return least
}
