import { type Disk, DiskError, type Offset, type Uuid, ZERO_UUID } from '@millrace/base'
import type { CleanStop } from './clean-stop.ts'
import {
  CLEANER_OFFSET_FILE,
  DELETED_DIRECTORY_SUFFIX,
  HIGH_WATERMARK_FILE,
  LOG_START_FILE,
  parseFutureDirectoryName,
  parsePartitionDirectoryName,
  partitionDirectoryName,
  RECOVERY_POINT_FILE,
  STRAY_SUFFIX,
} from './file-names.ts'
import type { FutureLogs } from './future-logs.ts'
import type { Log } from './log.ts'
import type { LogDirectory } from './log-directory.ts'
import { holdsSegments, type Identity, markIdOf } from './log-identities.ts'
import { type LogCheckpoints, loadLog } from './log-loader.ts'
import type { MovedReplica } from './moved-replicas.ts'
import { readPartitionMetadata, UnwrittenMetadataError } from './partition-metadata.ts'
import type { StorageContext } from './storage-context.ts'
import { CorruptFileError, readOffsetCheckpoint } from './text-checkpoint.ts'

/** A log directory that is locked, what it holds, and whose that is. Nothing of it has been changed. */
export interface FoundLogs {
  home: LogDirectory
  /** Without those of {@link replacing}. */
  names: string[]
  identities: Map<string, Identity>
  /** Names of future logs that take the places of others which are gone. */
  replacing: ReadonlySet<string>
  /** What was noted of moves that were not carried out. */
  abandoned: readonly MovedReplica[]
  /** Something was noted of moves, in some of the directories. */
  hasMoved: boolean
}

/** What the logs of all directories share. */
export interface LoaderParts {
  context: StorageContext
  directories: readonly string[]
  /** By the names of their directories; what is loaded is added. */
  logs: Map<string, Log>
  /** Those of another topic whose name, and so the place in `logs`, is taken; what is loaded is added. */
  namesakes: Set<Log>
  futures: FutureLogs
  onDurable(log: Log): void
}

/** Gives future logs the names of those whose places they took, once more and durably: a crash had taken only the former name away. */
export function finishReplacements(disk: Disk, { home, names, identities, replacing }: FoundLogs): void {
  for (const name of replacing) {
    const { topic, partition } = parseFutureDirectoryName(name)!
    const current = partitionDirectoryName(topic, partition)
    if (names.includes(current)) continue
    disk.rename(`${home.path}/${name}`, `${home.path}/${current}`)
    names.push(current)
    identities.set(current, readPartitionMetadata(disk, `${home.path}/${current}`))
  }
  if (replacing.size > 0) disk.syncDirectory(home.path)
}

/** Loads and recovers every log of a directory, and says how many. What cannot be told whose it is, is left out. Throws `DiskError`. */
export function loadDirectory(parts: LoaderParts, { home, names, identities }: FoundLogs, stop: CleanStop): number {
  const { context, logs } = parts
  const { disk } = context
  const checkpointsOf = readCheckpoints(context, home)
  home.strays.addFrom(home.path, names)
  let count = 0
  for (const name of names) {
    if (name.endsWith(DELETED_DIRECTORY_SUFFIX) && isDirectory(disk, `${home.path}/${name}`)) {
      context.removeSoon(`${home.path}/${name}`)
      continue
    }
    const parsed = parsePartitionDirectoryName(name)
    if (parsed === null) {
      if (parseFutureDirectoryName(name) !== null) loadFuture(parts, home, names, name, checkpointsOf, stop)
      continue
    }
    try {
      const topicId = identities.get(name)
      if (typeof topicId !== 'string') throw topicId
      if (isElsewhere(parts, home, name)) continue
      const { topic, partition } = parsed
      const log = loadLog(context, home, name, topic, partition, topicId, checkpointsOf(name), stop, parts.onDurable)
      if (log === null) continue
      home.logs.add(log)
      if (logs.has(name)) parts.namesakes.add(log)
      else logs.set(name, log)
      count++
    } catch (error) {
      // Not asked before: thousands of directories would be looked at once more.
      if (error instanceof DiskError && !isDirectory(disk, `${home.path}/${name}`)) continue
      if (!(error instanceof CorruptFileError)) throw error
      reportLeftOut(context, `${home.path}/${name}`, error)
      if (holdsSegments(disk, `${home.path}/${name}`)) home.leftOut.set(name, error)
    }
  }
  if (home.online) home.mark.complete()
  if (home.online) home.checkpoints.settleCleanedOffsets()
  if (stop === null) home.onOffsetsChanged()
  reportStrays(context, home)
  return count
}

/**
 * A log that was being moved here goes on to be filled. It is a copy: one that is not what it was is dropped, and begun anew, and so is one
 * beside another of the same partition, which would share its entry in the durable mark.
 */
