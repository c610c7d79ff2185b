import { DiskError, type Offset, type Timer, type Timers } from '@millrace/base'
import { CorruptBatchError, ErrorCode } from '@millrace/protocol'
import { type Log, ReadResult } from '@millrace/storage'
import { DeliveryState } from '../../coordinator/share/share-state.ts'
import type { FetchLimits, ParkedFetch } from '../../partition/fetch-limits.ts'
import type { SharePartition, ShareWaiter } from '../share-partition.ts'
import { fetchErrorOf } from '../state/write-errors.ts'
import { type Acquired, acquire, hide } from '../window/acquire.ts'
import type { RecordRange } from '../window/record-range.ts'
import type { ShareWindow } from '../window/share-window.ts'
import { abortedBatches, batchesIn, cutRecords, type ReadBatch } from './log-batches.ts'
import type { SessionPartition } from './share-session.ts'

/** So often is read again where everything that was read is hidden from consumers; after a pause in which others have their turn, again. */
const MAX_READS_IN_A_ROW = 8
const PAUSE_OF_READS_MS = 1

export interface ShareFetchParameters {
  readonly memberId: string
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly maxRecords: number
  readonly batchSize: number
  readonly mode: number
}

/** A partition to fetch: of the session, and as the group has it here; or the error to answer. */
export interface ShareTarget {
  readonly wanted: SessionPartition
  readonly share: SharePartition | number
}

/** What is answered for one partition. */
export interface FetchedShare {
  readonly wanted: SessionPartition
  readonly errorCode: number
  readonly acquired: readonly Acquired[]
  readonly records: readonly Buffer[]
}

export interface ShareFetchDeps {
  readonly timers: Timers
  readonly limits: FetchLimits
  monotonicMs(): number
  /** New records may come into windows, as far as all share groups are concerned. */
  hasRoom(): boolean
}

const NOTHING = { acquired: [], records: [] }

/**
 * One ShareFetch from its start to its answer: it waits in the share partitions that it names until there are records for it, its time is
 * over, or its place is needed (`coordinators.md`, 4.4). Reading a share partition is one operation's at a time, so that nothing is
 * offered to two members; who waits gets its turn in the order of waiting.
 */
export class ShareFetchOperation implements ShareWaiter, ParkedFetch {
  readonly #deps: ShareFetchDeps
  readonly #parameters: ShareFetchParameters
  readonly #targets: readonly ShareTarget[]
  readonly #done: (answers: FetchedShare[]) => void
  readonly #failed: (error: unknown) => void
  readonly #answers: FetchedShare[] = []
  readonly #scratch = new ReadResult()
  #timer: Timer | null = null
  #isParked = false
  #isCollecting = false
  /** Its session is over: what it reads just now it must not acquire. */
  #isEnding = false
  #isOver = false
  /** Its time is over: it takes what there is. */
  #isDue = false
  /** What there is has changed while it was reading. */
  #isStale = false
  /** It has passed over hidden records, and come to no others yet: nobody else would wake it. */
  #hasPassedSome = false
  #pauseTimer: Timer | null = null
  #leftRecords: number
  #leftBytes: number
  /** Read from the disk so far: of the answers' budget until the answer is sent. */
  copiedBytes = 0

  constructor(
    deps: ShareFetchDeps,
    parameters: ShareFetchParameters,
    targets: readonly ShareTarget[],
    done: (answers: FetchedShare[]) => void,
    failed: (error: unknown) => void,
  ) {
    this.#deps = deps
    this.#parameters = parameters
    this.#targets = targets
    this.#done = done
    this.#failed = failed
    this.#leftRecords = parameters.maxRecords
    this.#leftBytes = parameters.maxBytes
  }

