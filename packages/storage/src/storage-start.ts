import { type Disk, DiskError, type Random } from '@millrace/base'
import { makeDurableDirectory } from './atomic-file.ts'
import { endCleanStop, readCleanStop } from './clean-stop.ts'
import { DELETED_DIRECTORY_SUFFIX, LOCK_FILE } from './file-names.ts'
import type { FutureLogs } from './future-logs.ts'
import type { Log } from './log.ts'
import type { StorageLogger } from './log-config.ts'
import { LogDirectory } from './log-directory.ts'
import { type FoundLogs, finishReplacements, loadDirectory } from './log-directory-loader.ts'
import { identifyLogs, markIdOf, refuseDuplicateLogs } from './log-identities.ts'
import type { LogMaker } from './log-maker.ts'
import { openMetaProperties } from './meta-properties.ts'
import { findMovedLogs, type MovedLogs } from './moved-logs.ts'
import type { NamedLogs } from './named-logs.ts'
import type { StorageContext } from './storage-context.ts'

export interface StorageStartParts {
  disk: Disk
  random: Random
  logger: StorageLogger
  context: StorageContext
  paths: readonly string[]
  nodeId: number
  clusterId: string | null
  /** Directories are added as they are locked, so that whoever gives up knows which. */
  homes: LogDirectory[]
  locks: { release(): void }[]
  logs: NamedLogs
  futures: FutureLogs
  maker: LogMaker
  onDurable(log: Log): void
  onDirectoryFailed(path: string, error: DiskError): void
}

/** How a node comes to its logs: whose each directory is, which logs count, and what a crash has left of them. */
export class StorageStart {
  /** The cluster that the directories name. */
  clusterId: string | null
  /** A directory had no clean-shutdown mark although it had logs. */
  recoveredUncleanly: boolean
  /** After an unclean stop of a directory: nobody can tell how far its logs were synced, so that some of it may be gone. */
  mayLackDurable: boolean
  readonly #parts: StorageStartParts

  constructor(parts: StorageStartParts) {
    this.clusterId = parts.clusterId
    this.recoveredUncleanly = false
    this.mayLackDurable = false
    this.#parts = parts
  }

  /** Broker epoch in which all directories were stopped cleanly before this start; -1: some was not, or in another. */
  get stoppedBrokerEpoch(): number {
    const epochs = new Set(this.#parts.homes.map(({ foundStopEpoch }) => foundStopEpoch ?? -1))
    const [epoch = -1] = epochs
    return epochs.size === 1 ? epoch : -1
  }

  /** Throws `CorruptFileError`, `DiskError`; then what was locked is in the parts. */
  run(): void {
    const { disk, logger, paths } = this.#parts
    // What another process may still change is looked at once it cannot any more.
    for (const path of paths) this.#lock(path)
    const moved = findMovedLogs(disk, logger, paths)
    refuseDuplicateLogs(disk, paths, moved.superseded)
    // Of all of them first: where the start is refused, nothing has been changed that the next one would miss.
    const found = paths.map((path) => this.#findLogs(path, moved))
    for (const logs of found) this.#loadLogs(logs)
    for (const path of moved.superseded) this.#removeSuperseded(path)
  }

  #lock(path: string): void {
    const { disk, locks } = this.#parts
    makeDurableDirectory(disk, path)
    locks.push(disk.lock(`${path}/${LOCK_FILE}`))
  }

  /** Looks whose a directory is, which is locked, and whose logs it holds. Throws `CorruptFileError`, `DiskError`. */
  #findLogs(path: string, moved: MovedLogs): FoundLogs {
    const { context, disk, random, nodeId, homes, onDirectoryFailed } = this.#parts
    // All directories belong to one cluster: the first that names one binds the others.
    const meta = openMetaProperties(disk, path, { nodeId, clusterId: this.clusterId }, random)
    this.clusterId = meta.clusterId
    const home = new LogDirectory(context, path, meta.directoryId, moved.entries.get(path) ?? [], (error) =>
      onDirectoryFailed(path, error),
    )
    homes.push(home)
    const replacing = moved.replacing.get(path) ?? new Set()
    const names = disk
      .listDirectory(path)
      .filter((name) => !moved.superseded.has(`${path}/${name}`) && !replacing.has(name))
    const identities = identifyLogs(disk, path, names, home.mark)
    for (const name of names) {
      const heldBack = moved.heldBack.get(`${path}/${name}`)
      if (heldBack !== undefined) identities.set(name, heldBack)
    }
    return { home, names, identities, replacing, abandoned: moved.abandoned.get(path) ?? [] }
  }

  #loadLogs(found: FoundLogs): void {
    const { context, disk, paths, logger, logs, futures, onDurable } = this.#parts
    const { path } = found.home
    const { stop: cleanStop, brokerEpoch } = readCleanStop(disk, path)
    found.home.foundStopEpoch = cleanStop === null ? null : brokerEpoch
    // Both sync the directory. By these names it was decided which logs count: a crash of the system must not undo what a process that was killed
    // left unsynced. A log that it deleted, perhaps to the last file, could be back beside one that is made anew in another directory.
    if (cleanStop === null) disk.syncDirectory(path)
    else endCleanStop(disk, path)
    // Before their logs take more than those hold that were to replace them.
    found.home.moved.removeNow(found.abandoned)
    finishReplacements(disk, found)
    const places = { logs: logs.current, namesakes: logs.namesakes, futures }
    const count = loadDirectory({ context, directories: paths, ...places, onDurable }, found, cleanStop)
    if (cleanStop === null && count > 0) {
      this.recoveredUncleanly = true
      if (!found.home.mark.isComplete) this.mayLackDurable = true
    }
    if (count > 0) logger.info('logs loaded', { directory: path, count, clean: cleanStop !== null })
  }

  /** The log in whose place another one is. What was noted of that tells the next start, if this is undone by a crash. Throws `DiskError`. */
  #removeSuperseded(path: string): void {
    const { context, disk, homes, logs, logger, maker } = this.#parts
    const home = homes.find((directory) => path.startsWith(`${directory.path}/`))!
    const name = path.slice(home.path.length + 1)
    const other = logs.current.get(name)
    if (other === undefined) return
    const aside = maker.asidePath(home, other.topic, other.partition, DELETED_DIRECTORY_SUFFIX)
    try {
      disk.rename(path, aside)
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'DISK_FULL')) throw error
      logger.warn('a log that was replaced by another keeps its name until the note of it is settled', {
        path,
        error: error.message,
      })
      return
    }
    home.mark.remove(markIdOf(other.topic, other.topicId), other.partition)
    logger.info('a log that was replaced by another is removed', { path, other: other.path })
    context.removeSoon(aside)
  }
}
