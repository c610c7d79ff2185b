import type { Offset } from '@millrace/base'
import { DeliveryState } from '../../coordinator/share/share-state.ts'
import type { RecordRange } from './record-range.ts'
import type { ShareWindow } from './share-window.ts'

/** How strictly `maxRecords` is meant (KIP-1206): whole batches of the log where that is better, or so many records. */
export const AcquireMode = { BATCH_OPTIMIZED: 0, RECORD_LIMIT: 1 } as const

/** A batch of the log that was read: `[startOffset, endOffset)`. */
export interface LogBatchSpan {
  readonly startOffset: Offset
  readonly endOffset: Offset
}

/** Records that a member holds from now on, as answered: both ends included. */
export interface Acquired {
  readonly firstOffset: Offset
  readonly lastOffset: Offset
  readonly deliveryCount: number
}

export interface AcquireRequest {
  readonly memberId: string
  readonly mode: number
  readonly maxRecords: number
  /** About how many records each acquired range has, where whole batches of the log make that. */
  readonly batchSize: number
  /** Where the read began. */
  readonly fetchOffset: Offset
  /** What it gave, in order; not empty. */
  readonly batches: readonly LogBatchSpan[]
  /** New records may be taken, as far as other share partitions are concerned. */
  readonly hasRoom: boolean
  readonly deliveryCountLimit: number
  readonly nowMs: number
}

/** Kafka throttles nothing below. */
const MIN_THROTTLED_DELIVERIES = 2

/**
 * Puts what is ready of the records that were read into the hands of a member (`coordinators.md`, 4.2). Records that were often delivered
 * in vain come in ever smaller groups, and the last time alone: the one that nobody can process must not spoil the others.
 */
export function acquire(window: ShareWindow, request: AcquireRequest): Acquired[] {
  const acquired = new Acquisition(window, request)
  const { batches } = request
  const endOffset = batches.at(-1)!.endOffset
  let offset = Math.max(request.fetchOffset, window.startOffset)
  while (offset < endOffset && acquired.leftCount > 0 && !acquired.isThrottled) {
    if (offset >= window.endOffset) {
      acquired.takeNew(offset, endOffset)
      break
    }
    const slot = window.ranges.slotOf(offset)
    offset = acquired.takeKnown(slot, offset, endOffset)
  }
  window.count()
  return acquired.list
}

class Acquisition {
  readonly list: Acquired[] = []
  leftCount: number
  isThrottled = false
  readonly #window: ShareWindow
  readonly #request: AcquireRequest

  constructor(window: ShareWindow, request: AcquireRequest) {
    this.#window = window
    this.#request = request
    this.leftCount = request.maxRecords
  }

