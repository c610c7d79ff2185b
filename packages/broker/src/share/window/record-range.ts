import type { Offset } from '@millrace/base'
import { DeliveryState } from '../../coordinator/share/share-state.ts'

/** Why a record's delivery ended without success. */
export type FailureReason = 'rejected' | 'delivery-limit'

/** Nobody. */
export const NO_MEMBER = ''

/** What a range becomes once the coordinator has stored it. */
export interface Transition {
  readonly state: DeliveryState
}

/**
 * Records of a share partition that are in the same state: `[startOffset, endOffset)`. Ranges lie side by side in a {@link RangeList}.
 */
export class RecordRange {
  startOffset: Offset
  endOffset: Offset
  state: DeliveryState
  /** Deliveries begun. */
  deliveryCount: number
  /** Who holds it while it is acquired. */
  memberId = NO_MEMBER
  /** Monotonic: when the hold of an acquired range ends, or when a delayed one may be delivered again. */
  deadlineMs = 0
  /** Available, but not before `deadlineMs`. */
  isDelayed = false
  /** Stored as another state just now: neither acquired nor acknowledged meanwhile. */
  transition: Transition | null = null
  /** The coordinator has it as it is. Kept only of what is being archived. */
  isStored = false
  /** Of a range that is, or is to be, archived since its delivery failed; null: it is not. */
  reason: FailureReason | null = null
  /** A dead letter is being written for it. */
  isInDeadLetter = false
  /** No part of the window any more: whoever still refers to it must leave it alone. */
  isDropped = false

  constructor(startOffset: Offset, endOffset: Offset, state: DeliveryState, deliveryCount: number) {
    this.startOffset = startOffset
    this.endOffset = endOffset
    this.state = state
    this.deliveryCount = deliveryCount
  }

  get length(): number {
    return this.endOffset - this.startOffset
  }

  /** Cuts it in two at `offset`, which lies inside. Gives the second part. Not of one with a transition, which knows its range. */
  cutAt(offset: Offset): RecordRange {
    const rest = new RecordRange(offset, this.endOffset, this.state, this.deliveryCount)
    rest.memberId = this.memberId
    rest.deadlineMs = this.deadlineMs
    rest.isDelayed = this.isDelayed
    rest.reason = this.reason
    this.endOffset = offset
    return rest
  }

  /** Nothing will happen to it any more. */
  get isFinal(): boolean {
    return this.state === DeliveryState.ACKNOWLEDGED || this.state === DeliveryState.ARCHIVED
  }

  /** It may be acquired now. */
  get isReady(): boolean {
    return this.state === DeliveryState.AVAILABLE && this.transition === null && !this.isDelayed
  }

  /** Whether this and the range behind it say the same of records that nobody is at. */
  isLike(next: RecordRange): boolean {
    const isQuiet = this.transition === null && next.transition === null && (this.isFinal || this.isReady)
    return isQuiet && this.state === next.state && this.deliveryCount === next.deliveryCount && !next.isDelayed
  }
}

/** Below so many ranges they are not looked through for neighbours that could be one. */
const MIN_COMPACTION_LENGTH = 64

/** Ranges in order, without gaps between them. */
export class RangeList {
  #ranges: RecordRange[] = []
  /** Above so many, neighbours that say the same become one. */
  #compactionLength = MIN_COMPACTION_LENGTH

  get length(): number {
    return this.#ranges.length
  }

  get first(): RecordRange | undefined {
    return this.#ranges[0]
  }

  get last(): RecordRange | undefined {
    return this.#ranges.at(-1)
  }

  at(slot: number): RecordRange {
    return this.#ranges[slot]!
  }

  [Symbol.iterator](): ArrayIterator<RecordRange> {
    return this.#ranges[Symbol.iterator]()
  }

  /** Slot of the range that holds `offset`, or of the first one behind it; the length if there is none. */
  slotOf(offset: Offset): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#ranges[middle]!.endOffset <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Behind the last one. */
  push(range: RecordRange): void {
    this.#ranges.push(range)
  }

  /** Cuts the range in `slot` in two at `offset`, which lies inside of it. Gives the second part, which is in the next slot. */
  splitAt(slot: number, offset: Offset): RecordRange {
    const rest = this.#ranges[slot]!.cutAt(offset)
    this.#ranges.splice(slot + 1, 0, rest)
    return rest
  }

  /**
   * Cuts at each of `offsets`, which ascend, where ranges do not end anyway. In one go: a cut alone moves all ranges behind it, which in a
   * window of a hundred thousand takes seconds for all of them.
   */
  splitAll(offsets: readonly number[], onSplit: (range: RecordRange, rest: RecordRange) => void): void {
    const parts: RecordRange[] = []
    let next = 0
    for (const whole of this.#ranges) {
      let range = whole
      parts.push(range)
      while (next < offsets.length && offsets[next]! <= range.startOffset) next++
      for (; next < offsets.length && offsets[next]! < range.endOffset; next++) {
        if (offsets[next]! === range.startOffset) continue
        const rest = range.cutAt(offsets[next]!)
        onSplit(range, rest)
        parts.push(rest)
        range = rest
      }
    }
    this.#ranges = parts
  }

  /** Takes the first `count` ranges out. */
  dropFirst(count: number): RecordRange[] {
    const dropped = this.#ranges.splice(0, count)
    for (const range of dropped) range.isDropped = true
    return dropped
  }

  /** Once there are many, neighbours that say the same become one, but for those that `isPinned` names. Amortised. */
  compact(isPinned: (range: RecordRange) => boolean): void {
    if (this.#ranges.length < this.#compactionLength) return
    const kept: RecordRange[] = []
    for (const range of this.#ranges) {
      const last = kept.at(-1)
      if (last?.isLike(range) === true && !isPinned(last) && !isPinned(range)) {
        last.endOffset = range.endOffset
        range.isDropped = true
      } else {
        kept.push(range)
      }
    }
    this.#ranges = kept
    this.#compactionLength = Math.max(MIN_COMPACTION_LENGTH, kept.length * 2)
  }
}
