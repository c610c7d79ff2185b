import { DiskError, type Offset, type TimestampMs } from '@millrace/base'
import { clipRanges, writeDamagedRanges } from './damaged-ranges.ts'
import type { LogHome } from './log-core.ts'
import { type RemovableSegments, removableSegments } from './log-retention.ts'
import { type LogState, reportError } from './log-state.ts'
import { Segment } from './segment.ts'
import { isTemporary } from './settle-all.ts'
import type { StorageContext } from './storage-context.ts'

/** Segments whose files are renamed without letting anything else happen. */
const REMOVED_SEGMENTS_MAX = 16

/** Takes from a log what is old or must go: retention at its start, truncation at its end. */
export class LogCutter {
  readonly #context: StorageContext
  readonly #home: LogHome
  readonly #log: LogState
  /** Segments that retention took out of the log and whose files still have their names. */
  readonly #givenUp: Segment[]
  #isRetaining: boolean
  /** The names of what the start found are durable, although not all of it is settled. */
  #areFoundFilesNamed: boolean
  /** What is left of a truncation: done again as a whole. */
  #unfinished: (() => void) | null
  /** A truncation is making room: a copy of what stays may find no space, and nothing has changed yet. */
  #isCopying: boolean

  constructor(context: StorageContext, home: LogHome, log: LogState) {
    this.#context = context
    this.#home = home
    this.#log = log
    this.#givenUp = []
    this.#isRetaining = false
    this.#areFoundFilesNamed = false
    this.#unfinished = null
    this.#isCopying = false
  }

