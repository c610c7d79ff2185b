import { assert, DiskError, type Random, type Uuid } from '@millrace/base'
import { openEmpty } from './atomic-file.ts'
import { LOG_SUFFIX, PARTITION_METADATA_FILE, STRAY_DIRECTORY_SUFFIX, setAsideDirectoryName } from './file-names.ts'
import { Log } from './log.ts'
import type { LogDirectory } from './log-directory.ts'
import { LogEpochs } from './log-epochs.ts'
import { markIdOf } from './log-identities.ts'
import { LogProducers } from './log-producers.ts'
import { LogSegments } from './log-segments.ts'
import { encodePartitionMetadata } from './partition-metadata.ts'
import { Segment } from './segment.ts'
import type { StorageContext } from './storage-context.ts'

export interface LogMakerParts {
  context: StorageContext
  random: Random
  /** All that are locked; more come while the node starts. */
  homes: readonly LogDirectory[]
  /** The log is in no one's use any more. */
  onOutOfUse(log: Log): void
  onDurable(log: Log): void
}

/** Gives logs their directories, and takes these away from them: by a new name, under which nobody looks for a log. */
export class LogMaker {
  readonly #parts: LogMakerParts
  /** Directories in which logs lost their names, which a loss of power could give back. */
  readonly #renamedIn: Set<LogDirectory>

  constructor(parts: LogMakerParts) {
    this.#parts = parts
    this.#renamedIn = new Set()
  }

  /** They do not come back from now on. Throws `DiskError`. */
  settleRenamesIn(home: LogDirectory): void {
    if (this.#renamedIn.has(home)) this.#parts.context.disk.syncDirectory(home.path)
    this.#renamedIn.delete(home)
  }

  /**
   * Before a log is made: a former one of its name, in another directory, must not come back beside it. In the same one, the first sync of
   * the new log's names takes care of that. Throws `DiskError`.
   */
  settleFormer(home: LogDirectory): void {
    for (const other of this.#renamedIn) {
      if (other === home) continue
      this.#renamedIn.delete(other)
      if (!other.online) continue
      try {
        this.#parts.context.disk.syncDirectory(other.path)
      } catch (error) {
        this.#renamedIn.add(other)
        if (error instanceof DiskError) other.onDiskError(error)
        throw error
      }
    }
  }

  /** An empty log in a directory of that name. Throws `DiskError`. */
  make(home: LogDirectory, name: string, topic: string, partition: number, topicId: Uuid): Log {
    const path = `${home.path}/${name}`
    this.#makePartitionDirectory(home, topic, partition, path, topicId)
    const { context, onDurable } = this.#parts
    const config = context.configOf(topic)
    const segments = new LogSegments([new Segment(context, path, 0, config, null)])
    const log = new Log(context, home, {
      topic,
      partition,
      topicId,
      path,
      config,
      segments,
      epochs: new LogEpochs(context.disk, path, true),
      producers: new LogProducers(context, path, segments, true),
      logStartOffset: 0,
      logEndOffset: 0,
      durableOffset: 0,
      recoveryPoint: 0,
      highWatermark: 0,
      cleanedOffset: 0,
      gapsBelow: 0,
      faultyRanges: [],
      namesUnsynced: true,
      filesUnsettled: false,
      onDurable,
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
   * Takes a log out of use, at once; its directory gets a name with this suffix, which is returned as a path. `isReplaced`: by another log,
   * in whose favour nothing is decided yet: a crash may bring this one back, which needs its mark then. Throws `DiskError`.
   */
  setAside(log: Log, suffix: string, isReplaced = false): string {
    const { context, homes, onOutOfUse } = this.#parts
    const home = homes.find((directory) => directory.logs.has(log))
    assert(home !== undefined, 'log is not deleted twice')
    const path = this.asidePath(home, log.topic, log.partition, suffix)
    log.fail()
    home.logs.delete(log)
    onOutOfUse(log)
    home.onOffsetsChanged()
    if (!home.online) return path
    try {
      context.failpoint('delete')
      context.disk.rename(log.path, path)
      log.path = path
      this.#renamedIn.add(home)
      if (!isReplaced) home.mark.remove(markIdOf(log.topic, log.topicId), log.partition)
    } catch (error) {
      if (error instanceof DiskError) home.onDiskError(error)
      throw error
    }
    return path
  }

  /** A name under which nobody looks for a log, as a path. */
  asidePath(home: LogDirectory, topic: string, partition: number, suffix: string): string {
    const hex = this.#parts.random.bytes(16).toString('hex')
    return `${home.path}/${setAsideDirectoryName(topic, partition, hex, suffix)}`
  }

  /**
   * Before a log is made: what the start left out under its name, in other directories, gets other names, durably. A later start could not
   * tell which of the two counts. Throws `DiskError`.
   */
  settleLeftOut(home: LogDirectory, name: string, topic: string, partition: number): void {
    const { disk } = this.#parts.context
    for (const other of this.#parts.homes) {
      if (other === home || !other.online || !other.leftOut.has(name)) continue
      try {
        if (disk.stat(`${other.path}/${name}`) !== null)
          this.#setAsideUnknown(other, topic, partition, `${other.path}/${name}`)
        disk.syncDirectory(other.path)
      } catch (error) {
        if (error instanceof DiskError) other.onDiskError(error)
        throw error
      }
      other.leftOut.delete(name)
    }
  }

  #setAsideUnknown(home: LogDirectory, topic: string, partition: number, path: string): void {
    const strayPath = this.asidePath(home, topic, partition, STRAY_DIRECTORY_SUFFIX)
    this.#parts.context.disk.rename(path, strayPath)
    home.strays.addFrom(home.path, [strayPath.slice(home.path.length + 1)])
    this.#parts.context.logger.warn('unknown data set aside', { path: strayPath })
  }

  #makePartitionDirectory(home: LogDirectory, topic: string, partition: number, path: string, topicId: Uuid): void {
    const { disk, failpoint } = this.#parts.context
    try {
      failpoint('create')
      if (disk.stat(path) !== null && disk.listDirectory(path).some((name) => name.endsWith(LOG_SUFFIX))) {
        // Data that was not loaded, since nobody could tell whose it is: it is not overwritten (S10).
        this.#setAsideUnknown(home, topic, partition, path)
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
}
