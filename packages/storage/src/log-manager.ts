import {
  assert,
  type Clock,
  type Disk,
  DiskError,
  type Random,
  type Timer,
  type Timers,
  type Uuid,
} from '@millrace/base'
import { makeDurableDirectory, openEmpty } from './atomic-file.ts'
import { endCleanStop, readCleanStop, writeCleanStop } from './clean-stop.ts'
import { ColdReads } from './cold-reads.ts'
import {
  DELETED_DIRECTORY_SUFFIX,
  LOCK_FILE,
  LOG_SUFFIX,
  PARTITION_METADATA_FILE,
  partitionDirectoryName,
  STRAY_DIRECTORY_SUFFIX,
  setAsideDirectoryName,
} from './file-names.ts'
import { FlushSchedule } from './flush-schedule.ts'
import { FutureLogs } from './future-logs.ts'
import { IdleCloser } from './idle-closer.ts'
import { Log } from './log.ts'
import type { LogConfig, StorageLogger } from './log-config.ts'
import type { LogCore } from './log-core.ts'
import { LogDirectory } from './log-directory.ts'
import { type FoundLogs, finishReplacements, loadDirectory } from './log-directory-loader.ts'
import { LogEpochs } from './log-epochs.ts'
import { identifyLogs, markIdOf, refuseDuplicateLogs } from './log-identities.ts'
import { LogProducers } from './log-producers.ts'
import { LogSegments } from './log-segments.ts'
import { openMetaProperties } from './meta-properties.ts'
import { findMovedLogs, type MovedLogs } from './moved-logs.ts'
import { OpenSegments } from './open-segments.ts'
import { encodePartitionMetadata } from './partition-metadata.ts'
import { RemovalQueue } from './removal-queue.ts'
import { RetentionSweep } from './retention-sweep.ts'
import { Segment } from './segment.ts'
import { StagingPool } from './staging-pool.ts'
import type { StorageContext } from './storage-context.ts'
import { WalkBudget } from './walk-budget.ts'

/** Logs without use for this long give back their files and memory. */
const IDLE_MS = 30_000
/** Logs that are synced at a time so that their files can be closed. */
const SYNCED_FOR_ROOM_COUNT = 256
/** Threads of libuv's pool unless the environment says otherwise. */
const POOL_THREADS = 4
/** How often it is looked what the operator has removed. */
const STRAYS_MS = 30_000
/** From this many logs on, one sync of the whole file system closes them faster than half a dozen syncs each. */
const SYNC_ALL_MIN_COUNT = 16
/** Reads of cold data at a time: a slow disk must not take the whole thread pool from the syncs. */
const COLD_READ_CONCURRENCY = 2

export interface StorageOptions {
  disk: Disk
  clock: Clock
  timers: Timers
  random: Random
  /** Log directories; absent ones are created. */
  directories: readonly string[]
  nodeId: number
  clusterId: string | null
  producerIdExpirationMs: number
  retentionCheckIntervalMs: number
  checkpointIntervalMs: number
  defaultConfig: LogConfig
  /** Called when a log is opened; later changes come through `Log.updateConfig`. */
  configOf(topic: string): LogConfig
  logger: StorageLogger
  /** `durableOffset` of the log rose: once per log and group commit. */
  onDurable(log: Log): void
  /** A read met damage that was not known: `faultyRanges` of the log has grown. What a start finds is there when the log is. */
  onDamaged(log: Log): void
  /** The directory is offline for good, with the logs in it. */
  onDirectoryFailed(directory: string, error: DiskError): void
  /** Segments whose files may be open at a time, for all directories; no bound if left out. At least a few dozen. */
  maxOpenSegments?: number
  /** Threads of the pool that disk operations share; Node's default if left out. */
  poolThreadCount?: number
  /** Called at each step where a crash is worth testing. */
  failpoint?(name: string): void
}