  start(): void {
    const { maxWaitMs, maxBytes, maxRecords } = this.#parameters
    const isPointless = maxBytes <= 0 || maxRecords <= 0 || !this.#shares().some(({ isClosed }) => !isClosed)
    if (isPointless) {
      this.#finish()
      return
    }
    this.#isDue = maxWaitMs <= 0
    this.#attempt()
    if (this.#isOver || this.#isDue) return
    this.#timer = this.#deps.timers.setTimer(maxWaitMs, () => this.answerNow())
    if (!this.#isCollecting) this.#park()
  }

  get partitionCount(): number {
    return this.#targets.length
  }

  answerNow(): void {
    this.#isDue = true
    this.#attempt()
  }

  onShareChanged(): void {
    this.#attempt()
  }

  /** The session is over: nothing more is acquired for it, since nobody would give it back before its lock runs out. */
  endEarly(): void {
    this.#isEnding = true
    if (!this.#isCollecting) this.#finish()
  }

  /** The client is gone. What it acquired goes back when its session ends. */
  abandon(): void {
    this.#isOver = true
    this.#unpark()
    this.#timer?.cancel()
    this.#pauseTimer?.cancel()
  }

  #shares(): SharePartition[] {
    return this.#targets.flatMap(({ share }) => (typeof share === 'number' ? [] : [share]))
  }

  #attempt(): void {
    if (this.#isOver) return
    if (this.#isCollecting) {
      this.#isStale = true
      return
    }
    const ready = this.#ready()
    if (ready === null) {
      if (this.#isDue) this.#finish()
      return
    }
    this.#isCollecting = true
    this.#unpark()
    this.#collect(ready).then(
      () => this.#onCollected(),
      (error: unknown) => {
        this.#isOver = true
        this.#timer?.cancel()
        this.#deps.limits.memory.release(this.copiedBytes)
        this.#failed(error)
      },
    )
  }

  #onCollected(): void {
    this.#isCollecting = false
    if (this.#isOver) {
      // The client is gone, and with it the answer.
      this.#deps.limits.memory.release(this.copiedBytes)
      return
    }
    const hasNews = this.#answers.some(({ errorCode, acquired }) => errorCode !== ErrorCode.NONE || acquired.length > 0)
    if (hasNews || this.#isDue || this.#isEnding) {
      this.#finish()
      return
    }
    this.#answers.length = 0
    this.#park()
    if (this.#hasPassedSome && !this.#isOver) {
      this.#hasPassedSome = false
      this.#pauseTimer?.cancel()
      this.#pauseTimer = this.#deps.timers.setTimer(PAUSE_OF_READS_MS, () => this.#attempt())
    }
    if (!this.#isStale) return
    this.#isStale = false
    this.#attempt()
  }

  /** The share partitions to read, where there is enough of them; null: there is not. */
  #ready(): ShareTarget[] | null {
    const ready: ShareTarget[] = []
    let availableBytes = 0
    let hasClosed = false
    for (const target of this.#targets) {
      const { share } = target
      if (typeof share === 'number') continue
      if (share.isClosed) hasClosed = true
      if (!share.isReadable) continue
      const bytes = this.#availableBytes(share)
      if (bytes === 0) continue
      availableBytes += bytes
      ready.push(target)
    }
    if (ready.length === 0) return hasClosed ? [] : null
    return hasClosed || this.#isDue || availableBytes >= this.#parameters.minBytes ? ready : null
  }

  #availableBytes(share: SharePartition): number {
    const window = share.window!
    const fetchOffset = window.nextFetchOffset()
    if (!this.#mayRead(share, window, fetchOffset)) return 0
    const upperOffset = readableEnd(share)
    const { log } = share.partition
    // Retention that has not been told of yet, or a read that ends with its segment: neither is a matter of bytes.
    if (fetchOffset < log.logStartOffset || log.endsInLaterSegment(fetchOffset, upperOffset)) return Number.MAX_VALUE
    return log.bytesAvailable(fetchOffset, upperOffset, this.#parameters.maxBytes)
  }

  /** A full window takes nothing new; what it has already is delivered again nevertheless. */
  #mayRead(share: SharePartition, window: ShareWindow, fetchOffset: Offset): boolean {
    return fetchOffset < readableEnd(share) && (fetchOffset < window.endOffset || this.#mayGrow(window))
  }

  #mayGrow(window: ShareWindow): boolean {
    return window.hasRoom && this.#deps.hasRoom()
  }

  /** Reads and acquires, share partition after share partition, each its part of the bytes. */
  async #collect(ready: readonly ShareTarget[]): Promise<void> {
    let leftCount = ready.length
    for (const target of ready) {
      const share = target.share as SharePartition
      const maxBytes = Math.max(1, Math.floor(this.#leftBytes / leftCount))
      leftCount--
      if (this.#isOver || this.#isEnding || this.#leftRecords <= 0 || this.#leftBytes <= 0) return
      // While others were read it may have been taken by somebody else.
      if (!share.isReadable) continue
      share.isReading = true
      const startOffset = share.window!.nextFetchOffset()
      let answer: FetchedShare | null = null
      try {
        answer = await this.#readSome(target.wanted, share, maxBytes)
      } finally {
        share.isReading = false
      }
      if (answer !== null) this.#answers.push(answer)
      else if (share.window !== null && share.window.nextFetchOffset() > startOffset) this.#hasPassedSome = true
      // Those who wait for their turn are not woken by a read that found nothing: they would find the same, and wake each other for ever.
      if (this.#isOver || this.#isEnding || share.window?.nextFetchOffset() !== startOffset) share.onChanged()
    }
  }

  /** Reads until something is there to be answered; what is read and hidden from consumers is passed over. */
  async #readSome(wanted: SessionPartition, share: SharePartition, maxBytes: number): Promise<FetchedShare | null> {
    for (let count = 0; count < MAX_READS_IN_A_ROW; count++) {
      const { window } = share
      const before = window?.nextFetchOffset()
      if (before === undefined || this.#isEnding || !this.#mayRead(share, window!, before)) return null
      const answer = await this.#readOne(wanted, share, maxBytes)
      if (answer !== null || share.window?.nextFetchOffset() === before) return answer
    }
    return null
  }

  /** Null: there is nothing to answer for this partition yet. */
  async #readOne(wanted: SessionPartition, share: SharePartition, maxBytes: number): Promise<FetchedShare | null> {
    share.onPartitionChanged()
    const { window } = share
    if (window === null) return null
    const fetchOffset = window.nextFetchOffset()
    const { log } = share.partition
    const endOffset = readableEnd(share)
    const out = this.#scratch
    const upperOffset = this.#mayGrow(window) ? endOffset : Math.min(endOffset, window.endOffset)
    let errorCode = await this.#read(log, fetchOffset, maxBytes, upperOffset)
    if (errorCode === ErrorCode.NONE && out.sizeBytes === 0 && upperOffset < endOffset) {
      // The window ends inside of a batch, which is left out then; or what it has is gone by compaction, which what follows will show.
      errorCode = await this.#read(log, fetchOffset, 1, endOffset)
    }
    if (this.#isOver || this.#isEnding || share.window !== window) return null
    if (errorCode !== ErrorCode.NONE) {
      return share.partition.log === log ? this.#onReadFailed(wanted, share, errorCode) : null
    }
    const { buffers } = out
    out.buffers = []
    if (out.sizeBytes === 0) return null
    try {
      const answer = this.#acquire(wanted, share, fetchOffset, buffers)
      share.onReadDone()
      return answer
    } catch (error) {
      // Nothing was acquired, and nothing is finished: what is damaged may be mended from another replica.
      if (!(error instanceof CorruptBatchError)) throw error
      return this.#onReadFailed(wanted, share, ErrorCode.CORRUPT_MESSAGE)
    }
  }

  /** Reads into the scratch result. Gives 0 or the error: one that cannot be read must not cost the answer what was acquired of others. */
  async #read(log: Log, fetchOffset: Offset, maxBytes: number, upperOffset: Offset): Promise<number> {
    const { memory } = this.#deps.limits
    const reserved = memory.reserve(maxBytes)
    const out = this.#scratch
    const read = log.read(fetchOffset, reserved, upperOffset, true, out)
    if (typeof read === 'boolean') {
      memory.release(reserved)
      return read ? ErrorCode.NONE : out.errorCode
    }
    try {
      const isRead = await read
      const sizeBytes = isRead ? out.sizeBytes : 0
      memory.release(reserved - sizeBytes)
      this.copiedBytes += sizeBytes
      return isRead ? ErrorCode.NONE : out.errorCode
    } catch (error) {
      memory.release(reserved)
      if (!(error instanceof DiskError)) throw error
      return ErrorCode.KAFKA_STORAGE_ERROR
    }
  }

  #onReadFailed(wanted: SessionPartition, share: SharePartition, errorCode: number): FetchedShare | null {
    share.onReadFailed()
    // Deleted records are no error: the window was told, or will be.
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) return null
    return { wanted, errorCode, ...NOTHING }
  }

  #acquire(
    wanted: SessionPartition,
    share: SharePartition,
    fetchOffset: Offset,
    buffers: readonly Buffer[],
  ): FetchedShare | null {
    const window = share.window!
    const { memberId, mode, batchSize } = this.#parameters
    const batches = batchesIn(buffers, neededEnd(window, fetchOffset, this.#leftRecords), window.maxRecordLocks)
    const [first] = batches
    if (first === undefined) return null
    // All that may throw comes before the first change of the window.
    const hidden = share.settings.isReadCommitted ? this.#hiddenIn(share, fetchOffset, batches) : []
    this.#skipAbsent(share, fetchOffset, first.startOffset)
    const acquired = acquire(window, {
      memberId,
      mode,
      maxRecords: this.#leftRecords,
      batchSize,
      fetchOffset: Math.max(fetchOffset, first.startOffset),
      batches,
      hasRoom: this.#deps.hasRoom(),
      deliveryCountLimit: share.settings.deliveryCountLimit,
      nowMs: this.#deps.monotonicMs(),
    })
    const shown = hidden.length === 0 ? acquired : hide(window, acquired, hidden, memberId)
    if (shown.length === 0) return null
    const records = cutRecords(batches, shown)
    for (const { firstOffset, lastOffset } of shown) this.#leftRecords -= lastOffset - firstOffset + 1
    for (const { length } of records) this.#leftBytes -= length
    return { wanted, errorCode: ErrorCode.NONE, acquired: shown, records }
  }

  #hiddenIn(share: SharePartition, fetchOffset: Offset, batches: readonly ReadBatch[]) {
    const { log } = share.partition
    return abortedBatches(batches, log.abortedTransactions(fetchOffset, batches.at(-1)!.endOffset))
  }

  /** Records before the first that was read are not in the log any more: compaction took them. */
  #skipAbsent(share: SharePartition, fetchOffset: Offset, startOffset: Offset): void {
    const window = share.window!
    if (startOffset <= fetchOffset) return
    const isDamaged = share.partition.log.faultyRanges.some(
      (range) => range.startOffset < startOffset && range.endOffset > fetchOffset,
    )
    if (isDamaged) return
    const isAvailable = ({ state }: RecordRange) => state === DeliveryState.AVAILABLE
    const isBehindAll = startOffset > window.endOffset && fetchOffset <= window.endOffset
    window.archive(fetchOffset, startOffset, isAvailable)
    // A full window takes in nothing, not even a gap.
    if (!isBehindAll || !this.#mayGrow(window)) return
    const { endOffset } = window
    window.extend(startOffset)
    window.archive(endOffset, startOffset, isAvailable)
  }

  #park(): void {
    if (this.#isParked) return
    this.#isParked = true
    for (const share of this.#shares()) share.addWaiter(this)
    this.#deps.limits.purgatory.add(this)
  }

  #unpark(): void {
    if (!this.#isParked) return
    this.#isParked = false
    for (const share of this.#shares()) share.removeWaiter(this)
    this.#deps.limits.purgatory.remove(this)
  }

  #finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#unpark()
    this.#timer?.cancel()
    this.#pauseTimer?.cancel()
    const answered = new Set(this.#answers.map(({ wanted }) => wanted))
    for (const { wanted, share } of this.#targets) {
      if (answered.has(wanted)) continue
      const errorCode = typeof share === 'number' ? share : share.isClosed ? share.closeCode : ErrorCode.NONE
      this.#answers.push({ wanted, errorCode: fetchErrorOf(errorCode), ...NOTHING })
    }
    this.#done(this.#answers)
  }
}

/** Consumers read up to the high watermark, or the last stable offset. */
function readableEnd({ partition: { log }, settings }: SharePartition): Offset {
  return settings.isReadCommitted ? log.lastStableOffset : log.highWatermark
}

/** Where so many records end that are ready, or could be new: of a read, which goes by bytes, batches that begin behind it are of no use. */
function neededEnd(window: ShareWindow, fetchOffset: Offset, maxRecords: number): number {
  let leftCount = maxRecords
  const { ranges } = window
  for (let slot = ranges.slotOf(fetchOffset); slot < ranges.length; slot++) {
    const range = ranges.at(slot)
    if (!range.isReady) continue
    leftCount -= range.endOffset - Math.max(range.startOffset, fetchOffset)
    if (leftCount <= 0) return range.endOffset
  }
  return Math.max(window.endOffset, fetchOffset) + Math.min(leftCount, window.maxRecordLocks)
}
