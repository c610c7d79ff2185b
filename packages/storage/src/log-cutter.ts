import { DiskError, type Offset, type TimestampMs } from '@millrace/base'
import type { LogHome } from './log-core.ts'
import { removableSegmentCount } from './log-retention.ts'
import { type LogState, reportError } from './log-state.ts'
import { Segment } from './segment.ts'
import type { StorageContext } from './storage-context.ts'

/** Takes from a log what is old or must go: retention at its start, truncation at its end. */
export class LogCutter {
  readonly #context: StorageContext
  readonly #home: LogHome
  readonly #log: LogState

  constructor(context: StorageContext, home: LogHome, log: LogState) {
    this.#context = context
    this.#home = home
    this.#log = log
  }

  /** See `Log.applyRetention`. */
  applyRetention(nowMs: TimestampMs): number {
    const log = this.#log
    if (log.failed) return 0
    try {
      const count = removableSegmentCount(log, nowMs)
      if (count === 0) return 0
      if (count === log.segments.count) {
        log.roll(log.logEndOffset)
        // Its name must be there before the others go, or a crash would leave nothing that tells the log's end.
        log.segments.active.file()
        this.#context.disk.syncDirectory(log.path)
      }
      log.raiseLogStart(log.segments.at(count).baseOffset)
      const removed = log.segments.removeFirst(count)
      this.#home.beforeRemoval(log)
      log.remove(removed)
      return count
    } catch (error) {
      reportError(this.#home, error)
      return 0
    }
  }

  /** See `Log.truncateTo`. */
  truncateTo(offset: Offset): void {
    const log = this.#log
    if (log.failed) return
    log.epochs.cache.truncateFromEnd(offset)
    if (offset >= log.logEndOffset) return
    if (offset < log.segments.first.baseOffset) {
      this.truncateFullyAndStartAt(offset)
      return
    }
    this.#changeEnd(() => {
      log.writeStaged()
      const slot = log.segments.slotFor(offset)
      const { position, endOffset } = log.segments.at(slot).locate(offset)
      this.#lowerLogStart(endOffset)
      this.#home.lowerMark(log, endOffset, log.segments.at(slot).baseOffset, position)
      log.remove(log.segments.removeFrom(slot + 1))
      const { active } = log.segments
      active.cut(position, endOffset)
      log.writer.onWritten(active)
      return endOffset
    })
    if (!log.failed) log.producerStates.reload(log.logStartOffset, log.logEndOffset)
  }

  /** See `Log.truncateFullyAndStartAt`. */
  truncateFullyAndStartAt(offset: Offset): void {
    const log = this.#log
    if (log.failed) return
    this.#changeEnd(() => {
      this.#lowerLogStart(offset)
      // Nothing of what was synced needs to be found from now on.
      this.#home.lowerMark(log, 0, 0, 0)
      log.writer.dropStaged()
      log.remove(log.segments.removeFrom(0))
      log.segments.add(new Segment(this.#context, log.path, offset, log.config, null))
      log.segments.active.file()
      log.logStartOffset = offset
      log.epochs.cache.clear()
      log.lostRanges.length = 0
      log.producerStates.removeSnapshots(() => true)
      log.producerStates.clear(offset)
      return offset
    })
    if (!log.failed) this.#home.onEmptied(log, offset)
  }

  /** Before a truncation to below the start, which is written at leisure otherwise. Throws `DiskError`. */
  #lowerLogStart(offset: Offset): void {
    const log = this.#log
    if (offset >= log.logStartOffset) return
    log.logStartOffset = offset
    this.#home.onLogStartLowered()
  }

  /** Does a truncation, which gives the new end, and lowers all that follows from it. */
  #changeEnd(change: () => Offset): void {
    const log = this.#log
    let logEndOffset: Offset
    try {
      this.#context.failpoint('truncate')
      logEndOffset = change()
      log.writer.syncNamesNow()
    } catch (error) {
      // Half a truncation cannot be told from corruption by what follows: the directory must not go on.
      if (!(error instanceof DiskError)) throw error
      this.#home.fail(error)
      return
    }
    log.generation++
    log.logEndOffset = logEndOffset
    log.writtenOffset = logEndOffset
    log.durableOffset = Math.min(log.durableOffset, logEndOffset)
    log.recoveryPoint = Math.min(log.recoveryPoint, logEndOffset)
    log.highWatermark = Math.max(log.logStartOffset, Math.min(log.highWatermark, logEndOffset))
    log.epochs.cache.truncateFromEnd(logEndOffset)
    log.checkpointer.wake()
    this.#context.openLogs.add(log)
    this.#home.onOffsetsChanged()
    // A sync that was under way counts no more: what is left is synced, or known to be, without another append.
    if (!log.config.writeCaching) this.#home.scheduleSync(log)
  }
}
