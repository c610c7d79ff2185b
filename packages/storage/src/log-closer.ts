import type { LogHome } from './log-core.ts'
import { type LogState, reportError } from './log-state.ts'
import type { StorageContext } from './storage-context.ts'

/** Brings a log to rest: when it is idle, and at the end of the process, with or without a sync of the whole file system. */
export class LogCloser {
  readonly #context: StorageContext
  readonly #home: LogHome
  readonly #log: LogState

  constructor(context: StorageContext, home: LogHome, log: LogState) {
    this.#context = context
    this.#home = home
    this.#log = log
  }

  /** See `LogCore.whenQuiet`. */
  async whenQuiet(): Promise<void> {
    const log = this.#log
    // The sync that a checkpoint waits for may have been taken out of the queue: the whole file system is about to be synced.
    if (log.checkpointer.isRunning) this.#home.scheduleSync(log)
    await log.checkpointer.whenIdle()
    await this.#whenExtended()
  }

  /** Resolves when no extension runs: one that ends after the process would leave its zeros behind the last batch. */
  async #whenExtended(): Promise<void> {
    const log = this.#log
    for (const segment of log.segments.all) if (segment.extending) await segment.extension
  }

  /** See `LogCore.settle`. */
  settle(): boolean {
    const log = this.#log
    const isBusy = log.checkpointer.isRunning || log.syncState !== 'idle' || log.segments.active.extending
    if (log.failed || isBusy) return false
    try {
      log.writeStaged()
      if (log.segments.active.trim()) log.writer.onWritten(log.segments.active)
      if (!log.isSmall) this.#writeDerived()
      log.epochs.saveUnsynced(log.logEndOffset)
      // At once, unlike elsewhere: thousands of logs would run out of descriptors, and the file system tells of errors by itself.
      for (const segment of log.segments.all) segment.closeUnsynced()
      return true
    } catch (error) {
      reportError(this.#home, error)
      return false
    }
  }

  #writeDerived(): void {
    const { segments, logStartOffset, logEndOffset, highWatermark, producerStates } = this.#log
    for (const segment of segments.all) {
      if (segment === segments.active || segment.indexes.hasChanges) segment.flushIndexes(segment === segments.active)
    }
    if (logEndOffset > logStartOffset)
      producerStates.writeSnapshot(logStartOffset, logEndOffset, highWatermark)?.close()
  }

  /** See `LogCore.onSyncedAll`. */
  onSyncedAll(): void {
    const log = this.#log
    if (log.failed) return
    const { active } = log.segments
    log.writer.onSyncedAll()
    this.#home.onSynced(log, log.logEndOffset, active.baseOffset, active.writtenBytes)
    try {
      this.#home.onCheckpointed(log, log.logEndOffset)
    } catch (error) {
      reportError(this.#home, error)
      return
    }
    log.checkpointer.onNothingLeft()
    this.#context.openLogs.delete(log)
  }

  /** See `Log.closeIdle`. */
  async closeIdle(): Promise<void> {
    const log = this.#log
    if (this.#context.isClosing) await this.#whenExtended()
    const { segments, logEndOffset, generation } = log
    const { active } = segments
    if (log.failed || log.writer.hasStaged || log.isHalfCut) return
    log.touched = false
    try {
      if (!log.isSmall) active.flushIndexes(true)
      if (active.trim()) {
        log.writer.onWritten(active)
        this.#home.scheduleSync(log)
      }
      // With write caching too: a descriptor cannot be given up before its writes are known to have arrived.
      await log.checkpointer.complete()
      if (log.checkpointer.isRunning) return
      // Nobody else asks for that, and only a mark that says how the log was closed needs it.
      if (this.#context.isClosing) log.writer.settleFiles()
      if (log.needsSync) {
        // Cut at a roll that failed then, or created meanwhile: nothing was appended that would have asked for it.
        this.#home.scheduleSync(log)
        if (!this.#context.isClosing) return
        await this.#home.whenSynced()
      }
      if (log.failed || log.touched || log.pendingReadCount > 0 || log.writer.hasStaged || log.needsSync) return
      // That it was not touched is not enough: whoever looks for idle logs, or closes it as well, takes the note of an append back.
      if (log.logEndOffset !== logEndOffset || log.generation !== generation) return
      if (segments.all.some((segment) => segment.hasTail || segment.hasUnsyncedBytes)) return
      for (const segment of segments.all) segment.close()
    } catch (error) {
      reportError(this.#home, error)
      return
    }
    log.checkpointer.onNothingLeft()
    this.#context.openLogs.delete(log)
  }
}
