import { DiskError, type LeaderEpoch, type Offset, type ProducerId, type TimestampMs, type Uuid } from '@millrace/base'
import { LogCompaction } from './cleaner/log-compaction.ts'
import type { SyncState } from './group-commit.ts'
import type { EpochEnd } from './leader-epoch-cache.ts'
import { LogAppender } from './log-appender.ts'
import { LogCheckpointer } from './log-checkpointer.ts'
import { LogCloser } from './log-closer.ts'
import type { LogConfig } from './log-config.ts'
import type { FaultyRange, LogHome } from './log-core.ts'
import { LogCutter } from './log-cutter.ts'
import type { LogEpochs } from './log-epochs.ts'
import type { LogProducers } from './log-producers.ts'
import { LogReads } from './log-reads.ts'
import type { AppendResult, FoundOffset, ReadResult } from './log-results.ts'
import type { LogSegments } from './log-segments.ts'
import { type LogState, reportError } from './log-state.ts'
import { LogWriter } from './log-writer.ts'
import type { ProducerEntry } from './producer-entry.ts'
import type { AppendOrigin, ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'
import { removeSegments } from './segment-removal.ts'
import { isTemporary } from './settle-all.ts'
import type { StorageContext } from './storage-context.ts'

/** A log whose index would have no more entries than this is read as quickly as they are. */
const SMALL_LOG_INTERVALS = 8

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
  /** Everything below was compacted, as the checkpoint says. */
  cleanedOffset: Offset
  /** Gaps between segments that end at or below are no losses: see `readGapsBelow`. */
  gapsBelow: Offset
  faultyRanges: FaultyRange[]
  /** The names of its directory and metadata may not be durable: the first sync makes them so. */
  namesUnsynced: boolean
  /** Names and ends of its files are as a process left them that did not close the log: perhaps in memory only. */
  filesUnsettled: boolean
  /** Called each time `durableOffset` rose. */
  onDurable: (log: Log) => void
}

/**
 * The log of one partition: an append-only sequence of record batches in segments, with what is derived from them. Single-threaded;
 * everything but cold reads, look-ups by time and syncs happens within the call. `logStartOffset ≤ highWatermark ≤ logEndOffset` and
 * `durableOffset ≤ writtenOffset ≤ logEndOffset`. Appends are staged in memory until `LogManager.flushStaged`.
 */
export class Log implements LogState {
  readonly topic: string
  readonly partition: number
  readonly topicId: Uuid
  /** The log directory that holds it. */
  readonly directory: string
  /** The partition directory; changes when it is set aside, or takes the place of another log. */
  path: string
  /** It is being filled from the log of the same partition in another directory, whose place it will take. */
  isFuture: boolean
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
  syncState: SyncState
  readonly segments: LogSegments
  readonly epochs: LogEpochs
  readonly producerStates: LogProducers
  /** Lost as a whole: the files end before them. */
  readonly lostRanges: FaultyRange[]
  readonly writer: LogWriter
  readonly checkpointer: LogCheckpointer
  readonly compaction: LogCompaction
  /** Raised by truncation: syncs, reads and checkpoints that began before it say nothing any more. */
  generation: number
  /** Used since the manager last looked for idle logs. */
  touched: boolean
  readonly #context: StorageContext
  readonly #home: LogHome
  readonly #onDurable: (log: Log) => void
  readonly #appender: LogAppender
  readonly #reads: LogReads
  readonly #cutter: LogCutter
  readonly #closer: LogCloser
  /** Records appended since the last sync began. */
  unflushedRecordCount: number
  /** The last flush could not write what was staged: the disk is full. What is staged now may also be newer than that flush. */
  refusesWrites: boolean
  /** When the oldest write was made that no sync has begun for, -1 if there is none. */
  #unflushedSinceMs: number
  constructor(context: StorageContext, home: LogHome, parts: LogParts) {
    this.topic = parts.topic
    this.partition = parts.partition
    this.topicId = parts.topicId
    this.directory = home.path
    this.path = parts.path
    this.isFuture = false
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
    this.lostRanges = parts.faultyRanges
    this.writer = new LogWriter(context, home, this, parts.namesUnsynced, parts.filesUnsettled)
    this.checkpointer = new LogCheckpointer(context, home, this)
    this.compaction = new LogCompaction(context, home, this, parts.cleanedOffset, parts.gapsBelow)
    this.generation = 0
    this.touched = false
    this.#context = context
    this.#home = home
    this.#onDurable = parts.onDurable
    this.#appender = new LogAppender(context, home, this)
    this.#reads = new LogReads(context, this)
    this.#cutter = new LogCutter(context, home, this)
    this.#closer = new LogCloser(context, home, this)
    this.unflushedRecordCount = 0
    this.refusesWrites = false
    this.#unflushedSinceMs = -1
    parts.producers.forgetUnlessKnownSince(parts.highWatermark)
    if (parts.producers.isLoaded) this.currentProducers().onHighWatermark(parts.highWatermark)
  }

