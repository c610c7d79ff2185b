import { DiskError, type Offset } from '@millrace/base'
import type { LogCore, LogHome } from './log-core.ts'
import type { Segment } from './segment.ts'
import { isTemporary } from './settle-all.ts'
import type { StorageContext } from './storage-context.ts'
import { CHECKPOINT_BYTES } from './walk-budget.ts'

/**
 * Raises a log's recovery point: producer snapshot, index entries and leader epochs up to an offset reach the disk beside the data,
 * in the background; then everything below needs no recovery. One at a time per log.
 */
export class LogCheckpointer {
  readonly #context: StorageContext
  readonly #home: LogHome
  readonly #log: LogCore
  #running: Promise<void> | null
  #again: boolean
  /** The last one found no descriptor. */
  #isPutOff: boolean
  /** Of the log's `totalBytes`. */
  #checkpointedBytes: number
  /** What all logs' account says of this one. */
  #walkBytes: number
  /** Checkpoints that could not be written. */
  errorCount: number
  #durableWaiters: { offset: Offset; generation: number; wake: () => void }[]

  constructor(context: StorageContext, home: LogHome, log: LogCore) {
    this.#context = context
    this.#home = home
    this.#log = log
    this.#running = null
    this.#again = false
    this.#isPutOff = false
    this.#checkpointedBytes = 0
    this.#walkBytes = 0
    this.errorCount = 0
    this.#durableWaiters = []
  }

  /** Starts one in the place of one that was put off. */
  retry(): void {
    if (!this.#isPutOff) return
    this.#isPutOff = false
    this.request()
  }

  /** Resolves when none runs. */
  async whenIdle(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  get isRunning(): boolean {
    return this.#running !== null
  }

  /** After each write. With write caching only rolls and closing raise the recovery point, as in Kafka. Throws `DiskError`. */
  onWritten(): void {
    const { totalBytes } = this.#log
    const { writeCaching } = this.#log.config
    const writtenBytes = totalBytes - this.#checkpointedBytes
    this.#count()
    if (writeCaching ? writtenBytes < CHECKPOINT_BYTES : !this.#context.walks.isDue(writtenBytes)) return
    // At least out of memory, or a roll would write up to 10 MiB of them at once.
    if (writeCaching) this.#flushIndexes()
    else this.request()
    this.#cover(totalBytes)
  }

  /** Nothing of the log would have to be walked any more: all of it is checkpointed, or it is gone. */
  onNothingLeft(): void {
    this.#cover(this.#log.totalBytes)
  }

  #cover(totalBytes: number): void {
    this.#checkpointedBytes = Math.max(this.#checkpointedBytes, totalBytes)
    this.#count()
  }

  #count(): void {
    const walkBytes = this.#log.config.writeCaching ? 0 : this.#log.totalBytes - this.#checkpointedBytes
    this.#context.walks.move(this.#walkBytes, walkBytes)
    this.#walkBytes = walkBytes
  }

  /** Nobody syncs them before the segment ends: until then they are to cost no descriptors. Throws `DiskError`. */
  #flushIndexes(): void {
    const { active } = this.#log.segments
    try {
      active.flushIndexes(false)
    } finally {
      active.indexes.closeFiles()
    }
  }

  /** The active segment ends at `baseOffset`: Kafka expects a snapshot at the base of each segment. Throws `DiskError`. */
  onRoll(baseOffset: Offset): void {
    this.#log.producerStates.writeSnapshot(this.#log.logStartOffset, baseOffset, this.#log.highWatermark)?.close()
    this.request()
  }

