import { assert, type Clock, DiskError, type LeaderEpoch, type Offset, type Timers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { FutureLogs } from './future-logs.ts'
import type { Log } from './log.ts'
import type { LogConfig } from './log-config.ts'
import { AppendResult, ReadResult } from './log-results.ts'

/** Read and appended in one go at the end, when nothing else may happen in between. */
const TAIL_BYTES = 1 << 20
/** Copied at the end without letting anything else happen: more than that is brought to rest once more before. */
const COMPLETED_BYTES = 8 << 20
/** How often it is looked whether a future log has come to rest. */
const LOOK_MS = 2
/** After which a note that could not be taken back is tried again. */
const RETRY_MS = 100
/** Whatever epoch a batch has, it was the leader's. */
const ANY_EPOCH: LeaderEpoch = 0x7fffffff

export interface LogMoveOptions {
  readonly source: Log
  readonly future: Log
  readonly futures: FutureLogs
  readonly clock: Clock
  readonly timers: Timers
}

/**
 * The move of one log to another log directory: `future` is filled with the batches of `source`, as they are, and takes its place at the
 * end (docs/adr/0009). Whoever drives it calls {@link copy} until little is left, then {@link replace}, as often as need be, and limits by
 * {@link bound} what is acknowledged of the source meanwhile.
 */
export class LogMove {
  readonly source: Log
  readonly future: Log
  /** Why the last {@link copy} gave -1: an error code of Kafka. */
  errorCode: number
  readonly #options: LogMoveOptions
  readonly #read: ReadResult
  readonly #appended: AppendResult
  /** Of the source, when it was last made sure that all that the future log holds is the source's; -1: never. */
  #alignedGeneration: number
  /** While the future log is about to take the source's place: no more than this may be acknowledged. */
  #ceiling: Offset | null
  #isClosed: boolean
  #replacing: Promise<boolean> | null

  constructor(options: LogMoveOptions) {
    assert(options.source.topicId === options.future.topicId, 'both are logs of the same topic')
    this.source = options.source
    this.future = options.future
    this.errorCode = ErrorCode.NONE
    this.#options = options
    this.#read = new ReadResult()
    this.#appended = new AppendResult()
    this.#alignedGeneration = -1
    this.#ceiling = null
    this.#isClosed = false
    this.#replacing = null
  }

  /** Offsets that the future log lacks. */
  get lag(): number {
    return this.source.logEndOffset - this.future.logEndOffset
  }

  /** Either log, or the move, is over. */
  get isOver(): boolean {
    return this.#isClosed || this.source.failed || this.future.failed
  }

  /** How much of the source counts for others of what it holds for certain: a crash may leave the future log in its place. Hot path. */
  bound(certainOffset: Offset): Offset {
    if (this.#ceiling === null) return certainOffset
    const bounded = Math.min(certainOffset, this.#ceiling)
    // Cut meanwhile: what was appended in the place of what went is nothing that the future log has.
    return this.#isAligned ? bounded : Math.min(bounded, this.source.highWatermark)
  }

  /** The settings of the source have changed, or are to be its own. */
  updateConfig(config: LogConfig): void {
    // Synced whatever the topic says, since it counts only as far as that is done.
    this.future.updateConfig({ ...config, writeCaching: false })
  }

  /**
   * Copies the next batches, about `maxBytes` of them. Gives how many bytes: 0 if there is nothing to copy now, -1 for an error, which
   * `errorCode` names and which may pass. Whoever calls it has the future log flushed. Throws, or rejects with, `DiskError`.
   */
  copy(maxBytes: number): number | Promise<number> {
    const { source, future } = this
    if (this.isOver) return 0
    this.#align()
    if (this.isOver) return 0
    this.#follow()
    if (future.logEndOffset >= source.writtenOffset) return 0
    const { generation } = source
    const read = source.read(future.logEndOffset, maxBytes, source.writtenOffset, true, this.#read)
    return typeof read === 'boolean' ? this.#take(read, generation) : read.then((ok) => this.#take(ok, generation))
  }

  /**
   * Tries to let the future log take the source's place, within about `limitMs`. `certainOffset`: how much of the source may have been
   * acknowledged. `onReplaced` is called at the very moment. Resolves to whether it was done; if not, it may be tried again.
   */
  replace(certainOffset: Offset, limitMs: number, onReplaced: () => void): Promise<boolean> {
    assert(this.#replacing === null, 'a log is replaced once at a time')
    this.#ceiling = certainOffset
    const deadlineMs = this.#options.clock.monotonicMs() + limitMs
    const replacing = this.#replace(certainOffset, deadlineMs, onReplaced).finally(() => {
      this.#replacing = null
      this.#ceiling = null
    })
    this.#replacing = replacing
    return replacing
  }

  /** Ends the move, if it is not over. Once it resolves neither log is touched any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#replacing
  }

  get #isAligned(): boolean {
    return this.#alignedGeneration === this.source.generation
  }

  async #replace(certainOffset: Offset, deadlineMs: number, onReplaced: () => void): Promise<boolean> {
    const { source, future, futures } = this.#options
    let isNoted = false
    // The note of a move before this one is all that says where the log is, as long as not everybody knows.
    if (futures.isUnsettled(source.topicId, source.partition)) return false
    for (const log of [source, future]) log.settleNames()
    try {
      if (!(await this.#bringToRest(certainOffset, deadlineMs))) return false
      isNoted = true
      await futures.noteReplacement(source, future)
      while (await this.#bringToRest(certainOffset, deadlineMs)) {
        const isComplete = this.#completeNow()
        if (isComplete !== true) {
          if (isComplete !== false) await isComplete
          if (this.#options.clock.monotonicMs() >= deadlineMs) return false
          await this.#pause(LOOK_MS)
          continue
        }
        futures.replace(source, future)
        isNoted = false
        onReplaced()
        future.flushTurn(this.#options.clock.monotonicMs())
        return true
      }
      return false
    } catch (error) {
      // Whose directory it was has heard of it.
      if (!(error instanceof DiskError)) throw error
      return false
    } finally {
      if (isNoted) await this.#takeBack()
    }
  }

  /** Until that is done, all that is acknowledged must be in both logs. */
  async #takeBack(): Promise<void> {
    const { source, futures } = this.#options
    while (!source.failed) {
      try {
        await futures.cancelReplacement(source)
        return
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
        await this.#pause(RETRY_MS)
      }
    }
  }

  /** Copies and waits until the future log holds all below `certainOffset` durably and is quiet. False: not in time. */
  async #bringToRest(certainOffset: Offset, deadlineMs: number): Promise<boolean> {
    const { source, future } = this
    const { clock } = this.#options
    for (;;) {
      while (!this.isOver && future.logEndOffset < certainOffset) {
        if ((await this.copy(TAIL_BYTES)) <= 0) return false
      }
      // Also what went to the file at once, as large batches do: no other turn may come that has it synced.
      if (future.hasStaged || future.needsSync) future.flushTurn(clock.monotonicMs())
      if (this.isOver || !this.#isAligned) return false
      const isNamed = source.hasDurableNames && future.hasDurableNames
      if (isNamed && future.durableOffset >= certainOffset && future.isQuiet) return true
      if (clock.monotonicMs() >= deadlineMs) return false
      await this.#pause(LOOK_MS)
    }
  }

  /** Copies what is left, in one go. A promise if some of it must come from the disk first, of which more is copied when it ends. */
  #completeNow(): boolean | Promise<number> {
    const { source, future } = this
    const nowMs = this.#options.clock.monotonicMs()
    if (this.isOver || !future.isQuiet || !this.#isAligned) return false
    source.flushTurn(nowMs)
    if (source.failed || source.hasStaged) return false
    for (let copiedBytes = 0; future.logEndOffset < source.logEndOffset; ) {
      if (copiedBytes >= COMPLETED_BYTES) return false
      const copied = this.copy(TAIL_BYTES)
      if (typeof copied !== 'number') return copied
      if (copied <= 0) return false
      copiedBytes += copied
    }
    // A sync that begins here knows no names of files but those that it asks for after the log has got its place.
    if (future.hasStaged) future.flushTurn(nowMs)
    if (future.failed || future.hasStaged) return false
    this.#follow()
    return future.logEndOffset === source.logEndOffset
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#options.timers.setTimer(delayMs, resolve))
  }

  #take(isRead: boolean, generation: number): number {
    const { source, future } = this
    const read = this.#read
    // Cut while it was read.
    if (generation !== source.generation || this.isOver) return 0
    if (!isRead) {
      // What is to be copied next was deleted meanwhile: the next call begins behind it.
      if (read.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) return 0
      return this.#fail(read.errorCode)
    }
    for (const buffer of read.buffers) {
      const code = future.append(buffer, 0, buffer.length, 'replication', ANY_EPOCH, this.#appended)
      if (code !== ErrorCode.NONE) return this.#fail(code)
    }
    read.buffers = []
    this.#follow()
    return read.sizeBytes
  }

  #fail(code: number): number {
    this.errorCode = code
    return -1
  }

  /** What is read of the source may be read of the future log later. */
  #follow(): void {
    const { source, future } = this
    if (this.isOver) return
    future.raiseLogStart(source.logStartOffset)
    future.setHighWatermark(Math.min(source.highWatermark, future.logEndOffset))
  }

  /** Cuts from the future log what is not the source's, since that was cut, or begins later than what has been copied. */
  #align(): void {
    const { source, future } = this
    const { futures } = this.#options
    const isAhead = source.logStartOffset > future.logEndOffset
    if (this.#isAligned && !isAhead) return
    const { generation } = source
    const isEmpty = future.logEndOffset === future.logStartOffset
    const isOther = isAhead || (!isEmpty && futures.isDoubted(source, future))
    if (isOther || (isEmpty && future.logEndOffset !== source.logStartOffset) || !this.#sharesStart()) {
      future.truncateFullyAndStartAt(source.logStartOffset)
    } else if (!isEmpty) {
      const endOffset = commonEnd(source, future)
      if (endOffset < 0) future.truncateFullyAndStartAt(source.logStartOffset)
      // Also where nothing is cut: an epoch without records may be another one now.
      else future.truncateTo(endOffset)
    }
    futures.trust(future)
    this.#alignedGeneration = generation
  }

  /** Whether the future log lacks nothing at the source's start: a crash may bring back there what had been deleted. */
  #sharesStart(): boolean {
    return this.future.logStartOffset <= this.source.logStartOffset
  }
}

/**
 * Up to where two replicas of a partition hold the same: records of one offset and leader epoch are the same, and so are all before them
 * (KIP-101). -1 if nothing is known to be.
 */
export function commonEnd(left: Log, right: Log): Offset {
  const startOffset = Math.max(left.logStartOffset, right.logStartOffset)
  const leftEpochs = left.epochs.cache.entries()
  const rightEpochs = right.epochs.cache.entries()
  let offset = Math.min(left.logEndOffset, right.logEndOffset)
  while (offset > startOffset) {
    const leftAt = leftEpochs.findLast((entry) => entry.startOffset < offset)
    const rightAt = rightEpochs.findLast((entry) => entry.startOffset < offset)
    if (leftAt === undefined || rightAt === undefined) return -1
    if (leftAt.epoch === rightAt.epoch) return offset
    offset = Math.max(leftAt.startOffset, rightAt.startOffset)
  }
  return -1
}
