import { assert, DiskError, type DiskFile, type Mapping, type Offset, type TimestampMs } from '@millrace/base'
import { maxTimestampOf } from '@millrace/protocol'
import { BatchScanner } from './batch-scanner.ts'
import { LOG_SUFFIX, offsetFileName } from './file-names.ts'
import { fingerprintOfSegment } from './fingerprint.ts'
import type { LogConfig } from './log-config.ts'
import type { OpenableSegment } from './open-segments.ts'
import { PositionHints } from './position-hints.ts'
import { RecentWrites } from './recent-writes.ts'
import { copyHead } from './segment-copy.ts'
import { SegmentIndexes } from './segment-indexes.ts'
import { SegmentMapping } from './segment-mapping.ts'
import type { ExistingFiles, SegmentHolder, SegmentPorts } from './segment-ports.ts'
import { locateCut } from './segment-search.ts'
import { SegmentSoundness } from './segment-soundness.ts'

/** A relative offset is an int32 in the indexes. */
const RELATIVE_OFFSET_MAX = 2 ** 31 - 1
/** Enough to read the header of a batch. */
const PROBE_BYTES = 4096

/**
 * One log file with its indexes. Three sizes: `sizeBytes` counts what was appended, `writtenBytes` what the file has been given
 * (the rest is staged), `fileBytes` how long the file is (extended ahead of the writes with zeros). Opens nothing until used.
 */
export class Segment implements OpenableSegment {
  readonly baseOffset: Offset
  /** That of its log; changes with its name. */
  directory: string
  readonly indexes: SegmentIndexes
  readonly #ports: SegmentPorts
  sizeBytes: number
  writtenBytes: number
  fileBytes: number
  /** After the last offset appended, and after the last one in the file. */
  nextOffset: Offset
  writtenNextOffset: Offset
  /** Whether a file exists: made with the first append. */
  exists: boolean
  /** The name of a file made since the directory was last synced. */
  needsDirectorySync: boolean
  /** Bytes were written since the last sync began. */
  hasUnsyncedBytes: boolean
  /** A change of the file's length by extension is under way on the thread pool. */
  extending: boolean
  /** Ends with the extension under way, if there is one. */
  extension: Promise<void>
  /** No more appends: the tail that was extended ahead goes. */
  sealed: boolean
  createdMs: TimestampMs
  /** No record of it was appended before that; -Infinity: it was found, or made of others, and nobody knows. */
  readonly appendedFromMs: TimestampMs
  readonly rollJitterMs: number
  readonly soundness: SegmentSoundness
  readonly mapped: SegmentMapping
  /** What the index says of the batch where the last {@link lookUp} led, -1 if it did not come from an index entry. */
  lookedUpOffset: Offset
  /** Null until it is one of a log's. */
  holder: SegmentHolder | null
  /** See {@link OpenableSegment}. */
  wasUsed: boolean
  /** maxTimestamp of the first batch, which rolling by time counts from; -2 not known, -1 no batch. */
  #firstTimestamp: TimestampMs
  #file: DiskFile | null
  /** Of what a cut is to leave, where readers hold views of the file; from {@link openToCut} to {@link cut}. */
  #copy: DiskFile | null
  /** Out of use for good: the name of its file may be another segment's. */
  #gone: boolean
  readonly #hints: PositionHints
  #fingerprint: number
  /** How long the segment was when it got its fingerprint, -1 if it has none, and how often its transaction index had changed. */
  #fingerprintedBytes: number
  #fingerprintedChanges: number
  /** How often records were cut off: what was read before may not be what stands there now. */
  cutCount: number
  /** How often the tail that was extended ahead was cut off, and how many of these cuts are known to be on the disk. */
  #tailCutCount: number
  #settledCutCount: number
  /** The sync under way, or the one that failed. */
  #syncing: Promise<void> | null
  readonly #recent: RecentWrites