export interface DirectoryInfo {
  path: string
  id: Uuid
  online: boolean
  totalBytes: number
  usableBytes: number
  /** Files and directories that were set aside and wait for the operator, and their bytes, as of the last look at them. */
  strayCount: number
  strayBytes: number
}

/** All logs of a node, in their log directories. */
export class LogManager {
  /** A directory had no clean-shutdown mark although it had logs. */
  recoveredUncleanly: boolean
  /** After an unclean stop of a directory: nobody can tell how far its logs were synced, so that some of it may be gone. */
  mayLackDurable: boolean
  /** Of the cluster's registration of this broker, for the note of a clean stop; -1: none. */
  brokerEpoch: number
  /** Logs on their way from one directory to another. */
  readonly futures: FutureLogs
  readonly #options: StorageOptions
  readonly #context: StorageContext & { isClosing: boolean }
  readonly #directories: LogDirectory[]
  readonly #locks: { release(): void }[]
  /** Directories in which logs lost their names, which a loss of power could give back. */
  readonly #renamedIn: Set<LogDirectory>
  #clusterId: string | null
  readonly #logs: Map<string, Log>
  /** Found beside one of `#logs`, in another directory, with the same name and another topic's id. */
  readonly #namesakes: Set<Log>
  readonly #timers: Set<Timer>
  readonly #flushSchedule: FlushSchedule
  readonly #removals: RemovalQueue
  readonly #retention: RetentionSweep
  readonly #idleCloser: IdleCloser
  /** Broker epochs that the directories name. */
  readonly #stoppedEpochs: Set<number>
  #closed: boolean