  /** Everything below is committed and belongs to no open transaction. */
  get lastStableOffset(): Offset {
    if (this.producerStates.isKnownEmpty) return this.highWatermark
    const first = this.currentProducers().firstUnstableOffset
    if (first < 0 || first >= this.highWatermark) return this.highWatermark
    // The beginning of an open transaction may have been deleted.
    return Math.max(first, this.logStartOffset)
  }

  /** -1 before the first. */
  get latestEpoch(): LeaderEpoch {
    return this.epochs.cache.latestEpoch
  }

  get sizeBytes(): number {
    return this.segments.sizeBytes
  }

  /** See `LogCore.cleanedOffset`. */
  get cleanedOffset(): Offset {
    return this.compaction.cleanedOffset
  }

  set cleanedOffset(offset: Offset) {
    this.compaction.cleanedOffset = offset
  }

  /** Retention takes segments from it, or has yet to remove some. */
  get isRetaining(): boolean {
    return this.#cutter.isRetaining
  }

  /** Reads that come from the disk in steps: files stay open for them. */
  get pendingReadCount(): number {
    return this.segments.pendingReadCount
  }

  set pendingReadCount(count: number) {
    this.segments.pendingReadCount = count
  }

  get needsSync(): boolean {
    return !this.failed && this.writer.needsSync
  }

  get hasStaged(): boolean {
    return this.writer.hasStaged
  }

  /** See `LogCore.isSmall`. */
  get isSmall(): boolean {
    const { first, count } = this.segments
    if (count > 1 || first.baseOffset > 0 || this.logStartOffset > 0) return false
    if (first.indexes.hasUnsyncedFiles || this.producerStates.hasRemovedNames) return false
    const isShort = first.writtenBytes <= SMALL_LOG_INTERVALS * this.config.indexIntervalBytes
    return isShort && first.indexes.transactions.file.count === 0
  }

  get isCheckpointed(): boolean {
    const isSynced = !this.hasStaged && !this.needsSync && this.durableOffset === this.logEndOffset
    const { isRunning, isDue } = this.checkpointer
    if (this.failed || this.isHalfCut || !isSynced || isRunning || isDue) return false
    return !this.segments.all.some(({ hasTail }) => hasTail)
  }

  /** Nothing is under way that reaches files of the log by their names: its directory may be renamed. */
  get isQuiet(): boolean {
    const isSyncing = this.syncState !== 'idle' || this.needsSync || this.hasStaged
    if (isSyncing || this.isHalfCut || this.checkpointer.isRunning || this.isRetaining || this.compaction.isSwapping)
      return false
    return !this.segments.all.some(({ extending }) => extending)
  }

  /** See `LogCore.isUnsettled`. */
  get isUnsettled(): boolean {
    return this.writer.isUnsettled
  }

  /** See `LogCore.isHalfCut`. */
  get isHalfCut(): boolean {
    return this.#cutter.isUnfinished
  }

  get totalBytes(): number {
    return this.writer.totalBytes
  }

  /** Offsets that are known to be damaged: reads of them fail with KAFKA_STORAGE_ERROR. */
  get faultyRanges(): FaultyRange[] {
    const ranges = [...this.lostRanges]
    // A hole at the end of a segment may be one of these.
    const isLost = (hole: FaultyRange): boolean =>
      this.lostRanges.some((lost) => lost.startOffset <= hole.startOffset && hole.endOffset <= lost.endOffset)
    for (const { soundness } of this.segments.all) {
      for (const hole of soundness.holes) {
        if (!isLost(hole)) ranges.push({ startOffset: hole.startOffset, endOffset: hole.endOffset })
      }
    }
    return ranges
  }

  /**
   * A follower came again for records that it was given: it may have found them damaged. The next read of their segment holds it against
   * its checksums. Hot path: does little.
   */
  distrust(offset: Offset): void {
    const slot = this.segments.slotFor(offset)
    if (slot < 0) return
    const segment = this.segments.at(slot)
    segment.soundness.distrust(segment.writtenBytes)
  }