  constructor(
    ports: SegmentPorts,
    directory: string,
    baseOffset: Offset,
    config: LogConfig,
    existing: ExistingFiles | null,
  ) {
    const isNew = existing === null
    this.#ports = ports
    this.baseOffset = baseOffset
    this.directory = directory
    this.sizeBytes = existing?.sizeBytes ?? 0
    this.writtenBytes = this.sizeBytes
    this.fileBytes = this.sizeBytes
    const hasTransactions = existing?.hasTransactionIndex ?? false
    this.indexes = new SegmentIndexes(ports.disk, directory, this, config.indexIntervalBytes, isNew, hasTransactions)
    this.nextOffset = baseOffset
    this.writtenNextOffset = baseOffset
    this.exists = !isNew
    this.needsDirectorySync = false
    this.hasUnsyncedBytes = false
    this.extending = false
    this.extension = Promise.resolve()
    this.sealed = false
    this.createdMs = ports.clock.wallMs()
    this.appendedFromMs = isNew ? this.createdMs : Number.NEGATIVE_INFINITY
    const jitterMs = Math.min(config.segmentJitterMs, config.segmentMs)
    this.rollJitterMs = jitterMs > 0 ? ports.random.uint32() % jitterMs : 0
    this.soundness = new SegmentSoundness(this, ports, this.sizeBytes)
    this.mapped = new SegmentMapping()
    this.lookedUpOffset = -1
    this.holder = null
    this.wasUsed = false
    this.#firstTimestamp = isNew ? -1 : -2
    this.#file = null
    this.#copy = null
    this.#gone = false
    this.#hints = new PositionHints()
    this.#fingerprint = 0
    this.#fingerprintedBytes = -1
    this.#fingerprintedChanges = 0
    this.cutCount = 0
    this.#tailCutCount = 0
    this.#settledCutCount = 0
    this.#syncing = null
    this.#recent = new RecentWrites(this.sizeBytes)
  }

  /** The directory got another name. Nothing may be under way that knows the former one. */
  moveTo(directory: string): void {
    this.directory = directory
    this.indexes.moveTo(directory)
  }

  get logPath(): string {
    return `${this.directory}/${offsetFileName(this.baseOffset, LOG_SUFFIX)}`
  }

