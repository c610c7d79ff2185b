import { type Disk, type Offset, type Uuid, ZERO_UUID } from '@millrace/base'
import { BatchScanner } from './batch-scanner.ts'
import type { DurableMarkEntry } from './durable-mark.ts'
import {
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetOfFileName,
  SWAP_SUFFIX,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts'
import { fingerprintOfAll, fingerprintOfClosed } from './fingerprint.ts'
import { Log } from './log.ts'
import type { LogConfig } from './log-config.ts'
import type { FaultyRange } from './log-core.ts'
import type { LogDirectory } from './log-directory.ts'
import { LogEpochs } from './log-epochs.ts'
import { LogProducers } from './log-producers.ts'
import { recoverSegments } from './log-recovery.ts'
import { LogSegments } from './log-segments.ts'
import { readPartitionMetadata } from './partition-metadata.ts'
import { Segment } from './segment.ts'
import { removeSegments } from './segment-removal.ts'
import type { StorageContext } from './storage-context.ts'
import { CorruptFileError } from './text-checkpoint.ts'

/** What the log directory's checkpoints say of one log; each may be missing or stale. */
export interface LogCheckpoints {
  recoveryPoint: Offset
  logStartOffset: Offset
  highWatermark: Offset
}

const INDEX_SUFFIXES = [OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX]
const TEMPORARY_SUFFIX = '.tmp'

/**
 * Opens the log of a partition directory (replication-and-transactions.md, 2). After a clean stop nothing but the directory is read;
 * otherwise everything above the recovery point is. Throws `DiskError`, or `CorruptFileError` if the directory does not tell whose it
 * is; then nothing has been deleted. Null for what is left of a log whose making was interrupted.
 */
export function loadLog(
  context: StorageContext,
  home: LogDirectory,
  name: string,
  topic: string,
  partition: number,
  checkpoints: LogCheckpoints,
  stoppedCleanly: boolean,
  onDurable: (log: Log) => void,
): Log | null {
  const path = `${home.path}/${name}`
  const topicId = readPartitionMetadata(context.disk, path)
  const names = finishInterruptedSwaps(context.disk, path, context.disk.listDirectory(path))
  if (topicId === ZERO_UUID && !names.some((file) => file.endsWith(LOG_SUFFIX))) return null
  const config = context.configOf(topic)
  const mark = home.mark.get(topicId, partition)
  const base = { topic, partition, topicId, path, config }
  const segments = withoutLostHead(context, openSegments(context, path, names, config), home, mark, checkpoints)
  const epochs = new LogEpochs(context.disk, path)
  const isAsKnown = !wasChanged(context, path, segments, mark, stoppedCleanly)
  const epochsKnown =
    isAsKnown && epochsReadable(context, epochs, segments) && (stoppedCleanly || epochsAgree(epochs, segments))
  if (!epochsKnown) epochs.reset()
  const atMark = mark !== null && endsAtMark(segments, mark)
  const recoveryPoint = epochsKnown ? recoveryPointOf(home, mark, checkpoints) : 0
  const covered = epochsKnown && atMark && (mark.clean || recoveryPoint === mark.durableOffset)
  let opened: Opened
  if (segments.length === 0) opened = openEmpty(context, base, epochs, mark, checkpoints)
  else if (covered) opened = openCovered(context, base, segments, epochs, mark)
  else opened = openUncovered(context, base, segments, epochs, mark, { ...checkpoints, recoveryPoint })
  const logStartOffset = Math.max(opened.segments.first.baseOffset, checkpoints.logStartOffset)
  const highWatermark = Math.min(Math.max(checkpoints.highWatermark, logStartOffset), opened.logEndOffset)
  // Its names may be in memory only: nothing of it was ever synced, or the last process was killed before it had any data.
  const namesUnsynced = mark === null || segments.length === 0
  const log = new Log(context, home, { ...base, ...opened, logStartOffset, highWatermark, namesUnsynced, onDurable })
  for (const segment of opened.unsynced) {
    segment.needsDirectorySync = true
    log.writer.onWritten(segment)
  }
  for (const segment of opened.segments.all) if (!segment.hasUnsyncedBytes) segment.close()
  if (!log.isCheckpointed) context.openLogs.add(log)
  if (mark !== null) home.mark.onOpened(topicId, partition, fingerprintOfClosed(log.segments.all, mark.recoveryPoint))
  home.scheduleSync(log)
  return log
}

interface Base {
  topic: string
  partition: number
  topicId: Uuid
  path: string
  config: LogConfig
}

interface Opened {
  segments: LogSegments
  epochs: LogEpochs
  producers: LogProducers
  logEndOffset: Offset
  durableOffset: Offset
  recoveryPoint: Offset
  faultyRanges: FaultyRange[]
  unsynced: Segment[]
}

/**
 * Segments whose predecessors never reached the disk are dropped: had the log begun there, its start would be at or below what was
 * synced, since retention takes only what was.
 */
function withoutLostHead(
  context: StorageContext,
  segments: Segment[],
  home: LogDirectory,
  mark: DurableMarkEntry | null,
  checkpoints: LogCheckpoints,
): Segment[] {
  const first = segments[0]
  if (first === undefined || (mark === null && !home.mark.isComplete)) return segments
  const knownOffset = Math.max(mark?.durableOffset ?? 0, checkpoints.logStartOffset, checkpoints.recoveryPoint)
  if (first.baseOffset <= knownOffset) return segments
  context.logger.warn('segments without their predecessors dropped', { path: first.directory, knownOffset })
  removeSegments(context, segments, 0)
  return []
}

/** The last file is exactly as long as when it was synced last. */
function endsAtMark(segments: readonly Segment[], mark: DurableMarkEntry): boolean {
  const last = segments.at(-1)
  if (last === undefined || last.baseOffset !== mark.segmentBaseOffset || last.sizeBytes !== mark.positionBytes) {
    return false
  }
  return mark.durableOffset >= last.baseOffset
}

/** Whether files are not what the mark says of them: lost, cut or exchanged. What is left is then walked from its start. */
function wasChanged(
  context: StorageContext,
  path: string,
  segments: readonly Segment[],
  mark: DurableMarkEntry | null,
  stoppedCleanly: boolean,
): boolean {
  if (mark === null || (stoppedCleanly && !mark.clean)) return false
  const found = stoppedCleanly
    ? fingerprintOfAll(context.disk, path, segments)
    : fingerprintOfClosed(segments, mark.recoveryPoint)
  if (found === mark.fingerprint || (mark.clean && !stoppedCleanly)) return false
  context.logger.warn('files are not as they were, walking the log', { path })
  return true
}

/**
 * Up to where nothing needs to be looked at: the mark knows it of a moment ago, the checkpoint of a minute ago. The checkpoint may be
 * newer all the same, since the mark is written at leisure: between the two, nobody can tell what was synced.
 */
function recoveryPointOf(home: LogDirectory, mark: DurableMarkEntry | null, checkpoints: LogCheckpoints): Offset {
  if (mark === null) return home.mark.isComplete ? 0 : checkpoints.recoveryPoint
  return Math.max(mark.recoveryPoint, Math.min(checkpoints.recoveryPoint, mark.durableOffset))
}

/** What is not walked ends where the next segment begins. */
function setEnds(list: readonly Segment[], endOffset: Offset): void {
  for (let slot = 0; slot < list.length; slot++) {
    const segment = list[slot]!
    segment.nextOffset = list[slot + 1]?.baseOffset ?? endOffset
    segment.writtenNextOffset = segment.nextOffset
  }
}

/** Everything is synced with its indexes: nothing needs to be read. */
function openCovered(
  context: StorageContext,
  base: Base,
  list: Segment[],
  epochs: LogEpochs,
  mark: DurableMarkEntry,
): Opened {
  setEnds(list, mark.durableOffset)
  const segments = new LogSegments(list)
  return {
    segments,
    epochs,
    producers: new LogProducers(context, base.path, segments, mark.clean && mark.noProducers),
    logEndOffset: mark.durableOffset,
    durableOffset: mark.durableOffset,
    recoveryPoint: mark.durableOffset,
    faultyRanges: [],
    unsynced: [],
  }
}

/** No file yet, or none any more: a log that never had data starts at its start, a lost one behind what it lost. */
function openEmpty(
  context: StorageContext,
  base: Base,
  epochs: LogEpochs,
  mark: DurableMarkEntry | null,
  checkpoints: LogCheckpoints,
): Opened {
  const durableOffset = mark?.durableOffset ?? 0
  const logEndOffset = Math.max(checkpoints.logStartOffset, durableOffset)
  const faultyRanges =
    durableOffset > checkpoints.logStartOffset
      ? [{ startOffset: checkpoints.logStartOffset, endOffset: durableOffset }]
      : []
  if (faultyRanges.length > 0) context.logger.error('segments are missing', { path: base.path, ...faultyRanges[0] })
  const segments = new LogSegments([newSegment(context, base, logEndOffset)])
  return {
    segments,
    epochs,
    producers: new LogProducers(context, base.path, segments, true),
    logEndOffset,
    durableOffset: logEndOffset,
    recoveryPoint: logEndOffset,
    faultyRanges,
    unsynced: [],
  }
}

/** Walks what lies above the recovery point. */
function openUncovered(
  context: StorageContext,
  base: Base,
  list: Segment[],
  epochs: LogEpochs,
  mark: DurableMarkEntry | null,
  checkpoints: LogCheckpoints,
): Opened {
  const durableOffset = mark?.durableOffset ?? 0
  const logStartOffset = Math.max(list[0]!.baseOffset, checkpoints.logStartOffset)
  setEnds(list, list.at(-1)!.baseOffset)
  const segments = new LogSegments(list)
  const producers = new LogProducers(context, base.path, segments, false)
  const state = producers.loadForRecovery(logStartOffset, checkpoints.recoveryPoint)
  const recoveryPoint = Math.min(checkpoints.recoveryPoint, state.mapEndOffset)
  const output = recoverSegments({
    segments: segments.all,
    config: base.config,
    recoveryPoint,
    durableOffset,
    epochs: epochs.cache,
    producers: state,
    logger: context.logger,
  })
  if (output.lost.length > 0) {
    segments.removeFrom(segments.count - output.lost.length)
    removeSegments(context, output.lost, 0)
  }
  if (output.needsNewSegment && segments.active.baseOffset < output.logEndOffset) {
    segments.add(newSegment(context, base, output.logEndOffset))
  }
  if (output.logEndOffset < logStartOffset) startAgain(context, base, segments, epochs, logStartOffset)
  const logEndOffset = Math.max(output.logEndOffset, logStartOffset)
  epochs.cache.truncateFromEnd(logEndOffset)
  epochs.cache.truncateFromStart(logStartOffset)
  producers.removeSnapshots((offset) => offset > logEndOffset)
  return {
    segments,
    epochs,
    producers,
    logEndOffset,
    durableOffset: Math.min(durableOffset, logEndOffset),
    recoveryPoint: Math.min(checkpoints.recoveryPoint, logEndOffset),
    faultyRanges: output.faultyRanges,
    unsynced: segments.all.filter(({ exists, nextOffset }) => exists && nextOffset > durableOffset),
  }
}

/** Everything ends below the log start: files were deleted from outside. */
function startAgain(
  context: StorageContext,
  base: Base,
  segments: LogSegments,
  epochs: LogEpochs,
  logStartOffset: Offset,
): void {
  context.logger.warn('log ends below its start, starting again', { path: base.path, logStartOffset })
  removeSegments(context, segments.removeFrom(0), base.config.fileDeleteDelayMs)
  segments.add(newSegment(context, base, logStartOffset))
  epochs.cache.clear()
}

function newSegment(context: StorageContext, base: Base, baseOffset: Offset): Segment {
  return new Segment(context, base.path, baseOffset, base.config, null)
}

/** Whether the file can be read and holds what a log with data must have. */
function epochsReadable(context: StorageContext, epochs: LogEpochs, segments: readonly Segment[]): boolean {
  try {
    return !epochs.cache.isEmpty || segments.every(({ sizeBytes }) => sizeBytes === 0)
  } catch (error) {
    if (!(error instanceof CorruptFileError)) throw error
    context.logger.warn('leader epochs unreadable, rebuilding them', { error: error.message })
    return false
  }
}

/** Whether the cache knows the epoch of the last batch that the offset index leads to: an older copy of the file does not. */
function epochsAgree(epochs: LogEpochs, segments: readonly Segment[]): boolean {
  const last = segments.findLast(({ sizeBytes }) => sizeBytes > 0)
  const found = last?.firstBatchAtLastEntry() ?? null
  return found === null || found.epoch < 0 || epochs.cache.epochAt(found.baseOffset) === found.epoch
}

function openSegments(context: StorageContext, path: string, names: readonly string[], config: LogConfig): Segment[] {
  const segments: Segment[] = []
  const bases = new Set<Offset>()
  for (const name of names) {
    const baseOffset = offsetOfFileName(name, LOG_SUFFIX)
    if (baseOffset < 0) continue
    const { sizeBytes } = context.disk.stat(`${path}/${name}`) ?? { sizeBytes: 0 }
    bases.add(baseOffset)
    segments.push(new Segment(context, path, baseOffset, config, { sizeBytes }))
  }
  for (const name of names) {
    const suffix = INDEX_SUFFIXES.find((candidate) => name.endsWith(candidate))
    if (suffix === undefined) continue
    const baseOffset = offsetOfFileName(name, suffix)
    if (baseOffset >= 0 && !bases.has(baseOffset)) context.disk.removeFile(`${path}/${name}`)
  }
  return segments
}

/**
 * Removes what was being deleted or written, and ends a compaction that was interrupted while it exchanged segments: `.cleaned` files
 * are incomplete, `.swap` files replace the segments they cover (2.2 and 2.3 there). Returns the names that are left.
 */
function finishInterruptedSwaps(disk: Disk, path: string, names: readonly string[]): string[] {
  const remove = (name: string): void => disk.removeFile(`${path}/${name}`)
  const cleanedBases = names.filter((name) => name.endsWith(CLEANED_SUFFIX)).map((name) => Number.parseInt(name, 10))
  const minCleaned = Math.min(Number.POSITIVE_INFINITY, ...cleanedBases)
  let changed = false
  for (const name of names) {
    const stale =
      name.endsWith(DELETED_SUFFIX) ||
      name.endsWith(CLEANED_SUFFIX) ||
      name.endsWith(TEMPORARY_SUFFIX) ||
      (name.endsWith(SWAP_SUFFIX) && Number.parseInt(name, 10) >= minCleaned)
    if (stale) remove(name)
    changed ||= stale
  }
  const kept = changed ? disk.listDirectory(path) : [...names]
  return kept.some((name) => name.endsWith(SWAP_SUFFIX)) ? swapIn(disk, path, kept) : kept
}

function swapIn(disk: Disk, path: string, names: readonly string[]): string[] {
  const swaps = names.filter((name) => name.endsWith(SWAP_SUFFIX))
  let minOffset = Number.POSITIVE_INFINITY
  let maxOffset = -1
  for (const name of swaps) {
    const baseOffset = offsetOfFileName(name, `${LOG_SUFFIX}${SWAP_SUFFIX}`)
    if (baseOffset < 0) continue
    minOffset = Math.min(minOffset, baseOffset)
    maxOffset = Math.max(maxOffset, endOfLogFile(disk, `${path}/${name}`, baseOffset))
  }
  for (const name of names) {
    for (const suffix of [LOG_SUFFIX, ...INDEX_SUFFIXES]) {
      const offset = offsetOfFileName(name, suffix)
      if (offset >= minOffset && offset < maxOffset) disk.removeFile(`${path}/${name}`)
    }
  }
  for (const name of swaps) disk.rename(`${path}/${name}`, `${path}/${name.slice(0, -SWAP_SUFFIX.length)}`)
  disk.syncDirectory(path)
  return disk.listDirectory(path)
}

function endOfLogFile(disk: Disk, path: string, baseOffset: Offset): Offset {
  const file = disk.openFile(path, { create: false })
  try {
    const scanner = new BatchScanner(file, 0, file.sizeBytes(), baseOffset)
    while (scanner.next() === 'batch');
    return scanner.expectedOffset
  } finally {
    file.close()
  }
}