  updateConfig(config: LogConfig): void {
    this.config = config
    if (!this.needsSync) return
    // From now on an acknowledgement means durable: what came before it, which nothing else would sync, must be so, too.
    if (!config.writeCaching) this.#home.scheduleSync(this)
    else if (config.flushMs >= 0) this.#context.flushLater(this, config.flushMs)
  }

  /** Sets it within the log (a follower may lower it). True if it or the last stable offset rose. */
  setHighWatermark(offset: Offset): boolean {
    const highWatermark = Math.max(this.logStartOffset, Math.min(offset, this.logEndOffset))
    if (highWatermark === this.highWatermark) return false
    const before = this.highWatermark
    // Not built for this: a start sets the watermark of every log, and only few are read up to their last stable offset.
    const { isLoaded } = this.producerStates
    const stableBefore = isLoaded ? this.lastStableOffset : before
    this.highWatermark = highWatermark
    this.#home.onOffsetsChanged()
    if (isLoaded) this.currentProducers().onHighWatermark(highWatermark)
    return highWatermark > before || (isLoaded && this.lastStableOffset > stableBefore)
  }

  producers(): Iterable<ProducerEntry> {
    return this.currentProducers().producers()
  }

  openTransactions(): { producerId: ProducerId; firstOffset: Offset }[] {
    return this.currentProducers().openTransactions()
  }

  removeExpiredProducers(nowMs: TimestampMs, expirationMs: number): void {
    if (this.producerStates.isLoaded) this.currentProducers().removeExpired(nowMs, expirationMs)
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
    return this.#appender.append(buffer, start, end, origin, leaderEpoch, result, transactionVersion)
  }

