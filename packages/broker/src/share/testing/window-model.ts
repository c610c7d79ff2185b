import type { Offset } from '@millrace/base'
import { mergeStateBatches } from '../../coordinator/share/merge-state-batches.ts'
import { DeliveryState, type StateBatch } from '../../coordinator/share/share-state.ts'
import { AcknowledgeType, acknowledge } from '../window/acknowledge.ts'
import { type Acquired, AcquireMode, acquire } from '../window/acquire.ts'
import type { RecordRange } from '../window/record-range.ts'
import { ShareWindow, type WindowSettings, type WindowUsage, type WritePlan } from '../window/share-window.ts'

const BATCH_LENGTHS = [3, 1, 7, 2, 10, 1, 1, 5]

/** What happened to a record, as its consumers and the coordinator know it. */
interface ModelRecord {
  holder: string | null
  heldUntilMs: number
  deliveries: number
  /** The coordinator has stored that it is finished, and said so. */
  isDone: boolean
  /** It was given up here: not to be seen again by this leader's members. */
  isGivenUp: boolean
}

/**
 * A window beside a model of single records: members that acquire and acknowledge, writes that succeed, fail, or succeed without anybody
 * hearing of it, leaders that take over what is stored. Throws where the window breaks a promise.
 */
export class WindowModel {
  readonly settings: WindowSettings
  readonly usage: WindowUsage = { recordCount: 0 }
  nowMs = 0
  window: ShareWindow
  logStartOffset: Offset = 0
  logEndOffset: Offset = 0
  #stored: { startOffset: Offset; batches: readonly StateBatch[] } = { startOffset: 0, batches: [] }
  readonly #records: ModelRecord[] = []
  #plan: WritePlan | null = null
  /** What each write, when it succeeds, makes certain. */
  #promised: Offset[][] = []
  #batchCount = 0

  constructor(settings: Partial<WindowSettings> = {}) {
    this.settings = {
      deliveryCountLimit: 3,
      recordLockDurationMs: 100,
      maxRecordLocks: 40,
      redeliveryDelayMs: 0,
      redeliveryMaxDelayMs: 0,
      keepsDeadLetters: false,
      ...settings,
    }
    this.window = new ShareWindow(0, [], () => this.settings, this.usage)
  }

