import { assert, DiskError, type Timer, type Uuid } from '@millrace/base'
import type { CleanerOptions } from './cleaner/cleaner-settings.ts'
import { type CleanerStatus, LogCleaner } from './cleaner/log-cleaner.ts'
import { ColdReads } from './cold-reads.ts'
import { DELETED_DIRECTORY_SUFFIX, partitionDirectoryName, STRAY_DIRECTORY_SUFFIX } from './file-names.ts'
import { FlushSchedule } from './flush-schedule.ts'
import { FutureLogs } from './future-logs.ts'
import { IdleCloser } from './idle-closer.ts'
import type { Log } from './log.ts'
import type { LogCore } from './log-core.ts'
import type { LogDirectory } from './log-directory.ts'
import { closeDirectory } from './log-directory-closer.ts'
import { markIdOf } from './log-identities.ts'
import { LogMaker } from './log-maker.ts'
import { LostLogs } from './lost-logs.ts'
import { openMetaProperties } from './meta-properties.ts'
import { NamedLogs } from './named-logs.ts'
import { OpenSegments } from './open-segments.ts'
import { RemovalQueue } from './removal-queue.ts'
import { RetentionSweep } from './retention-sweep.ts'
import { StagingPool } from './staging-pool.ts'
import type { StorageContext } from './storage-context.ts'
import type { DirectoryInfo, StorageOptions } from './storage-options.ts'
import { StorageStart } from './storage-start.ts'
import { WalkBudget } from './walk-budget.ts'

/** Logs without use for this long give back their files and memory. */
const IDLE_MS = 30_000
/** Logs that are synced at a time so that their files can be closed. */
const SYNCED_FOR_ROOM_COUNT = 256
/** Threads of libuv's pool unless the environment says otherwise. */
const POOL_THREADS = 4
/** How often it is looked what the operator has removed. */
const STRAYS_MS = 30_000
/** Reads of cold data at a time: a slow disk must not take the whole thread pool from the syncs. */
const COLD_READ_CONCURRENCY = 2

/** All logs of a node, in their log directories. */
export class LogManager {
  /** Of the cluster's registration of this broker, for the note of a clean stop; -1: none. */
  brokerEpoch: number
  /** Logs on their way from one directory to another. */
  readonly futures: FutureLogs
  readonly #options: StorageOptions
  readonly #context: StorageContext & { isClosing: boolean }
  readonly #directories: LogDirectory[]
  readonly #locks: { release(): void }[]
  readonly #start: StorageStart
  #clusterId: string | null
  readonly #logs: NamedLogs
  readonly #maker: LogMaker
  readonly #timers: Set<Timer>
  readonly #flushSchedule: FlushSchedule
  readonly #removals: RemovalQueue
  readonly #retention: RetentionSweep
  readonly #idleCloser: IdleCloser
  /** Null where nothing is compacted. */
  readonly #cleaner: LogCleaner | null
  #closed: boolean