  /** Starts a new segment at `baseOffset`, at or above the log end. Throws `DiskError`; nothing has changed then. */
  roll(baseOffset: Offset): void {
    this.#appender.roll(baseOffset)
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
      this.refusesWrites = false
    } catch (error) {
      this.refusesWrites = this.hasStaged
      if (error instanceof DiskError && isTemporary(error)) this.#home.onPutOff(this, error)
      else reportError(this.#home, error)
      return
    }
    // Before anything else that may fail: what is written is to be synced, whatever becomes of that.
    if (this.config.writeCaching) this.#flushInTime(nowMs)
    else this.#home.scheduleSync(this)
    try {
      this.checkpointer.onWritten()
    } catch (error) {
      reportError(this.#home, error)
    }
  }

  /** Kafka's `flush.messages` and `flush.ms`, which only matter with write caching. */
  #flushInTime(nowMs: number): void {
    const { flushMessages, flushMs } = this.config
    if (this.#unflushedSinceMs < 0) this.#unflushedSinceMs = nowMs
    if (flushMessages >= 0 && this.unflushedRecordCount >= flushMessages) this.#home.scheduleSync(this)
    else if (flushMs >= 0 && this.flushIfDue(nowMs) > 0) this.#context.flushLater(this, flushMs)
  }

  /** See `LateFlushed`. */
  flushIfDue(nowMs: number): number {
    const { writeCaching, flushMs } = this.config
    if (!writeCaching || flushMs < 0 || !this.needsSync) return -1
    const leftMs = this.#unflushedSinceMs < 0 ? flushMs : this.#unflushedSinceMs + flushMs - nowMs
    if (leftMs > 0) return leftMs
    this.#home.scheduleSync(this)
    return -1
  }

  /** Part of {@link Syncable}: called by the directory's group commit. */
  async sync(): Promise<void> {
    const { writtenOffset, generation } = this
    const { active } = this.segments
    const positionBytes = active.writtenBytes
    this.unflushedRecordCount = 0
    this.#unflushedSinceMs = -1
    try {
      await this.writer.sync()
    } catch (error) {
      // Of a log that was deleted meanwhile even the directory may be gone.
      if (this.failed) return
      if (!(error instanceof DiskError && isTemporary(error))) throw error
      this.#home.onPutOff(this, error)
      return
    }
    if (this.failed || generation !== this.generation) return
    this.#home.onSynced(this, writtenOffset, active.baseOffset, positionBytes)
  }

  markDirty(): void {
    this.writer.markDirty()
  }

  /** See `LogCore.retry`. */
  retry(): void {
    this.#cutter.finish()
    if (this.hasStaged) this.markDirty()
    this.#home.scheduleSync(this)
    this.checkpointer.retry()
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
    return this.#reads.read(fromOffset, maxBytes, upperOffset, minOneBatch, out)
  }

  /** Bytes of `[fromOffset, min(upperOffset, written))`, at most `maxBytes`. Cheap; may count a few batches too many. */
  bytesAvailable(fromOffset: Offset, upperOffset: Offset, maxBytes: number): number {
    return this.#reads.bytesAvailable(fromOffset, upperOffset, maxBytes)
  }

  /** Whether what lies below `upperOffset` goes on in a later segment than that of `fromOffset`: a read ends with its segment. */
  endsInLaterSegment(fromOffset: Offset, upperOffset: Offset): boolean {
    return this.#reads.endsInLaterSegment(fromOffset, upperOffset)
  }

  /** The first record with a timestamp at or above `timestamp`, below `upperOffset`; null if there is none. Rejects with `DiskError`. */
  offsetForTimestamp(timestamp: TimestampMs, upperOffset: Offset): Promise<FoundOffset | null> {
    return this.#reads.offsetForTimestamp(timestamp, upperOffset)
  }

  /** The first record with the largest timestamp; null for an empty log. Rejects with `DiskError`. */
  offsetOfMaxTimestamp(): Promise<FoundOffset | null> {
    return this.#reads.offsetOfMaxTimestamp()
  }

  use(): void {
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
    return this.#reads.abortedTransactions(fromOffset, upperOffset)
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

  /**
   * Deletes old segments by log start, size and time; resolves to how many. They are the log's no more when this returns, or, where all
   * are to go, a little later. One call at a time: another meanwhile does nothing. Never rejects with a `DiskError`.
   */
  applyRetention(nowMs: TimestampMs): Promise<number> {
    return this.#cutter.applyRetention(nowMs)
  }

  /**
   * Cuts the log so that it ends at `offset`; a batch that holds it goes as a whole. Throws `DiskError` where there is no descriptor for that:
   * the log is what it was, and it may be tried again. Any other error takes the directory offline, with this log.
   */
  truncateTo(offset: Offset): void {
    this.#cutter.truncateTo(offset)
  }

  /** Empties the log: the next record gets `offset`. Throws as {@link truncateTo} does. */
  truncateFullyAndStartAt(offset: Offset): void {
    this.#cutter.truncateFullyAndStartAt(offset)
  }

  /** The directory is offline, or the log was deleted. */
  fail(): void {
    this.failed = true
    this.writer.close()
    for (const segment of this.segments.all) segment.abandon()
    this.#cutter.abandon()
    this.#context.openLogs.delete(this)
    this.checkpointer.onNothingLeft()
    this.checkpointer.wake()
  }

  /** Its directory is found after any crash, and says whose log it is. */
  get hasDurableNames(): boolean {
    return this.writer.hasDurableNames
  }

  /** Makes the names of a log that holds nothing yet durable, in the background. */
  settleNames(): void {
    this.writer.settleNames()
    this.#home.scheduleSync(this)
  }

  /** Its directory got another name. Since it was {@link isQuiet} nothing may have waited that knows the former one. */
  moveTo(path: string): void {
    this.path = path
    for (const segment of this.segments.all) segment.moveTo(path)
    this.epochs.moveTo(path)
    this.producerStates.moveTo(path)
    this.writer.onRenamed()
  }

  whenQuiet(): Promise<void> {
    return this.#closer.whenQuiet()
  }

  settle(): boolean {
    return this.#closer.settle()
  }

  onSyncedAll(): void {
    this.#closer.onSyncedAll()
  }

  /**
   * Closes what an idle log holds: files, mappings, loaded indexes, the tail extended ahead. All of it is durable afterwards. Gives up
   * if the log is used meanwhile.
   */
  closeIdle(): Promise<void> {
    return this.#closer.closeIdle()
  }

  remove(segments: readonly Segment[]): void {
    this.writer.forget(segments)
    // A future log's files will soon have other paths, and nobody reads them yet.
    removeSegments(this.#context, segments, this.isFuture ? 0 : this.config.fileDeleteDelayMs)
    const bases = new Set(segments.map((segment) => segment.baseOffset))
    this.producerStates.removeSnapshots((offset) => bases.has(offset))
  }

  currentProducers(): ProducerState {
    if (!this.producerStates.isLoaded) this.use()
    return this.producerStates.stateAt(this.logStartOffset, this.logEndOffset, this.highWatermark)
  }
}
