import { DiskError, type Offset, type ProducerId, type TimestampMs } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { bytesBetween, findAborted, findByMaxTimestamp, findByTimestamp } from './log-lookup.ts'
import { COLD, EXHAUSTED, readCold, readHot, SegmentRead } from './log-reader.ts'
import type { FoundOffset, ReadResult } from './log-results.ts'
import type { LogState } from './log-state.ts'
import { isOutOfDescriptors } from './open-segments.ts'
import type { StorageContext } from './storage-context.ts'

/** A log that is cut off as often during one search is told what was found. */
const TRIES_MAX = 5

/** The read path of a log: from segment to segment, around what is lost, with files kept open for what comes from the disk in steps. */
export class LogReads {
  readonly #context: StorageContext
  readonly #log: LogState
  /** Reused by reads that end at once. */
  readonly #read: SegmentRead

  constructor(context: StorageContext, log: LogState) {
    this.#context = context
    this.#log = log
    this.#read = new SegmentRead(log.segments.active, 0, 0, 0, false, 0)
  }

  /** See `Log.read`. Hot path. */
  read(
    fromOffset: Offset,
    maxBytes: number,
    upperOffset: Offset,
    minOneBatch: boolean,
    out: ReadResult,
  ): boolean | Promise<boolean> {
    const log = this.#log
    out.clear()
    if (log.failed) return refuse(out, ErrorCode.KAFKA_STORAGE_ERROR)
    if (fromOffset < log.logStartOffset || fromOffset > log.logEndOffset) {
      return refuse(out, ErrorCode.OFFSET_OUT_OF_RANGE)
    }
    let endOffset = Math.min(upperOffset, log.writtenOffset)
    if (fromOffset >= endOffset) return true
    if (log.lostRanges.length > 0) {
      endOffset = this.#soundEnd(fromOffset, endOffset)
      if (endOffset <= fromOffset) return refuse(out, ErrorCode.KAFKA_STORAGE_ERROR)
    }
    log.touched = true
    const read = this.#read
    read.fromOffset = fromOffset
    read.endOffset = endOffset
    read.maxBytes = Math.max(0, maxBytes)
    read.minOneBatch = minOneBatch
    read.indexIntervalBytes = log.config.indexIntervalBytes
    try {
      for (let slot = Math.max(0, log.segments.slotFor(fromOffset)); slot < log.segments.count; slot++) {
        read.segment = log.segments.at(slot)
        if (!read.segment.isOpen) this.#context.openLogs.add(log)
        const code = readHot(read, out)
        if (code === COLD) return this.#readCold(slot, out)
        if (code !== EXHAUSTED) return code === ErrorCode.NONE
      }
      return true
    } catch (error) {
      return refuse(out, this.#onReadError(error))
    }
  }

  async #readCold(firstSlot: number, out: ReadResult): Promise<boolean> {
    const log = this.#log
    const { segment, fromOffset, endOffset, maxBytes, minOneBatch, indexIntervalBytes } = this.#read
    const read = new SegmentRead(segment, fromOffset, endOffset, maxBytes, minOneBatch, indexIntervalBytes)
    const { generation } = log
    log.pendingReadCount++
    try {
      for (let slot = firstSlot; ; ) {
        read.segment = log.segments.at(slot)
        const segmentEnd = log.segments.endOffsetOf(slot)
        const isLast = slot + 1 === log.segments.count
        const code = await this.#readColdOnce(read, out)
        // Another segment, which compaction made, has its records.
        if (
          code !== ErrorCode.NONE &&
          read.segment.isGone &&
          this.#whatEndedRead(fromOffset, generation, out) === null
        ) {
          out.clear()
          read.endOffset = endOffset
          slot = Math.max(0, log.segments.slotFor(fromOffset))
          continue
        }
        const endedBy = this.#whatEndedRead(fromOffset, generation, out)
        // What was read whole before its segment went is as good as it was.
        const isRead = code === ErrorCode.NONE && endedBy === ErrorCode.OFFSET_OUT_OF_RANGE
        if (endedBy !== null && !isRead) return endedBy === ErrorCode.NONE || refuse(out, endedBy)
        if (code !== EXHAUSTED || isLast) return code === ErrorCode.NONE || code === EXHAUSTED
        // Not by its place: retention may have taken segments before it meanwhile.
        slot = Math.max(0, log.segments.slotFor(segmentEnd))
      }
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      const endedBy = this.#whatEndedRead(fromOffset, generation, out)
      if (endedBy === null) return refuse(out, this.#onReadError(error))
      return endedBy === ErrorCode.NONE || refuse(out, endedBy)
    } finally {
      log.pendingReadCount--
    }
  }

  /** As `readCold`; {@link GONE} if the files of the segment went meanwhile. Rejects with `DiskError`. */
  async #readColdOnce(read: SegmentRead, out: ReadResult): Promise<number> {
    try {
      return await this.#context.readCold(() => readCold(read, out))
    } catch (error) {
      if (error instanceof DiskError && read.segment.isGone) return GONE
      throw error
    }
  }

