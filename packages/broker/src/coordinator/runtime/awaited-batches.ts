import type { Clock, Offset, Timer, Timers } from '@millrace/base'
import type { WriteBatch } from './write-batch.ts'
import type { WriteOperation } from './write-operation.ts'

/** Appended batches above the high watermark, oldest first. Their operations wait for it, each for so long as it has time. */
export class AwaitedBatches<Event> {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #onTimedOut: (operation: WriteOperation<Event>) => void
  #batches: WriteBatch<Event>[] = []
  #timer: Timer | null = null

  constructor(clock: Clock, timers: Timers, onTimedOut: (operation: WriteOperation<Event>) => void) {
    this.#clock = clock
    this.#timers = timers
    this.#onTimedOut = onTimedOut
  }

  /** The newest. */
  get last(): WriteBatch<Event> | undefined {
    return this.#batches.at(-1)
  }

  push(batch: WriteBatch<Event>): void {
    this.#batches.push(batch)
  }

  /** Takes out the oldest, if all of it is committed; otherwise null. */
  takeCommitted(highWatermark: Offset): WriteBatch<Event> | null {
    const first = this.#batches[0]
    if (first === undefined || first.endOffset > highWatermark) return null
    this.#batches.shift()
    return first
  }

  /** Takes out all: nothing of them is awaited any more. */
  takeAll(): WriteBatch<Event>[] {
    this.#timer?.cancel()
    this.#timer = null
    const batches = this.#batches
    this.#batches = []
    return batches
  }

  /** One timer for all operations, set for the first that waits; their deadlines are in order. To be called when some were added. */
  armTimeout(): void {
    if (this.#timer !== null) return
    const first = this.#firstWaiting()
    if (first === null) return
    this.#timer = this.#timers.setTimer(Math.max(first.deadlineMs - this.#clock.monotonicMs(), 0), () => {
      this.#timer = null
      this.#expire(this.#clock.monotonicMs())
      this.armTimeout()
    })
  }

  #firstWaiting(): WriteOperation<Event> | null {
    for (const batch of this.#batches) {
      for (const operation of batch.operations) {
        if (!operation.isDone) return operation
      }
    }
    return null
  }

  #expire(nowMs: number): void {
    for (const batch of this.#batches) {
      for (const operation of batch.operations) {
        if (operation.deadlineMs > nowMs) return
        this.#onTimedOut(operation)
      }
    }
  }
}