  /** Takes of the range in `slot` what is in `[offset, endOffset)`. Gives where to go on. */
  takeKnown(slot: number, offset: Offset, endOffset: Offset): Offset {
    const window = this.#window
    const range = window.ranges.at(slot)
    const end = Math.min(range.endOffset, endOffset)
    if (!range.isReady) return end
    // The limit may have been lowered since it was delivered last, or the leader of before had another.
    if (window.giveUpAtLimit(range, this.#request.nowMs)) return end
    const start = Math.max(offset, range.startOffset)
    const allowedCount = this.#allowedCount(range)
    if (allowedCount === 0) {
      this.isThrottled = true
      return end
    }
    const isLimited = allowedCount < range.length
    const takenEnd = isLimited ? Math.min(end, start + allowedCount) : this.#endOfTaking(start, end)
    this.#take(slot, start, Math.min(takenEnd, this.#endByRecords(start, takenEnd)))
    if (isLimited) this.isThrottled = true
    return takenEnd
  }

  /** Takes records that were never delivered: `[offset, endOffset)` behind the end of the window. */
  takeNew(offset: Offset, endOffset: Offset): void {
    const window = this.#window
    if (!window.hasRoom || !this.#request.hasRoom) return
    const room = window.maxRecordLocks - window.length
    if (this.#request.mode === AcquireMode.RECORD_LIMIT || room < this.leftCount) {
      this.leftCount = Math.min(this.leftCount, room)
    }
    const end = this.#endOfTaking(offset, endOffset)
    // Each range ends with a batch of the log, so that members can acknowledge what they process together.
    let start = Math.max(offset, window.endOffset)
    for (const batch of this.#request.batches) {
      if (batch.endOffset <= start) continue
      const rangeEnd = Math.min(batch.endOffset, end)
      if (rangeEnd - start < this.#request.batchSize && rangeEnd < end) continue
      window.extend(rangeEnd)
      this.#take(window.ranges.length - 1, start, rangeEnd)
      start = rangeEnd
      if (start >= end) return
    }
  }

  /** So many records from `start` on, and in the batch-optimised mode the rest of the last one's batch. */
  #endOfTaking(start: Offset, endOffset: Offset): Offset {
    const byCount = Math.min(endOffset, start + this.leftCount)
    if (this.#request.mode === AcquireMode.RECORD_LIMIT) return byCount
    for (const batch of this.#request.batches) {
      if (batch.endOffset >= byCount) return Math.min(endOffset, batch.endOffset)
    }
    return byCount
  }

  #endByRecords(start: Offset, end: Offset): Offset {
    return this.#request.mode === AcquireMode.RECORD_LIMIT ? Math.min(end, start + this.leftCount) : end
  }

  /** How many records of a range may go now: 0 if it is to be left for a delivery of its own, its length if it may go whole. */
  #allowedCount(range: RecordRange): number {
    const { deliveryCount, length } = range
    const { deliveryCountLimit } = this.#request
    const threshold = Math.max(MIN_THROTTLED_DELIVERIES, Math.ceil(deliveryCountLimit / 2))
    if (deliveryCount < threshold) return length
    if (this.list.length > 0) return 0
    if (deliveryCountLimit > MIN_THROTTLED_DELIVERIES && deliveryCount >= deliveryCountLimit - 1) return 1
    return Math.max(1, length >> (deliveryCount - threshold + 1))
  }

  #take(slotOfRange: number, start: Offset, end: Offset): void {
    const window = this.#window
    let slot = slotOfRange
    let range = window.ranges.at(slot)
    if (range.startOffset < start) {
      range = window.splitAt(slot, start)
      slot++
    }
    if (range.endOffset > end) window.splitAt(slot, end)
    window.hold(range, this.#request.memberId, this.#request.nowMs)
    const { deliveryCount } = range
    this.list.push({ firstOffset: start, lastOffset: end - 1, deliveryCount })
    this.leftCount -= end - start
  }
}

/**
 * Records that no consumer may see, of aborted transactions: `hidden`, in order, is archived as far as this member holds it, and taken out of
 * what it is told to hold. Linear: small transactions make for many.
 */
export function hide(
  window: ShareWindow,
  acquired: readonly Acquired[],
  hidden: readonly LogBatchSpan[],
  memberId: string,
): Acquired[] {
  const isHeld = (range: RecordRange) => range.state === DeliveryState.ACQUIRED && range.memberId === memberId
  const shown: Acquired[] = []
  let slot = 0
  for (const held of acquired) {
    let { firstOffset } = held
    for (; slot < hidden.length && hidden[slot]!.startOffset <= held.lastOffset; slot++) {
      const { startOffset, endOffset } = hidden[slot]!
      if (endOffset <= firstOffset) continue
      window.archive(startOffset, endOffset, isHeld)
      if (startOffset > firstOffset) shown.push({ ...held, firstOffset, lastOffset: startOffset - 1 })
      firstOffset = endOffset
      // The next one that is held may begin inside of it.
      if (endOffset > held.lastOffset + 1) break
    }
    if (firstOffset <= held.lastOffset) shown.push({ ...held, firstOffset })
  }
  return shown
}
