import { assert, DiskError, type Uuid } from '@millrace/base'
import {
  DELETED_DIRECTORY_SUFFIX,
  futureDirectoryName,
  partitionDirectoryName,
  STRAY_DIRECTORY_SUFFIX,
  setAsideDirectoryName,
} from './file-names.ts'
import type { Log } from './log.ts'
import type { LogCore } from './log-core.ts'
import type { LogDirectory } from './log-directory.ts'
import { holdsSegments, markIdOf } from './log-identities.ts'
import { isFutureOf, isLogOf } from './moved-logs.ts'
import type { StorageContext } from './storage-context.ts'

/** What future logs need of the manager of all logs. */
export interface FutureLogsHost {
  readonly context: StorageContext
  readonly homes: readonly LogDirectory[]
  /** Those that are current, by the names of their directories. */
  readonly logs: Map<string, Log>
  /** Makes an empty log in a directory of that name. Throws `DiskError`. */
  make(home: LogDirectory, directoryName: string, topic: string, partition: number, topicId: Uuid): Log
  /**
   * Takes a log out of use and gives its directory a name with this suffix, which is returned as a path. Its entry in the durable mark stays
   * if it `isReplaced`: a crash may bring it back. Throws `DiskError`.
   */
  setAside(log: Log, suffix: string, isReplaced: boolean): string
  /** Directories of logs that lost their names do not come back after a crash from now on. Throws `DiskError`. */
  settleRenames(home: LogDirectory): void
  /** Removes a path once readers of other processes have had their time. */
  removeLater(path: string): void
}

/**
 * Logs on their way from one log directory to another (KIP-113): each is filled from the current one until it can take its place. How that
 * happens so that any crash leaves just one current log, with all that was acknowledged, is told in docs/adr/0009.
 */
export class FutureLogs {
  readonly #host: FutureLogsHost
  /** By the names that the directories of their partitions have. */
  readonly #futures: Map<string, Log>
  /** Those of which it is noted that others take their places, which has not happened yet. */
  readonly #sources: WeakSet<LogCore>
  /** Found by the start and not looked at since: see {@link isDoubted}. */
  readonly #found: WeakSet<LogCore>
  /** What was begun and still waits for the disk. */
  readonly #underWay: Set<Promise<void>>

  constructor(host: FutureLogsHost) {
    this.#host = host
    this.#futures = new Map()
    this.#sources = new WeakSet()
    this.#found = new WeakSet()
    this.#underWay = new Set()
  }

  get(topic: string, partition: number): Log | undefined {
    return this.#futures.get(partitionDirectoryName(topic, partition))
  }

  all(): Iterable<Log> {
    return this.#futures.values()
  }

  /** Adopts one that the start has found. */
  adopt(future: Log): void {
    this.#found.add(future)
    this.#add(future)
  }

  /**
   * Whether `future` may be of another state of `source` than that is in now: while its directory was away nothing kept the source from being
   * compacted, and what went from that, tombstones included, would be back for good. Neither offsets nor epochs tell.
   */
  isDoubted(source: Log, future: Log): boolean {
    return this.#found.has(future) && (source.config.cleanupCompact || source.cleanedOffset > 0)
  }

  /** All that `future` holds has been compared with its source, or was copied in this life of the process. */
  trust(future: Log): void {
    this.#found.delete(future)
  }

