import { DiskError, type LeaderEpoch, type Offset, type TimestampMs } from '@millrace/base'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseSequenceOf,
  batchCrcOk,
  batchSizeOf,
  ErrorCode,
  hasLogAppendTime,
  isControlBatch,
  isTransactionalBatch,
  lastOffsetDeltaOf,
  maxTimestampOf,
  partitionLeaderEpochOf,
  producerEpochOf,
  producerIdOf,
} from '@millrace/protocol'
import type { LogHome } from './log-core.ts'
import type { AppendResult } from './log-results.ts'
import { type LogState, reportError } from './log-state.ts'
import { type AppendOrigin, DUPLICATE_BATCH } from './producer-state.ts'
import { Segment } from './segment.ts'
import type { StorageContext } from './storage-context.ts'
import { readEndMarker } from './transaction-marker.ts'

/** The append path of a log: checks against what producers did before, offsets, roll, and all that is counted for a batch. */
export class LogAppender {
  readonly #context: StorageContext
  readonly #home: LogHome
  readonly #log: LogState

  constructor(context: StorageContext, home: LogHome, log: LogState) {
    this.#context = context
    this.#home = home
    this.#log = log
    // What a crash left in them behind the log's end would come before what is appended.
    log.segments.active.indexes.cutWhenUsed(log.logEndOffset)
  }

  /** See `Log.append`. Hot path. */
  append(
    buffer: Buffer,
    start: number,
    end: number,
    origin: AppendOrigin,
    leaderEpoch: LeaderEpoch,
    result: AppendResult,
    transactionVersion: number,
  ): number {
    const log = this.#log
    if (log.failed || this.#home.isFull || log.isHalfCut) return ErrorCode.KAFKA_STORAGE_ERROR
    try {
      if (origin === 'replication') return this.#appendReplicated(buffer, start, end, leaderEpoch, result)
      return this.#appendAssigned(buffer, start, end, origin, leaderEpoch, result, transactionVersion)
    } catch (error) {
      return reportError(this.#home, error)
    }
  }

  #appendAssigned(
    buffer: Buffer,
    start: number,
    end: number,
    origin: AppendOrigin,
    leaderEpoch: LeaderEpoch,
    result: AppendResult,
    transactionVersion: number,
  ): number {
    const log = this.#log
    if (end - start > log.config.segmentBytes) return ErrorCode.RECORD_LIST_TOO_LARGE
    if (producerIdOf(buffer, start) >= 0) {
      const code = this.#checkProducer(buffer, start, end, origin, transactionVersion)
      if (code === DUPLICATE_BATCH) {
        const { duplicateFirstOffset, duplicateLastOffset, duplicateTimestamp } = log.currentProducers()
        const timestamp = hasLogAppendTime(buffer, start) ? duplicateTimestamp : -1
        result.set(duplicateFirstOffset, duplicateLastOffset, timestamp, true)
        return ErrorCode.NONE
      }
      if (code !== ErrorCode.NONE) return code
    }
    const baseOffset = log.logEndOffset
    this.#storeBatch(buffer, start, end, baseOffset, leaderEpoch, true)
    const timestamp = hasLogAppendTime(buffer, start) ? maxTimestampOf(buffer, start) : -1
    result.set(baseOffset, log.logEndOffset - 1, timestamp, false)
    return ErrorCode.NONE
  }

  #appendReplicated(
    buffer: Buffer,
    start: number,
    end: number,
    leaderEpoch: LeaderEpoch,
    result: AppendResult,
  ): number {
    const log = this.#log
    let firstOffset = -1
    for (let position = start; position + BATCH_HEADER_BYTES <= end; ) {
      const batchEnd = position + batchSizeOf(buffer, position)
      if (batchEnd < position + BATCH_HEADER_BYTES || batchEnd > end) break
      const epoch = partitionLeaderEpochOf(buffer, position)
      if (epoch > leaderEpoch) break
      if (!batchCrcOk(buffer, position)) return ErrorCode.CORRUPT_MESSAGE
      const baseOffset = baseOffsetOf(buffer, position)
      if (baseOffset < log.logEndOffset) {
        // The leader's log starts inside this batch (delete records): an empty follower starts at the batch.
        const lastOffset = baseOffset + lastOffsetDeltaOf(buffer, position)
        if (log.sizeBytes > 0 || lastOffset < log.logEndOffset) return ErrorCode.OFFSET_OUT_OF_RANGE
        log.truncateFullyAndStartAt(baseOffset)
      }
      if (producerIdOf(buffer, position) >= 0) this.#checkProducer(buffer, position, batchEnd, 'replication', 0)
      this.#storeBatch(buffer, position, batchEnd, baseOffset, epoch, false)
      if (firstOffset < 0) firstOffset = baseOffset
      position = batchEnd
    }
    result.set(firstOffset, firstOffset < 0 ? -1 : log.logEndOffset - 1, -1, false)
    return ErrorCode.NONE
  }

