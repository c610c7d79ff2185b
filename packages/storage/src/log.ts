import { DiskError, type LeaderEpoch, type Offset, type ProducerId, type TimestampMs, type Uuid } from '@millrace/base'
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
import type { EpochEnd } from './leader-epoch-cache.ts'
import { LogCheckpointer } from './log-checkpointer.ts'
import type { LogConfig } from './log-config.ts'
import type { FaultyRange, LogCore, LogHome } from './log-core.ts'
import type { LogEpochs } from './log-epochs.ts'
import { bytesBetween, findAborted, findByMaxTimestamp, findByTimestamp } from './log-lookup.ts'
import type { LogProducers } from './log-producers.ts'
import { COLD, EXHAUSTED, readCold, readHot, SegmentRead } from './log-reader.ts'
import type { AppendResult, FoundOffset, ReadResult } from './log-results.ts'
import { removableSegmentCount } from './log-retention.ts'
import type { LogSegments } from './log-segments.ts'
import { LogWriter } from './log-writer.ts'
import type { ProducerEntry } from './producer-entry.ts'
import { type AppendOrigin, DUPLICATE_BATCH, type ProducerState } from './producer-state.ts'
import { Segment } from './segment.ts'
import { removeSegments } from './segment-removal.ts'
import type { StorageContext } from './storage-context.ts'
import { readEndMarker } from './transaction-marker.ts'

/** What a log is made of; `LogLoader` puts it together. */
export interface LogParts {
  topic: string
  partition: number
  topicId: Uuid
  /** The partition directory. */
  path: string
  config: LogConfig
  segments: LogSegments
  epochs: LogEpochs
  producers: LogProducers
  logStartOffset: Offset
  logEndOffset: Offset
  /** Known to have been synced. */
  durableOffset: Offset
  recoveryPoint: Offset
  highWatermark: Offset
  faultyRanges: FaultyRange[]
  /** The names of its directory and metadata may not be durable: the first sync makes them so. */
  namesUnsynced: boolean
  /** Called each time `durableOffset` rose. */
  onDurable: (log: Log) => void
}

/**
 * The log of one partition: an append-only sequence of record batches in segments, with what is derived from them. Single-threaded;
 * everything but cold reads, look-ups by time and syncs happens within the call. `logStartOffset ≤ highWatermark ≤ logEndOffset` and
 * `durableOffset ≤ writtenOffset ≤ logEndOffset`. Appends are staged in memory until `LogManager.flushStaged`.
 */
export class Log implements LogCore {
  readonly topic: string
  readonly partition: number
  readonly topicId: Uuid
  /** The log directory that holds it. */
  readonly directory: string
  /** The partition directory; changes when it is set aside. */
  path: string
  /** Its directory is offline, or it was closed or deleted: calls answer KAFKA_STORAGE_ERROR. */
  failed: boolean
  config: LogConfig
  logStartOffset: Offset
  /** Where the next record goes. */
  logEndOffset: Offset
  /** Everything below is in the file and can be read. */
  writtenOffset: Offset
  /** Everything below survives a loss of power. */
  durableOffset: Offset
  highWatermark: Offset
  /** Everything below is synced with its indexes, epochs and a producer snapshot: recovery starts here. */
  recoveryPoint: Offset
  syncState: 'idle' | 'queued' | 'running'
  readonly segments: LogSegments
  readonly epochs: LogEpochs
  readonly producerStates: LogProducers
  /** Lost as a whole: the files end before them. */
  readonly #lostRanges: FaultyRange[]
  readonly writer: LogWriter
  readonly checkpointer: LogCheckpointer
  /** Raised by truncation: syncs, reads and checkpoints that began before it say nothing any more. */
  generation: number
  /** Used since the manager last looked for idle logs. */
  touched: boolean
  readonly #context: StorageContext
  readonly #home: LogHome
  readonly #onDurable: (log: Log) => void
  readonly #read: SegmentRead
  #unflushedRecordCount: number
  #unflushedSinceMs: number
  /** Reads that come from the disk in steps: files stay open for them. */
  #pendingReadCount: number

