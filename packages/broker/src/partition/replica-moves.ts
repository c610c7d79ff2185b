import { type Clock, DiskError, type Timer, type Timers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { canBeMoved, type Log, type LogManager, LogMove } from '@millrace/storage'
import type { Logger } from '../logger.ts'
import type { Turn } from '../network/turn.ts'
import { RateMeter } from '../replication/rate-meter.ts'
import type { Partition } from './partition.ts'

/** Copied in one go. */
const CHUNK_BYTES = 1 << 20
/** With less than this to copy, the future log may take the place of the current one. */
const NEAR_BYTES = 1 << 20
/** How long acknowledgements of the partition may wait for that. */
const REPLACE_LIMIT_MS = 500
/** After a try that came to nothing, or while there is nothing to do. */
const PAUSE_MS = 100
/** When it is looked again whether less than the allowed rate was copied. */
const THROTTLE_PAUSE_MS = 100
/** How long the end of the process waits for moves to come to rest. */
const CLOSE_LIMIT_MS = 5_000
/** After an error. */
const RETRY_MS = 1_000

/** Settings of the moves, as they are now. */
export interface ReplicaMoveSettings {
  /** `replica.alter.log.dirs.io.max.bytes.per.second`. */
  readonly replicaAlterLogDirsIoMaxBytesPerSecond: number
  /** `num.replica.alter.log.dirs.threads`; null: as many as there are directories. */
  readonly numReplicaAlterLogDirsThreads: number | null
}

export interface ReplicaMovesOptions {
  readonly logs: LogManager
  readonly turn: Turn
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  settings(): ReplicaMoveSettings
  /** The partition's log is another one now; `before` is out of use. */
  onReplaced(partition: Partition, before: Log): void
  /** A bug: nothing may go on. */
  onFault(error: unknown): void
}

interface Moving {
  readonly partition: Partition
  readonly move: LogMove
  /** Ends the pause that it is in. */
  wake: (() => void) | null
}

/**
 * Replicas on their way from one log directory to another (KIP-113): fills the future log of each from the current one, at the rate that
 * is allowed, a few partitions at a time, and lets it take the other's place. What both hold, and what a crash leaves of them, is
 * `LogMove`'s and the storage's concern (docs/adr/0009).
 */
export class ReplicaMoves {
  readonly #options: ReplicaMovesOptions
  readonly #meter: RateMeter
  readonly #moving = new Map<Partition, Moving>()
  /** By their future logs, for what the storage tells of these. */
  readonly #byFuture = new Map<Log, Moving>()
  /** Those that wait for one of the others to end, in order. */
  readonly #waiting: Moving[] = []
  #activeCount = 0
  /** One request after the other: giving up a move takes a while. */
  #requests: Promise<unknown> = Promise.resolve()
  #isClosed = false
  /** Moves that came to their end since the start. */
  movedCount = 0
  /** Bytes copied since the start. */
  movedBytes = 0

  constructor(options: ReplicaMovesOptions) {
    this.#options = options
    this.#meter = new RateMeter(options.clock)
  }

  /** Replicas that are being moved. */
  get count(): number {
    return this.#moving.size
  }

  /** Offsets that the future log furthest behind lacks. */
  get maxLag(): number {
    let maxLag = 0
    for (const { move } of this.#moving.values()) maxLag = Math.max(maxLag, move.lag)
    return maxLag
  }

  /**
   * Moves a replica to a directory, or nowhere if it is there: another move of it ends. Resolves to 0 once that is begun, or to the error
   * code of Kafka. The directory is one of this node's.
   */
  request(partition: Partition, directory: string): Promise<number> {
    const answer = this.#requests.then(() => this.#request(partition, directory))
    this.#requests = answer.catch(() => undefined)
    return answer
  }

  /** The partition is here, perhaps with a future log that an earlier life has left. */
  onHosted(partition: Partition): void {
    const { logs, logger } = this.#options
    const future = logs.futures.get(partition.topic, partition.partition)
    if (future === undefined) return
    if (future.topicId === partition.topicId && future.directory !== partition.log.directory) {
      logger.info('the move of a replica goes on', { ...nameOf(partition), to: future.directory })
      this.#begin(partition, future)
    } else {
      void this.#drop(future)
    }
  }

  /** It is here no more. */
  onDropped(partition: Partition): void {
    const { logs } = this.#options
    const moving = this.#moving.get(partition)
    const future = logs.futures.get(partition.topic, partition.partition)
    const ended = moving === undefined ? Promise.resolve() : this.#end(moving)
    if (future?.topicId === partition.topicId) void ended.then(() => this.#drop(future))
  }

  /** All partitions of this node are here that will be soon: future logs of others are given up. `isKnown`: of one that may come. */
  dropUnknown(isKnown: (future: Log) => boolean): void {
    for (const future of [...this.#options.logs.futures.all()]) {
      if (!this.#byFuture.has(future) && !isKnown(future)) void this.#drop(future)
    }
  }

  /** A log became durable: true if it is a future one. */
  onDurable(log: Log): boolean {
    const moving = this.#byFuture.get(log)
    moving?.wake?.()
    return moving !== undefined
  }

  /** The storage has failed all logs in it. The current log of a partition whose future one is gone goes on as before. */
  onDirectoryFailed(directory: string): void {
    for (const moving of [...this.#moving.values()]) {
      const { source, future } = moving.move
      if (future.directory !== directory && source.directory !== directory) continue
      const fields = { ...nameOf(moving.partition), from: source.directory, to: future.directory }
      this.#options.logger.error('the move of a replica has ended, since a log directory failed', fields)
      if (future.directory === directory) this.#options.logs.futures.forget(future)
      void this.#end(moving)
    }
  }

  updateConfig(partition: Partition): void {
    this.#moving.get(partition)?.move.updateConfig(partition.config.log)
  }

  /** Nothing is copied any more. Resolves when nothing is under way; what was copied is gone on with at the next start. */
  async close(): Promise<void> {
    this.#isClosed = true
    const ended = Promise.all([...this.#moving.values()].map((moving) => this.#end(moving)))
    // A note that no disk lets be taken back must not keep the process.
    let timer: Timer | null = null
    const tooLong = new Promise<void>((resolve) => {
      timer = this.#options.timers.setTimer(CLOSE_LIMIT_MS, resolve)
    })
    await Promise.race([ended, tooLong])
    ;(timer as Timer | null)?.cancel()
  }

  async #request(partition: Partition, directory: string): Promise<number> {
    const { logs, logger } = this.#options
    const { topic, partition: number } = partition
    if (!canBeMoved(topic, number)) return ErrorCode.INVALID_TOPIC_EXCEPTION
    if (this.#isClosed || partition.deleted || partition.log.failed) return ErrorCode.KAFKA_STORAGE_ERROR
    try {
      const known = logs.futures.get(topic, number)
      const isOther = known?.directory !== directory || known.topicId !== partition.topicId
      if (known !== undefined && isOther) {
        const moving = this.#moving.get(partition)
        if (moving !== undefined) await this.#end(moving)
        // It may have come to its end meanwhile.
        if (logs.futures.get(topic, number) === known) await logs.futures.drop(known)
        logger.info('the move of a replica is given up', { ...nameOf(partition), to: known.directory })
      }
      if (partition.deleted || partition.log.failed) return ErrorCode.KAFKA_STORAGE_ERROR
      if (partition.log.directory === directory || logs.futures.get(topic, number) !== undefined) return ErrorCode.NONE
      // Nobody could tell whether one of those that are offline has a future log of it already.
      if (logs.directories().some(({ online }) => !online)) return ErrorCode.KAFKA_STORAGE_ERROR
      const future = logs.futures.create(partition.log, directory)
      logger.info('a replica is moved', { ...nameOf(partition), from: partition.log.directory, to: directory })
      this.#begin(partition, future)
      // The next one in another turn: making a log may wait for the disk.
      await new Promise<void>((resolve) => this.#options.turn.afterFlush(resolve))
      return ErrorCode.NONE
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      logger.error('a replica cannot be moved', { ...nameOf(partition), to: directory, error: error.message })
      return ErrorCode.KAFKA_STORAGE_ERROR
    }
  }

  #begin(partition: Partition, future: Log): void {
    const { logs, clock, timers } = this.#options
    const move = new LogMove({ source: partition.log, future, futures: logs.futures, clock, timers })
    move.updateConfig(partition.config.log)
    const moving: Moving = { partition, move, wake: null }
    partition.move = move
    this.#moving.set(partition, moving)
    this.#byFuture.set(future, moving)
    this.#waiting.push(moving)
    this.#startWaiting()
  }

  #startWaiting(): void {
    const { settings, logs } = this.#options
    const most = settings().numReplicaAlterLogDirsThreads ?? logs.directoryCount
    while (this.#activeCount < most && this.#waiting.length > 0) {
      const moving = this.#waiting.shift()!
      this.#activeCount++
      this.#run(moving)
        .catch((error: unknown) => this.#options.onFault(error))
        .finally(() => {
          this.#activeCount--
          this.#forget(moving)
          this.#startWaiting()
        })
    }
  }

  /** Copies until the future log has taken the other's place, or the move is over. */
  async #run(moving: Moving): Promise<void> {
    const { move, partition } = moving
    let failureCount = 0
    while (!move.isOver) {
      if (this.#meter.isExceeded(this.#options.settings().replicaAlterLogDirsIoMaxBytesPerSecond)) {
        await this.#pause(moving, THROTTLE_PAUSE_MS)
        continue
      }
      const endBefore = move.future.logEndOffset
      const copiedBytes = await this.#copy(move)
      if (copiedBytes < 0) {
        if (failureCount++ === 0) this.#tellOfFailure(moving)
        await this.#pause(moving, RETRY_MS)
        continue
      }
      failureCount = 0
      if (copiedBytes > 0) await this.#whenWritten(moving, endBefore)
      if (move.isOver || this.#isFarBehind(move)) continue
      if (await this.#replace(moving)) return
      partition.advanceHighWatermark()
      await this.#pause(moving, PAUSE_MS)
    }
  }

  async #copy(move: LogMove): Promise<number> {
    try {
      const copiedBytes = await move.copy(CHUNK_BYTES)
      if (copiedBytes > 0) {
        this.#meter.record(copiedBytes)
        this.movedBytes += copiedBytes
      }
      return copiedBytes
    } catch (error) {
      // Of want of a descriptor, which may pass; else the directory has failed.
      if (!(error instanceof DiskError)) throw error
      return -1
    }
  }

  /** Until the turn has brought it to the file, and the disk has taken all that came before it. */
  async #whenWritten(moving: Moving, endBefore: number): Promise<void> {
    const { move } = moving
    await new Promise<void>((resolve) => this.#options.turn.afterFlush(resolve))
    while (!move.isOver && move.future.durableOffset < Math.min(endBefore, move.future.logEndOffset)) {
      await this.#pause(moving, PAUSE_MS)
    }
  }

  #isFarBehind({ source, future }: LogMove): boolean {
    const fromOffset = Math.max(future.logEndOffset, source.logStartOffset)
    if (fromOffset >= source.writtenOffset) return false
    return source.bytesAvailable(fromOffset, source.writtenOffset, NEAR_BYTES) >= NEAR_BYTES
  }

  async #replace(moving: Moving): Promise<boolean> {
    const { partition, move } = moving
    // What is damaged comes again from others first, and is copied then.
    if (partition.isDamaged) return false
    const isReplaced = await move.replace(partition.certainOffset, REPLACE_LIMIT_MS, () => this.#onReplaced(moving))
    // What was not acknowledged meanwhile may be now.
    if (!isReplaced) partition.advanceHighWatermark()
    return isReplaced
  }

  #onReplaced(moving: Moving): void {
    const { partition, move } = moving
    const { source, future } = move
    this.movedCount++
    this.#forget(moving)
    partition.replaceLog(future)
    const fields = { ...nameOf(partition), from: source.directory, to: future.directory }
    this.#options.logger.info('a replica has been moved', fields)
    this.#options.onReplaced(partition, source)
    // By the end of a turn all is as if it had always been so.
    this.#options.turn.afterFlush(() => partition.advanceHighWatermark())
  }

  #tellOfFailure({ partition, move }: Moving): void {
    this.#options.logger.warn('a replica cannot be moved on now', {
      ...nameOf(partition),
      to: move.future.directory,
      errorCode: move.errorCode,
      offset: move.future.logEndOffset,
    })
  }

  #forget(moving: Moving): void {
    const { partition, move } = moving
    this.#byFuture.delete(move.future)
    if (this.#moving.get(partition) === moving) this.#moving.delete(partition)
    if (partition.move === move) partition.move = null
    const slot = this.#waiting.indexOf(moving)
    if (slot >= 0) this.#waiting.splice(slot, 1)
  }

  async #end(moving: Moving): Promise<void> {
    const closed = moving.move.close()
    moving.wake?.()
    await closed
    this.#forget(moving)
    moving.partition.advanceHighWatermark()
  }

  async #drop(future: Log): Promise<void> {
    const { logs, logger } = this.#options
    const { topic, partition, directory } = future
    try {
      await logs.futures.drop(future)
      logger.info('a log that was being moved is given up', { topic, partition, directory })
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
    }
  }

  async #pause(moving: Moving, delayMs: number): Promise<void> {
    if (moving.move.isOver) return
    await new Promise<void>((resolve) => {
      const timer: Timer = this.#options.timers.setTimer(delayMs, () => moving.wake?.())
      moving.wake = () => {
        moving.wake = null
        timer.cancel()
        resolve()
      }
    })
  }
}

function nameOf({ topic, partition }: Partition): { topic: string; partition: number } {
  return { topic, partition }
}