  #checkProducer(buffer: Buffer, start: number, end: number, origin: AppendOrigin, transactionVersion: number): number {
    const log = this.#log
    const state = log.currentProducers()
    const producerId = producerIdOf(buffer, start)
    const producerEpoch = producerEpochOf(buffer, start)
    if (isControlBatch(buffer, start)) {
      const marker = readEndMarker(buffer, start, end)
      if (marker === null || origin === 'replication') return ErrorCode.NONE
      return state.checkMarker(producerId, producerEpoch, marker.coordinatorEpoch, transactionVersion)
    }
    const baseSequence = baseSequenceOf(buffer, start)
    const lastOffsetDelta = lastOffsetDeltaOf(buffer, start)
    const transactional = isTransactionalBatch(buffer, start)
    return state.checkData(origin, producerId, producerEpoch, baseSequence, lastOffsetDelta, transactional)
  }

  /** Stores a checked batch at the log's end. Throws `DiskError` before anything is counted. */
  #storeBatch(
    buffer: Buffer,
    start: number,
    end: number,
    baseOffset: Offset,
    leaderEpoch: LeaderEpoch,
    stamped: boolean,
  ): void {
    const log = this.#log
    const lastOffset = baseOffset + lastOffsetDeltaOf(buffer, start)
    const maxTimestamp = maxTimestampOf(buffer, start)
    if (log.segments.active.shouldRoll(log.config, end - start, maxTimestamp, lastOffset)) {
      this.#maybeRoll(baseOfNext(log.logEndOffset, baseOffset, lastOffset))
    }
    const { active } = log.segments
    const { cache } = log.epochs
    // Whatever may be refused comes first: once the bytes are stored, nothing that counts them asks anything of the disk.
    active.indexes.prepareAppend()
    const direct = log.writer.store(active, buffer, start, end, baseOffset, leaderEpoch, stamped)
    if (leaderEpoch > cache.latestEpoch) cache.assign(leaderEpoch, baseOffset)
    active.onAppended(end - start, lastOffset, maxTimestamp, log.config.indexIntervalBytes)
    log.logEndOffset = lastOffset + 1
    this.#updateProducers(buffer, start, end, baseOffset, lastOffset, maxTimestamp)
    log.unflushedRecordCount += lastOffset - baseOffset + 1
    if (direct) {
      active.onWritten()
      log.writer.onWritten(active)
      log.writtenOffset = log.logEndOffset
    }
    log.writer.markDirty()
    if (direct) log.writer.extendAhead(active)
  }

  #updateProducers(
    buffer: Buffer,
    start: number,
    end: number,
    baseOffset: Offset,
    lastOffset: Offset,
    maxTimestamp: TimestampMs,
  ): void {
    const log = this.#log
    const producerId = producerIdOf(buffer, start)
    if (producerId < 0) {
      if (log.producerStates.isLoaded) log.currentProducers().mapEndOffset = lastOffset + 1
      return
    }
    const state = log.currentProducers()
    const producerEpoch = producerEpochOf(buffer, start)
    state.mapEndOffset = lastOffset + 1
    if (!isControlBatch(buffer, start)) {
      const baseSequence = baseSequenceOf(buffer, start)
      const transactional = isTransactionalBatch(buffer, start)
      state.onData(producerId, producerEpoch, baseSequence, baseOffset, lastOffset, maxTimestamp, transactional)
      return
    }
    const marker = readEndMarker(buffer, start, end)
    if (marker === null) return
    const ended = state.onMarker(producerId, producerEpoch, marker.coordinatorEpoch, baseOffset, maxTimestamp)
    if (ended === null) return
    if (!marker.commit) {
      const lastStableOffset = state.lastStableOffsetOf(ended)
      log.segments.active.indexes.transactions.append({ ...ended, lastStableOffset })
    }
    state.completeTransaction(ended)
  }

  #maybeRoll(baseOffset: Offset): void {
    const log = this.#log
    const { active } = log.segments
    if (active.sizeBytes > 0 || active.baseOffset !== baseOffset) this.roll(baseOffset)
  }

  /** Starts a new segment at `baseOffset`, at or above the log end. Throws `DiskError`; nothing has changed then. */
  roll(baseOffset: Offset): void {
    const log = this.#log
    const { active } = log.segments
    this.#context.failpoint('roll')
    log.writeStaged()
    try {
      log.producerStates.listSnapshots()
      if (active.seal()) log.writer.onWritten(active)
      if (active.exists) log.checkpointer.onRoll(baseOffset)
    } catch (error) {
      // It stays the active one and goes on to be appended to.
      active.sealed = false
      throw error
    }
    const empty = active.sizeBytes === 0 ? log.segments.removeFrom(log.segments.count - 1) : []
    log.segments.add(new Segment(this.#context, log.path, baseOffset, log.config, null))
    if (empty.length > 0) this.#removeEmpty(empty)
  }

  /** An empty file that stayed would look like a gap to recovery, which ends the log there. */
  #removeEmpty(segments: readonly Segment[]): void {
    try {
      this.#log.remove(segments)
    } catch (error) {
      if (error instanceof DiskError) this.#home.fail(error)
      throw error
    }
  }
}

/**
 * Where a segment begins whose first batch is `[baseOffset, lastOffset]`: where the one before it ends, also if compaction on the leader
 * has left a gap between them, so that records which are lost can be told from such a gap. Unless the batch were too far away for that.
 */
function baseOfNext(logEndOffset: Offset, baseOffset: Offset, lastOffset: Offset): Offset {
  return lastOffset - logEndOffset > RELATIVE_OFFSET_MAX ? baseOffset : logEndOffset
}

/** A relative offset is an int32 in the indexes. */
const RELATIVE_OFFSET_MAX = 2 ** 31 - 1