  constructor(context: StorageContext, home: LogHome, parts: LogParts) {
    this.topic = parts.topic
    this.partition = parts.partition
    this.topicId = parts.topicId
    this.directory = home.path
    this.path = parts.path
    this.failed = false
    this.config = parts.config
    this.logStartOffset = parts.logStartOffset
    this.logEndOffset = parts.logEndOffset
    this.writtenOffset = parts.logEndOffset
    this.durableOffset = parts.durableOffset
    this.highWatermark = parts.highWatermark
    this.recoveryPoint = parts.recoveryPoint
    this.syncState = 'idle'
    this.segments = parts.segments
    this.epochs = parts.epochs
    this.producerStates = parts.producers
    this.#lostRanges = parts.faultyRanges
    this.writer = new LogWriter(context, home, this, parts.namesUnsynced)
    this.checkpointer = new LogCheckpointer(context, home, this)
    this.generation = 0
    this.touched = false
    this.#context = context
    this.#home = home
    this.#onDurable = parts.onDurable
    this.#read = new SegmentRead(parts.segments.active, 0, 0, 0, false, 0)
    this.#unflushedRecordCount = 0
    this.#unflushedSinceMs = -1
    this.#pendingReadCount = 0
    if (parts.producers.isLoaded) this.#producers().onHighWatermark(parts.highWatermark)
  }

  /** Everything below is committed and belongs to no open transaction. */
  get lastStableOffset(): Offset {
    if (this.producerStates.isKnownEmpty) return this.highWatermark
    const first = this.#producers().firstUnstableOffset
    return first >= 0 && first < this.highWatermark ? first : this.highWatermark
  }

  /** -1 before the first. */
  get latestEpoch(): LeaderEpoch {
    return this.epochs.cache.latestEpoch
  }

  get sizeBytes(): number {
    return this.segments.sizeBytes
  }

  get needsSync(): boolean {
    return !this.failed && this.writer.needsSync
  }

  get hasStaged(): boolean {
    return this.writer.hasStaged
  }

  get isCheckpointed(): boolean {
    const isSynced = !this.hasStaged && !this.needsSync && this.durableOffset === this.logEndOffset
    return !this.failed && isSynced && !this.checkpointer.isDue
  }

  get totalBytes(): number {
    return this.writer.totalBytes
  }

