import type { Clock, Offset, Timer, Timers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { mergeStateBatches } from '../coordinator/share/merge-state-batches.ts'
import { type ShareKey, type ShareStateStore, type StateBatch, shareKeyText } from '../coordinator/share/share-state.ts'
import type { Logger } from '../logger.ts'
import type { FetchWaiter, Partition } from '../partition/partition.ts'
import type { Breaker } from './breaker.ts'
import type { ShareGroupSettings } from './share-settings.ts'
import type { ShareTotals } from './share-totals.ts'
import { clientErrorOf, endsOwnership } from './state/write-errors.ts'
import { type AcknowledgementBatch, acknowledge } from './window/acknowledge.ts'
import type { RecordRange } from './window/record-range.ts'
import { ShareWindow, type WindowUsage, type WritePlan } from './window/share-window.ts'

/** Holds and delays that end within this time end together: each look goes over all ranges. */
const EXPIRY_GRAIN_MS = 50
/** First pause after a write that failed and that nobody waits for; doubled up to the most. */
const FIRST_WRITE_RETRY_MS = 500
const MAX_WRITE_RETRY_MS = 30_000
const FIRST_READ_PAUSE_MS = 100
const MAX_READ_PAUSE_MS = 10_000

/** Somebody who waits for records of a share partition. */
export interface ShareWaiter {
  /** There may be some, or none any more for ever. */
  onShareChanged(): void
}

/** What a share partition needs of the world. */
export interface SharePartitionDeps {
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  readonly store: ShareStateStore
  readonly totals: ShareTotals
  readonly usage: WindowUsage
  /** The group's, as they are now. */
  settings(groupId: string): ShareGroupSettings
  /** Where a group begins that has no offset, or the error that keeps it from being known. */
  initialOffset(partition: Partition, settings: ShareGroupSettings): Promise<Offset | { readonly errorCode: number }>
  /** Of an earlier share partition with this key, if that has something to remember. */
  breakerOf(key: string): Breaker
  /** There may be dead letters to write. */
  onDeadLetters(share: SharePartition): void
  /** Nothing is under way, and nothing is to be remembered. */
  onQuiet(share: SharePartition): void
  /** It is of no use any more. */
  onClosed(share: SharePartition): void
}

/** An acknowledgement that is to be stored. */
interface Waiting {
  readonly ranges: readonly RecordRange[]
  resolve(errorCode: number): void
}

/**
 * One partition as one share group consumes it, on the partition's leader, for the time of one leader epoch (KIP-932). Its window is what
 * the coordinator has stored, and what has happened since; writes go out one at a time, each with all that came meanwhile, so that a slow
 * coordinator holds up this share partition and no other.
 */
export class SharePartition implements FetchWaiter {
  readonly key: ShareKey
  readonly text: string
  readonly partition: Partition
  readonly leaderEpoch: number
  /** Kept for longer than the share partition. */
  readonly breaker: Breaker
  readonly #deps: SharePartitionDeps
  readonly #waiters = new Set<ShareWaiter>()
  #state: 'loading' | 'active' | 'closed' = 'loading'
  /** Why it is closed. */
  #closeCode: number = ErrorCode.NONE
  #stateEpoch = 0
  /** Where what is stored begins; -1: nobody knows, since a write is under way or failed. */
  #storedStart: Offset = -1
  #window: ShareWindow | null = null
  /** Of the write under way. */
  #written: WritePlan | null = null
  #waitingForIt: Waiting[] = []
  /** For the next one. */
  #waiting: Waiting[] = []
  #retryCount = 0
  #retryTimer: Timer | null = null
  #expiryTimer: Timer | null = null
  #expiryAtMs = Number.POSITIVE_INFINITY
  /** Somebody reads for it: nobody else does. */
  isReading = false
  #readFailureCount = 0
  #readAgainMs = Number.NEGATIVE_INFINITY
  /** No session of the group is left: its state may be changed by others until one comes back. */
  #isUnattended = false

  constructor(key: ShareKey, partition: Partition, deps: SharePartitionDeps) {
    this.key = key
    this.text = shareKeyText(key)
    this.partition = partition
    this.leaderEpoch = partition.leaderEpoch
    this.#deps = deps
    this.breaker = deps.breakerOf(this.text)
    partition.addFetchWaiter(this)
  }

  get settings(): ShareGroupSettings {
    return this.#deps.settings(this.key.groupId)
  }

  get state(): 'loading' | 'active' | 'closed' {
    return this.#state
  }

  /** What clients are told of one that is closed. */
  get closeCode(): number {
    return clientErrorOf(this.#closeCode)
  }

  /** Null unless it is active. */
  get window(): ShareWindow | null {
    return this.#state === 'active' ? this.#window : null
  }

  /** Reads what is stored. Afterwards it is active or closed. */
  async load(): Promise<void> {
    const read = await this.#deps.store.read(this.key, this.leaderEpoch)
    if (this.#state !== 'loading') return
    if (read.errorCode !== ErrorCode.NONE) {
      this.close(read.errorCode)
      return
    }
    let startOffset: Offset = read.startOffset
    if (startOffset < 0) {
      const initial = await this.#deps.initialOffset(this.partition, this.settings)
      // A load that was overtaken by a close says nothing.
      if (this.isClosed) return
      if (typeof initial !== 'number') {
        this.close(initial.errorCode)
        return
      }
      startOffset = initial
    }
    this.#stateEpoch = read.stateEpoch
    const { logEndOffset } = this.partition.log
    const isOfLostLog = startOffset > logEndOffset || (read.stateBatches.at(-1)?.lastOffset ?? -1) >= logEndOffset
    startOffset = Math.min(startOffset, logEndOffset)
    if (isOfLostLog && !(await this.#beginAgain(startOffset))) return
    const batches = mergeStateBatches([], batchesBefore(read.stateBatches, logEndOffset), startOffset)
    this.#window = new ShareWindow(startOffset, batches, () => this.settings, this.#deps.usage)
    if (isOfLostLog) this.#window.saveAll()
    else if (read.startOffset < 0) this.#window.saveStart()
    else this.#storedStart = read.startOffset
    this.#state = 'active'
    const { pauseLeftMs } = this
    if (pauseLeftMs > 0) this.#armExpiry(this.#deps.clock.monotonicMs() + pauseLeftMs)
    this.onPartitionChanged()
    this.onChanged()
  }

  /**
   * What was stored is of another log, where an unclean election took its end: what is written there now must be delivered, whoever leads by
   * then. Writes only add to what the coordinator has, so it has to begin anew. False: it could not, and the share partition is closed.
   */
  async #beginAgain(startOffset: Offset): Promise<boolean> {
    const { store, logger } = this.#deps
    const { topic, partition } = this.partition
    logger.warn('a share group was further than the log is, and goes back', {
      share: this.text,
      topic,
      partition,
      startOffset,
    })
    const begun = await store.initialize(this.key, this.#stateEpoch, startOffset)
    // Earlier leaders are fenced by who read last.
    const { errorCode } = begun.errorCode === ErrorCode.NONE ? await store.read(this.key, this.leaderEpoch) : begun
    if (this.#state !== 'loading') return false
    if (errorCode !== ErrorCode.NONE) this.close(errorCode)
    return !this.isClosed
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Sessions of the group are gone, all of them, or one is back. What was changed meanwhile, as by a reset of offsets, is found then. */
  setUnattended(isUnattended: boolean): void {
    const comesBack = this.#isUnattended && !isUnattended
    this.#isUnattended = isUnattended
    if (comesBack && this.#state === 'active') void this.#checkEpoch()
    if (isUnattended) this.#maybeQuiet()
  }

  async #checkEpoch(): Promise<void> {
    this.#state = 'loading'
    const storedStart = this.#storedStart
    const summary = await this.#deps.store.readSummary(this.key, this.leaderEpoch)
    if (this.#state !== 'loading') return
    if (summary.errorCode !== ErrorCode.NONE) this.close(summary.errorCode)
    else if (summary.stateEpoch !== this.#stateEpoch || !this.#isOurs(summary.startOffset, storedStart)) {
      this.close(ErrorCode.FENCED_STATE_EPOCH)
    } else {
      this.#state = 'active'
      this.onChanged()
    }
  }

  /** The epochs of a group that was deleted and made anew begin where they began before: where it begins tells the two apart. */
  #isOurs(startOffset: Offset, storedBefore: Offset): boolean {
    if (startOffset < 0) return false
    const isKnown = storedBefore >= 0 && this.#storedStart >= 0
    return !isKnown || startOffset === storedBefore || startOffset === this.#storedStart
  }

  addWaiter(waiter: ShareWaiter): void {
    this.#waiters.add(waiter)
  }

  removeWaiter(waiter: ShareWaiter): void {
    this.#waiters.delete(waiter)
  }

  /** Whether somebody may read for it now. */
  get isReadable(): boolean {
    const { window } = this
    if (window === null || this.isReading || this.pauseLeftMs > 0) return false
    return this.#deps.clock.monotonicMs() >= this.#readAgainMs && window.canAcquire
  }

  /** How long deliveries pause, since too many have failed. */
  get pauseLeftMs(): number {
    return this.breaker.pauseLeftMs(this.#deps.clock.monotonicMs())
  }

  /** A read failed: the next one waits a little, so that nobody asks the disk as fast as they can. */
  onReadFailed(): void {
    const pauseMs = Math.min(MAX_READ_PAUSE_MS, FIRST_READ_PAUSE_MS * 2 ** this.#readFailureCount)
    this.#readFailureCount = Math.min(this.#readFailureCount + 1, 10)
    this.#readAgainMs = this.#deps.clock.monotonicMs() + pauseMs
    this.#armExpiry(this.#readAgainMs)
  }

  onReadDone(): void {
    this.#readFailureCount = 0
  }

  /**
   * From the partition: more can be read, records were deleted, or it is led by others. Hot path where a share group consumes: does little
   * while nobody waits.
   */
  onPartitionChanged(): void {
    if (this.isClosed) return
    const { partition } = this
    const errorCode = partition.checkLeader(-1)
    if (errorCode !== ErrorCode.NONE || partition.leaderEpoch !== this.leaderEpoch) {
      this.close(errorCode === ErrorCode.NONE ? ErrorCode.FENCED_LEADER_EPOCH : errorCode)
      return
    }
    const { logStartOffset } = partition.log
    if (this.#window !== null && logStartOffset > this.#window.startOffset) {
      this.#window.onLogStart(logStartOffset)
      this.onChanged()
    } else if (this.#waiters.size > 0) {
      this.#wake()
    }
  }

  /** Resolves with 0 once what a member acknowledges is stored, or with the error. */
  acknowledge(memberId: string, batches: readonly AcknowledgementBatch[]): Promise<number> {
    const { window } = this
    if (window === null) {
      const errorCode = this.isClosed ? this.closeCode : ErrorCode.COORDINATOR_NOT_AVAILABLE
      return Promise.resolve(errorCode)
    }
    const nowMs = this.#deps.clock.monotonicMs()
    const { allowsRenewal } = this.settings
    const { errorCode, moved } = acknowledge(window, { memberId, batches, allowsRenewal, nowMs })
    if (errorCode !== ErrorCode.NONE || moved.length === 0) return Promise.resolve(errorCode)
    const { promise, resolve } = Promise.withResolvers<number>()
    this.#waiting.push({ ranges: moved, resolve })
    this.#maybeWrite()
    return promise
  }

  /** The session of a member is over: what it holds goes to others. */
  release(memberId: string): void {
    // Also while it is looked for changes of its state: locks of nobody would run on.
    const window = this.#window
    if (window === null || this.isClosed) return
    window.releaseAll(memberId, this.#deps.clock.monotonicMs())
    this.onChanged()
  }

  /** After any change of the window that did not come from here. */
  onChanged(): void {
    const window = this.#window
    if (window === null || this.isClosed) return
    this.#deps.totals.lostDeadLetters += window.lostDeadLetterCount
    window.lostDeadLetterCount = 0
    if (window.failedCount > 0) this.#onFailed(window.failedCount)
    window.failedCount = 0
    this.#armExpiry(window.nextDeadlineMs)
    this.#maybeWrite()
    if (window.archivingCount > 0) this.#deps.onDeadLetters(this)
    this.#wake()
    this.#maybeQuiet()
  }

  /** A dead letter is written, or never will be. */
  onDeadLetterDone(range: RecordRange): void {
    this.#window?.onDeadLetterDone(range)
    this.onChanged()
  }

  /** Records were given up. */
  #onFailed(recordCount: number): void {
    const { clock, logger } = this.#deps
    const { breaker } = this.settings
    if (!this.breaker.onFailed(recordCount, breaker, clock.monotonicMs())) return
    this.#deps.totals.breakerTrips++
    logger.warn('deliveries of a share group pause: too many of its records fail', {
      group: this.key.groupId,
      topic: this.partition.topic,
      partition: this.partition.partition,
      pauseMs: breaker.pauseMs,
    })
    this.#armExpiry(clock.monotonicMs() + breaker.pauseMs)
  }

  /** Whoever waits gets the error; what the coordinator has is all that is left. */
  close(errorCode: number): void {
    if (this.isClosed) return
    this.#state = 'closed'
    this.#closeCode = errorCode
    this.partition.removeFetchWaiter(this)
    this.#retryTimer?.cancel()
    this.#expiryTimer?.cancel()
    this.#window?.close()
    const waiting = [...this.#waitingForIt, ...this.#waiting]
    this.#waitingForIt = []
    this.#waiting = []
    for (const { resolve } of waiting) resolve(this.closeCode)
    this.#deps.onClosed(this)
    this.#wake()
  }

  /** Those who came first get what there is first; whoever gets something waits no longer. */
  #wake(): void {
    for (const waiter of [...this.#waiters]) {
      if (!this.isClosed && !this.isReadable) return
      waiter.onShareChanged()
    }
  }

  #maybeWrite(): void {
    if (this.#written !== null || this.#state !== 'active') return
    const window = this.#window!
    if (!window.needsWrite) return
    // What nobody waits for is tried again now and then; what somebody does is tried at once.
    if (this.#retryTimer !== null && !window.hasMoving) return
    const plan = window.takeWrite()!
    this.#written = plan
    this.#storedStart = -1
    this.#waitingForIt = this.#waiting
    this.#waiting = []
    const { startOffset, deliveryCompleteCount, stateBatches } = plan
    const { leaderEpoch } = this
    const write = { stateEpoch: this.#stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount, stateBatches }
    void this.#deps.store.write(this.key, write).then(({ errorCode }) => this.#onWritten(plan, errorCode))
  }

  #onWritten(plan: WritePlan, errorCode: number): void {
    if (this.#written !== plan || this.isClosed) return
    this.#written = null
    const waiting = this.#waitingForIt
    this.#waitingForIt = []
    if (endsOwnership(errorCode)) {
      for (const { resolve } of waiting) resolve(clientErrorOf(errorCode))
      this.close(errorCode)
      return
    }
    const isStored = errorCode === ErrorCode.NONE
    const window = this.#window!
    window.onWritten(plan, isStored, this.#deps.clock.monotonicMs())
    if (isStored) {
      this.#storedStart = plan.startOffset
      this.#endRetries()
    } else this.#retryLater(errorCode)
    for (const { resolve } of waiting) resolve(clientErrorOf(errorCode))
    this.onChanged()
  }

  #endRetries(): void {
    this.#retryCount = 0
    this.#retryTimer?.cancel()
    this.#retryTimer = null
  }

  #retryLater(errorCode: number): void {
    const { logger, timers } = this.#deps
    const delayMs = Math.min(MAX_WRITE_RETRY_MS, FIRST_WRITE_RETRY_MS * 2 ** this.#retryCount)
    if (this.#retryCount === 0) {
      logger.warn('state of a share group was not stored and is tried again', {
        group: this.key.groupId,
        topic: this.partition.topic,
        partition: this.partition.partition,
        errorCode,
      })
    }
    this.#retryCount = Math.min(this.#retryCount + 1, 10)
    this.#retryTimer?.cancel()
    this.#retryTimer = timers.setTimer(delayMs, () => {
      this.#retryTimer = null
      this.#maybeWrite()
    })
  }

  /** Looks for what has run out not later than at `atMs`, but not more often than the grain. */
  #armExpiry(atMs: number): void {
    if (atMs >= this.#expiryAtMs || !Number.isFinite(atMs)) return
    const { clock, timers } = this.#deps
    this.#expiryTimer?.cancel()
    this.#expiryAtMs = atMs
    const delayMs = Math.max(EXPIRY_GRAIN_MS, atMs - clock.monotonicMs())
    this.#expiryTimer = timers.setTimer(delayMs, () => {
      this.#expiryTimer = null
      this.#expiryAtMs = Number.POSITIVE_INFINITY
      this.#expire()
    })
  }

  #expire(): void {
    const { clock, totals } = this.#deps
    const window = this.#window
    if (window === null || this.isClosed) return
    const nowMs = clock.monotonicMs()
    totals.expiredLocks += window.expire(nowMs)
    const { pauseLeftMs } = this
    if (pauseLeftMs > 0) this.#armExpiry(nowMs + pauseLeftMs)
    if (this.#readAgainMs > nowMs) this.#armExpiry(this.#readAgainMs)
    this.onChanged()
  }

  #maybeQuiet(): void {
    if (!this.#isUnattended || this.#state !== 'active') return
    const window = this.#window!
    const isBusy = this.#written !== null || window.needsWrite || window.archivingCount > 0 || this.isReading
    if (!isBusy && !Number.isFinite(window.nextDeadlineMs) && this.pauseLeftMs === 0) this.#deps.onQuiet(this)
  }
}

function batchesBefore(batches: readonly StateBatch[], endOffset: Offset): StateBatch[] {
  const before: StateBatch[] = []
  for (const batch of batches) {
    if (batch.firstOffset < endOffset) before.push({ ...batch, lastOffset: Math.min(batch.lastOffset, endOffset - 1) })
  }
  return before
}