  /** See `Log.applyRetention`. */
  async applyRetention(nowMs: TimestampMs): Promise<number> {
    const log = this.#log
    if (log.failed || this.#isRetaining || this.isUnfinished || log.compaction.isSwapping) return 0
    this.#isRetaining = true
    try {
      const found = removableSegments(log, nowMs)
      const count = found.unknown === null ? found.count : await this.#whenKnown(found, nowMs)
      const isCut = count > 0 && (this.#isEndNamed(count) || (await this.#nameEnd(count)))
      if (isCut) {
        log.raiseLogStart(log.segments.at(count).baseOffset)
        this.#givenUp.push(...log.segments.removeFirst(count))
      }
      // Also those that could not be removed the last time.
      if (this.#givenUp.length > 0) {
        await this.#home.beforeRemoval(log)
        await this.#removeGivenUp()
      }
      return isCut ? count : 0
    } catch (error) {
      // Of a log that was deleted meanwhile even the directory may be gone.
      if (!log.failed) reportError(this.#home, error)
      return 0
    } finally {
      this.#isRetaining = false
    }
  }

  /**
   * How many segments may go. What must be read for it is read off the loop, a segment that must be walked in pieces. One that cannot be
   * read stays, and those behind it, unless the log is too large: a read costs who asked for it, here as elsewhere, and not the directory.
   */
  async #whenKnown(found: RemovableSegments, nowMs: TimestampMs): Promise<number> {
    const log = this.#log
    const { generation } = log
    let { count, unknown } = found
    try {
      while (unknown !== null) {
        await unknown.loadMaxTimestamp()
        if (log.failed || generation !== log.generation) return 0
        // Given up, since its indexes began anew for another reason.
        if (!unknown.indexes.isMaxTimestampKnown) break
        ;({ count, unknown } = removableSegments(log, nowMs))
      }
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      // Of what was cut off meanwhile even the files may be gone.
      if (log.failed || generation !== log.generation) return 0
      if (isTemporary(error)) this.#home.onDiskError(error)
      else this.#context.logger.error('retention cannot read a segment, which stays', { error: error.message })
    } finally {
      if (!log.failed) closeUnused(this.#context, this.#log)
    }
    return count
  }

  /** Whether one of the segments behind the first `count` has a name that a crash leaves: without any, nothing would tell the log's end. */
  #isEndNamed(count: number): boolean {
    const { segments, writer } = this.#log
    if (writer.areFoundFilesUnsettled && !this.#areFoundFilesNamed) return false
    return segments.all.slice(count).some(({ exists, needsDirectorySync }) => exists && !needsDirectorySync)
  }

  /** Gives the active segment, or a new one if all are to go, such a name. False if the log was cut or failed meanwhile. */
  async #nameEnd(count: number): Promise<boolean> {
    const log = this.#log
    const { generation } = log
    if (count === log.segments.count) log.roll(log.logEndOffset)
    log.segments.active.file()
    // Else nobody would close it: where nothing is written the log is idle.
    this.#context.openLogs.add(log)
    await this.#context.disk.syncDirectoryAsync(log.path)
    this.#areFoundFilesNamed = true
    return !log.failed && generation === log.generation
  }

  /** A few at a time: each costs some renames. */
  async #removeGivenUp(): Promise<void> {
    while (!this.#log.failed && this.#givenUp.length > 0) {
      const batch = this.#givenUp.slice(0, REMOVED_SEGMENTS_MAX)
      this.#log.remove(batch)
      this.#givenUp.splice(0, batch.length)
      if (this.#givenUp.length > 0) await this.#context.yieldTurn()
    }
  }

  /** See `Log.applyRetention`: one is under way, or has left files with their names that are to go. */
  get isRetaining(): boolean {
    return this.#isRetaining || this.#givenUp.length > 0
  }

  /** The log has failed: what was to be removed is removed with it, or by the next start. */
  abandon(): void {
    for (const segment of this.#givenUp.splice(0)) segment.abandon()
    this.#log.compaction.abandon()
    this.#unfinished = null
  }

  /** See `LogCore.isHalfCut`. */
  get isUnfinished(): boolean {
    return this.#unfinished !== null
  }

  /** See `Log.truncateTo`. */
  truncateTo(offset: Offset): void {
    const log = this.#log
    if (log.failed) return
    if (offset >= log.logEndOffset) {
      log.epochs.cache.truncateFromEnd(offset)
      return
    }
    if (offset < log.segments.first.baseOffset) {
      this.truncateFullyAndStartAt(offset)
      return
    }
    const place = this.#prepare(() => {
      log.writeStaged()
      const slot = log.segments.slotFor(offset)
      const segment = log.segments.at(slot)
      const { position, endOffset } = segment.locate(offset)
      this.#isCopying = true
      segment.openToCut(position)
      this.#isCopying = false
      this.#lowerLogStart(endOffset)
      this.#home.lowerMark(log, endOffset, segment.baseOffset, position)
      return { slot, position, endOffset }
    })
    if (place === null) return
    const { slot, position, endOffset } = place
    this.#change(endOffset, endOffset, () => {
      log.remove(log.segments.removeFrom(slot + 1))
      const { active } = log.segments
      active.cut(position, endOffset)
      log.writer.onWritten(active)
      log.producerStates.forgetAbove(endOffset)
    })
    this.#finishWith(() => {
      this.#cutDamage(endOffset)
      log.compaction.cutGaps(endOffset)
      log.writer.syncNamesNow()
    })
    if (log.failed) return
    try {
      log.currentProducers()
    } catch (error) {
      // Built when it is asked for next.
      reportError(this.#home, error)
    }
  }

  /** See `Log.truncateFullyAndStartAt`. */
  truncateFullyAndStartAt(offset: Offset): void {
    const log = this.#log
    if (log.failed) return
    const isPrepared = this.#prepare(() => {
      this.#lowerLogStart(offset)
      // Nothing of what was synced needs to be found from now on.
      this.#home.lowerMark(log, 0, 0, 0)
      return true
    })
    if (isPrepared === null) return
    // Durable when its names are: until then a crash leaves the old log, or none.
    this.#change(offset, 0, () => {
      log.writer.dropStaged()
      const removed = log.segments.removeFrom(0)
      log.segments.add(new Segment(this.#context, log.path, offset, log.config, null))
      log.logStartOffset = offset
      log.epochs.cache.clear()
      log.remove(removed)
      log.producerStates.removeSnapshots(() => true)
      log.producerStates.clear(offset)
    })
    this.#finishWith(() => {
      log.segments.active.file()
      this.#cutDamage(0)
      log.compaction.cutGaps(0)
      log.writer.syncNamesNow()
      this.#home.onEmptied(log, offset)
    })
  }

  /**
   * What comes before a truncation, while it can still be refused: nothing that it does is wrong if the log stays as it is. Throws
   * `DiskError` for want of a descriptor, or of space for a copy of what stays; null if the directory has failed. For want of space at
   * the mark it is too late: that may say less than the log has by then.
   */
  #prepare<Result>(prepare: () => Result): Result | null {
    const log = this.#log
    const { logStartOffset } = log
    this.#isCopying = false
    try {
      this.#context.failpoint('truncate')
      this.#unfinished?.()
      this.#unfinished = null
      this.#removeGivenUpNow()
      log.compaction.undoNow()
      log.producerStates.listSnapshots()
      return prepare()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      const isRefusable = isTemporary(error) || (this.#isCopying && error.code === 'DISK_FULL')
      if (!isRefusable) {
        this.#home.fail(error)
        return null
      }
      log.logStartOffset = logStartOffset
      this.#home.onDiskError(error)
      // Where the last word on a full disk was said by a sync, that was final.
      if (log.failed) return null
      throw error
    }
  }

  /** Does a truncation to `logEndOffset`, without opening any file, and lowers all that follows from it. */
  #change(logEndOffset: Offset, durableOffset: Offset, change: () => void): void {
    const log = this.#log
    try {
      change()
    } catch (error) {
      // Half a truncation cannot be told from corruption by what follows: the directory must not go on.
      if (!(error instanceof DiskError)) throw error
      this.#home.fail(error)
      return
    }
    log.generation++
    log.logEndOffset = logEndOffset
    log.writtenOffset = logEndOffset
    log.durableOffset = Math.min(log.durableOffset, durableOffset)
    log.recoveryPoint = Math.min(log.recoveryPoint, logEndOffset)
    log.highWatermark = Math.max(log.logStartOffset, Math.min(log.highWatermark, logEndOffset))
    log.epochs.cache.truncateFromEnd(logEndOffset)
    log.checkpointer.wake()
    this.#context.openLogs.add(log)
    this.#home.onOffsetsChanged()
  }

  /** Makes a truncation durable; where that finds no descriptor it is put off, and the log takes no appends before. */
  #finishWith(finish: () => void): void {
    if (this.#log.failed) return
    this.#unfinished = finish
    this.finish()
  }

  /** Tries again what was put off, if anything was. */
  finish(): void {
    const log = this.#log
    if (this.#unfinished === null || log.failed) return
    try {
      this.#unfinished()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      if (isTemporary(error)) this.#home.onPutOff(log, error)
      else this.#home.fail(error)
      return
    }
    this.#unfinished = null
    // A sync that was under way counts no more: what is left is synced, or known to be, without another append.
    if (!log.config.writeCaching) this.#home.scheduleSync(log)
  }

  /** Before a truncation to below the start, which is written at leisure otherwise. Throws `DiskError`. */
  #lowerLogStart(offset: Offset): void {
    const log = this.#log
    if (offset >= log.logStartOffset) return
    log.logStartOffset = offset
    this.#home.onLogStartLowered()
  }

  /** Before names are used again that they may have. Throws `DiskError`. */
  #removeGivenUpNow(): void {
    if (this.#givenUp.length === 0) return
    this.#home.beforeRemovalNow(this.#log)
    this.#log.remove(this.#givenUp.splice(0))
  }

  /** What is appended in the place of lost data is sound: at once, or a start would go on to refuse it. Throws `DiskError`. */
  #cutDamage(endOffset: Offset): void {
    const { lostRanges, path } = this.#log
    if (lostRanges.length === 0) return
    lostRanges.splice(0, lostRanges.length, ...clipRanges(lostRanges, 0, endOffset))
    writeDamagedRanges(this.#context.disk, path, lostRanges)
  }
}

/** Of an idle log, a look at its timestamps may have opened files that nothing else would close. */
export function closeUnused({ openLogs }: StorageContext, log: LogState): void {
  if (openLogs.has(log)) return
  for (const segment of log.segments.all) if (segment.isOpen && segment.closeUnused()) segment.indexes.drop()
}
