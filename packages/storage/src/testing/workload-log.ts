import type { LeaderEpoch, Offset, ProducerId, Uuid } from '@millrace/base'
import {
  type BatchOptions,
  buildEndTxnMarker,
  ControlRecordType,
  ErrorCode,
  setBaseOffset,
  setPartitionLeaderEpoch,
} from '@millrace/protocol'
import { AppendResult, type Log } from '../index.ts'
import { nextSequence, replayBatches } from './batch-replay.ts'
import { LogModel, type ModelBatch } from './log-model.ts'
import { batchOf } from './storage-harness.ts'

/** What must hold of a log that is found after a crash. */
export interface LogExpectation {
  partition: number
  topicId: Uuid
  /** Everything ever appended and not truncated: the log must be a prefix of it. */
  batches: readonly ModelBatch[]
  /** Acknowledged as durable: all of it must be there. */
  durableOffset: Offset
  /** Records below may be gone, none above it. */
  logStartOffset: Offset
  /** Raised when batches went: with the same one, later batches only add to earlier ones. */
  generation: number
}

/** One partition of a workload: the log under test, and the model that it must agree with. */
export class WorkloadLog {
  readonly partition: number
  /** Null before it is created and from its deletion on. */
  log: Log | null
  model: LogModel
  /** Lowers what must be found while a truncation is under way. */
  #truncatingTo: Offset
  /** Raises where the log may start while it starts anew. */
  #startingAt: Offset
  /** What some process was told to be durable, and nobody took back since: one that was killed promised as much as one that runs. */
  #acknowledgedOffset: Offset
  #generation: number
  /** While a truncation is half done: the log before it, of which a crash may leave more than of the log after it. */
  #before: { model: LogModel; expectation: LogExpectation } | null
  readonly #result: AppendResult

  constructor(partition: number) {
    this.partition = partition
    this.log = null
    this.model = new LogModel()
    this.#truncatingTo = Number.POSITIVE_INFINITY
    this.#startingAt = 0
    this.#acknowledgedOffset = 0
    this.#generation = 0
    this.#before = null
    this.#result = new AppendResult()
  }

