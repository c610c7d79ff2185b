import { DiskError, type Offset, type ProducerId, type TimestampMs } from '@millrace/base'
import { CLEANED_SUFFIX, DELETED_SUFFIX, offsetFileName, SWAP_SUFFIX } from '../file-names.ts'
import { writeGapsBelow } from '../gap-note.ts'
import type { LogHome } from '../log-core.ts'
import type { LogWriter } from '../log-writer.ts'
import type { ProducerState } from '../producer-state.ts'
import { Segment } from '../segment.ts'
import { retireSegments } from '../segment-removal.ts'
import type { StorageContext } from '../storage-context.ts'
import type { AbortedTransaction } from '../transaction-index.ts'
import type { CleanOrder, RewriteOrder, RewrittenSegment, SourceSegment } from './clean-orders.ts'
import type { CleanableRange, MeasuredLog } from './cleanable-range.ts'
import { CLEANED_KINDS, removeFiles } from './cleaned-segment.ts'

/** A log as its compaction sees it. */
export interface CompactedLog extends MeasuredLog {
  /** Retention takes segments from it. */
  readonly isRetaining: boolean
  readonly writer: Pick<LogWriter, 'forget'>
  /** See `LogState.currentProducers`. Throws `DiskError`. */
  currentProducers(): ProducerState
  /** See `LogState.use`. */
  use(): void
}

/** What a clean is given of the broker's settings. */
export interface CleanLimits {
  readonly nowMs: TimestampMs
  readonly memoryBytes: number
  readonly loadFactor: number
  readonly ioBufferBytes: number
  readonly maxBytesPerSecond: number
}

/** Between looks whether retention is done with the log, and how often it is looked. */
const LOOK_MS = 10
const LOOKS_MAX = 1000

/**
 * The compaction of one log: up to where it was done, and the exchange of segments for one that compaction has made. The exchange is in two
 * steps, so that any crash leaves the log as it was or as it is to be: the new files get the suffix `.swap`, durably, from when on a
 * start would finish it; then, in one turn of the loop, the old files lose their names and the new ones get theirs.
 */
export class LogCompaction {
  /** Everything below was compacted; 0 if nothing was. What it says counts only within the log. */
  cleanedOffset: Offset
  /** When the first of the tombstones and markers that the last clean left may go; Infinity: there are none, or nobody knows. */
  nextHorizonMs: TimestampMs
  /** The operator knows of a batch that cannot be read. */
  isUnreadableTold: boolean
  readonly #context: StorageContext
  readonly #home: LogHome
  readonly #log: CompactedLog
  /** See `readGapsBelow`. */
  #gapsBelow: Offset
  /** New files with the suffix `.swap`; null if no exchange is under way, or its files have their names. */
  #swapPaths: string[] | null
  /** The files have their names, which a crash may still take back. */
  #isUnsettled: boolean
  /** Files that exchanges took out of use, and that are still to be removed. */
  readonly #retired: string[]
  /** From the first look for an exchange to its end. */
  #isSwapping: boolean

  constructor(context: StorageContext, home: LogHome, log: CompactedLog, cleanedOffset: Offset, gapsBelow: Offset) {
    this.cleanedOffset = cleanedOffset
    this.nextHorizonMs = Number.POSITIVE_INFINITY
    this.isUnreadableTold = false
    this.#context = context
    this.#home = home
    this.#log = log
    this.#gapsBelow = gapsBelow
    this.#swapPaths = null
    this.#isUnsettled = false
    this.#retired = []
    this.#isSwapping = false
  }

  /** Segments are being exchanged: retention waits meanwhile. */
  get isSwapping(): boolean {
    return this.#isSwapping
  }