  /**
   * The open file; created if this is its first use. To be asked for anew each time: it may be closed when another segment's is opened,
   * unless its log counts a pending read. Throws `DiskError`, also once the segment was abandoned.
   */
  file(): DiskFile {
    this.wasUsed = true
    if (this.#file === null) {
      if (this.#gone) throw new DiskError('DISK_NOT_FOUND', 'open abandoned segment', this.logPath, null)
      this.#ports.openSegments.makeRoom(this.logPath)
      if (!this.exists) this.needsDirectorySync = true
      this.#file = this.#ports.disk.openFile(this.logPath, { create: !this.exists })
      this.exists = true
      this.#ports.openSegments.onOpened(this)
    }
    return this.#file
  }

  get isOpen(): boolean {
    return this.#file !== null || this.mapped.isMapped
  }

  /** Abandoned: what is found in it concerns nobody any more. */
  get isGone(): boolean {
    return this.#gone
  }

  /** When the file was last written to, for retention of batches without timestamps. */
  get modifiedMs(): TimestampMs {
    return this.#ports.disk.stat(this.logPath)?.modifiedMs ?? this.createdMs
  }

  /** Largest batch timestamp, -1 if there is none. */
  get maxTimestamp(): TimestampMs {
    return this.indexes.maxTimestamp
  }

  /** maxTimestamp of the first batch, -1 if there is none. */
  get firstTimestamp(): TimestampMs {
    if (this.#firstTimestamp === -2) this.#readFirstTimestamp()
    return this.#firstTimestamp
  }

  /** Whether a batch must go to a new segment (replication-and-transactions.md, 1.5). Hot path. */
  shouldRoll(config: LogConfig, batchBytes: number, maxTimestamp: TimestampMs, lastOffset: Offset): boolean {
    if (this.sizeBytes > config.segmentBytes - batchBytes) return true
    if (lastOffset - this.baseOffset > RELATIVE_OFFSET_MAX) return true
    if (this.indexes.isFull(config.segmentIndexBytes)) return true
    if (this.sizeBytes === 0) return false
    const rollMs = config.cleanupCompact ? Math.min(config.maxCompactionLagMs, config.segmentMs) : config.segmentMs
    const firstTimestamp = this.firstTimestamp
    const ageMs = firstTimestamp >= 0 ? maxTimestamp - firstTimestamp : this.#ports.clock.wallMs() - this.createdMs
    return ageMs > rollMs - this.rollJitterMs
  }

  /** Counts a batch that was staged or written at {@link sizeBytes}, and indexes it if due. Hot path. */
  onAppended(batchBytes: number, lastOffset: Offset, maxTimestamp: TimestampMs, indexIntervalBytes: number): void {
    this.indexes.onAppended(this.sizeBytes, batchBytes, lastOffset, maxTimestamp, indexIntervalBytes)
    if (this.sizeBytes === 0) this.#firstTimestamp = maxTimestamp
    this.sizeBytes += batchBytes
    this.nextOffset = lastOffset + 1
  }

  /** Counts what the file has been given, up to everything appended. */
  onWritten(): void {
    this.#recent.onWriteAt(this.writtenBytes, this.#ports.clock.monotonicMs())
    this.writtenBytes = this.sizeBytes
    this.writtenNextOffset = this.nextOffset
    if (this.fileBytes < this.writtenBytes) this.fileBytes = this.writtenBytes
    this.#hints.add(this.writtenNextOffset, this.writtenBytes)
  }

  /** Whether everything from `position` on was written so recently that it must still be in memory. */
  isHot(position: number): boolean {
    return this.#recent.covers(position, this.#ports.clock.monotonicMs())
  }

  /** Remembers that the batch with base offset `offset` starts at `position`. */
  addHint(offset: Offset, position: number): void {
    this.#hints.add(offset, position)
  }

  /**
   * A mapping from the start to `endBytes` at least, which are written, or null where the disk has none. Another one takes its place when
   * more is asked for: only who reads near the end of a log that grows has it mapped again as it does.
   */
  mapping(endBytes: number): Mapping | null {
    this.wasUsed = true
    return this.mapped.reaching(endBytes) ?? this.mapped.grow(this.file(), endBytes)
  }

  /** Position at or before the batch that holds `offset`, from what is in memory; -1 if that cannot tell. Hot path. */
  lookUp(offset: Offset): number {
    this.lookedUpOffset = -1
    const hint = offset === this.baseOffset ? 0 : this.#hints.find(offset)
    if (hint >= 0) return hint
    const { offsets } = this.indexes
    if (!offsets.canLookUp(offset)) return -1
    let position = offsets.positionFor(offset)
    if (position > 0) this.lookedUpOffset = offsets.foundOffset
    for (const hole of this.soundness.holes) {
      if (offset < hole.endOffset || position >= hole.endPosition) continue
      position = hole.endPosition
      this.lookedUpOffset = -1
    }
    return position
  }

  /** Reads the offset index off the event loop; if it does not agree with the log it is rebuilt, and damage of the log noted. */
  async loadIndex(): Promise<void> {
    this.soundness.noteDamage(await this.indexes.load())
  }

  /** Makes {@link maxTimestamp} known off the event loop, in pieces where the segment must be walked for it. Rejects with `DiskError`. */
  async loadMaxTimestamp(): Promise<void> {
    this.soundness.noteDamage(await this.indexes.loadMaxTimestamp())
  }

  /**
   * See `fingerprintOfSegment`. Remembered until one of the two files changes that it tells of. Of the transaction index it counts what is
   * in the file: entries that a walk has found get there later, with no change of the log.
   */
  fingerprint(): number {
    const { directory, baseOffset, writtenBytes } = this
    const { file } = this.indexes.transactions
    if (this.#fingerprintedBytes !== writtenBytes || this.#fingerprintedChanges !== file.changeCount) {
      const hasTransactions = file.count > 0
      this.#fingerprint = fingerprintOfSegment(this.#ports.disk, directory, baseOffset, writtenBytes, hasTransactions)
      this.#fingerprintedBytes = writtenBytes
      this.#fingerprintedChanges = file.changeCount
    }
    return this.#fingerprint
  }

  /** Nobody knows whether the file ends on the disk where it ends now: another process may have cut it. */
  distrustEnd(): void {
    this.#tailCutCount++
  }

  /** Its file goes on behind its data, or is about to. */
  get hasTail(): boolean {
    return this.extending || (this.exists && this.fileBytes > this.writtenBytes)
  }

  /** Of a closed segment: its file may be longer than its data, or be so again after a loss of power. */
  get hasUnsettledEnd(): boolean {
    return this.hasTail || this.#tailCutCount > this.#settledCutCount
  }

  /** Ends the file of a closed segment durably where its data end: only then may a fingerprint name its size. Rejects with `DiskError`. */
  async settleEnd(): Promise<void> {
    await this.extension
    if (this.#gone) return
    this.trim()
    const cutCount = this.#tailCutCount
    if (cutCount === this.#settledCutCount) return
    await this.sync()
    // Not before: what is noted in the mark meanwhile must not name the size.
    this.#settledCutCount = Math.max(this.#settledCutCount, cutCount)
  }

  /**
   * Makes what the file has been given durable. One sync at a time, and none after one that failed: the system tells of a lost write
   * once for each descriptor, and of two callers at the same time only one would hear of it, while the other acknowledged what is lost.
   * Rejects with `DiskError`.
   */
  sync(): Promise<void> {
    const file = this.file()
    const synced = this.#syncing === null ? file.syncData() : this.#syncing.then(() => this.#syncAfter(file))
    this.#syncing = synced
    const onEnd = (): void => {
      if (this.#syncing === synced) this.#syncing = null
    }
    // A failed one stays, for all that come after; its caller gets the error.
    synced.then(onEnd, () => undefined)
    return synced
  }

  /** Of a file that was closed meanwhile the segment is gone, or all of it was synced. */
  #syncAfter(file: DiskFile): Promise<void> {
    return this.#file === file ? file.syncData() : Promise.resolve()
  }

  /** Where the log ends if the batch that holds `offset`, or else the first one after it, goes. */
  locate(offset: Offset): { position: number; endOffset: Offset } {
    return locateCut(this, offset)
  }

  /**
   * Shortens it to `position`, which is where the batch of `endOffset` stood, after {@link openToCut}. Readers may hold views of what goes:
   * the file is then replaced by a copy of what stays, and theirs lives on without a name. The caller syncs file and directory.
   */
  cut(position: number, endOffset: Offset): void {
    if (!this.exists) return
    this.cutCount++
    if (this.#copy !== null) this.#replaceBy(this.#copy)
    else this.file().truncate(position)
    // At once: what is cut off must not come back under what is appended in its place.
    this.file().syncDataNow()
    this.fileBytes = position
    this.soundness.cut(position, endOffset)
    this.sealed = false
    this.indexes.transactions.truncateTo(endOffset)
    this.indexes.resetTo(endOffset)
    // As well: a start that finds the log to end where it was cut looks at no index, and goes on behind what it holds.
    this.indexes.syncNow()
    const indexed = this.indexes.offsets.last()
    this.#resetTo(indexed?.position ?? 0)
    this.#countBatches(position)
    this.nextOffset = endOffset
    this.writtenNextOffset = endOffset
  }

  /**
   * Prepares the walk of recovery: keeps what the indexes say below `recoveryPoint` if that is sound, and starts at the last batch
   * they know, else at the beginning. The transaction index is kept below `transactionsPoint`. The caller counts each batch with
   * {@link onAppended} and ends with {@link endRecovery}.
   */
  beginRecovery(recoveryPoint: Offset, transactionsPoint: Offset): BatchScanner {
    this.fileBytes = this.file().sizeBytes()
    const start = this.indexes.keepBelow(recoveryPoint, this.fileBytes)
    this.indexes.transactions.beginRecovery(transactionsPoint)
    this.#resetTo(start)
    this.soundness.onWalkedFrom(start)
    const scanner = new BatchScanner(this.file(), start, this.fileBytes, this.baseOffset)
    if (start === 0) return scanner
    // Where its header leads, as the index has confirmed: if the batch is damaged, those before it are not lost with it.
    const first = new BatchScanner(this.file(), start, this.fileBytes, this.baseOffset, PROBE_BYTES)
    if (first.next() === 'batch') scanner.expectedOffset = first.baseOffset
    return scanner
  }

  /** The walk ended at `position`: what follows in the file is cut off. */
  endRecovery(position: number): void {
    this.indexes.transactions.endRecovery()
    this.sizeBytes = position
    this.writtenBytes = position
    this.writtenNextOffset = this.nextOffset
    this.trim()
  }

  /** The walk ended in damage that is to be kept; the segment counts as reaching `endOffset`. */
  endAtDamage(endOffset: Offset): void {
    this.indexes.transactions.endRecovery()
    this.sizeBytes = this.fileBytes
    this.writtenBytes = this.fileBytes
    this.nextOffset = endOffset
    this.writtenNextOffset = endOffset
    this.sealed = true
  }

  /** Counts batches again from {@link sizeBytes}, where an index entry points or the file starts, to `end`. */
  #countBatches(end: number): void {
    const scanner = new BatchScanner(this.file(), this.sizeBytes, end, this.baseOffset)
    for (let found = scanner.next(); found !== 'end'; found = scanner.next()) {
      if (found === 'invalid' && !scanner.resync(Number.POSITIVE_INFINITY)) break
      const maxTimestamp = maxTimestampOf(scanner.header, scanner.headerPosition)
      this.sizeBytes = scanner.position
      this.onAppended(scanner.sizeBytes, scanner.lastOffset, maxTimestamp, Number.POSITIVE_INFINITY)
    }
    this.sizeBytes = end
    this.writtenBytes = end
    this.writtenNextOffset = this.nextOffset
  }

  /**
   * Before {@link cut}: opens and reads all that it needs, so that it cannot be refused halfway for want of a descriptor. Throws `DiskError`;
   * nothing has changed then.
   */
  openToCut(position: number): void {
    if (!this.exists) return
    this.indexes.openToCut()
    this.#copy?.close()
    this.#copy = null
    const file = this.file()
    if (this.mapped.isViewedFrom(position)) {
      this.#copy = copyHead(this.#ports.disk, file, `${this.logPath}.tmp`, position)
    }
  }

  /** The copy takes the place of the file, and is open already. */
  #replaceBy(copy: DiskFile): void {
    this.#copy = null
    this.#closeFiles()
    this.#ports.disk.rename(`${this.logPath}.tmp`, this.logPath)
    this.#file = copy
    this.#ports.openSegments.onOpened(this)
    this.mapped.forgetViews()
  }

  /** Ends appending: closing time entry, indexes in their files, the extended tail cut off. Whether the file was cut. */
  seal(): boolean {
    this.sealed = true
    if (!this.exists) return false
    this.flushIndexes(true)
    return this.trim()
  }

  /** Cuts the tail that was extended ahead, unless an extension is under way, whose end does it. Whether the file was cut. */
  trim(): boolean {
    assert(this.writtenBytes === this.sizeBytes, 'nothing staged when a segment is trimmed')
    if (this.extending || !this.exists || this.fileBytes <= this.writtenBytes) return false
    this.file().truncate(this.writtenBytes)
    this.fileBytes = this.writtenBytes
    this.#tailCutCount++
    return true
  }

  /** Hands index entries to their files, the closing one too if `closing`. */
  flushIndexes(closing: boolean): void {
    if (this.exists) this.indexes.flush(closing)
  }

  /** Starts counting anew at `position`, an index entry's or 0. */
  #resetTo(position: number): void {
    this.sizeBytes = position
    this.writtenBytes = position
    this.nextOffset = this.baseOffset
    this.writtenNextOffset = this.baseOffset
    this.#hints.clear()
    this.#recent.forget()
    if (position > 0) return
    this.#firstTimestamp = -1
    this.createdMs = this.#ports.clock.wallMs()
  }

  /** Drops descriptor, mapping and loaded indexes: an idle segment costs nothing. Nothing may be unsynced. */
  close(): void {
    assert(!this.hasUnsyncedBytes, 'a segment is synced before it is closed')
    this.#closeFiles()
    this.indexes.close()
  }

  /** See {@link OpenableSegment}. What is loaded of the indexes stays; their next sync opens them again. */
  closeUnused(): boolean {
    const isSynced = !this.hasUnsyncedBytes && this.#syncing === null
    const isInUse = this.extending || this.writtenBytes < this.sizeBytes || (this.holder?.pendingReadCount ?? 0) > 0
    if (!isSynced || isInUse) return false
    this.#closeFiles()
    this.indexes.closeFiles()
    return true
  }

  /** Closes although not all is synced: a sync of the whole file system follows. */
  closeUnsynced(): void {
    this.#closeFiles()
    this.indexes.close()
  }

  /** Closes without regard to what was not synced: the file is to be deleted, or its directory has failed. It cannot be used again. */
  abandon(): void {
    this.#gone = true
    this.#closeFiles()
    this.indexes.abandon()
  }

  #closeFiles(): void {
    if (this.#file !== null) {
      this.#file.close()
      this.#file = null
      this.#ports.openSegments.onClosed(this)
    }
    this.#copy?.close()
    this.#copy = null
    this.mapped.release()
  }

  #readFirstTimestamp(): void {
    const header = Buffer.alloc(61)
    const isThere =
      this.writtenBytes >= header.length && this.file().read(header, 0, header.length, 0) === header.length
    this.#firstTimestamp = isThere ? maxTimestampOf(header, 0) : -1
  }
}