  /** Starts a checkpoint, or another one after that which runs. */
  request(): void {
    if (this.#running !== null) this.#again = true
    else this.#start()
  }

  /**
   * Resolves when a checkpoint that covers what is the log's end now is done, the log has failed, or a checkpoint could not be written:
   * trying again at once on a full disk would never end. Of a log that is not appended to, none runs then.
   */
  async complete(): Promise<void> {
    const { errorCount } = this
    const log = this.#log
    const { logEndOffset: target } = log
    while (!log.failed && errorCount === this.errorCount) {
      const isCovered = log.logEndOffset > target ? log.recoveryPoint >= target : !this.isDue && this.#running === null
      if (isCovered) return
      if (this.#running === null) this.#start()
      await this.#running
    }
  }

  /** The durable offset rose, the log was truncated, or it failed. */
  wake(): void {
    if (this.#durableWaiters.length === 0) return
    const { durableOffset, failed, generation } = this.#log
    const waiters = this.#durableWaiters
    this.#durableWaiters = waiters.filter(
      (waiter) => !failed && waiter.generation === generation && waiter.offset > durableOffset,
    )
    for (const waiter of waiters) if (!this.#durableWaiters.includes(waiter)) waiter.wake()
  }

  /** Something above the recovery point, or leader epochs, would have to be read again after a crash. */
  get isDue(): boolean {
    return this.#log.recoveryPoint < this.#log.logEndOffset || this.#log.epochs.needsSave(this.#log.logEndOffset)
  }

  #start(): void {
    const running = this.#run()
      .catch((error: unknown) => {
        if (!(error instanceof DiskError)) throw error
        this.errorCount++
        // Of a log that was deleted meanwhile even the directory may be gone.
        if (this.#log.failed) return
        this.#isPutOff = isTemporary(error)
        if (this.#isPutOff) this.#home.onPutOff(this.#log, error)
        else this.#home.onDiskError(error)
      })
      .finally(() => {
        this.#running = null
        if (!this.#again) return
        this.#again = false
        if (!this.#log.failed) this.#start()
      })
    this.#running = running
  }

  async #run(): Promise<void> {
    const log = this.#log
    if (log.failed) return
    log.writeStaged()
    const { generation, logEndOffset: offset, totalBytes } = log
    const segments = log.segments.all.filter(({ exists }) => exists)
    this.#context.failpoint('checkpoint')
    if (log.isSmall) await this.#whenDurable(offset)
    else await this.#syncDerived(segments, offset, generation)
    if (log.failed || generation !== log.generation) return
    await log.epochs.save(log.logEndOffset, () => !log.failed)
    if (log.failed) return
    await this.#settleEnds(generation)
    if (log.failed || generation !== log.generation) return
    this.#home.onCheckpointed(log, Math.max(log.recoveryPoint, offset))
    this.#cover(totalBytes)
    const bases = new Set(log.segments.all.map(({ baseOffset }) => baseOffset))
    // The mark names this recovery point a second later: until then a crash brings the one before back, and the walk begins there.
    const neededOffset = Math.min(offset, this.#home.syncedRecoveryPoint(log))
    log.producerStates.removeSnapshots((other) => other < neededOffset && !bases.has(other))
  }

  /** Producer snapshot and indexes of what lies below `offset`, with their names. Before its end the log may fail or be cut. */
  async #syncDerived(segments: readonly Segment[], offset: Offset, generation: number): Promise<void> {
    const log = this.#log
    const snapshot =
      offset > log.logStartOffset
        ? log.producerStates.writeSnapshot(log.logStartOffset, offset, log.highWatermark)
        : null
    try {
      for (const segment of segments) if (segment.indexes.hasChanges) segment.flushIndexes(false)
      await this.#whenDurable(offset)
      if (log.failed || generation !== log.generation) return
      await snapshot?.sync()
      for (const segment of segments) if (segment.indexes.hasChanges) await segment.indexes.sync()
    } catch (error) {
      // Put off: the next checkpoint opens them again.
      for (const segment of segments) segment.indexes.closeFiles()
      throw error
    } finally {
      snapshot?.close()
    }
    if (log.failed) return
    await this.#syncNames()
  }

  async #syncNames(): Promise<void> {
    const { path, producerStates } = this.#log
    const { hasRemovedNames } = producerStates
    // Before it begins: what is removed meanwhile may not be covered.
    producerStates.hasRemovedNames = false
    try {
      await this.#context.disk.syncDirectoryAsync(path)
    } catch (error) {
      // For want of a descriptor it may not even have begun.
      producerStates.hasRemovedNames ||= hasRemovedNames
      throw error
    }
  }

  /** The recovery point comes with a fingerprint of what is below, which names the sizes of files: they must be so after any crash. */
  async #settleEnds(generation: number): Promise<void> {
    const log = this.#log
    while (!log.failed && generation === log.generation) {
      const { all } = log.segments
      const unsettled = all.find((segment, slot) => slot + 1 < all.length && segment.hasUnsettledEnd)
      if (unsettled === undefined) return
      await unsettled.settleEnd()
    }
  }

  #whenDurable(offset: Offset): Promise<void> {
    const log = this.#log
    if (log.durableOffset >= offset || log.failed) return Promise.resolve()
    return new Promise((wake) => {
      this.#durableWaiters.push({ offset, generation: log.generation, wake })
      this.#home.scheduleSync(log)
    })
  }
}
