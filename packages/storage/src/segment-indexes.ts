import type { Disk, DiskFile, Offset, TimestampMs } from '@millrace/base'
import { maxTimestampOf } from '@millrace/protocol'
import { BatchScanner } from './batch-scanner.ts'
import { OFFSET_INDEX_SUFFIX, offsetFileName, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX } from './file-names.ts'
import { type Hole, IndexRebuild } from './index-rebuild.ts'
import { OffsetIndex } from './offset-index.ts'
import { isTemporary, settleAll } from './settle-all.ts'
import { TimeIndex } from './time-index.ts'
import { TransactionIndex } from './transaction-index.ts'

/** The log file that the indexes are about. */
export interface IndexedFile {
  readonly baseOffset: Offset
  /** Of all batches that were counted, and of those that are in the file. */
  readonly sizeBytes: number
  readonly writtenBytes: number
  /** Behind its last record; the base offset while that is not known. */
  readonly nextOffset: Offset
  /** Behind the last record that is in the file. */
  readonly writtenNextOffset: Offset
  file(): DiskFile
}

/**
 * The indexes of one segment. They are believed only as far as they are sound in themselves and agree with the log: what does not is
 * rebuilt from the batch headers (S4), however it came about.
 */
export class SegmentIndexes {
  readonly offsets: OffsetIndex
  readonly times: TimeIndex
  readonly #transactions: TransactionIndex
  readonly #segment: IndexedFile
  readonly #indexIntervalBytes: number
  #bytesSinceEntry: number
  /** Largest batch timestamp and the last offset of the batch where it first appeared; -2: not known yet. */
  #maxTimestamp: TimestampMs
  #maxTimestampOffset: Offset
  /** A rebuild in pieces is to find it: what is appended meanwhile is all that it counts. */
  #isMaxPartial: boolean
  /** The files have been held against the log, or were written by this process. */
  #verified: boolean
  /** Nothing was there when the segment was made, or recovery walks it: nothing of the files is behind its end. */
  #isWalked: boolean
  /** Where the segment ends, until the files have been cut there; -1 from then on. */
  #cutOffset: Offset
  /** Raised when the indexes begin anew: what is being built for them is then of no use. */
  #generation: number
  /** They are being built in pieces, or that was given up: what they should hold is missing. */
  #isIncomplete: boolean
  /** A rebuild in pieces that is under way. */
  #rebuilding: Promise<Hole[] | null> | null

  /** `isNew`: none of the files is there; `hasTransactions`: that of the transaction index is. */
  constructor(
    disk: Disk,
    directory: string,
    segment: IndexedFile,
    indexIntervalBytes: number,
    isNew: boolean,
    hasTransactions: boolean,
  ) {
    const path = (suffix: string): string => `${directory}/${offsetFileName(segment.baseOffset, suffix)}`
    this.offsets = new OffsetIndex(disk, path(OFFSET_INDEX_SUFFIX), segment.baseOffset, isNew)
    this.times = new TimeIndex(disk, path(TIME_INDEX_SUFFIX), segment.baseOffset, isNew)
    this.#transactions = new TransactionIndex(disk, path(TRANSACTION_INDEX_SUFFIX), !hasTransactions)
    this.#segment = segment
    this.#indexIntervalBytes = indexIntervalBytes
    this.#bytesSinceEntry = 0
    this.#maxTimestamp = isNew ? -1 : -2
    this.#maxTimestampOffset = segment.baseOffset
    this.#isMaxPartial = false
    this.#verified = isNew
    this.#isWalked = isNew
    this.#cutOffset = -1
    this.#generation = 0
    this.#isIncomplete = false
    this.#rebuilding = null
  }

  /** The directory that holds the files got another name. */
  moveTo(directory: string): void {
    const path = (suffix: string): string => `${directory}/${offsetFileName(this.#segment.baseOffset, suffix)}`
    this.offsets.file.moveTo(path(OFFSET_INDEX_SUFFIX))
    this.times.file.moveTo(path(TIME_INDEX_SUFFIX))
    this.#transactions.file.moveTo(path(TRANSACTION_INDEX_SUFFIX))
  }

  get transactions(): TransactionIndex {
    this.#cut()
    return this.#transactions
  }