  private constructor(options: StorageOptions) {
    this.brokerEpoch = -1
    this.#options = options
    this.#directories = []
    this.#locks = []
    this.#clusterId = options.clusterId
    this.#logs = new NamedLogs()
    this.#timers = new Set()
    this.#flushSchedule = new FlushSchedule(options.clock, options.timers)
    this.#removals = new RemovalQueue(options.disk, options.logger)
    this.#closed = false
    const coldReads = new ColdReads(COLD_READ_CONCURRENCY)
    this.#context = {
      disk: options.disk,
      clock: options.clock,
      timers: options.timers,
      random: options.random,
      logger: options.logger,
      staging: new StagingPool(),
      openSegments: new OpenSegments(options.clock, options.logger, () => this.#after(0, () => this.#syncForRoom())),
      syncThreadCount: syncThreadCountOf(options),
      // Changes at run time.
      get producerIdExpirationMs() {
        return options.producerIdExpirationMs
      },
      configOf: (topic) => options.configOf(topic),
      dirtyLogs: [],
      openLogs: new Set(),
      walks: new WalkBudget(),
      isClosing: false,
      closeIdleSoon: () => this.#after(0, () => this.#idleCloser.look()),
      flushLater: (log, flushMs) => this.#flushSchedule.add(log, flushMs),
      flushSoon: () => this.#after(0, () => this.flushStaged()),
      readCold: (task) => coldReads.run(task),
      onDamaged: (path) => this.#onDamaged(path),
      onSetAside: (path, sizeBytes) => this.#directoryOf(path)?.strays.add(path, sizeBytes),
      removeSoon: (path) => this.#removals.add(path),
      removeLater: (paths, delayMs) =>
        this.#after(delayMs, () => {
          for (const path of paths) this.#removals.add(path)
        }),
      yieldTurn: () => new Promise((resolve) => this.#after(0, resolve)),
      failpoint: (name) => options.failpoint?.(name),
    }
    this.#maker = new LogMaker({
      context: this.#context,
      random: options.random,
      homes: this.#directories,
      onOutOfUse: (log) => {
        this.futures.forget(log)
        this.#logs.forget(log)
      },
      onDurable: options.onDurable,
    })
    this.futures = this.#createFutures()
    this.#start = this.#createStart()
    this.#context.openSegments.loadingMaxCount = options.maxOpenSegments ?? Number.POSITIVE_INFINITY
    this.#idleCloser = new IdleCloser(this.#context.openLogs)
    this.#retention = new RetentionSweep({
      clock: options.clock,
      logs: () => [...this.logs(), ...this.futures.all()],
      producerIdExpirationMs: () => options.producerIdExpirationMs,
      yieldTurn: () => this.#context.yieldTurn(),
    })
    this.#cleaner = options.cleaner === undefined ? null : this.#createCleaner(options.cleaner)
  }

  /**
   * Locks the directories, checks whose they are, loads and recovers every log in them. What was found above a durable mark is synced
   * in the background; `durableOffset` follows. Rejects with `DiskError` if a directory fails or another process holds it, and with
   * `CorruptFileError` if one belongs to another node or cluster, or two directories are of the same partition and nobody can tell which counts.
   */
  static async open(options: StorageOptions): Promise<LogManager> {
    assert(options.directories.length > 0, 'at least one log directory')
    const manager = new LogManager(options)
    try {
      manager.#start.run()
      manager.#clusterId = manager.#start.clusterId
    } catch (error) {
      await manager.#abandon()
      throw error
    }
    manager.#context.openSegments.maxCount = options.maxOpenSegments ?? Number.POSITIVE_INFINITY
    manager.#every(options.checkpointIntervalMs, () => manager.#writeCheckpoints())
    manager.#every(IDLE_MS, () => manager.#idleCloser.look())
    manager.#every(STRAYS_MS, () => manager.#lookAtStrays())
    return manager
  }

  /**
   * Applies retention from now on, each `retentionCheckIntervalMs`, and compacts. Not before the logs have the configuration of their topics
   * ({@link Log.updateConfig}): by what they were opened with, a log that is to keep its records for ever could lose them.
   */
  startRetention(): void {
    if (this.#closed) return
    this.#cleaner?.start()
    this.#every(this.#options.retentionCheckIntervalMs, () => void this.#retention.run())
  }

  /** The cluster that the directories name, or null while none does. */
  get clusterId(): string | null {
    return this.#clusterId
  }

  /** Broker epoch in which all directories were stopped cleanly before this start; -1: some was not, or in another. */
  get previousBrokerEpoch(): number {
    return this.#start.stoppedBrokerEpoch
  }

  /** A directory had no clean-shutdown mark although it had logs. */
  get recoveredUncleanly(): boolean {
    return this.#start.recoveredUncleanly
  }

  /** After an unclean stop of a directory: nobody can tell how far its logs were synced, so that some of it may be gone. */
  get mayLackDurable(): boolean {
    return this.#start.mayLackDurable
  }

  /** What held records before this start and is not here any more. To be asked before logs are made. See `LostLogs` for `registered`. */
  lostLogs(registered: readonly Uuid[] = []): LostLogs {
    return new LostLogs(this.#directories, this.logs(), registered)
  }

  /** Writes the cluster's id into directories that name none. Throws `CorruptFileError` if one names another, `DiskError`. */
  adoptClusterId(clusterId: string): void {
    const { disk, random, nodeId } = this.#options
    this.#clusterId = clusterId
    for (const { online, path } of this.#directories) {
      if (online) openMetaProperties(disk, path, { nodeId, clusterId }, random)
    }
  }

  get directoryCount(): number {
    return this.#directories.length
  }

  directories(): DirectoryInfo[] {
    return this.#directories.map((directory) => {
      const { path, id } = directory
      let space = { totalBytes: -1, usableBytes: -1 }
      try {
        if (directory.online) space = this.#options.disk.space(path)
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
        directory.onDiskError(error)
      }
      const { count: strayCount, sizeBytes: strayBytes } = directory.strays.totals()
      return { path, id, online: directory.online, ...space, strayCount, strayBytes }
    })
  }

  /** How compaction is doing; null where nothing is compacted. */
  get cleanerStatus(): CleanerStatus | null {
    return this.#cleaner?.status ?? null
  }

  /** Compacts all logs that need it now, which happens by itself now and then. Resolves when none needs it any more. */
  async compact(): Promise<void> {
    await this.#cleaner?.runOnce()
  }

  /** Segments whose files are open, and how many may be. */
  openSegments(): { count: number; maxCount: number } {
    const { count, maxCount } = this.#context.openSegments
    return { count, maxCount }
  }

  /**
   * At a start there may be another one of the same name, of a topic that was deleted while its disk was away, or this one is that topic's:
   * once this is set aside, the other takes its place.
   */
  log(topic: string, partition: number): Log | undefined {
    return this.#logs.current.get(partitionDirectoryName(topic, partition))
  }

  /** All, those that share their name with another one included. */
  logs(): Iterable<Log> {
    return this.#logs.all()
  }

  /**
   * Makes an empty log, in the online directory with the fewest logs unless one is named. Its names become durable with its first
   * sync, before anything in it counts as durable. Throws `DiskError`.
   */
  createLog(topic: string, partition: number, topicId: Uuid, directory?: string): Log {
    const name = partitionDirectoryName(topic, partition)
    assert(!this.#logs.current.has(name), 'log exists')
    const home = this.#homeFor(directory)
    this.#maker.settleFormer(home)
    this.#maker.settleLeftOut(home, name, topic, partition)
    home.mark.settleRemoval(markIdOf(topic, topicId), partition)
    const log = this.#maker.make(home, name, topic, partition, topicId)
    this.#logs.current.set(name, log)
    return log
  }

  /**
   * Takes a log out of use at once; its directory is renamed and removed after `file.delete.delay.ms`. What was noted of its last move goes
   * with it. Throws `DiskError`.
   */
  deleteLog(log: Log): void {
    const { topicId, partition } = log
    this.#removeLater(this.#maker.setAside(log, DELETED_DIRECTORY_SUFFIX))
    if (!log.isFuture) void this.futures.settle(topicId, partition).catch(ignoreDiskError)
  }

  #removeLater(path: string): void {
    this.#after(this.#options.defaultConfig.fileDeleteDelayMs, () => this.#removals.add(path))
  }

  #createFutures(): FutureLogs {
    const manager = this
    return new FutureLogs({
      get context() {
        return manager.#context
      },
      homes: this.#directories,
      logs: this.#logs.current,
      make: (home, name, topic, partition, topicId) => this.#maker.make(home, name, topic, partition, topicId),
      setAside: (log, suffix, isReplaced) => this.#maker.setAside(log, suffix, isReplaced),
      removeLater: (path) => this.#removeLater(path),
      settleRenames: (home) => this.#maker.settleRenamesIn(home),
    })
  }

  #createCleaner(options: CleanerOptions): LogCleaner {
    return new LogCleaner({
      context: this.#context,
      options,
      futures: this.futures,
      logs: () => this.#logs.current.values(),
      onCleaned: (log) => this.#directoryOf(log.path)?.onOffsetsChanged(),
      onDiskError: (log, error) => this.#directoryOf(log.path)?.onDiskError(error),
    })
  }

  #createStart(): StorageStart {
    const { disk, random, logger, directories, nodeId, clusterId, onDurable } = this.#options
    return new StorageStart({
      disk,
      random,
      logger,
      context: this.#context,
      paths: directories,
      nodeId,
      clusterId,
      homes: this.#directories,
      locks: this.#locks,
      logs: this.#logs,
      futures: this.futures,
      maker: this.#maker,
      onDurable,
      onDirectoryFailed: (path, error) => this.#options.onDirectoryFailed(path, error),
    })
  }

  /**
   * Takes a log out of use that the metadata does not know; its files stay for the operator, in the directory whose path it gives. What
   * was noted of its last move goes, as with {@link deleteLog}. The caller tells of it: there may be thousands. Throws `DiskError`.
   */
  setAsideStray(log: Log): string {
    const { sizeBytes, topicId, partition } = log
    const path = this.#maker.setAside(log, STRAY_DIRECTORY_SUFFIX)
    this.#context.onSetAside(path, sizeBytes)
    if (!log.isFuture) void this.futures.settle(topicId, partition).catch(ignoreDiskError)
    return path
  }

  /** End of a turn: staged appends of all logs are written, then their syncs start. Hot path. */
  flushStaged(): void {
    const { dirtyLogs, clock } = this.#context
    if (dirtyLogs.length === 0) return
    const nowMs = clock.monotonicMs()
    for (let slot = 0; slot < dirtyLogs.length; slot++) dirtyLogs[slot]!.flushTurn(nowMs)
    dirtyLogs.length = 0
  }

  /**
   * Writes and syncs everything, so that the next start need not look at the logs. Directories that fail meanwhile are left. `isTold`: what
   * the start found of the life before is known to whom it concerns. Where the cluster has not heard of a crash, a clean stop of now would
   * hide it from the next start: none is noted then.
   */
  async shutdown(isTold = true): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#context.isClosing = true
    // Clients are gone: what they had is enough for what must still be brought to its end.
    this.#context.openSegments.maxCount = Number.POSITIVE_INFINITY
    this.flushStaged()
    this.#stopWork()
    await this.#cleaner?.stop()
    await this.futures.whenIdle()
    for (const directory of this.#directories) {
      const brokerEpoch = isTold || directory.foundStopEpoch !== null ? this.brokerEpoch : null
      if (directory.online) await closeDirectory(this.#context, directory, brokerEpoch)
    }
    for (const lock of this.#locks) lock.release()
  }

  /** Opening failed: nothing goes on once this resolves, and whoever tries again finds the directories free. */
  async #abandon(): Promise<void> {
    this.#closed = true
    this.#stopWork()
    await this.#removals.whenIdle()
    for (const directory of this.#directories) {
      await directory.whenSynced()
      for (const log of directory.logs) log.fail()
      directory.close()
    }
    for (const lock of this.#locks) lock.release()
  }

  #directoryOf(path: string): LogDirectory | undefined {
    return this.#directories.find((directory) => path.startsWith(`${directory.path}/`))
  }

  /** Of what was found while logs are still being opened, nobody needs to be told. */
  #onDamaged(path: string): void {
    for (const log of this.#logs.current.values()) if (log.path === path && !log.failed) this.#options.onDamaged(log)
  }

  #homeFor(path: string | undefined): LogDirectory {
    let best: LogDirectory | null = null
    for (const directory of this.#directories) {
      if (!directory.online || (path !== undefined && directory.path !== path)) continue
      if (best === null || directory.logs.size < best.logs.size) best = directory
    }
    if (best === null) throw new DiskError('DISK_OTHER', 'create log', path ?? 'any log directory', null)
    return best
  }

  #writeCheckpoints(): void {
    for (const directory of this.#directories) void directory.checkpoints.write()
  }

  /** Nothing periodic goes on, and no removal is begun. */
  #stopWork(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
    this.#flushSchedule.stop()
    this.#idleCloser.stop()
    this.#removals.stop()
  }

  /**
   * Few more segments can be opened. Those are synced that nobody else would have synced soon, since their logs trust the page cache: what
   * is not synced cannot be closed. Each in its turn.
   */
  #syncForRoom(): void {
    const { openLogs } = this.#context
    const unsynced: LogCore[] = []
    for (const log of openLogs) {
      if (log.needsSync && log.syncState === 'idle') unsynced.push(log)
      if (unsynced.length === SYNCED_FOR_ROOM_COUNT) break
    }
    for (const log of unsynced) {
      openLogs.delete(log)
      openLogs.add(log)
      this.#directoryOf(log.path)?.scheduleSync(log)
    }
  }

  #lookAtStrays(): void {
    for (const directory of this.#directories) if (directory.online) directory.strays.lookAgain()
  }

  #every(intervalMs: number, task: () => void): void {
    this.#after(intervalMs, () => {
      task()
      this.#every(intervalMs, task)
    })
  }

  #after(delayMs: number, task: () => void): void {
    const timer = this.#options.timers.setTimer(delayMs, () => {
      this.#timers.delete(timer)
      if (!this.#closed) task()
    })
    this.#timers.add(timer)
  }
}

/** Whoever tells of it is the directory. */
function ignoreDiskError(error: unknown): void {
  if (!(error instanceof DiskError)) throw error
}

/** Threads of the pool that the syncs of one directory may take. A quarter is left to reads, extensions and removals. */
function syncThreadCountOf({ poolThreadCount = POOL_THREADS, directories }: StorageOptions): number {
  return Math.floor((poolThreadCount - Math.max(1, Math.floor(poolThreadCount / 4))) / directories.length)
}