  append(): void {
    const length = BATCH_LENGTHS[this.#batchCount++ % BATCH_LENGTHS.length]!
    this.logEndOffset += length
    for (let count = 0; count < length; count++) {
      this.#records.push({ holder: null, heldUntilMs: 0, deliveries: 0, isDone: false, isGivenUp: false })
    }
  }

  acquire(memberId: string, maxRecords: number, isStrict: boolean): Acquired[] {
    this.tick(0)
    const fetchOffset = this.window.nextFetchOffset()
    const batches = this.#batches().filter(({ endOffset }) => endOffset > fetchOffset)
    if (batches.length === 0 || !this.window.canAcquire) return []
    const { deliveryCountLimit } = this.settings
    const mode = isStrict ? AcquireMode.RECORD_LIMIT : AcquireMode.BATCH_OPTIMIZED
    const request = {
      memberId,
      mode,
      maxRecords,
      batchSize: 4,
      fetchOffset,
      batches,
      hasRoom: true,
      deliveryCountLimit,
    }
    const acquired = acquire(this.window, { ...request, nowMs: this.nowMs })
    for (const held of acquired) this.#onAcquired(held, memberId)
    const count = acquired.reduce((sum, { firstOffset, lastOffset }) => sum + lastOffset - firstOffset + 1, 0)
    if (isStrict && count > maxRecords) throw new Error(`${count} records acquired instead of ${maxRecords}`)
    this.check()
    return acquired
  }

  /** Says `type` of what a member holds of `[firstOffset, lastOffset]`. Gives the error code. */
  acknowledge(memberId: string, firstOffset: Offset, lastOffset: Offset, type: number): number {
    const batches = [{ firstOffset, lastOffset, acknowledgeTypes: [type] }]
    const { errorCode, moved } = acknowledge(this.window, { memberId, batches, allowsRenewal: true, nowMs: this.nowMs })
    for (const range of moved) {
      for (let offset = range.startOffset; offset < range.endOffset; offset++) {
        const record = this.#records[offset]!
        if (record.holder !== memberId) throw new Error(`${offset} was acknowledged by one who does not hold it`)
      }
    }
    if (errorCode === 0 && type === AcknowledgeType.RENEW) this.#renew(firstOffset, lastOffset, memberId)
    this.check()
    return errorCode
  }

  release(memberId: string): void {
    // What it has said something of it still holds, until that is stored or its time is over.
    this.window.releaseAll(memberId, this.nowMs)
    this.check()
  }

  tick(durationMs: number): void {
    this.nowMs += durationMs
    if (this.window.nextDeadlineMs <= this.nowMs) this.window.expire(this.nowMs)
    this.check()
  }

  beginWrite(): void {
    if (this.#plan !== null) return
    this.#plan = this.window.takeWrite()
    if (this.#plan === null) return
    const finished: Offset[] = []
    const { startOffset, stateBatches } = this.#plan
    for (let offset = this.logStartOffset; offset < startOffset; offset++) finished.push(offset)
    for (const { firstOffset, lastOffset, deliveryState } of stateBatches) {
      if (deliveryState !== DeliveryState.ACKNOWLEDGED && deliveryState !== DeliveryState.ARCHIVED) continue
      for (let offset = firstOffset; offset <= lastOffset; offset++) finished.push(offset)
    }
    this.#promised.push(finished)
  }

  /** `isApplied`: the coordinator took it, whatever it says. */
  endWrite(isApplied: boolean, isTold: boolean): void {
    const plan = this.#plan
    if (plan === null) return
    this.#plan = null
    const finished = this.#promised.pop()!
    if (isApplied) {
      const { startOffset, stateBatches } = plan
      this.#stored = { startOffset, batches: mergeStateBatches(this.#stored.batches, stateBatches, startOffset) }
    }
    const isStored = isApplied && isTold
    this.window.onWritten(plan, isStored, this.nowMs)
    if (isStored) for (const offset of finished) this.#records[offset]!.isDone = true
    if (isStored && !this.window.needsWrite) this.#checkStored()
    this.check()
  }

  /** When there is nothing to store, who takes over counts all deliveries that ended. */
  #checkStored(): void {
    const { batches } = this.#stored
    for (const { startOffset, endOffset, state, deliveryCount } of this.window.ranges) {
      const endedCount = state === DeliveryState.ACQUIRED ? deliveryCount - 1 : deliveryCount
      for (let offset = startOffset; offset < endOffset; offset++) {
        const stored = batches.find(({ firstOffset, lastOffset }) => firstOffset <= offset && offset <= lastOffset)
        const storedCount = stored?.deliveryCount ?? 0
        if (storedCount < endedCount)
          throw new Error(`${offset}: ${storedCount} of ${endedCount} deliveries are stored`)
      }
    }
  }

  /** Another leader, which knows what is stored and nothing else. */
  failOver(): void {
    this.#plan = null
    this.#promised = []
    this.window.close()
    if (this.usage.recordCount !== 0) throw new Error('a closed window holds records')
    const startOffset = Math.max(this.#stored.startOffset, this.logStartOffset)
    const batches = mergeStateBatches([], this.#stored.batches, startOffset)
    this.window = new ShareWindow(startOffset, batches, () => this.settings, this.usage)
    for (const record of this.#records) {
      record.holder = null
      record.isGivenUp = false
      // Deliveries that nobody had stored are forgotten.
      record.deliveries = 0
    }
    for (const { firstOffset, lastOffset, deliveryCount } of batches) {
      for (let offset = firstOffset; offset <= lastOffset; offset++) this.#records[offset]!.deliveries = deliveryCount
    }
    this.check()
  }

  deleteRecords(count: number): void {
    this.logStartOffset = Math.min(this.logEndOffset, this.logStartOffset + count)
    this.window.onLogStart(this.logStartOffset)
    for (let offset = 0; offset < this.logStartOffset; offset++) this.#records[offset]!.isDone = true
    this.check()
  }

  /** A dead letter that is due is written; gives the range, null if none is due. */
  writeDeadLetter(): RecordRange | null {
    const range = this.window.nextDeadLetter()
    if (range === null) return null
    range.isInDeadLetter = true
    this.window.onDeadLetterDone(range)
    this.check()
    return range
  }

  /** Nothing fails any more: every record must end. */
  converge(): void {
    const limit = 20 + this.#records.length * (this.settings.deliveryCountLimit + 2)
    for (let round = 0; round < limit; round++) {
      this.beginWrite()
      this.endWrite(true, true)
      while (this.writeDeadLetter() !== null);
      if (this.window.startOffset === this.logEndOffset && !this.window.needsWrite) return
      for (const { firstOffset, lastOffset } of this.acquire('last', 50, false)) {
        const errorCode = this.acknowledge('last', firstOffset, lastOffset, AcknowledgeType.ACCEPT)
        if (errorCode !== 0) throw new Error(`what was acquired just now cannot be acknowledged: ${errorCode}`)
      }
      this.tick(this.settings.recordLockDurationMs + 1)
    }
    throw new Error(`records are left: ${this.window.startOffset} of ${this.logEndOffset}`)
  }

  /** What must hold at any time. */
  check(): void {
    const { window } = this
    let offset = window.startOffset
    let finishedCount = 0
    for (const range of window.ranges) {
      if (range.startOffset !== offset || range.endOffset <= offset) throw new Error(`a gap at ${offset}`)
      if (range.isDropped) throw new Error(`a dropped range at ${offset}`)
      if (range.isFinal) finishedCount += range.length
      if (range.deliveryCount > this.settings.deliveryCountLimit) throw new Error(`too many deliveries at ${offset}`)
      offset = range.endOffset
    }
    if (offset !== window.endOffset) throw new Error(`the window ends at ${window.endOffset}, its ranges at ${offset}`)
    if (finishedCount !== window.deliveryCompleteCount) throw new Error(`${finishedCount} records are finished`)
    if (this.usage.recordCount !== window.length) throw new Error(`${this.usage.recordCount} records are counted`)
    this.#noteGivenUp()
  }

  #onAcquired({ firstOffset, lastOffset, deliveryCount }: Acquired, memberId: string): void {
    for (let offset = firstOffset; offset <= lastOffset; offset++) {
      const record = this.#records[offset]!
      const isHeld = record.holder !== null && record.heldUntilMs > this.nowMs
      if (isHeld) throw new Error(`${offset} was given to ${memberId} while ${record.holder} held it`)
      if (record.isDone) throw new Error(`${offset} was delivered though it is finished`)
      if (record.isGivenUp) throw new Error(`${offset} came back after it was given up`)
      if (deliveryCount > this.settings.deliveryCountLimit) throw new Error(`${offset}: delivery ${deliveryCount}`)
      if (deliveryCount < record.deliveries) throw new Error(`${offset}: ${deliveryCount} is less than before`)
      record.deliveries = deliveryCount
      record.holder = memberId
      record.heldUntilMs = this.nowMs + this.settings.recordLockDurationMs
    }
  }

  #renew(firstOffset: Offset, lastOffset: Offset, memberId: string): void {
    for (let offset = firstOffset; offset <= lastOffset; offset++) {
      const record = this.#records[offset]!
      if (record.holder === memberId) record.heldUntilMs = this.nowMs + this.settings.recordLockDurationMs
    }
  }

  /** Whoever does not hold a record in the window does not hold it in the model; what is archived stays so. */
  #noteGivenUp(): void {
    for (const range of this.window.ranges) {
      const isGivenUp = range.state === DeliveryState.ARCHIVED || range.state === DeliveryState.ARCHIVING
      for (let offset = range.startOffset; offset < range.endOffset; offset++) {
        const record = this.#records[offset]!
        if (range.state !== DeliveryState.ACQUIRED) record.holder = null
        if (isGivenUp) record.isGivenUp = true
        else if (record.isGivenUp) throw new Error(`${offset} was given up and is ${range.state}`)
      }
    }
  }

  #batches(): { startOffset: Offset; endOffset: Offset }[] {
    const batches = []
    let startOffset = 0
    for (let count = 0; startOffset < this.logEndOffset; count++) {
      const endOffset = startOffset + BATCH_LENGTHS[count % BATCH_LENGTHS.length]!
      if (endOffset > this.logStartOffset) batches.push({ startOffset, endOffset })
      startOffset = endOffset
    }
    return batches
  }
}