  /** Offsets that are known to be damaged: reads of them fail with KAFKA_STORAGE_ERROR. */
  get faultyRanges(): FaultyRange[] {
    const ranges = [...this.#lostRanges]
    for (const { holes } of this.segments.all) {
      for (const { startOffset, endOffset } of holes) ranges.push({ startOffset, endOffset })
    }
    return ranges
  }

  updateConfig(config: LogConfig): void {
    this.config = config
  }

  /** Sets it within the log (a follower may lower it). True if it or the last stable offset rose. */
  setHighWatermark(offset: Offset): boolean {
    const highWatermark = Math.max(this.logStartOffset, Math.min(offset, this.logEndOffset))
    if (highWatermark === this.highWatermark) return false
    const before = this.highWatermark
    const stableBefore = this.producerStates.isKnownEmpty ? before : this.lastStableOffset
    this.highWatermark = highWatermark
    this.#home.onOffsetsChanged()
    if (this.producerStates.isLoaded) this.#producers().onHighWatermark(highWatermark)
    return highWatermark > before || this.lastStableOffset > stableBefore
  }

  producers(): Iterable<ProducerEntry> {
    return this.#producers().producers()
  }

  openTransactions(): { producerId: ProducerId; firstOffset: Offset }[] {
    return this.#producers().openTransactions()
  }

  removeExpiredProducers(nowMs: TimestampMs, expirationMs: number): void {
    if (this.producerStates.isLoaded) this.#producers().removeExpired(nowMs, expirationMs)
  }

  /**
   * Appends `buffer[start, end)` and returns 0 or a Kafka error code, which leaves the log as it was (a roll may have happened).
   * Client and coordinator give one sound v2 batch, which gets its offsets and `leaderEpoch` stamped into the stored copy;
   * replication gives whole batches as the leader has them, of which those with a later epoch than `leaderEpoch` are left out.
   * The bytes are copied. `transactionVersion` says how strictly the epoch of an end marker is checked (KIP-890). Hot path:
   * allocates nothing for a small batch.
   */
  append(
    buffer: Buffer,
    start: number,
    end: number,
    origin: AppendOrigin,
    leaderEpoch: LeaderEpoch,
    result: AppendResult,
    transactionVersion = 0,
  ): number {
    if (this.failed || this.#home.isFull) return ErrorCode.KAFKA_STORAGE_ERROR
    try {
      if (origin === 'replication') return this.#appendReplicated(buffer, start, end, leaderEpoch, result)
      return this.#appendAssigned(buffer, start, end, origin, leaderEpoch, result, transactionVersion)
    } catch (error) {
      return this.#onError(error)
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
    if (end - start > this.config.segmentBytes) return ErrorCode.RECORD_LIST_TOO_LARGE
    if (producerIdOf(buffer, start) >= 0) {
      const code = this.#checkProducer(buffer, start, end, origin, transactionVersion)
      if (code === DUPLICATE_BATCH) {
        const { duplicateFirstOffset, duplicateLastOffset, duplicateTimestamp } = this.#producers()
        const timestamp = hasLogAppendTime(buffer, start) ? duplicateTimestamp : -1
        result.set(duplicateFirstOffset, duplicateLastOffset, timestamp, true)
        return ErrorCode.NONE
      }
      if (code !== ErrorCode.NONE) return code
    }
    const baseOffset = this.logEndOffset
    this.#storeBatch(buffer, start, end, baseOffset, leaderEpoch, true)
    const timestamp = hasLogAppendTime(buffer, start) ? maxTimestampOf(buffer, start) : -1
    result.set(baseOffset, this.logEndOffset - 1, timestamp, false)
    return ErrorCode.NONE
  }

  #appendReplicated(
    buffer: Buffer,
    start: number,
    end: number,
    leaderEpoch: LeaderEpoch,
    result: AppendResult,
  ): number {
    let firstOffset = -1
    for (let position = start; position + BATCH_HEADER_BYTES <= end; ) {
      const batchEnd = position + batchSizeOf(buffer, position)
      if (batchEnd < position + BATCH_HEADER_BYTES || batchEnd > end) break
      const epoch = partitionLeaderEpochOf(buffer, position)
      if (epoch > leaderEpoch) break
      if (!batchCrcOk(buffer, position)) return ErrorCode.CORRUPT_MESSAGE
      const baseOffset = baseOffsetOf(buffer, position)
      if (baseOffset < this.logEndOffset) {
        // The leader's log starts inside this batch (delete records): an empty follower starts at the batch.
        const lastOffset = baseOffset + lastOffsetDeltaOf(buffer, position)
        if (this.sizeBytes > 0 || lastOffset < this.logEndOffset) return ErrorCode.OFFSET_OUT_OF_RANGE
        this.truncateFullyAndStartAt(baseOffset)
      }
      if (producerIdOf(buffer, position) >= 0) this.#checkProducer(buffer, position, batchEnd, 'replication', 0)
      this.#storeBatch(buffer, position, batchEnd, baseOffset, epoch, false)
      if (firstOffset < 0) firstOffset = baseOffset
      position = batchEnd
    }
    result.set(firstOffset, firstOffset < 0 ? -1 : this.logEndOffset - 1, -1, false)
    return ErrorCode.NONE
  }

  #checkProducer(buffer: Buffer, start: number, end: number, origin: AppendOrigin, transactionVersion: number): number {
    const state = this.#producers()
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
    const lastOffset = baseOffset + lastOffsetDeltaOf(buffer, start)
    const maxTimestamp = maxTimestampOf(buffer, start)
    if (this.segments.active.shouldRoll(this.config, end - start, maxTimestamp, lastOffset)) this.#maybeRoll(baseOffset)
    const { active } = this.segments
    const direct = this.writer.store(active, buffer, start, end, baseOffset, leaderEpoch, stamped)
    if (leaderEpoch > this.epochs.cache.latestEpoch) this.epochs.cache.assign(leaderEpoch, baseOffset)
    active.onAppended(end - start, lastOffset, maxTimestamp, this.config.indexIntervalBytes)
    this.logEndOffset = lastOffset + 1
    this.#updateProducers(buffer, start, end, baseOffset, lastOffset, maxTimestamp)
    this.#unflushedRecordCount += lastOffset - baseOffset + 1
    if (direct) {
      active.onWritten()
      this.writer.onWritten(active)
      this.writer.extendAhead(active)
      this.writtenOffset = this.logEndOffset
    }
    this.writer.markDirty()
  }

  #updateProducers(
    buffer: Buffer,
    start: number,
    end: number,
    baseOffset: Offset,
    lastOffset: Offset,
    maxTimestamp: TimestampMs,
  ): void {
    const producerId = producerIdOf(buffer, start)
    if (producerId < 0) {
      if (this.producerStates.isLoaded) this.#producers().mapEndOffset = lastOffset + 1
      return
    }
    const state = this.#producers()
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
      this.segments.active.indexes.transactions.append({ ...ended, lastStableOffset })
    }
    state.completeTransaction(ended)
  }

  #maybeRoll(baseOffset: Offset): void {
    const { active } = this.segments
    if (active.sizeBytes > 0 || active.baseOffset !== baseOffset) this.roll(baseOffset)
  }

  /** Starts a new segment at `baseOffset`, at or above the log end. Throws `DiskError`; nothing has changed then. */
  roll(baseOffset: Offset): void {
    const { active } = this.segments
    this.#context.failpoint('roll')
    this.writeStaged()
    try {
      if (active.seal()) this.writer.onWritten(active)
      if (active.exists) this.checkpointer.onRoll(baseOffset)
    } catch (error) {
      // It stays the active one and goes on to be appended to.
      active.sealed = false
      throw error
    }
    // An empty file that stayed would look like a gap to recovery, which drops what comes after one.
    if (active.sizeBytes === 0) this.#remove(this.segments.removeFrom(this.segments.count - 1))
    this.segments.add(new Segment(this.#context, this.path, baseOffset, this.config, null))
  }

  /** Writes staged appends to the file. Throws `DiskError`. */
  writeStaged(): void {
    this.writer.writeStaged(this.segments.active)
    this.writtenOffset = this.logEndOffset
  }

  /** End of a turn of the loop: what was appended reaches the file and will be synced. */
  flushTurn(nowMs: number): void {
    this.writer.onTurnEnd()
    if (this.failed) return
    this.touched = true
    try {
      this.writeStaged()
      this.checkpointer.onWritten()
    } catch (error) {
      this.#onError(error)
      return
    }
    if (!this.config.writeCaching || this.#isFlushDue(nowMs)) this.#home.scheduleSync(this)
  }

  /** Kafka's `flush.messages` and `flush.ms`, which only matter with write caching. */
  #isFlushDue(nowMs: number): boolean {
    const { flushMessages, flushMs } = this.config
    if (this.#unflushedSinceMs < 0) this.#unflushedSinceMs = nowMs
    const due =
      (flushMessages >= 0 && this.#unflushedRecordCount >= flushMessages) ||
      (flushMs >= 0 && nowMs - this.#unflushedSinceMs >= flushMs)
    if (due) this.#unflushedSinceMs = -1
    return due
  }

  /** Part of {@link Syncable}: called by the directory's group commit. */
  async sync(): Promise<void> {
    const { writtenOffset, generation } = this
    const { active } = this.segments
    const positionBytes = active.writtenBytes
    this.#unflushedRecordCount = 0
    try {
      await this.writer.sync()
    } catch (error) {
      // Of a log that was deleted meanwhile even the directory may be gone.
      if (this.failed) return
      throw error
    }
    if (this.failed || generation !== this.generation) return
    this.#home.onSynced(this, writtenOffset, active.baseOffset, positionBytes)
  }

  markDirty(): void {
    this.writer.markDirty()
  }

  onDurable(): void {
    this.checkpointer.wake()
    this.#onDurable(this)
  }

  /**
   * Reads whole batches from the one that holds `fromOffset` on, of one segment, at most `maxBytes` (but one batch in any case if
   * `minOneBatch`), none that reaches past `upperOffset` or what is written. True: `out` is filled, perhaps with nothing. False:
   * `out.errorCode` says why. A promise of the same if the data must come from the disk.
   */
  read(
    fromOffset: Offset,
    maxBytes: number,
    upperOffset: Offset,
    minOneBatch: boolean,
    out: ReadResult,
  ): boolean | Promise<boolean> {
    out.clear()
    if (this.failed) return out.fail(ErrorCode.KAFKA_STORAGE_ERROR) === 0
    if (fromOffset < this.logStartOffset || fromOffset > this.logEndOffset) {
      return out.fail(ErrorCode.OFFSET_OUT_OF_RANGE) === 0
    }
    let endOffset = Math.min(upperOffset, this.writtenOffset)
    if (fromOffset >= endOffset) return true
    if (this.#lostRanges.length > 0) {
      endOffset = this.#soundEnd(fromOffset, endOffset)
      if (endOffset <= fromOffset) return out.fail(ErrorCode.KAFKA_STORAGE_ERROR) === 0
    }
    this.touched = true
    const read = this.#read
    read.fromOffset = fromOffset
    read.endOffset = endOffset
    read.maxBytes = Math.max(0, maxBytes)
    read.minOneBatch = minOneBatch
    read.indexIntervalBytes = this.config.indexIntervalBytes
    try {
      for (let slot = Math.max(0, this.segments.slotFor(fromOffset)); slot < this.segments.count; slot++) {
        read.segment = this.segments.at(slot)
        if (!read.segment.isOpen) this.#context.openLogs.add(this)
        const code = readHot(read, out)
        if (code === COLD) return this.#readCold(slot, out)
        if (code !== EXHAUSTED) return code === ErrorCode.NONE
      }
      return true
    } catch (error) {
      return out.fail(this.#onReadError(error)) === 0
    }
  }

  async #readCold(firstSlot: number, out: ReadResult): Promise<boolean> {
    const { segment, fromOffset, endOffset, maxBytes, minOneBatch, indexIntervalBytes } = this.#read
    const read = new SegmentRead(segment, fromOffset, endOffset, maxBytes, minOneBatch, indexIntervalBytes)
    const { generation } = this
    this.#pendingReadCount++
    try {
      let code: number = EXHAUSTED
      for (let slot = firstSlot; code === EXHAUSTED && slot < this.segments.count; slot++) {
        read.segment = this.segments.at(slot)
        code = await this.#context.readCold(() => readCold(read, out))
        if (this.failed) return out.fail(ErrorCode.KAFKA_STORAGE_ERROR) === 0
        // Truncated meanwhile: what was read may be gone. The reader comes again.
        if (generation !== this.generation) {
          out.clear()
          return true
        }
      }
      return code === ErrorCode.NONE || code === EXHAUSTED
    } catch (error) {
      // Retention or delete records took the segment away while it was read or waited its turn.
      if (!this.failed && fromOffset < this.logStartOffset) return out.fail(ErrorCode.OFFSET_OUT_OF_RANGE) === 0
      return out.fail(this.#onReadError(error)) === 0
    } finally {
      this.#pendingReadCount--
    }
  }

  #soundEnd(fromOffset: Offset, endOffset: Offset): Offset {
    let end = endOffset
    for (const range of this.#lostRanges) {
      if (fromOffset < range.endOffset && range.startOffset < end) end = Math.max(fromOffset, range.startOffset)
    }
    return end
  }

  /** Bytes of `[fromOffset, min(upperOffset, written))`, at most `maxBytes`. Cheap; may count a few batches too many. */
  bytesAvailable(fromOffset: Offset, upperOffset: Offset, maxBytes: number): number {
    const endOffset = Math.min(upperOffset, this.writtenOffset)
    if (this.failed || fromOffset >= endOffset || fromOffset < this.logStartOffset) return 0
    return Math.min(maxBytes, bytesBetween(this.segments, fromOffset, endOffset))
  }

  /** Whether what lies below `upperOffset` goes on in a later segment than that of `fromOffset`: a read ends with its segment. */
  endsInLaterSegment(fromOffset: Offset, upperOffset: Offset): boolean {
    return this.segments.slotFor(fromOffset) < this.segments.slotFor(Math.min(upperOffset, this.writtenOffset))
  }

  /** The first record with a timestamp at or above `timestamp`, below `upperOffset`; null if there is none. Rejects with `DiskError`. */
  offsetForTimestamp(timestamp: TimestampMs, upperOffset: Offset): Promise<FoundOffset | null> {
    const endOffset = Math.min(upperOffset, this.writtenOffset)
    return this.#whileOpen(() => findByTimestamp(this.segments, this.logStartOffset, timestamp, endOffset))
  }

  /** The first record with the largest timestamp; null for an empty log. Rejects with `DiskError`. */
  offsetOfMaxTimestamp(): Promise<FoundOffset | null> {
    return this.#whileOpen(() => findByMaxTimestamp(this.segments, this.writtenOffset))
  }

  /** Does what opens files and reads them in steps: they stay open meanwhile, and are closed when the log is idle again. */
  async #whileOpen<Result>(task: () => Promise<Result>): Promise<Result> {
    this.#use()
    this.#pendingReadCount++
    try {
      return await task()
    } finally {
      this.#pendingReadCount--
    }
  }

  /** Files may be opened or indexes loaded now: the manager looks when that has not been needed for a while. */
  #use(): void {
    if (this.failed) return
    this.touched = true
    this.#context.openLogs.add(this)
  }

  endOffsetForEpoch(epoch: LeaderEpoch): EpochEnd {
    return this.epochs.cache.endOffsetFor(epoch, this.logEndOffset)
  }

  /** Leader epoch that wrote the record at `offset`; -1 if the epoch cache does not reach back so far. */
  epochOf(offset: Offset): LeaderEpoch {
    return this.epochs.cache.epochAt(offset)
  }

  /** A new leader's first act. Written to its file with the next checkpoint. */
  assignEpoch(epoch: LeaderEpoch, startOffset: Offset): void {
    this.epochs.cache.assign(epoch, startOffset)
    if (this.epochs.needsSave(this.logEndOffset)) this.#context.openLogs.add(this)
  }

  /** Aborted transactions that a reader of `[fromOffset, upperOffset)` must know; may hold a few more. */
  abortedTransactions(fromOffset: Offset, upperOffset: Offset): { producerId: ProducerId; firstOffset: Offset }[] {
    this.#use()
    return findAborted(this.segments, fromOffset, upperOffset)
  }

  /** Delete records: nothing below `offset` is read any more. Segments go with the next {@link applyRetention}. */
  raiseLogStart(offset: Offset): void {
    const logStartOffset = Math.min(offset, this.logEndOffset)
    if (logStartOffset <= this.logStartOffset) return
    this.logStartOffset = logStartOffset
    if (this.highWatermark < logStartOffset) this.highWatermark = logStartOffset
    this.epochs.cache.truncateFromStart(logStartOffset)
    this.#context.openLogs.add(this)
    this.#home.onOffsetsChanged()
  }

  /** Deletes old segments by log start, size and time. Returns how many. */
  applyRetention(nowMs: TimestampMs): number {
    if (this.failed) return 0
    try {
      const count = removableSegmentCount(this, nowMs)
      if (count === 0) return 0
      if (count === this.segments.count) {
        this.roll(this.logEndOffset)
        // Its name must be there before the others go, or a crash would leave nothing that tells the log's end.
        this.segments.active.file()
        this.#context.disk.syncDirectory(this.path)
      }
      this.raiseLogStart(this.segments.at(count).baseOffset)
      const removed = this.segments.removeFirst(count)
      this.#home.beforeRemoval(this)
      this.#remove(removed)
      return count
    } catch (error) {
      this.#onError(error)
      return 0
    }
  }

  /** Cuts the log so that it ends at `offset`; a batch that holds it goes as a whole. */
  truncateTo(offset: Offset): void {
    if (this.failed) return
    this.epochs.cache.truncateFromEnd(offset)
    if (offset >= this.logEndOffset) return
    if (offset < this.segments.first.baseOffset) {
      this.truncateFullyAndStartAt(offset)
      return
    }
    this.#changeEnd(() => {
      this.writeStaged()
      const slot = this.segments.slotFor(offset)
      const { position, endOffset } = this.segments.at(slot).locate(offset)
      this.#lowerLogStart(endOffset)
      this.#home.lowerMark(this, endOffset, this.segments.at(slot).baseOffset, position)
      this.#remove(this.segments.removeFrom(slot + 1))
      const { active } = this.segments
      active.cut(position, endOffset)
      this.writer.onWritten(active)
      return endOffset
    })
    if (!this.failed) this.producerStates.reload(this.logStartOffset, this.logEndOffset)
  }

  /** Empties the log: the next record gets `offset`. */
  truncateFullyAndStartAt(offset: Offset): void {
    if (this.failed) return
    this.#changeEnd(() => {
      this.#lowerLogStart(offset)
      // Nothing of what was synced needs to be found from now on.
      this.#home.lowerMark(this, 0, 0, 0)
      this.writer.dropStaged()
      this.#remove(this.segments.removeFrom(0))
      this.segments.add(new Segment(this.#context, this.path, offset, this.config, null))
      this.segments.active.file()
      this.logStartOffset = offset
      this.epochs.cache.clear()
      this.#lostRanges.length = 0
      this.producerStates.removeSnapshots(() => true)
      this.producerStates.clear(offset)
      return offset
    })
    if (!this.failed) this.#home.onEmptied(this, offset)
  }

  /** Before a truncation to below the start, which is written at leisure otherwise. Throws `DiskError`. */
  #lowerLogStart(offset: Offset): void {
    if (offset >= this.logStartOffset) return
    this.logStartOffset = offset
    this.#home.onLogStartLowered()
  }

  /** Does a truncation, which gives the new end, and lowers all that follows from it. */
  #changeEnd(change: () => Offset): void {
    let logEndOffset: Offset
    try {
      this.#context.failpoint('truncate')
      logEndOffset = change()
      this.writer.syncNamesNow()
    } catch (error) {
      // Half a truncation cannot be told from corruption by what follows: the directory must not go on.
      if (!(error instanceof DiskError)) throw error
      this.#home.fail(error)
      return
    }
    this.generation++
    this.logEndOffset = logEndOffset
    this.writtenOffset = logEndOffset
    this.durableOffset = Math.min(this.durableOffset, logEndOffset)
    this.recoveryPoint = Math.min(this.recoveryPoint, logEndOffset)
    this.highWatermark = Math.max(this.logStartOffset, Math.min(this.highWatermark, logEndOffset))
    this.epochs.cache.truncateFromEnd(logEndOffset)
    this.checkpointer.wake()
    this.#context.openLogs.add(this)
    this.#home.onOffsetsChanged()
    // A sync that was under way counts no more: what is left is synced, or known to be, without another append.
    if (!this.config.writeCaching) this.#home.scheduleSync(this)
  }

  /** The directory is offline, or the log was deleted. */
  fail(): void {
    this.failed = true
    this.writer.close()
    for (const segment of this.segments.all) segment.abandon()
    this.#context.openLogs.delete(this)
    this.checkpointer.wake()
  }

  async whenQuiet(): Promise<void> {
    await this.checkpointer.whenIdle()
    await this.#whenExtended()
  }

  /** Resolves when no extension runs: one that ends after the process would leave its zeros behind the last batch. */
  async #whenExtended(): Promise<void> {
    for (const segment of this.segments.all) if (segment.extending) await segment.extension
  }

  settle(): boolean {
    const isBusy = this.checkpointer.isRunning || this.syncState !== 'idle' || this.segments.active.extending
    if (this.failed || isBusy) return false
    try {
      this.writeStaged()
      const { active } = this.segments
      for (const segment of this.segments.all) {
        if (segment === active || segment.indexes.hasChanges) segment.flushIndexes(segment === active)
      }
      active.trim()
      if (this.logEndOffset > this.logStartOffset) {
        this.producerStates.writeSnapshot(this.logStartOffset, this.logEndOffset)?.close()
      }
      this.epochs.saveUnsynced(this.logEndOffset)
      // At once, unlike elsewhere: thousands of logs would run out of descriptors, and the file system tells of errors by itself.
      for (const segment of this.segments.all) segment.closeUnsynced()
      return true
    } catch (error) {
      this.#onError(error)
      return false
    }
  }

  onSyncedAll(): void {
    if (this.failed) return
    const { active } = this.segments
    this.writer.onSyncedAll()
    this.#home.onSynced(this, this.logEndOffset, active.baseOffset, active.writtenBytes)
    this.recoveryPoint = this.logEndOffset
    this.#home.onCheckpointed(this)
    this.#context.openLogs.delete(this)
  }

  /**
   * Closes what an idle log holds: files, mappings, loaded indexes, the tail extended ahead. All of it is durable afterwards. Gives up
   * if the log is used meanwhile.
   */
  async closeIdle(): Promise<void> {
    if (this.#context.isClosing) await this.#whenExtended()
    const { active } = this.segments
    if (this.failed || this.writer.hasStaged) return
    this.touched = false
    try {
      active.flushIndexes(true)
      if (active.trim()) {
        this.writer.onWritten(active)
        if (!this.config.writeCaching) this.#home.scheduleSync(this)
      }
      if (!this.config.writeCaching || this.#context.isClosing) await this.checkpointer.complete()
      if (this.failed || this.touched || this.#pendingReadCount > 0 || this.writer.hasStaged || this.needsSync) return
      if (this.segments.all.some((segment) => segment.extending || segment.hasUnsyncedBytes)) return
      for (const segment of this.segments.all) segment.close()
    } catch (error) {
      this.#onError(error)
      return
    }
    this.#context.openLogs.delete(this)
  }

  #remove(segments: readonly Segment[]): void {
    this.writer.forget(segments)
    removeSegments(this.#context, segments, this.config.fileDeleteDelayMs)
    const bases = segments.map((segment) => segment.baseOffset)
    this.producerStates.removeSnapshots((offset) => bases.includes(offset))
  }

  #producers(): ProducerState {
    if (this.producerStates.isLoaded) return this.producerStates.stateAt(this.logStartOffset, this.logEndOffset)
    this.#use()
    const state = this.producerStates.stateAt(this.logStartOffset, this.logEndOffset)
    // What was replayed counts as open until the high watermark has passed it, which may have been long ago.
    state.onHighWatermark(this.highWatermark)
    return state
  }

  #onError(error: unknown): number {
    if (!(error instanceof DiskError)) throw error
    this.#home.onDiskError(error)
    return ErrorCode.KAFKA_STORAGE_ERROR
  }

  /** One sector that cannot be read costs the reads of it, not the directory. */
  #onReadError(error: unknown): number {
    if (!(error instanceof DiskError)) throw error
    this.#context.logger.error('read failed', { path: error.path, error: error.message })
    return ErrorCode.KAFKA_STORAGE_ERROR
  }
}
