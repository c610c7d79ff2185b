import {
  assert,
  type Clock,
  type Disk,
  type DiskFile,
  type Mapping,
  type Offset,
  type Random,
  type TimestampMs,
} from '@millrace/base'
import { maxTimestampOf } from '@millrace/protocol'
import { BatchScanner } from './batch-scanner.ts'
import {
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetFileName,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts'
import type { LogConfig } from './log-config.ts'
import { OffsetIndex } from './offset-index.ts'
import { TimeIndex } from './time-index.ts'
import { TransactionIndex } from './transaction-index.ts'

/** A relative offset is an int32 in the indexes. */
const RELATIVE_OFFSET_MAX = 2 ** 31 - 1
/** Remembered pairs of offset and position: ends of the latest writes and reads, where the next reads start. */
const HINT_COUNT = 16
/** Mappings grow in these steps, so that a small log costs little and a large one is mapped once (docs/adr/0002). */
const MAPPING_SIZES_BYTES = [1 << 16, 1 << 20, 1 << 24, 1 << 28]
/** A file is copied in pieces of this size when it must be replaced. */
const COPY_CHUNK_BYTES = 1 << 20
/** What was written this recently is taken to be in memory without asking the system. */
const HOT_MS = 1000

/** What a segment needs of the world. */
export interface SegmentPorts {
  disk: Disk
  clock: Clock
  random: Random
}

/**
 * One log file with its indexes. Three sizes: `sizeBytes` counts what was appended, `writtenBytes` what the file has been given
 * (the rest is staged), `fileBytes` how long the file is (extended ahead of the writes with zeros). Opens nothing until used.
 */
export class Segment {
  readonly baseOffset: Offset
  readonly directory: string
  readonly offsetIndex: OffsetIndex
  readonly timeIndex: TimeIndex
  readonly transactionIndex: TransactionIndex
  readonly #ports: SegmentPorts
  sizeBytes: number
  writtenBytes: number
  fileBytes: number
  /** After the last offset appended, and after the last one in the file. */
  nextOffset: Offset
  writtenNextOffset: Offset
  /** Whether a file exists: made with the first write. */
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
  readonly rollJitterMs: number
  /** Damaged ranges of the file, which look-ups must not walk through. */
  readonly holes: { endOffset: Offset; endPosition: number }[]
  /** End of the highest view that was given to a reader. */
  viewedEndBytes: number
  /** Largest batch timestamp and the last offset of the batch where it first appeared; -2: not known, read from the index. */
  #maxTimestamp: TimestampMs
  #maxTimestampOffset: Offset
  /** maxTimestamp of the first batch, which rolling by time counts from; -2 not known, -1 no batch. */
  #firstTimestamp: TimestampMs
  #bytesSinceIndexEntry: number
  #file: DiskFile | null
  #mapping: Mapping | null
  readonly #hintOffsets: Float64Array
  readonly #hintPositions: Float64Array
  #nextHint: number
  /** Positions where the last and the current period of `HOT_MS` began. */
  #hotPosition: number
  #periodPosition: number
  #periodStartMs: number

  constructor(
    ports: SegmentPorts,
    directory: string,
    baseOffset: Offset,
    config: LogConfig,
    existing: { sizeBytes: number } | null,
  ) {
    const isNew = existing === null
    const { disk } = ports
    const path = (suffix: string): string => `${directory}/${offsetFileName(baseOffset, suffix)}`
    this.#ports = ports
    this.baseOffset = baseOffset
    this.directory = directory
    this.offsetIndex = new OffsetIndex(disk, path(OFFSET_INDEX_SUFFIX), baseOffset, isNew)
    this.timeIndex = new TimeIndex(disk, path(TIME_INDEX_SUFFIX), baseOffset, isNew)
    this.transactionIndex = new TransactionIndex(disk, path(TRANSACTION_INDEX_SUFFIX), isNew)
    this.sizeBytes = existing?.sizeBytes ?? 0
    this.writtenBytes = this.sizeBytes
    this.fileBytes = this.sizeBytes
    this.nextOffset = baseOffset
    this.writtenNextOffset = baseOffset
    this.exists = !isNew
    this.needsDirectorySync = false
    this.hasUnsyncedBytes = false
    this.extending = false
    this.extension = Promise.resolve()
    this.sealed = false
    this.createdMs = ports.clock.wallMs()
    const jitterMs = Math.min(config.segmentJitterMs, config.segmentMs)
    this.rollJitterMs = jitterMs > 0 ? ports.random.uint32() % jitterMs : 0
    this.holes = []
    this.viewedEndBytes = 0
    this.#maxTimestamp = isNew ? -1 : -2
    this.#maxTimestampOffset = baseOffset
    this.#firstTimestamp = isNew ? -1 : -2
    this.#bytesSinceIndexEntry = 0
    this.#file = null
    this.#mapping = null
    this.#hintOffsets = new Float64Array(HINT_COUNT).fill(-1)
    this.#hintPositions = new Float64Array(HINT_COUNT)
    this.#nextHint = 0
    this.#hotPosition = this.sizeBytes
    this.#periodPosition = this.sizeBytes
    this.#periodStartMs = Number.NEGATIVE_INFINITY
  }

  get logPath(): string {
    return `${this.directory}/${offsetFileName(this.baseOffset, LOG_SUFFIX)}`
  }

  /** The open file; created if this is its first use. */
  file(): DiskFile {
    if (this.#file === null) {
      if (!this.exists) this.needsDirectorySync = true
      this.#file = this.#ports.disk.openFile(this.logPath, { create: !this.exists })
      this.exists = true
    }
    return this.#file
  }

  get isOpen(): boolean {
    return this.#file !== null || this.#mapping !== null
  }

  /** When the file was last written to, for retention of batches without timestamps. */
  get modifiedMs(): TimestampMs {
    return this.#ports.disk.stat(this.logPath)?.modifiedMs ?? this.createdMs
  }

  get maxTimestamp(): TimestampMs {
    if (this.#maxTimestamp === -2) this.#readMaxTimestamp()
    return this.#maxTimestamp
  }

  get maxTimestampOffset(): Offset {
    if (this.#maxTimestamp === -2) this.#readMaxTimestamp()
    return this.#maxTimestampOffset
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
    if (this.offsetIndex.isFull(config.segmentIndexBytes) || this.timeIndex.isFull(config.segmentIndexBytes))
      return true
    if (this.sizeBytes === 0) return false
    const rollMs = config.cleanupCompact ? Math.min(config.maxCompactionLagMs, config.segmentMs) : config.segmentMs
    const firstTimestamp = this.firstTimestamp
    const ageMs = firstTimestamp >= 0 ? maxTimestamp - firstTimestamp : this.#ports.clock.wallMs() - this.createdMs
    return ageMs > rollMs - this.rollJitterMs
  }

  /** Counts a batch that was staged or written at {@link sizeBytes}, and indexes it if due. Hot path. */
  onAppended(batchBytes: number, lastOffset: Offset, maxTimestamp: TimestampMs, indexIntervalBytes: number): void {
    if (maxTimestamp > this.maxTimestamp) {
      this.#maxTimestamp = maxTimestamp
      this.#maxTimestampOffset = lastOffset
    }
    if (this.#bytesSinceIndexEntry > indexIntervalBytes) {
      this.offsetIndex.append(lastOffset, this.sizeBytes)
      this.timeIndex.maybeAppend(this.#maxTimestamp, this.#maxTimestampOffset)
      this.#bytesSinceIndexEntry = 0
    }
    if (this.sizeBytes === 0) this.#firstTimestamp = maxTimestamp
    this.sizeBytes += batchBytes
    this.nextOffset = lastOffset + 1
    this.#bytesSinceIndexEntry += batchBytes
  }

  /** Counts what the file has been given, up to everything appended. */
  onWritten(): void {
    const nowMs = this.#ports.clock.monotonicMs()
    if (nowMs - this.#periodStartMs > HOT_MS) {
      this.#hotPosition = nowMs - this.#periodStartMs > 2 * HOT_MS ? this.writtenBytes : this.#periodPosition
      this.#periodPosition = this.writtenBytes
      this.#periodStartMs = nowMs
    }
    this.writtenBytes = this.sizeBytes
    this.writtenNextOffset = this.nextOffset
    if (this.fileBytes < this.writtenBytes) this.fileBytes = this.writtenBytes
    this.addHint(this.writtenNextOffset, this.writtenBytes)
  }

  /** Whether everything from `position` on was written so recently that it must still be in memory. */
  isHot(position: number): boolean {
    return position >= this.#hotPosition && this.#ports.clock.monotonicMs() - this.#periodStartMs <= HOT_MS
  }

  /** Remembers that the batch with base offset `offset` starts at `position`. */
  addHint(offset: Offset, position: number): void {
    this.#hintOffsets[this.#nextHint] = offset
    this.#hintPositions[this.#nextHint] = position
    this.#nextHint = (this.#nextHint + 1) % HINT_COUNT
  }

  /** Position of the batch that starts with exactly this offset, if remembered, else -1. */
  hintFor(offset: Offset): number {
    if (offset === this.baseOffset) return 0
    for (let slot = 0; slot < HINT_COUNT; slot++) {
      if (this.#hintOffsets[slot] === offset) return this.#hintPositions[slot]!
    }
    return -1
  }

  /** A mapping that covers what has been written, or null where the disk has none. */
  mapping(): Mapping | null {
    if (this.#mapping !== null && this.#mapping.sizeBytes >= this.writtenBytes) return this.#mapping
    this.#mapping?.release()
    const sizeBytes =
      MAPPING_SIZES_BYTES.find((size) => size >= this.writtenBytes) ?? Math.max(this.writtenBytes, 2 ** 30)
    this.#mapping = this.file().map(sizeBytes)
    return this.#mapping
  }

  /** Position at or before the batch that holds `offset`, from what is in memory; -1 if that cannot tell. Hot path. */
  lookUp(offset: Offset): number {
    const hint = this.hintFor(offset)
    if (hint >= 0) return hint
    if (!this.offsetIndex.canLookUp(offset)) return -1
    let position = this.offsetIndex.positionFor(offset)
    for (const hole of this.holes) if (offset >= hole.endOffset) position = Math.max(position, hole.endPosition)
    return position
  }

  /** Where the log ends if the batch that holds `offset`, or else the first one after it, goes. */
  locate(offset: Offset): { position: number; endOffset: Offset } {
    if (!this.exists) return { position: 0, endOffset: offset }
    this.offsetIndex.file.loadNow()
    const start = this.offsetIndex.positionFor(offset)
    const scanner = new BatchScanner(this.file(), start, this.writtenBytes, this.baseOffset)
    while (scanner.next() === 'batch') {
      if (scanner.lastOffset >= offset) {
        return { position: scanner.position, endOffset: Math.min(offset, scanner.baseOffset) }
      }
    }
    return { position: scanner.position, endOffset: offset }
  }

  /**
   * Shortens it to `position`, which is where the batch of `endOffset` stood. Readers may hold views of what goes: the file is then
   * replaced by a copy of what stays, and theirs lives on without a name. The caller syncs file and directory.
   */
  cut(position: number, endOffset: Offset): void {
    if (!this.exists) return
    if (this.viewedEndBytes > position && (this.#mapping?.hasViews() ?? false)) this.#replaceByCopy(position)
    else this.file().truncate(position)
    // At once: what is cut off must not come back under what is appended in its place.
    this.file().syncDataNow()
    this.fileBytes = position
    this.sealed = false
    this.offsetIndex.truncateTo(position, endOffset)
    this.timeIndex.truncateTo(endOffset)
    this.transactionIndex.truncateTo(endOffset)
    const indexed = this.offsetIndex.last()
    this.#resetTo(indexed?.position ?? 0, indexed === null ? this.baseOffset : indexed.lastOffset)
    this.#countBatches(position)
    this.nextOffset = endOffset
    this.writtenNextOffset = endOffset
  }

  /**
   * Prepares the walk of recovery: keeps what the indexes say below `recoveryPoint` if that is sound, and starts at the last batch
   * they know, else at the beginning. The caller counts each batch with {@link onAppended} and ends with {@link endRecovery}.
   */
  beginRecovery(recoveryPoint: Offset): BatchScanner {
    this.fileBytes = this.file().sizeBytes()
    const start = this.#keepIndexesBelow(recoveryPoint)
    const scanner = new BatchScanner(this.file(), start, this.fileBytes, this.baseOffset)
    this.transactionIndex.truncateTo(recoveryPoint)
    this.#resetTo(start, this.baseOffset)
    return scanner
  }

  /** The walk ended at `position`: what follows in the file is cut off. */
  endRecovery(position: number): void {
    this.sizeBytes = position
    this.writtenBytes = position
    this.writtenNextOffset = this.nextOffset
    this.trim()
  }

  /** The walk ended in damage that is to be kept; the segment counts as reaching `endOffset`. */
  endAtDamage(endOffset: Offset): void {
    this.sizeBytes = this.fileBytes
    this.writtenBytes = this.fileBytes
    this.nextOffset = endOffset
    this.writtenNextOffset = endOffset
    this.sealed = true
  }

  /** Position of the last batch below `offset` that the index knows, after dropping all later entries; 0 if nothing holds. */
  #keepIndexesBelow(offset: Offset): number {
    this.offsetIndex.file.loadNow()
    if (this.offsetIndex.isSound(this.fileBytes)) {
      this.offsetIndex.truncateTo(Number.POSITIVE_INFINITY, offset)
      const last = this.offsetIndex.last()
      if (last !== null) {
        const probe = new BatchScanner(this.file(), last.position, this.fileBytes, this.baseOffset)
        if (probe.next() === 'batch' && probe.lastOffset === last.lastOffset) {
          if (!this.timeIndex.isSound(offset)) this.timeIndex.truncateTo(this.baseOffset)
          this.timeIndex.truncateTo(last.lastOffset + 1)
          return last.position
        }
      }
    }
    this.offsetIndex.file.truncateTo(0)
    this.timeIndex.truncateTo(this.baseOffset)
    return 0
  }

  /** Counts batches again from {@link sizeBytes}, where an index entry points or the file starts, to `end`. */
  #countBatches(end: number): void {
    const scanner = new BatchScanner(this.file(), this.sizeBytes, end, this.baseOffset)
    while (scanner.next() === 'batch') {
      const maxTimestamp = maxTimestampOf(scanner.header, scanner.headerPosition)
      this.onAppended(scanner.sizeBytes, scanner.lastOffset, maxTimestamp, Number.POSITIVE_INFINITY)
    }
    this.writtenBytes = this.sizeBytes
    this.writtenNextOffset = this.nextOffset
  }

  #replaceByCopy(sizeBytes: number): void {
    const { disk } = this.#ports
    const temporaryPath = `${this.logPath}.tmp`
    const copy = disk.openFile(temporaryPath, { create: true })
    const chunk = Buffer.allocUnsafeSlow(Math.min(COPY_CHUNK_BYTES, Math.max(1, sizeBytes)))
    copy.truncate(0)
    for (let position = 0; position < sizeBytes; ) {
      const count = this.file().read(chunk, 0, Math.min(chunk.length, sizeBytes - position), position)
      if (count === 0) break
      copy.write(chunk, 0, count, position)
      position += count
    }
    copy.syncDataNow()
    copy.close()
    this.#closeFiles()
    disk.rename(temporaryPath, this.logPath)
    this.viewedEndBytes = 0
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
    return true
  }

  /** Hands index entries to their files. `closing` adds the last time entry, as Kafka does when it rolls and closes. */
  flushIndexes(closing: boolean): void {
    if (!this.exists) return
    if (closing && this.maxTimestamp >= 0) this.timeIndex.maybeAppend(this.maxTimestamp, this.maxTimestampOffset)
    this.offsetIndex.file.create()
    this.timeIndex.file.create()
    this.offsetIndex.file.flush()
    this.timeIndex.file.flush()
    this.transactionIndex.file.flush()
  }

  /** An index has entries that are not in its file, or not synced. */
  get hasIndexChanges(): boolean {
    return this.offsetIndex.file.needsSync || this.timeIndex.file.needsSync || this.transactionIndex.file.needsSync
  }

  async syncIndexes(): Promise<void> {
    await Promise.all([this.offsetIndex.file.sync(), this.timeIndex.file.sync(), this.transactionIndex.file.sync()])
  }

  syncIndexesNow(): void {
    this.offsetIndex.file.syncNow()
    this.timeIndex.file.syncNow()
    this.transactionIndex.file.syncNow()
  }

  /** Starts counting anew at `position`, up to which the indexes are kept: recovery or truncation reads the rest again. */
  #resetTo(position: number, nextOffset: Offset): void {
    this.sizeBytes = position
    this.writtenBytes = position
    this.nextOffset = nextOffset
    this.writtenNextOffset = nextOffset
    this.#hintOffsets.fill(-1)
    this.#bytesSinceIndexEntry = 0
    this.#maxTimestamp = -2
    this.#hotPosition = Number.POSITIVE_INFINITY
    this.#periodStartMs = Number.NEGATIVE_INFINITY
    if (position === 0) {
      this.#firstTimestamp = -1
      this.createdMs = this.#ports.clock.wallMs()
    }
  }

  /** Drops descriptor, mapping and loaded indexes: an idle segment costs nothing. Nothing may be unsynced. */
  close(): void {
    assert(!this.hasUnsyncedBytes, 'a segment is synced before it is closed')
    this.abandon()
  }

  /** Closes without regard to what was not synced: the file is to be deleted, or its directory has failed. */
  abandon(): void {
    this.#closeFiles()
    this.offsetIndex.file.drop()
    this.timeIndex.file.drop()
    this.transactionIndex.file.drop()
  }

  #closeFiles(): void {
    this.#file?.close()
    this.#file = null
    this.#mapping?.release()
    this.#mapping = null
  }

  #readMaxTimestamp(): void {
    this.#maxTimestamp = this.timeIndex.lastTimestamp
    this.#maxTimestampOffset = this.timeIndex.lastOffset
  }

  #readFirstTimestamp(): void {
    const header = Buffer.alloc(61)
    this.#firstTimestamp = -1
    if (this.writtenBytes >= header.length && this.file().read(header, 0, header.length, 0) === header.length) {
      this.#firstTimestamp = maxTimestampOf(header, 0)
    }
  }
}
