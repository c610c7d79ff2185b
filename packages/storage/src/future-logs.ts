import { assert, DiskError, type Uuid } from '@millrace/base'
import {
  DELETED_DIRECTORY_SUFFIX,
  futureDirectoryName,
  partitionDirectoryName,
  STRAY_DIRECTORY_SUFFIX,
  setAsideDirectoryName,
} from './file-names.ts'
import type { Log } from './log.ts'
import type { LogDirectory } from './log-directory.ts'
import { holdsSegments, markIdOf } from './log-identities.ts'
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

  constructor(host: FutureLogsHost) {
    this.#host = host
    this.#futures = new Map()
  }

  get(topic: string, partition: number): Log | undefined {
    return this.#futures.get(partitionDirectoryName(topic, partition))
  }

  all(): Iterable<Log> {
    return this.#futures.values()
  }

  /** Adopts one that the start has found. */
  adopt(future: Log): void {
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
    if (home === undefined) throw new DiskError('DISK_OTHER', 'create future log', directory, null)
    assert(directory !== source.directory, 'a log is moved to another directory')
    assert(this.get(topic, partition) === undefined, 'a log has one future')
    try {
      // What an earlier log of this partition left here: neither its entry nor its directory may come back beside this one.
      home.mark.settleRemoval(markIdOf(topic, topicId), partition)
      this.#host.settleRenames(home)
    } catch (error) {
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
    const hex = this.#host.context.random.bytes(16).toString('hex')
    const future = this.#host.make(home, futureDirectoryName(topic, partition, hex), topic, partition, topicId)
    this.adopt(future)
    return future
  }

  /** Gives a future log up. Durable once it resolves: no start goes on with it. Rejects with `DiskError`. */
  async drop(future: Log): Promise<void> {
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
    await this.#writing(from, () => from.moved.add(entry, () => from.online))
    if (!from.online) throw new DiskError('DISK_OTHER', 'move log', from.path, null)
  }

  /** Takes that back. Durable once it resolves: only then `source` may have acknowledged more. Rejects with `DiskError`. */
  async cancelReplacement(source: Log): Promise<void> {
    const home = this.#host.homes.find(({ path }) => path === source.directory)!
    if (home.online)
      await this.#writing(home, () => home.moved.remove(source.topicId, source.partition, () => home.online))
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
      this.#makeWay(home, path, future)
      context.failpoint('move')
      context.disk.rename(future.path, path)
    } catch (error) {
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
    future.moveTo(path)
    future.isFuture = false
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

  /** Everybody knows where the log is, or it is gone: what was noted of its last move is forgotten. Rejects with `DiskError`. */
  async settle(topicId: Uuid, partition: number): Promise<void> {
    const noting = this.#host.homes.filter(({ moved, online }) => online && moved.get(topicId, partition) !== null)
    if (noting.length === 0) return
    // Without the note, both the new name of one log and that of the other must outlive a crash.
    for (const home of this.#host.homes) {
      if (home.online) await this.#writing(home, () => this.#host.context.disk.syncDirectoryAsync(home.path))
    }
    for (const home of noting) {
      const { topic } = home.moved.get(topicId, partition) ?? { topic: '' }
      // Of the log that was replaced: nothing brings that back any more.
      if (![...home.logs].some((log) => log.topicId === topicId && log.partition === partition)) {
        home.mark.remove(markIdOf(topic, topicId), partition)
      }
      await this.#writing(home, () => home.moved.remove(topicId, partition, () => home.online))
    }
  }

  /** A directory of the name that a log is to have: what an interrupted making left, or data that nobody knows. */
  #makeWay(home: LogDirectory, path: string, { topic, partition }: Log): void {
    const { context } = this.#host
    if (context.disk.stat(path) === null) return
    const isUnknown = holdsSegments(context.disk, path)
    const hex = context.random.bytes(16).toString('hex')
    const suffix = isUnknown ? STRAY_DIRECTORY_SUFFIX : DELETED_DIRECTORY_SUFFIX
    const aside = setAsideDirectoryName(topic, partition, hex, suffix)
    context.disk.rename(path, `${home.path}/${aside}`)
    if (isUnknown) {
      home.strays.addFrom(home.path, [aside])
      context.logger.warn('unknown data set aside', { path: `${home.path}/${aside}` })
    } else {
      context.removeSoon(`${home.path}/${aside}`)
    }
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

function nameOf({ topic, partition }: Log): string {
  return partitionDirectoryName(topic, partition)
}