  private constructor(options: StorageOptions) {
    this.recoveredUncleanly = false
    this.mayLackDurable = false
    this.brokerEpoch = -1
    this.#stoppedEpochs = new Set()
    this.#options = options
    this.#directories = []
    this.#locks = []
    this.#renamedIn = new Set()
    this.#clusterId = options.clusterId
    this.#logs = new Map()
    this.#namesakes = new Set()
    this.#timers = new Set()
    this.#flushSchedule = new FlushSchedule(options.clock, options.timers)
    this.#removals = new RemovalQueue(options.disk, options.logger)
    this.#closed = false
    this.futures = this.#createFutures()
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
    this.#context.openSegments.loadingMaxCount = options.maxOpenSegments ?? Number.POSITIVE_INFINITY
    this.#idleCloser = new IdleCloser(this.#context.openLogs)
    this.#retention = new RetentionSweep({
      clock: options.clock,
      logs: () => [...this.logs(), ...this.futures.all()],
      producerIdExpirationMs: () => options.producerIdExpirationMs,
      yieldTurn: () => this.#context.yieldTurn(),
    })
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
      const moved = findMovedLogs(options.disk, options.logger, options.directories)
      refuseDuplicateLogs(options.disk, options.directories, moved.superseded)
      // Of all of them first: where the start is refused, nothing has been changed that the next one would miss.
      const found = options.directories.map((path) => manager.#findLogs(path, moved))
      for (const logs of found) manager.#loadLogs(logs)
      for (const path of moved.superseded) manager.#removeSuperseded(path)
    } catch (error) {
      await manager.#abandon()
      throw error
    }
    manager.#context.openSegments.maxCount = options.maxOpenSegments ?? Number.POSITIVE_INFINITY
    manager.#every(options.retentionCheckIntervalMs, () => void manager.#retention.run())
    manager.#every(options.checkpointIntervalMs, () => manager.#writeCheckpoints())
    manager.#every(IDLE_MS, () => manager.#idleCloser.look())
    manager.#every(STRAYS_MS, () => manager.#lookAtStrays())
    return manager
  }

  /** The cluster that the directories name, or null while none does. */
  get clusterId(): string | null {
    return this.#clusterId
  }

  /** Broker epoch in which all directories were stopped cleanly before this start; -1: some was not, or in another. */
  get previousBrokerEpoch(): number {
    const [epoch = -1] = this.#stoppedEpochs
    return this.#stoppedEpochs.size === 1 ? epoch : -1
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
    return this.#logs.get(partitionDirectoryName(topic, partition))
  }

  /** All, those that share their name with another one included. */
  *logs(): Iterable<Log> {
    yield* this.#logs.values()
    yield* this.#namesakes
  }

  /**
   * Makes an empty log, in the online directory with the fewest logs unless one is named. Its names become durable with its first
   * sync, before anything in it counts as durable. Throws `DiskError`.
   */
  createLog(topic: string, partition: number, topicId: Uuid, directory?: string): Log {
    const name = partitionDirectoryName(topic, partition)
    assert(!this.#logs.has(name), 'log exists')
    const home = this.#homeFor(directory)
    this.#settleRenames(home)
    home.mark.settleRemoval(markIdOf(topic, topicId), partition)
    const log = this.#makeLog(home, name, topic, partition, topicId)
    this.#logs.set(name, log)
    return log
  }

  #makeLog(home: LogDirectory, name: string, topic: string, partition: number, topicId: Uuid): Log {
    const path = `${home.path}/${name}`
    this.#makePartitionDirectory(home, topic, partition, path, topicId)
    const config = this.#options.configOf(topic)
    const segments = new LogSegments([new Segment(this.#context, path, 0, config, null)])
    const log = new Log(this.#context, home, {
      topic,
      partition,
      topicId,
      path,
      config,
      segments,
      epochs: new LogEpochs(this.#options.disk, path, true),
      producers: new LogProducers(this.#context, path, segments, true),
      logStartOffset: 0,
      logEndOffset: 0,
      durableOffset: 0,
      recoveryPoint: 0,
      highWatermark: 0,
      faultyRanges: [],
      namesUnsynced: true,
      filesUnsettled: false,
      onDurable: this.#options.onDurable,
    })
    try {
      home.onCreated(log)
    } catch (error) {
      home.logs.delete(log)
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
    return log
  }

  /**
   * Takes a log out of use at once; its directory is renamed and removed after `file.delete.delay.ms`. What was noted of its last move goes
   * with it. Throws `DiskError`.
   */
  deleteLog(log: Log): void {
    const { topicId, partition } = log
    this.#removeLater(this.#setAside(log, DELETED_DIRECTORY_SUFFIX))
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
      logs: this.#logs,
      make: (home, name, topic, partition, topicId) => this.#makeLog(home, name, topic, partition, topicId),
      setAside: (log, suffix, isReplaced) => this.#setAside(log, suffix, isReplaced),
      removeLater: (path) => this.#removeLater(path),
      settleRenames: (home) => {
        if (this.#renamedIn.has(home)) this.#options.disk.syncDirectory(home.path)
        this.#renamedIn.delete(home)
      },
    })
  }

  /**
   * Takes a log out of use that the metadata does not know; its files stay for the operator, in the directory whose path it gives. The
   * caller tells of it: there may be thousands. Throws `DiskError`.
   */
  setAsideStray(log: Log): string {
    const { sizeBytes } = log
    const path = this.#setAside(log, STRAY_DIRECTORY_SUFFIX)
    this.#context.onSetAside(path, sizeBytes)
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

  /** Writes and syncs everything, so that the next start need not look at the logs. Directories that fail meanwhile are left. */
  async shutdown(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#context.isClosing = true
    // Clients are gone: what they had is enough for what must still be brought to its end.
    this.#context.openSegments.maxCount = Number.POSITIVE_INFINITY
    this.flushStaged()
    this.#stopWork()
    for (const directory of this.#directories) if (directory.online) await this.#closeDirectory(directory)
    for (const lock of this.#locks) lock.release()
  }

  /** Locks a directory and looks whose it is, and whose logs it holds. Throws `CorruptFileError`, `DiskError`. */
  #findLogs(path: string, moved: MovedLogs): FoundLogs {
    const { disk, random, nodeId } = this.#options
    makeDurableDirectory(disk, path)
    this.#locks.push(disk.lock(`${path}/${LOCK_FILE}`))
    // All directories belong to one cluster: the first that names one binds the others.
    const meta = openMetaProperties(disk, path, { nodeId, clusterId: this.#clusterId }, random)
    this.#clusterId = meta.clusterId
    const home = new LogDirectory(this.#context, path, meta.directoryId, moved.entries.get(path) ?? [], (error) =>
      this.#options.onDirectoryFailed(path, error),
    )
    this.#directories.push(home)
    const replacing = moved.replacing.get(path) ?? new Set()
    const names = disk
      .listDirectory(path)
      .filter((name) => !moved.superseded.has(`${path}/${name}`) && !replacing.has(name))
    const identities = identifyLogs(disk, path, names, home.mark)
    for (const name of names) {
      const heldBack = moved.heldBack.get(`${path}/${name}`)
      if (heldBack !== undefined) identities.set(name, heldBack)
    }
    const hasMoved = [...moved.entries.values()].some(({ length }) => length > 0)
    return { home, names, identities, replacing, abandoned: moved.abandoned.get(path) ?? [], hasMoved }
  }

  #loadLogs(found: FoundLogs): void {
    const { disk, directories, logger, onDurable } = this.#options
    const { path } = found.home
    const { stop: cleanStop, brokerEpoch } = readCleanStop(disk, path)
    this.#stoppedEpochs.add(brokerEpoch)
    if (cleanStop !== null) endCleanStop(disk, path)
    // By these names it was decided which logs count: a crash of the system must not undo what a process that was killed left unsynced.
    if (found.hasMoved) disk.syncDirectory(path)
    // By a process that was killed, perhaps: a loss of power could give the former names back.
    if (found.names.some((name) => name.endsWith(DELETED_DIRECTORY_SUFFIX))) this.#renamedIn.add(found.home)
    // Before their logs take more than those hold that were to replace them.
    found.home.moved.removeNow(found.abandoned)
    finishReplacements(disk, found)
    const places = { logs: this.#logs, namesakes: this.#namesakes, futures: this.futures }
    const loader = { context: this.#context, directories, ...places, onDurable }
    const count = loadDirectory(loader, found, cleanStop)
    if (cleanStop === null && count > 0) {
      this.recoveredUncleanly = true
      if (!found.home.mark.isComplete) this.mayLackDurable = true
    }
    if (count > 0) logger.info('logs loaded', { directory: path, count, clean: cleanStop !== null })
  }

  /** The log in whose place another one is. What was noted of that tells the next start, if this is undone by a crash. Throws `DiskError`. */
  #removeSuperseded(path: string): void {
    const home = this.#directoryOf(path)!
    const name = path.slice(home.path.length + 1)
    const other = this.#logs.get(name)
    if (other === undefined) return
    const aside = this.#setAsidePath(home, other.topic, other.partition, DELETED_DIRECTORY_SUFFIX)
    this.#options.disk.rename(path, aside)
    home.mark.remove(markIdOf(other.topic, other.topicId), other.partition)
    this.#options.logger.info('a log that was replaced by another is removed', { path, other: other.path })
    this.#removals.add(aside)
  }

  async #closeDirectory(directory: LogDirectory): Promise<void> {
    await directory.moved.whenIdle()
    const open = [...directory.logs].filter(
      (log) =>
        this.#context.openLogs.has(log) || log.needsSync || log.recoveryPoint < log.logEndOffset || log.isUnsettled,
    )
    if (open.length >= SYNC_ALL_MIN_COUNT) await directory.syncAll(open)
    for (const log of open) {
      if (this.#context.openLogs.has(log) || !log.isCheckpointed || log.isUnsettled) await log.closeIdle()
    }
    await directory.whenSynced()
    if (!directory.online) return
    try {
      // What could not be brought to its end, for example on a full disk, is looked at by the next start.
      let clean = true
      for (const log of directory.logs) {
        if (log.isCheckpointed && !log.isUnsettled) directory.markClean(log)
        else clean = false
      }
      directory.mark.syncNow()
      await directory.writeCheckpoints()
      if (clean && directory.online && directory.areCheckpointsWritten) {
        writeCleanStop(this.#options.disk, directory.path, this.brokerEpoch)
      }
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      directory.fail(error)
    }
    for (const log of directory.logs) log.fail()
    directory.close()
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

  /** `isReplaced`: by another log, in whose favour nothing is decided yet: a crash may bring this one back, which needs its mark then. */
  #setAside(log: Log, suffix: string, isReplaced = false): string {
    const home = this.#directories.find((directory) => directory.logs.has(log))
    assert(home !== undefined, 'log is not deleted twice')
    const path = this.#setAsidePath(home, log.topic, log.partition, suffix)
    log.fail()
    home.logs.delete(log)
    this.#forget(log)
    home.onOffsetsChanged()
    if (!home.online) return path
    try {
      this.#context.failpoint('delete')
      this.#options.disk.rename(log.path, path)
      log.path = path
      this.#renamedIn.add(home)
      if (!isReplaced) home.mark.remove(markIdOf(log.topic, log.topicId), log.partition)
    } catch (error) {
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
    return path
  }

  #forget(log: Log): void {
    this.futures.forget(log)
    if (this.#namesakes.delete(log)) return
    const name = partitionDirectoryName(log.topic, log.partition)
    if (this.#logs.get(name) !== log) return
    this.#logs.delete(name)
    for (const other of this.#namesakes) {
      if (partitionDirectoryName(other.topic, other.partition) !== name) continue
      this.#namesakes.delete(other)
      this.#logs.set(name, other)
      return
    }
  }

  /**
   * Before a log is made: a former one of its name, in another directory, must not come back beside it. In the same one, the first sync of
   * the new log's names takes care of that. Throws `DiskError`.
   */
  #settleRenames(home: LogDirectory): void {
    for (const other of this.#renamedIn) {
      if (other === home) continue
      this.#renamedIn.delete(other)
      if (!other.online) continue
      try {
        this.#options.disk.syncDirectory(other.path)
      } catch (error) {
        this.#renamedIn.add(other)
        if (error instanceof DiskError) other.onDiskError(error)
        throw error
      }
    }
  }

  #makePartitionDirectory(home: LogDirectory, topic: string, partition: number, path: string, topicId: Uuid): void {
    const { disk, logger } = this.#options
    try {
      this.#context.failpoint('create')
      if (disk.stat(path) !== null && disk.listDirectory(path).some((name) => name.endsWith(LOG_SUFFIX))) {
        // Data that was not loaded, since nobody could tell whose it is: it is not overwritten (S10).
        const strayPath = this.#setAsidePath(home, topic, partition, STRAY_DIRECTORY_SUFFIX)
        disk.rename(path, strayPath)
        home.strays.addFrom(home.path, [strayPath.slice(home.path.length + 1)])
        logger.warn('unknown data set aside', { path: strayPath })
      }
      disk.makeDirectory(path)
      const contents = encodePartitionMetadata(topicId)
      const file = openEmpty(disk, `${path}/${PARTITION_METADATA_FILE}`)
      try {
        file.write(contents, 0, contents.length, 0)
      } finally {
        file.close()
      }
    } catch (error) {
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
  }

  #setAsidePath(home: LogDirectory, topic: string, partition: number, suffix: string): string {
    const hex = this.#options.random.bytes(16).toString('hex')
    return `${home.path}/${setAsideDirectoryName(topic, partition, hex, suffix)}`
  }

  #directoryOf(path: string): LogDirectory | undefined {
    return this.#directories.find((directory) => path.startsWith(`${directory.path}/`))
  }

  /** Of what was found while logs are still being opened, nobody needs to be told. */
  #onDamaged(path: string): void {
    for (const log of this.#logs.values()) if (log.path === path && !log.failed) this.#options.onDamaged(log)
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
    for (const directory of this.#directories) void directory.writeCheckpoints()
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