  /** Null: nothing needs to be found. */
  expectation(): LogExpectation | null {
    const { log, model, partition } = this
    if (log === null) return null
    if (!log.isHalfCut) this.#before = null
    if (this.#before !== null) return this.#before.expectation
    this.#acknowledgedOffset = Math.max(this.#acknowledgedOffset, log.durableOffset)
    return {
      partition,
      topicId: log.topicId,
      batches: model.batches,
      durableOffset: Math.min(this.#acknowledgedOffset, this.#truncatingTo),
      logStartOffset: Math.max(model.logStartOffset, log.logStartOffset, this.#startingAt),
      generation: this.#generation,
    }
  }

  onCreated(log: Log): void {
    this.log = log
    this.model = new LogModel()
    this.#endChange()
  }

  /** The log was opened again, after a stop of any kind: what lies above its end is gone. */
  onReopened(log: Log | undefined): void {
    if (this.log?.isHalfCut && this.#before !== null) this.model = this.#before.model
    this.#before = null
    if (log === undefined || log.topicId !== this.log?.topicId) {
      this.log = null
      return
    }
    this.log = log
    this.model.truncateTo(log.logEndOffset)
    if (log.sizeBytes === 0 || this.model.logEndOffset < log.logEndOffset) this.model.startAt(log.logEndOffset)
    this.#endChange()
  }

  /** Returns the error code. */
  append(
    values: readonly string[],
    epoch: LeaderEpoch,
    timestamp: number,
    producerId: ProducerId,
    transactional: boolean,
  ): number {
    const options: BatchOptions =
      producerId < 0
        ? {}
        : { producerId, producerEpoch: 0, baseSequence: this.#nextSequence(producerId), transactional }
    return this.#store(batchOf(values, { timestamp, ...options }), values.length, epoch, 'client')
  }

  get openTransactions(): ProducerId[] {
    return [...replayBatches(this.model.batches).open.keys()]
  }

  endTransaction(producerId: ProducerId, commit: boolean, epoch: LeaderEpoch, timestamp: number): number {
    const type = commit ? ControlRecordType.COMMIT : ControlRecordType.ABORT
    const marker = Buffer.from(
      buildEndTxnMarker({ type, coordinatorEpoch: 0, producerId, producerEpoch: 0, timestamp }),
    )
    return this.#store(marker, 1, epoch, 'coordinator')
  }

  truncateTo(offset: Offset): void {
    const log = this.log!
    // Below its first segment the log starts anew: nothing needs to be found until that is done.
    const startsAnew = offset < log.segments.first.baseOffset
    this.#truncatingTo = startsAnew ? 0 : offset
    this.#startingAt = startsAnew ? Math.max(offset, log.logEndOffset) : 0
    this.#changing(() => log.truncateTo(offset))
    if (log.failed) return
    this.model.truncateTo(offset)
    if (startsAnew) this.model.startAt(offset)
    this.#endChange()
  }

  startAgainAt(offset: Offset): void {
    this.#truncatingTo = 0
    this.#startingAt = offset
    this.#changing(() => this.log!.truncateFullyAndStartAt(offset))
    if (this.log!.failed) return
    this.model.startAt(offset)
    this.#endChange()
  }

  deleteRecords(offset: Offset, nowMs: number): void {
    const log = this.log!
    log.setHighWatermark(log.writtenOffset)
    log.raiseLogStart(offset)
    this.model.logStartOffset = Math.max(this.model.logStartOffset, log.logStartOffset)
    void log.applyRetention(nowMs)
  }

  /** One that is refused leaves the log as it was. */
  #changing(change: () => void): void {
    const model = this.model.copy()
    const expectation = this.expectation()!
    try {
      change()
      if (this.log!.isHalfCut) this.#before = { model, expectation }
    } catch (error) {
      this.#truncatingTo = Number.POSITIVE_INFINITY
      this.#startingAt = 0
      throw error
    }
  }

  #endChange(): void {
    this.#generation++
    this.#truncatingTo = Number.POSITIVE_INFINITY
    this.#startingAt = 0
    this.#acknowledgedOffset = Math.min(this.#acknowledgedOffset, this.model.logEndOffset)
  }

  #nextSequence(producerId: ProducerId): number {
    const { log, model } = this
    const last = replayBatches(model.batches).last.get(producerId)
    // Of a producer whose records were all deleted a log may know no more than that its transaction ended: it then begins anew. Where a
    // kill took the start back below them they are in the log again, and its state, built while they were not, says no more than before.
    const isDeleted = last !== undefined && last.lastOffset < Math.max(model.logStartOffset, log?.logStartOffset ?? 0)
    const known = isDeleted ? Array.from(log!.producers()).find((entry) => entry.producerId === producerId) : undefined
    if (known !== undefined && known.lastDataOffset < 0) return 0
    // A log that forgot the producer takes any sequence, one that knows it takes the next.
    return nextSequence(last)
  }

  #store(batch: Buffer, recordCount: number, epoch: LeaderEpoch, origin: 'client' | 'coordinator'): number {
    const { log, model } = this
    const baseOffset = model.logEndOffset
    const stored = Buffer.from(batch)
    setBaseOffset(stored, 0, baseOffset)
    setPartitionLeaderEpoch(stored, 0, epoch)
    const lastOffset = baseOffset + recordCount - 1
    const before = model.batches
    // Before it is done: a crash in the middle of the call may leave it.
    model.append({ baseOffset, lastOffset, epoch, bytes: stored })
    const code = log!.append(batch, 0, batch.length, origin, epoch, this.#result)
    if (code === ErrorCode.NONE) return code
    model.batches = before
    model.logEndOffset = baseOffset
    return code
  }
}