  /** What the keys of `range` are to be indexed from. Reads transaction indexes; throws `DiskError`. */
  orderFor(range: CleanableRange, limits: CleanLimits): CleanOrder {
    const log = this.#log
    const { segments, config } = log
    const first = Math.max(0, segments.slotFor(range.firstDirtyOffset))
    const dirty: SourceSegment[] = []
    for (let slot = first; slot < segments.count && segments.at(slot).baseOffset < range.endOffset; slot++) {
      dirty.push(this.#sourceAt(slot))
    }
    return {
      ...limits,
      ...this.#producers(range.endOffset),
      dirty,
      firstDirtyOffset: range.firstDirtyOffset,
      endOffset: range.endOffset,
      aborted: this.#abortedTransactions(range.endOffset),
      deleteRetentionMs: config.deleteRetentionMs,
      indexIntervalBytes: config.indexIntervalBytes,
    }
  }

  rewriteOrderFor(group: readonly Segment[]): RewriteOrder {
    const first = this.#log.segments.slotFor(group[0]!.baseOffset)
    const sources = group.map((_, place) => this.#sourceAt(first + place))
    return { sources, directory: this.#log.path, suffix: CLEANED_SUFFIX }
  }

  /** Whether the segments are neighbours in the log still. */
  holds(group: readonly Segment[]): boolean {
    const { segments, failed } = this.#log
    const first = segments.slotFor(group[0]!.baseOffset)
    if (failed || first < 0 || first + group.length >= segments.count) return false
    return group.every((segment, place) => segments.at(first + place) === segment)
  }

  /**
   * Puts the new segment in the place of `group`, durably. False if the log was cut or has failed meanwhile: then nothing was changed. What
   * is read of the old segments goes on being good. Rejects with `DiskError`: before the exchange, with nothing changed; in the middle of it
   * the directory has failed.
   */
  async swapIn(group: readonly Segment[], made: RewrittenSegment, isWanted: () => boolean): Promise<boolean> {
    const log = this.#log
    const { generation, path } = log
    const isCurrent = (): boolean =>
      generation === log.generation && path === log.path && this.holds(group) && isWanted()
    for (let looks = 0; log.isRetaining && looks < LOOKS_MAX; looks++) await this.#pause()
    if (log.isRetaining || !isCurrent()) return false
    this.#isSwapping = true
    try {
      // The mark on the disk lags: it may name a position in one of these segments, where another batch will stand.
      await this.#home.beforeRemoval(log)
      await this.#removeRetiredFrom(group[0]!.baseOffset)
      if (!isCurrent()) return false
      const paths = await this.#announce(group[0]!.baseOffset, made)
      // A truncation has taken them back.
      if (this.#swapPaths === null || !isCurrent()) {
        this.undoNow()
        return false
      }
      this.#exchange(group, made, paths)
      await this.#settle()
      return !log.failed
    } finally {
      this.#isSwapping = false
    }
  }

  /** All segments below `endOffset`, where one begins, were compacted: none of them ends early any more. Throws `DiskError`. */
  onCleaned(endOffset: Offset): void {
    this.cleanedOffset = endOffset
    const { segments } = this.#log
    // Behind the last segment that may have a gap: the one in which the log ended then goes on with what was appended here.
    const { baseOffset } = segments.at(Math.max(0, segments.slotFor(this.#gapsBelow)))
    if (endOffset >= Math.min(this.#gapsBelow, baseOffset)) this.cutGaps(0)
  }

  /** What is appended from `endOffset` on has no gaps. Throws `DiskError`. */
  cutGaps(endOffset: Offset): void {
    if (this.#gapsBelow <= endOffset) return
    this.#gapsBelow = endOffset
    const { disk, logger } = this.#context
    writeGapsBelow(disk, logger, this.#log.path, endOffset)
  }

  /**
   * Before a clean: removes what others have left. Of a new segment, also one of another log that had this place, and was deleted just when it
   * was begun: beside that a start would not finish an exchange. And of old ones, whose space the clean may need. Rejects with `DiskError`.
   */
  async tidy(): Promise<void> {
    const log = this.#log
    const { disk } = this.#context
    if (log.failed) return
    const cleaned = disk.listDirectory(log.path).filter((name) => name.endsWith(CLEANED_SUFFIX))
    for (const name of cleaned) disk.removeFile(`${log.path}/${name}`)
    if (this.#retired.length === 0) return
    await this.#home.beforeRemoval(log)
    await this.#removeRetired()
  }

  /** Removes what an interrupted rewriting has left of a new segment. Throws `DiskError`. */
  discard(group: readonly Segment[]): void {
    const { path, failed } = this.#log
    if (!failed) removeFiles(this.#context.disk, pathsOf(path, group[0]!.baseOffset, CLEANED_SUFFIX))
  }

  /**
   * Before a truncation, which an exchange of segments must not undo: one that was only announced is taken back, one that was made is made
   * durable. Throws `DiskError`.
   */
  undoNow(): void {
    const paths = this.#swapPaths
    if (paths === null && !this.#isUnsettled) return
    const { disk } = this.#context
    if (!this.#log.failed) {
      // As soon as one of them is called incomplete a start forgets all of them.
      for (const path of paths ?? []) if (disk.stat(path) !== null) disk.rename(path, cleanedPath(path))
      disk.syncDirectory(this.#log.path)
    }
    this.#swapPaths = null
    this.#isUnsettled = false
  }

  /** Of the log nothing is left that this could touch. */
  abandon(): void {
    this.#retired.length = 0
    this.#swapPaths = null
    this.#isUnsettled = false
  }

  /** The new files get the names from which a start would finish the exchange. Their contents are durable already. */
  async #announce(baseOffset: Offset, made: RewrittenSegment): Promise<string[]> {
    const { disk, failpoint } = this.#context
    const { path } = this.#log
    const cleaned = pathsOf(path, baseOffset, CLEANED_SUFFIX)
    const paths = pathsOf(path, baseOffset, SWAP_SUFFIX)
    if (!made.hasTransactionIndex) {
      cleaned.pop()
      paths.pop()
    }
    failpoint('swap')
    this.#swapPaths = paths
    try {
      for (const [slot, from] of cleaned.entries()) disk.rename(from, paths[slot]!)
      await disk.syncDirectoryAsync(path)
    } catch (error) {
      if (error instanceof DiskError && !this.#log.failed) this.#takeBack(error)
      throw error
    }
    return paths
  }

  /** Nothing must be left that a start would finish. What cannot be taken back is as bad as half an exchange. */
  #takeBack(error: DiskError): void {
    try {
      this.undoNow()
    } catch (second) {
      if (!(second instanceof DiskError)) throw second
      this.#home.fail(error)
    }
  }

  /** In one turn: from here on the log is the new one. */
  #exchange(group: readonly Segment[], made: RewrittenSegment, paths: readonly string[]): void {
    const log = this.#log
    const { disk } = this.#context
    const { segments } = log
    const slot = segments.slotFor(group[0]!.baseOffset)
    const endOffset = segments.endOffsetOf(slot + group.length - 1)
    const segment = this.#newSegment(group[0]!.baseOffset, made, endOffset)
    this.#swapPaths = null
    this.#isUnsettled = true
    try {
      segments.replace(slot, group.length, segment)
      this.#retired.push(...retireSegments(this.#context, group))
      log.writer.forget(group)
      for (const path of paths) disk.rename(path, path.slice(0, -SWAP_SUFFIX.length))
      log.use()
    } catch (error) {
      // Some files have lost their names: the next start finishes it.
      if (error instanceof DiskError) this.#home.fail(error)
      throw error
    }
  }

  #newSegment(baseOffset: Offset, made: RewrittenSegment, endOffset: Offset): Segment {
    const { path, config } = this.#log
    const { sizeBytes, hasTransactionIndex } = made
    const segment = new Segment(this.#context, path, baseOffset, config, { sizeBytes, hasTransactionIndex })
    segment.nextOffset = endOffset
    segment.writtenNextOffset = endOffset
    segment.sealed = true
    // Each of its batches was looked at, or made, just now.
    segment.soundness.onWalkedFrom(0)
    return segment
  }

  /** The new names and what the durable mark says of them; only then the old files go. */
  async #settle(): Promise<void> {
    const log = this.#log
    const { disk } = this.#context
    if (this.#isUnsettled) await disk.syncDirectoryAsync(log.path)
    this.#isUnsettled = false
    if (log.failed) return
    await this.#home.beforeRemoval(log)
    await this.#removeRetired()
  }

  /** What is out of use, and what the mark counts no more. What cannot be removed is tried again with the next exchange. */
  async #removeRetired(): Promise<void> {
    const { disk, logger } = this.#context
    try {
      for (let path = this.#retired[0]; path !== undefined && !this.#log.failed; path = this.#retired[0]) {
        await disk.removeTree(path)
        this.#retired.shift()
      }
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      logger.warn('what is out of use could not be removed', { path: error.path, error: error.message })
    }
  }

  /**
   * Before an exchange at `baseOffset`: nothing that one before it took out of use may be left there. A start after this one, should the mark
   * not know of it, could not tell which of them it put the new segment in the place of, and would walk the log.
   */
  async #removeRetiredFrom(baseOffset: Offset): Promise<void> {
    const { path } = this.#log
    for (const name of this.#context.disk.listDirectory(path)) {
      const isRetired = name.endsWith(DELETED_SUFFIX) && Number.parseInt(name, 10) >= baseOffset
      if (isRetired && !this.#retired.includes(`${path}/${name}`)) this.#retired.push(`${path}/${name}`)
    }
    await this.#removeRetired()
  }

  #sourceAt(slot: number): SourceSegment {
    const { segments } = this.#log
    const { logPath: path, baseOffset, sizeBytes } = segments.at(slot)
    return { path, baseOffset, endOffset: segments.endOffsetOf(slot), sizeBytes }
  }

  #abortedTransactions(endOffset: Offset): AbortedTransaction[] {
    const log = this.#log
    log.use()
    const aborted: AbortedTransaction[] = []
    // Also of later segments: a marker may stand far behind the records.
    for (const { indexes } of log.segments.all) {
      for (const transaction of indexes.transactions.all()) {
        if (transaction.firstOffset < endOffset) aborted.push(transaction)
      }
    }
    return aborted
  }

  /** What must stay of producers so that a replay of the log finds them as they are. */
  #producers(endOffset: Offset): Pick<CleanOrder, 'lastDataOffsets' | 'laterProducers' | 'markerEpochs'> {
    const lastDataOffsets: [ProducerId, Offset][] = []
    const laterProducers: ProducerId[] = []
    const markerEpochs: [ProducerId, number][] = []
    if (this.#log.producerStates.isKnownEmpty) return { lastDataOffsets, laterProducers, markerEpochs }
    for (const { producerId, producerEpoch, lastDataOffset } of this.#log.currentProducers().producers()) {
      if (lastDataOffset >= 0 && lastDataOffset < endOffset) lastDataOffsets.push([producerId, lastDataOffset])
      else laterProducers.push(producerId)
      // Nobody remembers where the marker stands.
      if (lastDataOffset < 0) markerEpochs.push([producerId, producerEpoch])
    }
    return { lastDataOffsets, laterProducers, markerEpochs }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#context.timers.setTimer(LOOK_MS, resolve))
  }
}

/** Paths of the files that a new segment may have; the log first, the transaction index, which it need not have, last. */
function pathsOf(directory: string, baseOffset: Offset, suffix: string): string[] {
  return CLEANED_KINDS.map((kind) => `${directory}/${offsetFileName(baseOffset, kind)}${suffix}`)
}

function cleanedPath(swapPath: string): string {
  return swapPath.slice(0, -SWAP_SUFFIX.length) + CLEANED_SUFFIX
}