  /**
   * The segment ends at `endOffset`, which was found without a look at these files: what they say of later batches, which a crash took,
   * is cut off before they are used.
   */
  cutWhenUsed(endOffset: Offset): void {
    if (this.#isWalked) return
    this.#cutOffset = endOffset
    // The start has used them already, to hold the leader epochs against the log.
    if (this.#verified) this.#cut()
  }

  #cut(): void {
    if (!this.#cutFiles()) this.rebuild()
  }

  /** False if offset and time index are of no use as they are. */
  #cutFiles(): boolean {
    if (this.#cutOffset < 0) return true
    const endOffset = this.#cutOffset
    this.#transactions.truncateTo(endOffset)
    const { writtenBytes } = this.#segment
    if (!this.offsets.isSound(Number.POSITIVE_INFINITY)) return false
    this.offsets.truncateTo(writtenBytes, endOffset)
    this.times.truncateTo(endOffset)
    if (!this.times.isSound(endOffset)) return false
    // Not before: where a file could not be opened, the next use cuts it. What is of no use as it is goes with {@link resetTo}.
    this.#cutOffset = -1
    return true
  }

  /**
   * Everything that {@link onAppended} and the transaction index need of the files is read now, while the append can still be refused.
   * Hot path: nothing to do but the first time. Throws `DiskError`.
   */
  prepareAppend(): void {
    if (this.#maxTimestamp === -2 || this.#cutOffset >= 0) this.#readMaxTimestamp()
    this.times.prepareAppend()
    this.offsets.file.prepareAppend()
    this.#transactions.file.prepareAppend()
  }

  /** What is cut off the indexes from now on needs no descriptor that is not there: opens their files. Throws `DiskError`. */
  openToCut(): void {
    this.#cut()
    this.offsets.file.openToCut()
    this.times.file.openToCut()
    this.#transactions.file.openToCut()
  }

  get maxTimestamp(): TimestampMs {
    if (this.#maxTimestamp === -2) this.#readMaxTimestamp()
    return this.#maxTimestamp
  }

  /** Whether {@link maxTimestamp} is told without a look at any file. */
  get isMaxTimestampKnown(): boolean {
    return this.#isMaxKnown || this.#segment.writtenBytes === 0
  }

  get maxTimestampOffset(): Offset {
    if (this.#maxTimestamp === -2) this.#readMaxTimestamp()
    return this.#maxTimestampOffset
  }

  isFull(indexSizeBytes: number): boolean {
    return this.offsets.isFull(indexSizeBytes) || this.times.isFull(indexSizeBytes)
  }

  /** Counts a batch that starts at `position`, and adds entries if due. Hot path. */
  onAppended(
    position: number,
    batchBytes: number,
    lastOffset: Offset,
    maxTimestamp: TimestampMs,
    indexIntervalBytes: number,
  ): void {
    if (maxTimestamp > this.maxTimestamp) {
      this.#maxTimestamp = maxTimestamp
      this.#maxTimestampOffset = lastOffset
    }
    if (this.#bytesSinceEntry > indexIntervalBytes) {
      this.offsets.append(lastOffset, position)
      // While they are being built the largest timestamp may be that of a part only: a crash would leave it as that of the whole segment.
      if (!this.#isIncomplete) this.times.maybeAppend(this.#maxTimestamp, this.#maxTimestampOffset)
      this.#bytesSinceEntry = 0
    }
    this.#bytesSinceEntry += batchBytes
  }

  /** Reads the offset index off the event loop, and checks it the first time. What is damaged in the log itself is returned. */
  async load(): Promise<Hole[]> {
    const isCut = this.#cutFiles()
    if (isCut && this.#rebuilding === null) await this.offsets.file.load()
    // Who comes while they are being built waits as well: until then they hold nothing.
    if (isCut && this.#rebuilding === null && this.#holds()) return []
    return (await this.rebuildInPieces()) ?? []
  }

  loadNow(): Hole[] {
    this.#cut()
    this.offsets.file.loadNow()
    return this.#holds() ? [] : this.rebuild()
  }

  /** A look-up did not find what the index says: it is checked, and rebuilt, with the next load. */
  suspect(): void {
    this.#verified = false
    this.offsets.file.truncateTo(0)
  }

  /** Drops what recovery or a truncation is about to count again: entries of batches that end at or past `offset`. */
  resetTo(offset: Offset): void {
    const isEmptied = offset <= this.#segment.baseOffset
    this.offsets.file.openToCut()
    this.times.file.openToCut()
    if (isEmptied) {
      // Nothing is kept, and so nothing is searched: what is to be built anew may be in no order.
      this.offsets.file.truncateTo(0)
      this.times.clear()
    } else {
      this.offsets.file.loadNow()
      this.offsets.truncateTo(Number.POSITIVE_INFINITY, offset)
      this.times.truncateTo(offset)
    }
    const { lastTimestamp, lastOffset } = this.times
    // From here on nothing can fail.
    this.#cutOffset = -1
    this.#generation++
    if (isEmptied) this.#isIncomplete = false
    this.#bytesSinceEntry = 0
    this.#maxTimestamp = lastTimestamp
    this.#maxTimestampOffset = lastOffset
    this.#isMaxPartial = false
    // What a walk was to bring, which the cut of the segment ended, is searched for with the next load.
    this.#verified = !this.#isIncomplete
  }

  /** Position of the last entry below `offset`, after dropping all later ones; 0, and nothing kept, if the indexes do not hold. */
  keepBelow(offset: Offset, logSizeBytes: number): number {
    this.#isWalked = true
    this.offsets.file.loadNow()
    if (this.offsets.isSound(logSizeBytes)) {
      this.offsets.truncateTo(Number.POSITIVE_INFINITY, offset)
      const last = this.offsets.last()
      if (last !== null && this.#matches(last, logSizeBytes) && this.times.isSound(offset)) {
        this.times.truncateTo(last.lastOffset + 1)
        if (this.#timesAgree(last.lastOffset + 1, logSizeBytes)) {
          this.resetTo(last.lastOffset + 1)
          return last.position
        }
      }
    }
    this.resetTo(this.#segment.baseOffset)
    return 0
  }

  /** Hands entries to their files. `closing` adds the last time entry, as Kafka does when it rolls and closes. */
  flush(closing: boolean): void {
    if (closing && !this.#isMaxPartial && this.maxTimestamp >= 0)
      this.times.maybeAppend(this.maxTimestamp, this.maxTimestampOffset)
    this.offsets.file.create()
    this.times.file.create()
    this.offsets.file.flush()
    this.times.file.flush()
    this.#transactions.file.flush()
  }

  /** There are entries that are not in their files, or not synced. */
  get hasChanges(): boolean {
    return this.offsets.file.needsSync || this.times.file.needsSync || this.#transactions.file.needsSync
  }

  /** A file of them was written, cut or made, and not synced since: a crash may leave what it was. */
  get hasUnsyncedFiles(): boolean {
    const { offsets, times, transactions } = this
    return offsets.file.hasUnsyncedFile || times.file.hasUnsyncedFile || transactions.file.hasUnsyncedFile
  }

  /** Rejects with `DiskError`: a final one before one that may be tried again. */
  async sync(): Promise<void> {
    await settleAll([this.offsets.file, this.times.file, this.#transactions.file], (file) => file.sync())
  }

  /** The same on this thread. */
  syncNow(): void {
    this.offsets.file.syncNow()
    this.times.file.syncNow()
    this.#transactions.file.syncNow()
  }

  /** Forgets what can be read again. */
  drop(): void {
    this.offsets.file.drop()
    this.times.file.drop()
    this.#transactions.file.drop()
  }

  close(): void {
    this.drop()
    this.closeFiles()
  }

  /** Gives up the descriptors. What was not synced is known to be so: the next sync opens the files again. */
  closeFiles(): void {
    this.offsets.file.close()
    this.times.file.close()
    this.#transactions.file.close()
  }

  /** Closes for good: what is being built is not put into files whose names may be another segment's by then. */
  abandon(): void {
    this.#generation++
    this.drop()
    this.offsets.file.abandon()
    this.times.file.abandon()
    this.#transactions.file.abandon()
  }

  /** Whether the offset index can be believed: it is held against the log once. */
  #holds(): boolean {
    if (this.#verified) return true
    if (this.#isIncomplete) return false
    try {
      this.#verified = this.#agrees()
    } catch (error) {
      // A place that cannot be read is to cost the reads of it, not the segment. Without a descriptor nothing was looked at.
      this.#verified = !isTemporary(error)
      throw error
    }
    return this.#verified
  }

  #agrees(): boolean {
    const { writtenBytes } = this.#segment
    const last = this.offsets.last()
    const tooSparse = last === null && writtenBytes > SPARSE_BYTES
    return !tooSparse && this.offsets.isSound(writtenBytes) && (last === null || this.#matches(last, writtenBytes))
  }

  /** Builds offset and time index anew from the log, and finds what is damaged in it. Reads the whole segment on this thread. */
  rebuild(): Hole[] {
    const known = { maxTimestamp: this.#isMaxPartial ? -2 : this.#maxTimestamp, offset: this.#maxTimestampOffset }
    const walk = this.#newWalk()
    try {
      walk.walk(Number.POSITIVE_INFINITY)
    } catch (error) {
      this.#onWalkFailed(walk, known, error)
      throw error
    }
    this.#adopt(walk)
    return this.#holesOf(walk)
  }

  /** What a walk to the end has found; where that is damaged, with what is lost there. */
  #holesOf(walk: IndexRebuild): Hole[] {
    const { writtenNextOffset, writtenBytes } = this.#segment
    const { damagedFrom } = walk
    if (damagedFrom >= 0 && damagedFrom < writtenNextOffset) {
      walk.holes.push({ startOffset: damagedFrom, endOffset: writtenNextOffset, endPosition: writtenBytes })
    }
    return walk.holes
  }

  /**
   * The same a piece at a time: read on the thread pool, then walked while it is in memory. Appends go on meanwhile. Null if it was given
   * up, since the indexes began anew for another reason. One at a time: who asks meanwhile gets the same. Rejects with `DiskError`.
   */
  rebuildInPieces(): Promise<Hole[] | null> {
    if (this.#rebuilding !== null) return this.#rebuilding
    const rebuilding = this.#rebuildInPieces().finally(() => {
      this.#rebuilding = null
    })
    this.#rebuilding = rebuilding
    return rebuilding
  }

  async #rebuildInPieces(): Promise<Hole[] | null> {
    // Retention goes by it until it is known anew.
    const known = { maxTimestamp: this.#maxTimestamp, offset: this.#maxTimestampOffset }
    const walk = this.#beginRebuild()
    this.#isIncomplete = true
    if (known.maxTimestamp >= 0) {
      this.#maxTimestamp = known.maxTimestamp
      this.#maxTimestampOffset = known.offset
    }
    this.#isMaxPartial = known.maxTimestamp === -2
    const generation = this.#generation
    const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, this.#segment.writtenBytes))
    try {
      for (;;) {
        await this.#segment.file().readAsync(piece, 0, piece.length, walk.position)
        if (generation !== this.#generation) return null
        walk.goOn(this.#segment.file(), this.#segment.writtenBytes, this.#endOffset())
        if (!walk.walk(PIECE_BYTES)) continue
        this.#adopt(walk)
        return this.#holesOf(walk)
      }
    } catch (error) {
      const counted = { maxTimestamp: this.#maxTimestamp, offset: this.#maxTimestampOffset }
      if (generation === this.#generation) this.#onWalkFailed(walk, this.#isMaxPartial ? known : counted, error)
      throw error
    }
  }

  /**
   * What a walk found before a place that cannot be read leads to batches as well as the whole would; but it does not tell the largest
   * timestamp, by which retention would take young records: that stays what it was, or unknown. For want of a descriptor the next load
   * walks again.
   */
  #onWalkFailed(walk: IndexRebuild, known: { maxTimestamp: TimestampMs; offset: Offset }, error: unknown): void {
    this.#verified = false
    if (!isTemporary(error)) this.#adopt(walk)
    this.#maxTimestamp = known.maxTimestamp
    this.#maxTimestampOffset = known.offset
    this.#isMaxPartial = false
  }

  #endOffset(): Offset {
    const { baseOffset, nextOffset } = this.#segment
    return nextOffset > baseOffset ? nextOffset : Number.POSITIVE_INFINITY
  }

  /** Both indexes hold nothing from now on, and lead to the start of the segment: right, if slow. */
  #beginRebuild(): IndexRebuild {
    const walk = this.#newWalk()
    this.resetTo(this.#segment.baseOffset)
    return walk
  }

  #newWalk(): IndexRebuild {
    const { baseOffset, writtenBytes } = this.#segment
    const file = this.#segment.file()
    return new IndexRebuild(file, writtenBytes, baseOffset, this.#endOffset(), this.#indexIntervalBytes)
  }

  /** Puts what a walk found into the indexes. It covers all that is in the file. */
  #adopt(walk: IndexRebuild): void {
    const { baseOffset, sizeBytes, writtenBytes } = this.#segment
    const known = { maxTimestamp: this.#maxTimestamp, offset: this.#maxTimestampOffset }
    this.resetTo(baseOffset)
    const { offsetEntries, timeEntries } = walk
    for (let at = 0; at < offsetEntries.length; at += 2) {
      this.offsets.append(offsetEntries[at]!, offsetEntries[at + 1]!)
      this.times.maybeAppend(timeEntries[at]!, timeEntries[at + 1]!)
    }
    this.#bytesSinceEntry = walk.bytesSinceEntry
    // What is staged was counted when it was appended; the walk has not seen it.
    const isKnownLater = sizeBytes > writtenBytes && known.maxTimestamp > walk.maxTimestamp
    this.#maxTimestamp = isKnownLater ? known.maxTimestamp : walk.maxTimestamp
    this.#maxTimestampOffset = isKnownLater ? known.offset : walk.maxTimestampOffset
  }

  /** Whether the batch that an entry points to is the one it names. */
  #matches(entry: { lastOffset: Offset; position: number }, logSizeBytes: number): boolean {
    const probe = new BatchScanner(this.#segment.file(), entry.position, logSizeBytes, this.#segment.baseOffset)
    return probe.next() === 'batch' && probe.lastOffset === entry.lastOffset
  }

  /** From the last time entry, if the log confirms it; else the segment is read. */
  #readMaxTimestamp(): void {
    this.#cut()
    if (this.#maxTimestamp !== -2) return
    if (this.#segment.writtenBytes === 0) {
      this.#maxTimestamp = -1
      this.#maxTimestampOffset = this.#segment.baseOffset
      return
    }
    this.loadNow()
    if (this.#maxTimestamp === -2 && !this.#believeLastTime()) this.rebuild()
  }

  /** Makes {@link maxTimestamp} known without ever walking a segment at once; what is damaged in it is returned. Rejects with `DiskError`. */
  async loadMaxTimestamp(): Promise<Hole[]> {
    if (this.#isMaxKnown || this.#segment.writtenBytes === 0) return []
    const holes = await this.load()
    // It is known if the indexes were built anew just now.
    if (this.#isMaxKnown || this.#believeLastTime()) return holes
    return (await this.rebuildInPieces()) ?? []
  }

  get #isMaxKnown(): boolean {
    return this.#maxTimestamp !== -2 && !this.#isMaxPartial
  }

  /** Takes it from the last time entry; false if the log does not confirm that. */
  #believeLastTime(): boolean {
    const { writtenBytes } = this.#segment
    if (!this.times.isSound(Number.POSITIVE_INFINITY)) return false
    if (!this.#timesAgree(Number.POSITIVE_INFINITY, writtenBytes)) return false
    this.#maxTimestamp = this.times.lastTimestamp
    this.#maxTimestampOffset = this.times.lastOffset
    return true
  }

  /**
   * Whether the last time entry names a batch that has its timestamp, and no batch from the last offset entry on, below `endOffset`, has
   * a later one: an index that was lost, cut or exchanged would make retention take the segment for older than it is.
   */
  #timesAgree(endOffset: Offset, logSizeBytes: number): boolean {
    const { lastTimestamp, lastOffset } = this.times
    const { baseOffset } = this.#segment
    if (lastTimestamp >= 0) {
      const named = new BatchScanner(
        this.#segment.file(),
        this.offsets.positionFor(lastOffset),
        logSizeBytes,
        baseOffset,
      )
      while (named.next() === 'batch' && named.lastOffset < lastOffset);
      if (named.lastOffset !== lastOffset || maxTimestampOf(named.header, named.headerPosition) !== lastTimestamp)
        return false
    }
    const tail = new BatchScanner(this.#segment.file(), this.offsets.last()?.position ?? 0, logSizeBytes, baseOffset)
    while (tail.next() === 'batch' && tail.lastOffset < endOffset) {
      if (maxTimestampOf(tail.header, tail.headerPosition) > lastTimestamp) return false
    }
    return true
  }
}

/** Walked at a time, and at most so much computed checksums of: a few milliseconds, whatever stands in the file. */
const PIECE_BYTES = 1 << 20
/** A segment of this size without a single entry has lost its index: batches are that large only where settings allow it. */
const SPARSE_BYTES = 4 << 20
