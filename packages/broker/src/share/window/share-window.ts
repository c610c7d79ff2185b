import { assert, type Offset } from '@millrace/base'
import { DeliveryState, type StateBatch } from '../../coordinator/share/share-state.ts'
import { type FailureReason, NO_MEMBER, RangeList, RecordRange } from './record-range.ts'

/** What the window needs to know of its group, as it is now. */
export interface WindowSettings {
  /** Deliveries after which a record is given up. */
  readonly deliveryCountLimit: number
  /** How long a member holds a record. */
  readonly recordLockDurationMs: number
  /** Most records between start and end. */
  readonly maxRecordLocks: number
  /** How long a record that was released, or held too long, waits for its next delivery, and the most that it grows to by doubling. */
  readonly redeliveryDelayMs: number
  readonly redeliveryMaxDelayMs: number
  /** What is given up is archived only once a dead letter is written for it. */
  readonly keepsDeadLetters: boolean
}

/** Records in the windows of a node, of which there is a bound. */
export interface WindowUsage {
  recordCount: number
}

/** What a write should store, and for whom. */
export interface WritePlan {
  readonly startOffset: Offset
  readonly deliveryCompleteCount: number
  readonly stateBatches: readonly StateBatch[]
  /** Ranges whose transition is in it. */
  readonly moving: readonly RecordRange[]
  /** Others that it says the state of. */
  readonly others: readonly RecordRange[]
}

/**
 * The records of a share partition that are neither finished nor ahead of all: `[startOffset, endOffset)`, Kafka's SPSO and SPEO + 1. A pure
 * state machine: times are given, and what is to be stored is asked for. Every offset of it is in exactly one range.
 *
 * Two kinds of changes. What a member acknowledges is stored before it counts (a transition): a failed write puts it back into the
 * member's hands. What the window itself does (a hold ran out, a session ended, records were deleted) counts at once and is stored when
 * it can be; a failed write changes nothing of it, so that what was given up never comes back.
 */
export class ShareWindow {
  readonly #settings: () => WindowSettings
  readonly #usage: WindowUsage
  readonly ranges = new RangeList()
  startOffset: Offset
  endOffset: Offset
  /** Nothing before it is ready. */
  #readyFrom: Offset
  /** Finished records in the window. */
  #completeCount = 0
  /** Ranges with a transition that no write has taken yet. */
  #moving: RecordRange[] = []
  #unsaved = new Set<RecordRange>()
  /** Given up, and not archived before a dead letter is written. */
  readonly #archiving = new Set<RecordRange>()
  /** Of these, records that were deleted before that, since somebody asked last. */
  lostDeadLetterCount = 0
  /** Records given up, since somebody asked last. */
  failedCount = 0
  /** No hold ends, and no delay, before. */
  #nextDeadlineMs = Number.POSITIVE_INFINITY
  /** The coordinator may have something else than was written before. */
  #mustRewrite = false
  #isStartUnsaved = false
  #countedRecords = 0

  /** As stored: `batches` are in order, without overlaps, at or above `startOffset`. */
  constructor(
    startOffset: Offset,
    batches: readonly StateBatch[],
    settings: () => WindowSettings,
    usage: WindowUsage = { recordCount: 0 },
  ) {
    this.#settings = settings
    this.#usage = usage
    this.startOffset = startOffset
    this.endOffset = startOffset
    this.#readyFrom = startOffset
    for (const { firstOffset, lastOffset, deliveryState, deliveryCount } of batches) {
      this.#appendAvailable(firstOffset)
      // What another broker stored as acquired nobody holds any more; states that there are not would never end.
      const isHeldOrUnknown = deliveryState === DeliveryState.ACQUIRED || deliveryState > DeliveryState.ARCHIVED
      const state = isHeldOrUnknown ? DeliveryState.AVAILABLE : (deliveryState as DeliveryState)
      const range = new RecordRange(firstOffset, lastOffset + 1, state, deliveryCount)
      if (state === DeliveryState.ARCHIVING) {
        range.reason = deliveryCount >= settings().deliveryCountLimit ? 'delivery-limit' : 'rejected'
      }
      this.ranges.push(range)
      this.endOffset = lastOffset + 1
      if (range.isFinal) this.#completeCount += range.length
      if (state === DeliveryState.ARCHIVING) this.#awaitDeadLetter(range, true)
    }
    this.#advanceStart()
    // Where the stored start was is what is written anyway, with the next change.
    this.#isStartUnsaved = false
    this.count()
  }

  /** Finished records between start and end. */
  get deliveryCompleteCount(): number {
    return this.#completeCount
  }

  /** Records between start and end. */
  get length(): number {
    return this.endOffset - this.startOffset
  }

  /** Where it begins was found out just now: until it is stored, who takes over would begin elsewhere. */
  saveStart(): void {
    this.#isStartUnsaved = true
  }