  /** What happened to the log while a read of it waited, so that what it read, or failed to read, says nothing; null if nothing did. */
  #whatEndedRead(fromOffset: Offset, generation: number, out: ReadResult): number | null {
    const log = this.#log
    if (log.failed) return ErrorCode.KAFKA_STORAGE_ERROR
    // Truncated: the reader comes again.
    if (generation !== log.generation) {
      out.clear()
      return ErrorCode.NONE
    }
    // Retention or delete records took the segment away.
    return fromOffset < log.logStartOffset ? ErrorCode.OFFSET_OUT_OF_RANGE : null
  }

  #soundEnd(fromOffset: Offset, endOffset: Offset): Offset {
    const log = this.#log
    let end = endOffset
    for (const range of log.lostRanges) {
      if (fromOffset < range.endOffset && range.startOffset < end) end = Math.max(fromOffset, range.startOffset)
    }
    return end
  }

  /** See `Log.bytesAvailable`. */
  bytesAvailable(fromOffset: Offset, upperOffset: Offset, maxBytes: number): number {
    const log = this.#log
    const endOffset = Math.min(upperOffset, log.writtenOffset)
    if (log.failed || fromOffset >= endOffset || fromOffset < log.logStartOffset) return 0
    return Math.min(maxBytes, bytesBetween(log.segments, fromOffset, endOffset))
  }

  /** See `Log.endsInLaterSegment`. */
  endsInLaterSegment(fromOffset: Offset, upperOffset: Offset): boolean {
    const log = this.#log
    return log.segments.slotFor(fromOffset) < log.segments.slotFor(Math.min(upperOffset, log.writtenOffset))
  }

  /** See `Log.offsetForTimestamp`. */
  offsetForTimestamp(timestamp: TimestampMs, upperOffset: Offset): Promise<FoundOffset | null> {
    const log = this.#log
    return this.#whileOpen(() => {
      const endOffset = Math.min(upperOffset, log.writtenOffset)
      return findByTimestamp(log.segments, log.logStartOffset, timestamp, endOffset)
    })
  }

  /** See `Log.offsetOfMaxTimestamp`. */
  offsetOfMaxTimestamp(): Promise<FoundOffset | null> {
    const log = this.#log
    return this.#whileOpen(() => findByMaxTimestamp(log.segments, log.writtenOffset))
  }

  /**
   * Does what opens files and reads them in steps: they stay open meanwhile, and are closed when the log is idle again. Again where records
   * were cut off meanwhile, or retention took a segment away: what it found, or failed of, may be of what is gone.
   */
  async #whileOpen<Result>(task: () => Promise<Result>): Promise<Result> {
    const log = this.#log
    log.use()
    log.pendingReadCount++
    try {
      for (let tryCount = 1; ; tryCount++) {
        const { generation } = log
        const segments = [...log.segments.all]
        const isCut = (): boolean => generation !== log.generation && tryCount < TRIES_MAX
        try {
          const result = await task()
          if (log.failed || !isCut()) return result
        } catch (error) {
          // It takes another round of retention for the next try to meet the same.
          const isGone = error instanceof DiskError && segments.some((segment) => segment.isGone)
          if (log.failed || !(isGone || isCut())) throw error
        }
      }
    } finally {
      log.pendingReadCount--
    }
  }

  /** See `Log.abortedTransactions`. */
  abortedTransactions(fromOffset: Offset, upperOffset: Offset): { producerId: ProducerId; firstOffset: Offset }[] {
    const log = this.#log
    log.use()
    return findAborted(log.segments, fromOffset, upperOffset)
  }

  /** One sector that cannot be read costs the reads of it, not the directory. */
  #onReadError(error: unknown): number {
    if (!(error instanceof DiskError)) throw error
    if (isOutOfDescriptors(error)) this.#context.openSegments.onRefused(error)
    else this.#context.logger.error('read failed', { path: error.path, error: error.message })
    return ErrorCode.KAFKA_STORAGE_ERROR
  }
}

/** What no other outcome of a read is. */
const GONE = -4

/** The answer of a read that fails with an error code. */
function refuse(out: ReadResult, errorCode: number): false {
  out.fail(errorCode)
  return false
}