function loadFuture(
  { context, futures, onDurable }: LoaderParts,
  home: LogDirectory,
  names: readonly string[],
  name: string,
  checkpointsOf: (name: string) => LogCheckpoints,
  stop: CleanStop,
): void {
  const { topic, partition } = parseFutureDirectoryName(name)!
  const current = partitionDirectoryName(topic, partition)
  const path = `${home.path}/${name}`
  let topicId: Uuid = ZERO_UUID
  try {
    topicId = readPartitionMetadata(context.disk, path)
    const isAlone = !names.includes(current) && futures.get(topic, partition) === undefined
    // Of the log that was here before; what is compacted of this one its source will tell.
    const futureCheckpoints = { ...checkpointsOf(current), cleanedOffset: 0 }
    // Without its topic's id nothing of it has reached the disk for certain.
    const log =
      isAlone && topicId !== ZERO_UUID
        ? loadLog(context, home, name, topic, partition, topicId, futureCheckpoints, stop, onDurable)
        : null
    if (log !== null && log.faultyRanges.length === 0) {
      home.logs.add(log)
      futures.adopt(log)
      // What recovery had no use for is in the log that this one is a copy of.
      for (const file of context.disk.listDirectory(path)) {
        if (file.endsWith(STRAY_SUFFIX)) context.removeSoon(`${path}/${file}`)
      }
      return
    }
    log?.fail()
    if (isAlone) home.mark.remove(markIdOf(topic, topicId), partition)
  } catch (error) {
    if (error instanceof DiskError && !isDirectory(context.disk, path)) return
    if (!(error instanceof CorruptFileError)) throw error
  }
  context.logger.warn('a log that was being moved here is begun anew', { path })
  context.removeSoon(path)
}

/** Nobody knows whose data it is: it stays as it is, for the operator (S10). */
function reportLeftOut({ logger }: StorageContext, directory: string, error: CorruptFileError): void {
  const details = { directory, error: error.message }
  // The log was made just before a crash, unless it was damaged: its metadata is synced before anything else of it.
  if (error instanceof UnwrittenMetadataError) logger.warn('log left out, its making was interrupted', details)
  else logger.error('log left out', details)
}

function reportStrays({ logger }: StorageContext, home: LogDirectory): void {
  const { count, sizeBytes } = home.strays.totals()
  if (count === 0) return
  // Named in the log line so that nobody has to search for the suffix: it may be removed, also while the broker runs.
  const details = { directory: home.path, count, sizeBytes }
  logger.warn('files set aside (*.stray, *-stray) take space until somebody removes them', details)
}

/** Whether another directory has the partition's log: this one is what an interrupted making of it left. It stays as it is. */
function isElsewhere({ context, directories, logs }: LoaderParts, home: LogDirectory, name: string): boolean {
  const paths = directories.filter((path) => path !== home.path).map((path) => `${path}/${name}`)
  const other = logs.get(name)?.path ?? paths.find((path) => holdsSegments(context.disk, path))
  if (other === undefined || holdsSegments(context.disk, `${home.path}/${name}`)) return false
  context.logger.warn('log left out, another directory has it', { directory: `${home.path}/${name}`, other })
  return true
}

function readCheckpoints(context: StorageContext, home: LogDirectory): (name: string) => LogCheckpoints {
  const recoveryPoints = readCheckpoint(context, home, RECOVERY_POINT_FILE)
  home.checkpoints.onRecoveryPointsRead(recoveryPoints)
  const logStarts = readCheckpoint(context, home, LOG_START_FILE)
  home.checkpoints.onLogStartsRead(logStarts.keys())
  const highWatermarks = readCheckpoint(context, home, HIGH_WATERMARK_FILE)
  const cleanedOffsets = readCheckpoint(context, home, CLEANER_OFFSET_FILE)
  home.checkpoints.onCleanedOffsetsRead(cleanedOffsets)
  return (name) => ({
    recoveryPoint: recoveryPoints.get(name) ?? 0,
    logStartOffset: logStarts.get(name) ?? 0,
    highWatermark: highWatermarks.get(name) ?? 0,
    cleanedOffset: cleanedOffsets.get(name) ?? 0,
  })
}

function readCheckpoint({ disk, logger }: StorageContext, home: LogDirectory, name: string): Map<string, Offset> {
  try {
    return readOffsetCheckpoint(disk, `${home.path}/${name}`)
  } catch (error) {
    if (!(error instanceof CorruptFileError)) throw error
    logger.warn('checkpoint unreadable, doing without', { error: error.message })
    return new Map()
  }
}

function isDirectory(disk: Disk, path: string): boolean {
  return disk.stat(path)?.isDirectory ?? false
}