  #add(future: Log): void {
    future.isFuture = true
    this.#futures.set(nameOf(future), future)
  }

  /** It is none any more: deleted, or its directory has failed. */
  forget(future: Log): void {
    if (this.get(future.topic, future.partition) === future) this.#futures.delete(nameOf(future))
  }

  /** Makes an empty log that is going to take the place of `source`, in another directory, which is online. Throws `DiskError`. */
  create(source: Log, directory: string): Log {
    const { topic, partition, topicId } = source
    const home = this.#host.homes.find(({ path, online }) => path === directory && online)
    const path = `${directory}/${nameOf(source)}`
    // One of another topic of this name, which is going to be removed: it would share the name's lines in the checkpoints.
    const isTaken = home !== undefined && [...home.logs].some((log) => log.path === path)
    if (home === undefined || isTaken) throw new DiskError('DISK_OTHER', 'create future log', directory, null)
    assert(directory !== source.directory, 'a log is moved to another directory')
    assert(this.get(topic, partition) === undefined, 'a log has one future')
    try {
      // What an earlier log of this partition left here: neither its directory nor its entry may come back beside this one. In that order:
      // of one that came back without its entry nobody would know how far it was synced.
      this.#host.settleRenames(home)
      this.#makeWay(home, topic, partition)
      home.mark.settleRemoval(markIdOf(topic, topicId), partition)
    } catch (error) {
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
    const hex = this.#host.context.random.bytes(16).toString('hex')
    const name = futureDirectoryName(topic, partition, hex)
    try {
      const future = this.#host.make(home, name, topic, partition, topicId)
      this.#add(future)
      return future
    } catch (error) {
      // The next try has another name: what a full disk made of this one would stay until the next start.
      if (error instanceof DiskError && home.online) this.#host.context.removeSoon(`${home.path}/${name}`)
      throw error
    }
  }

  /** Resolves when neither a settling nor a giving up is under way: nothing of them may touch a directory that was closed. */
  async whenIdle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  /** Gives a future log up. Durable once it resolves: no start goes on with it. Rejects with `DiskError`. */
  drop(future: Log): Promise<void> {
    return this.#tracked(this.#drop(future))
  }

  async #drop(future: Log): Promise<void> {
    const home = this.#homeOf(future)
    this.forget(future)
    if (home === undefined) return
    const path = this.#host.setAside(future, DELETED_DIRECTORY_SUFFIX, false)
    if (!home.online) return
    try {
      await this.#host.context.disk.syncDirectoryAsync(home.path)
    } catch (error) {
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
    this.#host.context.removeSoon(path)
  }

  /**
   * Notes in the directory of `source` that `future` takes its place. Durable once it resolves; {@link replace} comes then, or
   * {@link cancelReplacement}, and before that nothing may be acknowledged that `future` does not hold durably. Rejects with `DiskError`:
   * then it must be cancelled as well.
   */
  async noteReplacement(source: Log, future: Log): Promise<void> {
    const [from, to] = [this.#homeOf(source), this.#homeOf(future)]
    if (from === undefined || to === undefined) throw new DiskError('DISK_OTHER', 'move log', future.path, null)
    const { topic, partition, topicId } = source
    const entry = { topicId, topic, partition, directory: to.id }
    this.#sources.add(source)
    await this.#writing(from, () => from.moved.add(entry, () => from.online))
    if (!from.online) throw new DiskError('DISK_OTHER', 'move log', from.path, null)
  }

  /** Takes that back. Durable once it resolves: only then `source` may have acknowledged more. Rejects with `DiskError`. */
  async cancelReplacement(source: Log): Promise<void> {
    const home = this.#host.homes.find(({ path }) => path === source.directory)!
    if (home.online)
      await this.#writing(home, () => home.moved.remove(source.topicId, source.partition, () => home.online))
    this.#sources.delete(source)
  }

  /**
   * `future`, which is quiet but for what was just appended, and ends where `source` does, takes its place: at once for all who ask for
   * the log. More of it counts as durable only once its new name is. Throws `DiskError` if that name cannot be had: nothing has changed.
   */
  replace(source: Log, future: Log): void {
    const { context, logs, removeLater } = this.#host
    const home = this.#homeOf(future)
    assert(home !== undefined && !source.failed && !future.failed, 'both logs are in use')
    assert(future.logEndOffset === source.logEndOffset, 'a future log ends where the current one does')
    const path = `${home.path}/${nameOf(future)}`
    try {
      context.failpoint('move')
      context.disk.rename(future.path, path)
    } catch (error) {
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
    future.moveTo(path)
    // Until its name is durable a crash may leave the source in its place, with no more than was synced of that.
    future.durableOffset = Math.min(future.durableOffset, source.durableOffset)
    future.isFuture = false
    // While there is a future log in use its source is not compacted, and one that was away is begun anew: this is as far compacted as that.
    future.cleanedOffset = source.cleanedOffset
    this.#futures.delete(nameOf(future))
    logs.set(nameOf(future), future)
    home.onOffsetsChanged()
    home.scheduleSync(future)
    context.openLogs.add(future)
    try {
      removeLater(this.#host.setAside(source, DELETED_DIRECTORY_SUFFIX, true))
    } catch (error) {
      // Its directory has failed. What was noted there tells the next start that it counts no more.
      if (!(error instanceof DiskError)) throw error
      context.logger.warn('the log that was replaced could not be removed', { path: source.path, error: error.message })
    }
  }

  /** Whether the current log of a partition took the place of another one of which not everybody is known to have heard. */
  isUnsettled(topicId: Uuid, partition: number): boolean {
    return this.#host.homes.some(({ moved }) => moved.get(topicId, partition) !== null)
  }

  /** The id of the directory, which is not here, that the only log of a partition was moved to; null if there is none. */
  movedAwayTo(topicId: Uuid, partition: number): Uuid | null {
    const { homes } = this.#host
    for (const { moved } of homes) {
      const entry = moved.get(topicId, partition)
      if (entry !== null && !homes.some(({ id }) => id === entry.directory)) return entry.directory
    }
    return null
  }

  /**
   * Everybody knows that the only log is in a directory which is not here: what was noted of that is forgotten, so that another log may be
   * begun once that one is given up. Not as long as the log that it replaced has its name yet: nothing else tells that this one does not
   * count. Rejects with `DiskError`.
   */
  async settleMovedAway(topicId: Uuid, partition: number): Promise<void> {
    const { homes, context } = this.#host
    for (const { moved, path } of homes) {
      const entry = moved.get(topicId, partition)
      if (entry !== null && context.disk.stat(`${path}/${partitionDirectoryName(entry.topic, partition)}`) !== null)
        return
    }
    await this.settle(topicId, partition)
  }

  /**
   * Everybody knows where the log is, or it is gone: what was noted of its last move is forgotten. Not where its directory has failed: the
   * note is then all that says where it is. Nor what {@link noteReplacement} has just noted. Rejects with `DiskError`.
   */
  settle(topicId: Uuid, partition: number): Promise<void> {
    // What a stop leaves noted, the next start finds. Of thousands of logs that go at once hardly any was moved.
    const isToSettle = !this.#host.context.isClosing && this.isUnsettled(topicId, partition)
    return isToSettle ? this.#tracked(this.#settle(topicId, partition)) : Promise.resolve()
  }

  async #settle(topicId: Uuid, partition: number): Promise<void> {
    const { context, homes } = this.#host
    const holder = homes.find((home) => logsIn(home, topicId, partition).some(({ isFuture }) => !isFuture))
    const isBeingReplaced = (home: LogDirectory): boolean =>
      logsIn(home, topicId, partition).some((log) => this.#sources.has(log))
    const noting = homes.filter((home) => {
      return home.online && home.moved.get(topicId, partition) !== null && !isBeingReplaced(home)
    })
    const isHolderOffline = (): boolean => holder !== undefined && !holder.online
    if (noting.length === 0 || isHolderOffline()) return
    const replaced = noting.map((home) => this.#renameReplaced(home, topicId, partition))
    // Without the note, both the new name of one log and that of the other must outlive a crash.
    for (const home of homes) {
      if (home.online) await this.#writing(home, () => context.disk.syncDirectoryAsync(home.path))
    }
    // Before its name was synced, perhaps.
    if (isHolderOffline()) return
    for (const path of replaced) if (path !== null) context.removeSoon(path)
    for (const home of noting) {
      const { topic } = home.moved.get(topicId, partition) ?? { topic: '' }
      await this.#writing(home, async () => {
        // Of the log that was replaced: nothing brings that back any more.
        if (logsIn(home, topicId, partition).length === 0) home.mark.remove(markIdOf(topic, topicId), partition)
        await home.moved.remove(topicId, partition, () => home.online)
      })
    }
  }

  /**
   * The log that was replaced, where it still has its name since a full disk had refused it another one: gives the new path, null if there
   * is none. Throws `DiskError`.
   */
  #renameReplaced(home: LogDirectory, topicId: Uuid, partition: number): string | null {
    const entry = home.moved.get(topicId, partition)
    if (entry === null || logsIn(home, topicId, partition).length > 0) return null
    const path = `${home.path}/${partitionDirectoryName(entry.topic, partition)}`
    try {
      if (!isLogOf(this.#host.context.disk, path, topicId)) return null
      return this.#rename(home, path, entry.topic, partition, DELETED_DIRECTORY_SUFFIX)
    } catch (error) {
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
  }

  /**
   * What lies in the way of a future log: a directory of the name that it is to have, which an interrupted making left, or data that nobody
   * knows; and other future logs of the partition that were given up. Beside either, a start could not tell which one a note is about.
   * Durable. Throws `DiskError`.
   */
  #makeWay(home: LogDirectory, topic: string, partition: number): void {
    const { disk, logger, removeSoon } = this.#host.context
    const current = partitionDirectoryName(topic, partition)
    const found = disk.listDirectory(home.path).filter((name) => name === current || isFutureOf(name, current))
    if (found.length === 0) return
    const useless: string[] = []
    for (const name of found) {
      const path = `${home.path}/${name}`
      if (name === current && holdsSegments(disk, path)) {
        const aside = this.#rename(home, path, topic, partition, STRAY_DIRECTORY_SUFFIX)
        home.strays.addFrom(home.path, [aside.slice(home.path.length + 1)])
        logger.warn('unknown data set aside', { path: aside })
      } else {
        useless.push(this.#rename(home, path, topic, partition, DELETED_DIRECTORY_SUFFIX))
      }
    }
    disk.syncDirectory(home.path)
    for (const path of useless) removeSoon(path)
  }

  /** Gives the directory of a log a name with this suffix; returns it as a path. Throws `DiskError`. */
  #rename(home: LogDirectory, path: string, topic: string, partition: number, suffix: string): string {
    const { disk, random } = this.#host.context
    const hex = random.bytes(16).toString('hex')
    const aside = `${home.path}/${setAsideDirectoryName(topic, partition, hex, suffix)}`
    disk.rename(path, aside)
    return aside
  }

  #tracked(work: Promise<void>): Promise<void> {
    const ended: Promise<void> = work.finally(() => this.#underWay.delete(ended))
    this.#underWay.add(ended)
    return ended
  }

  #homeOf(log: Log): LogDirectory | undefined {
    return this.#host.homes.find(({ logs }) => logs.has(log))
  }

  async #writing(home: LogDirectory, write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
  }
}

/** Those of a directory that are in use: the current one, or a future one. */
function logsIn({ logs }: LogDirectory, topicId: Uuid, partition: number): LogCore[] {
  return [...logs].filter((log) => log.topicId === topicId && log.partition === partition)
}

function nameOf({ topic, partition }: Log): string {
  return partitionDirectoryName(topic, partition)
}