  /** The coordinator has nothing of it but where it starts. */
  saveAll(): void {
    this.#isStartUnsaved = true
    this.#mustRewrite = true
  }

  /** Something is to be stored. */
  get needsWrite(): boolean {
    return this.#moving.length > 0 || this.#unsaved.size > 0 || this.#isStartUnsaved
  }

  /** Somebody waits for a write. */
  get hasMoving(): boolean {
    return this.#moving.length > 0
  }

  /** Where to read next: the first record that is ready, else the first that was never read. */
  nextFetchOffset(): Offset {
    const { ranges } = this
    for (let slot = ranges.slotOf(this.#readyFrom); slot < ranges.length; slot++) {
      const range = ranges.at(slot)
      if (!range.isReady) continue
      this.#readyFrom = range.startOffset
      return range.startOffset
    }
    this.#readyFrom = this.endOffset
    return this.endOffset
  }

  /** Whether there is anything to read for: a record that is ready, or room for new ones. */
  get canAcquire(): boolean {
    return this.hasRoom || this.nextFetchOffset() < this.endOffset
  }

  get hasRoom(): boolean {
    return this.length < this.maxRecordLocks
  }

  get maxRecordLocks(): number {
    return this.#settings().maxRecordLocks
  }

  /** Begins the hold of a member on a range that is ready. */
  hold(range: RecordRange, memberId: string, nowMs: number): void {
    range.state = DeliveryState.ACQUIRED
    range.deliveryCount++
    range.memberId = memberId
    // That an earlier delivery ended may not be stored yet: it still has to be, or who takes over would not count it.
    this.#setDeadline(range, nowMs + this.#settings().recordLockDurationMs)
  }

  /** Records behind the end that were read for the first time. Gives the range, which is ready. */
  extend(endOffset: Offset): RecordRange {
    assert(endOffset > this.endOffset, 'a window grows')
    const range = new RecordRange(this.endOffset, endOffset, DeliveryState.AVAILABLE, 0)
    this.ranges.push(range)
    this.endOffset = endOffset
    this.count()
    return range
  }

  /** The part of a range from `offset` on gets a range of its own. */
  splitAt(slot: number, offset: Offset): RecordRange {
    const range = this.ranges.at(slot)
    const rest = this.ranges.splitAt(slot, offset)
    if (this.#unsaved.has(range)) this.#unsaved.add(rest)
    return rest
  }

  /** The same at each of `offsets`, which ascend, as far as there is a range around them. */
  splitAll(offsets: readonly Offset[]): void {
    this.ranges.splitAll(offsets, (range, rest) => {
      if (this.#unsaved.has(range)) this.#unsaved.add(rest)
    })
  }

  /** Records that are not in the log any more, or that no consumer may see: finished at once. */
  archive(startOffset: Offset, endOffset: Offset, isMeant: (range: RecordRange) => boolean): void {
    const { ranges } = this
    const end = Math.min(endOffset, this.endOffset)
    for (let slot = ranges.slotOf(startOffset); slot < ranges.length; slot++) {
      let range = ranges.at(slot)
      if (range.startOffset >= end) break
      if (range.transition !== null || !isMeant(range)) continue
      if (range.startOffset < startOffset) {
        range = this.splitAt(slot, startOffset)
        slot++
      }
      if (range.endOffset > end) this.splitAt(slot, end)
      this.#finish(range, DeliveryState.ARCHIVED)
    }
    this.#advanceStart()
  }

  /** What the delivery of a range comes to that was not a success: another one, or none. */
  failedState(range: RecordRange): DeliveryState {
    if (range.deliveryCount < this.#settings().deliveryCountLimit) return DeliveryState.AVAILABLE
    return this.failureState
  }

  /** What is given up becomes this. */
  get failureState(): DeliveryState {
    return this.#settings().keepsDeadLetters ? DeliveryState.ARCHIVING : DeliveryState.ARCHIVED
  }

  /** It was delivered as often as it may be, as the limit is now. False: it was not. */
  giveUpAtLimit(range: RecordRange, nowMs: number): boolean {
    if (range.deliveryCount < this.#settings().deliveryCountLimit) return false
    this.#endHold(range, nowMs)
    return true
  }

  /** A stored range that waits for its dead letter, which nobody writes yet; null: there is none. */
  nextDeadLetter(): RecordRange | null {
    for (const range of this.#archiving) if (range.isStored && !range.isInDeadLetter) return range
    return null
  }

  /** Ranges that wait for their dead letters. */
  get archivingCount(): number {
    return this.#archiving.size
  }

  /** A member's acknowledgement of a range that it holds: `state` counts once it is stored. */
  move(range: RecordRange, state: DeliveryState, reason: FailureReason | null): void {
    range.transition = { state }
    range.reason = reason
    this.#moving.push(range)
  }

  renew(range: RecordRange, nowMs: number): void {
    this.#setDeadline(range, nowMs + this.#settings().recordLockDurationMs)
  }

  /** No hold ends, and no delay, before this time; infinite if there is none. */
  get nextDeadlineMs(): number {
    return this.#nextDeadlineMs
  }

  /** The session of a member ended: what it holds of `[startOffset, endOffset)` may go to others at once. */
  releaseAll(memberId: string, nowMs: number): void {
    for (const range of this.ranges) {
      const isHeld = range.state === DeliveryState.ACQUIRED && range.memberId === memberId
      if (isHeld && range.transition === null) this.#endHold(range, nowMs)
    }
    this.#advanceStart()
  }

  /** Holds that ran out end, and delays that are over. Gives how many records were held too long. */
  expire(nowMs: number): number {
    let expiredCount = 0
    this.#nextDeadlineMs = Number.POSITIVE_INFINITY
    for (const range of this.ranges) {
      const isHeld = range.state === DeliveryState.ACQUIRED && range.transition === null
      if (!isHeld && !range.isDelayed) continue
      if (range.deadlineMs > nowMs) {
        this.#setDeadline(range, range.deadlineMs)
      } else if (isHeld) {
        expiredCount += range.length
        this.#endHold(range, nowMs)
      } else {
        range.isDelayed = false
        this.#onReady(range)
      }
    }
    this.#advanceStart()
    return expiredCount
  }

  /** Records before `logStartOffset` are deleted, in whoever's hands they are. */
  onLogStart(logStartOffset: Offset): void {
    if (logStartOffset <= this.startOffset) return
    const { ranges } = this
    const slot = ranges.slotOf(logStartOffset)
    if (slot < ranges.length && ranges.at(slot).startOffset < logStartOffset) {
      const range = ranges.at(slot)
      if (range.isFinal) this.#completeCount -= logStartOffset - range.startOffset
      range.startOffset = logStartOffset
    }
    for (const range of ranges.dropFirst(slot)) this.#forget(range)
    this.startOffset = logStartOffset
    this.endOffset = Math.max(this.endOffset, logStartOffset)
    this.#isStartUnsaved = true
    this.#advanceStart()
    this.count()
  }

  /** What a dead letter was written for, or never can be. */
  onDeadLetterDone(range: RecordRange): void {
    range.isInDeadLetter = false
    this.#archiving.delete(range)
    if (range.isDropped) return
    this.#finish(range, DeliveryState.ARCHIVED)
    this.#advanceStart()
  }

  /**
   * All that is to be stored, as one write. What it would finish is counted as finished, so that the stored start is as far as it can
   * be. Before the next one {@link onWritten} must be called. Null: nothing is to be stored.
   */
  takeWrite(): WritePlan | null {
    if (!this.needsWrite) return null
    const startOffset = this.#prospectiveStart()
    const batches = new StateBatches(startOffset)
    let deliveryCompleteCount = 0
    const others: RecordRange[] = []
    for (const range of this.ranges) {
      const state = range.transition?.state ?? range.state
      const isFinal = state === DeliveryState.ACKNOWLEDGED || state === DeliveryState.ARCHIVED
      if (isFinal && range.startOffset >= startOffset) deliveryCompleteCount += range.length
      if (range.transition !== null) {
        batches.add(range, state, range.deliveryCount)
      } else if (state === DeliveryState.ACQUIRED) {
        // Who takes over finds it available, as it was before this delivery.
        if (this.#mustRewrite || this.#unsaved.has(range))
          batches.add(range, DeliveryState.AVAILABLE, range.deliveryCount - 1)
      } else if (this.#mustRewrite ? isFinal || range.deliveryCount > 0 : this.#unsaved.has(range)) {
        batches.add(range, state, range.deliveryCount)
        others.push(range)
      }
    }
    const plan = { startOffset, deliveryCompleteCount, stateBatches: batches.list, moving: this.#moving, others }
    this.#moving = []
    this.#unsaved = new Set()
    this.#isStartUnsaved = false
    this.#mustRewrite = false
    return plan
  }

  /** How the write ended. Where it failed what was meant to be stored may be stored nevertheless: the next write says everything. */
  onWritten(plan: WritePlan, isStored: boolean, nowMs: number): void {
    for (const range of plan.moving) {
      const target = range.transition!.state
      range.transition = null
      if (range.isDropped) continue
      range.isStored = isStored
      if (isStored) this.#arrive(range, target, nowMs)
      else if (range.deadlineMs <= nowMs) this.#endHold(range, nowMs)
      else this.#setDeadline(range, range.deadlineMs)
    }
    if (isStored) {
      for (const range of plan.others) range.isStored = true
    } else {
      this.#mustRewrite = true
      this.#isStartUnsaved = true
    }
    this.#advanceStart()
    this.ranges.compact((range) => this.#unsaved.has(range) || range.isInDeadLetter)
  }

  /** The window is thrown away. */
  close(): void {
    this.#usage.recordCount -= this.#countedRecords
    this.#countedRecords = 0
  }

  count(): void {
    this.#usage.recordCount += this.length - this.#countedRecords
    this.#countedRecords = this.length
  }

  #arrive(range: RecordRange, state: DeliveryState, nowMs: number): void {
    range.state = state
    range.memberId = NO_MEMBER
    if (range.reason !== null && state !== DeliveryState.AVAILABLE) this.failedCount += range.length
    if (range.isFinal) this.#completeCount += range.length
    else if (state === DeliveryState.AVAILABLE) this.#makeAvailable(range, nowMs)
    else this.#awaitDeadLetter(range, range.isStored)
  }

  #awaitDeadLetter(range: RecordRange, isStored: boolean): void {
    range.isStored = isStored
    this.#archiving.add(range)
  }

  /** The member has held it for too long, or is gone. */
  #endHold(range: RecordRange, nowMs: number): void {
    const state = this.failedState(range)
    range.reason = 'delivery-limit'
    range.isStored = false
    this.#unsaved.add(range)
    this.#arrive(range, state, nowMs)
  }

  #finish(range: RecordRange, state: DeliveryState): void {
    if (range.isFinal) return
    range.state = state
    range.memberId = NO_MEMBER
    range.isDelayed = false
    this.#completeCount += range.length
    this.#unsaved.add(range)
  }

  #makeAvailable(range: RecordRange, nowMs: number): void {
    const { redeliveryDelayMs, redeliveryMaxDelayMs } = this.#settings()
    // Doubled with each delivery behind the first.
    const growth = 2 ** Math.min(30, range.deliveryCount - 1)
    const delayMs = redeliveryDelayMs === 0 ? 0 : Math.min(redeliveryDelayMs * growth, redeliveryMaxDelayMs)
    range.reason = null
    range.isDelayed = delayMs > 0
    if (range.isDelayed) this.#setDeadline(range, nowMs + delayMs)
    else this.#onReady(range)
  }

  #setDeadline(range: RecordRange, deadlineMs: number): void {
    range.deadlineMs = deadlineMs
    this.#nextDeadlineMs = Math.min(this.#nextDeadlineMs, deadlineMs)
  }

  #onReady(range: RecordRange): void {
    this.#readyFrom = Math.min(this.#readyFrom, range.startOffset)
  }

  #appendAvailable(endOffset: Offset): void {
    if (endOffset <= this.endOffset) return
    this.ranges.push(new RecordRange(this.endOffset, endOffset, DeliveryState.AVAILABLE, 0))
    this.endOffset = endOffset
  }

  #advanceStart(): void {
    const { ranges } = this
    let slot = 0
    while (slot < ranges.length && ranges.at(slot).isFinal && ranges.at(slot).transition === null) slot++
    if (slot === 0) return
    const startOffset = slot < ranges.length ? ranges.at(slot).startOffset : this.endOffset
    for (const range of ranges.dropFirst(slot)) {
      if (this.#unsaved.has(range)) this.#isStartUnsaved = true
      this.#forget(range)
    }
    this.startOffset = startOffset
    this.count()
  }

  #forget(range: RecordRange): void {
    if (range.isFinal) this.#completeCount -= range.length
    this.#unsaved.delete(range)
    // One that is being written goes on.
    if (range.isInDeadLetter || !this.#archiving.delete(range)) return
    this.lostDeadLetterCount += range.length
  }

  #prospectiveStart(): Offset {
    for (const range of this.ranges) {
      const state = range.transition?.state ?? range.state
      if (state !== DeliveryState.ACKNOWLEDGED && state !== DeliveryState.ARCHIVED) return range.startOffset
    }
    return this.endOffset
  }
}

/** Batches of a write, in order; neighbours that say the same are one. */
class StateBatches {
  readonly list: StateBatch[] = []
  readonly #startOffset: Offset

  constructor(startOffset: Offset) {
    this.#startOffset = startOffset
  }

  add({ startOffset, endOffset }: RecordRange, deliveryState: DeliveryState, deliveryCount: number): void {
    if (endOffset <= this.#startOffset) return
    const last = this.list.at(-1)
    const isSame = last?.deliveryState === deliveryState && last.deliveryCount === deliveryCount
    if (last !== undefined && isSame && last.lastOffset + 1 === startOffset) {
      this.list[this.list.length - 1] = { ...last, lastOffset: endOffset - 1 }
    } else {
      this.list.push({ firstOffset: startOffset, lastOffset: endOffset - 1, deliveryState, deliveryCount })
    }
  }
}
