import type { Disk, Uuid } from '@millrace/base'
import { parseFutureDirectoryName, partitionDirectoryName } from './file-names.ts'
import type { StorageLogger } from './log-config.ts'
import { holdsSegments } from './log-identities.ts'
import { readDirectoryId } from './meta-properties.ts'
import { type MovedReplica, readMovedReplicas } from './moved-replicas.ts'
import { readPartitionMetadata } from './partition-metadata.ts'
import { CorruptFileError } from './text-checkpoint.ts'

/** Its place was taken by a log in a directory that is not there: what is here may lack what was acknowledged since. */
export class MovedAwayError extends CorruptFileError {}

/** What the `moved-replicas` of all directories come to. Nothing has been changed. */
export interface MovedLogs {
  /** By directory: what its file says. */
  readonly entries: ReadonlyMap<string, readonly MovedReplica[]>
  /** Partition directories whose place others have taken: nobody needs them any more. */
  readonly superseded: ReadonlySet<string>
  /** Those whose place others have taken which are not there. */
  readonly heldBack: ReadonlyMap<string, MovedAwayError>
  /**
   * By directory: entries of moves that were not carried out, or of logs that are gone. Its own log counts, if there is one, or comes to:
   * they must go before it changes.
   */
  readonly abandoned: ReadonlyMap<string, readonly MovedReplica[]>
  /** By directory, names of future logs whose former name came back, while that of the log which they replaced did not. */
  readonly replacing: ReadonlyMap<string, ReadonlySet<string>>
}

/** Looks which logs of the directories have been replaced by others (docs/adr/0009). Changes nothing. Throws `DiskError`. */
export function findMovedLogs(disk: Disk, logger: StorageLogger, directories: readonly string[]): MovedLogs {
  const present = directories.filter((directory) => disk.stat(directory) !== null)
  const entries = new Map(present.map((directory) => [directory, entriesOf(disk, logger, directory)]))
  const superseded = new Set<string>()
  const heldBack = new Map<string, MovedAwayError>()
  const abandoned = new Map<string, MovedReplica[]>()
  const replacing = new Map<string, Set<string>>()
  const found = { entries, superseded, heldBack, abandoned, replacing }
  // Nearly always: nothing more is read.
  if ([...entries.values()].every(({ length }) => length === 0)) return found
  const pathsById = new Map(present.map((directory) => [readDirectoryId(disk, directory), directory]))
  for (const [directory, moved] of entries) {
    for (const entry of moved) {
      const name = partitionDirectoryName(entry.topic, entry.partition)
      const isHere = isLogOf(disk, `${directory}/${name}`, entry.topicId)
      const others = present.filter((other) => other !== directory)
      const target = pathsById.get(entry.directory)
      // By its name alone only where the move led, whose way was cleared: elsewhere it may be what an interrupted making of a log left.
      const isElsewhere = others.some((other) => {
        const path = `${other}/${name}`
        return isLogOf(disk, path, entry.topicId) && (other === target || holdsSegments(disk, path))
      })
      if (isHere && isElsewhere) {
        superseded.add(`${directory}/${name}`)
      } else if (isHere && target !== undefined) {
        abandoned.set(directory, [...(abandoned.get(directory) ?? []), entry])
      } else if (isHere) {
        const reason = `its place was taken by the log in the log directory with id ${entry.directory}, which is not here`
        heldBack.set(`${directory}/${name}`, new MovedAwayError(`${directory}/${name}`, reason))
      } else if (!isElsewhere && target !== undefined) {
        const future = futureOf(disk, target, entry)
        if (future !== null) replacing.set(target, new Set([...(replacing.get(target) ?? []), future]))
        else abandoned.set(directory, [...(abandoned.get(directory) ?? []), entry])
      }
    }
  }
  return found
}

function futureOf(disk: Disk, directory: string, { topicId, topic, partition }: MovedReplica): string | null {
  const current = partitionDirectoryName(topic, partition)
  const names = disk.listDirectory(directory).filter((name) => isFutureOf(name, current))
  return names.find((name) => isLogOf(disk, `${directory}/${name}`, topicId)) ?? null
}

/** Whether `name` is that of the directory of a future log whose own name is going to be `current`. */
export function isFutureOf(name: string, current: string): boolean {
  if (!name.startsWith(`${current}.`)) return false
  const parsed = parseFutureDirectoryName(name)
  return parsed !== null && partitionDirectoryName(parsed.topic, parsed.partition) === current
}

function entriesOf(disk: Disk, logger: StorageLogger, directory: string): MovedReplica[] {
  try {
    return readMovedReplicas(disk, directory)
  } catch (error) {
    if (!(error instanceof CorruptFileError)) throw error
    // Where it mattered there are two logs of one partition, and the start is refused.
    logger.warn('which logs were moved away cannot be read, doing without', { error: error.message })
    return []
  }
}

/** Whether a directory is there that names this topic as that whose log it holds. Throws `DiskError`. */
export function isLogOf(disk: Disk, path: string, topicId: Uuid): boolean {
  if (disk.stat(path)?.isDirectory !== true) return false
  try {
    return readPartitionMetadata(disk, path) === topicId
  } catch (error) {
    if (error instanceof CorruptFileError) return false
    throw error
  }
}
