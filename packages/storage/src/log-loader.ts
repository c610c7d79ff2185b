import { type Offset, type Uuid, ZERO_UUID } from '@millrace/base'
import type { CleanStop } from './clean-stop.ts'
import { readDamagedRanges, rememberDamage } from './damaged-ranges.ts'
import type { DurableMarkEntry } from './durable-mark-record.ts'
import { epochsBetween, epochsMatchLog } from './epoch-check.ts'
import {
  DAMAGED_RANGES_FILE,
  INDEX_SUFFIXES,
  LEADER_EPOCH_FILE,
  LOG_SUFFIX,
  offsetFileName,
  offsetOfFileName,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts'
import { type FingerprintMatch, fingerprintOfClosed, matchFingerprint } from './fingerprint.ts'
import { finishInterruptedSwaps } from './interrupted-swaps.ts'
import { Log, type LogParts } from './log.ts'
import type { LogConfig } from './log-config.ts'
import type { FaultyRange } from './log-core.ts'
import type { LogDirectory } from './log-directory.ts'
import { LogEpochs } from './log-epochs.ts'
import { markIdOf } from './log-identities.ts'
import { LogProducers } from './log-producers.ts'
import { type DurableEnd, recoverSegments } from './log-recovery.ts'
import { LogSegments } from './log-segments.ts'
import { Segment } from './segment.ts'
import { setSegmentsAside } from './segment-removal.ts'
import type { StorageContext } from './storage-context.ts'
import { CorruptFileError } from './text-checkpoint.ts'

/** What the log directory's checkpoints say of one log; each may be missing or stale. */
export interface LogCheckpoints {
  recoveryPoint: Offset
  logStartOffset: Offset
  highWatermark: Offset
}

/**
 * Opens the log of a partition directory (replication-and-transactions.md, 2). After a clean stop nothing but the directory is read;
 * otherwise everything above the recovery point is. `topicId`: what `identifyLogs` found. Throws `DiskError`. Null for what is left of a
 * log whose making was interrupted.
 */
export function loadLog(
  context: StorageContext,
  home: LogDirectory,
  name: string,
  topic: string,
  partition: number,
  topicId: Uuid,
  checkpoints: LogCheckpoints,
  cleanStop: CleanStop,
  onDurable: (log: Log) => void,
): Log | null {
  const path = `${home.path}/${name}`
  const listed = context.disk.listDirectory(path)
  const names = finishInterruptedSwaps(context, path, listed)
  home.strays.addFrom(path, names)
  if (topicId === ZERO_UUID && !names.some((file) => file.endsWith(LOG_SUFFIX))) return null
  const config = context.configOf(topic)
  const mark = home.mark.get(markIdOf(topic, topicId), partition)
  const stoppedCleanly = wasStoppedCleanly(mark, cleanStop)
  const isKnown = isSyncedKnown(home, mark, topicId)
  const base = { topic, partition, topicId, path, config }
  const segments = withoutLostHead(context, openSegments(context, path, names, config), isKnown, mark, checkpoints)
  const epochs = new LogEpochs(context.disk, path, !names.includes(LEADER_EPOCH_FILE))
  const match = matchMark(context, path, segments, epochs, mark, stoppedCleanly)
  if (match !== null && match.surplusCount > 0) raiseLogStart(context, segments, match.surplusCount, checkpoints)
  const unsettled = unsettledOf(segments, mark, match)
  const damage = knownDamage(context, path, names)
  const knownPoint = damage === null ? 0 : recoveryPointOf(home, mark, checkpoints, stoppedCleanly)
  // The fingerprint of a clean stop counts the epochs: they are what they were, also where the log start has not been written yet.
  const isCounted = mark?.clean === true
  const epochsKnown =
    match !== null &&
    epochsReadable(context, epochs, segments) &&
    (stoppedCleanly ||
      isCounted ||
      (completeEpochs(epochs, segments, checkpoints.logStartOffset, knownPoint) &&
        epochsAgree(epochs, segments, checkpoints.logStartOffset, knownPoint)))
  if (!epochsKnown) epochs.reset()
  const atMark = mark !== null && endsAtMark(segments, mark)
  const recoveryPoint = epochsKnown ? knownPoint : 0
  const covered =
    epochsKnown &&
    damage !== null &&
    atMark &&
    unsettled === null &&
    (mark.clean || recoveryPoint === mark.durableOffset) &&
    checkpoints.logStartOffset <= mark.durableOffset
  const countsLast = mark?.clean === false && segments.length > 0 && match?.countedEnd === segments.length
  let opened: Opened
  if (segments.length === 0) opened = openEmpty(context, base, epochs, mark, checkpoints)
  else if (covered) opened = openCovered(context, base, segments, epochs, mark)
  else {
    // Transaction indexes are built anew from here on. A crash may leave what came of it, and the one that was found is known to be wrong.
    if (mark !== null && recoveryPoint < mark.recoveryPoint) {
      const fingerprint = fingerprintOfClosed(segments, recoveryPoint)
      home.mark.lowerRecoveryPointNow(markIdOf(topic, topicId), partition, recoveryPoint, fingerprint)
    }
    const synced = syncedOf(isKnown, mark, checkpoints)
    opened = openUncovered(context, base, segments, epochs, synced, unsettled, { ...checkpoints, recoveryPoint })
  }
  const logStartOffset = Math.max(opened.segments.first.baseOffset, checkpoints.logStartOffset)
  const { disk, logger } = context
  const found = opened.faultyRanges
  const faultyRanges = rememberDamage(disk, logger, path, damage, found, logStartOffset, opened.logEndOffset)
  const highWatermark = Math.min(Math.max(checkpoints.highWatermark, logStartOffset), opened.logEndOffset)
  // Its names may be in memory only: nothing of it was ever synced, or the last process was killed before it had any data.
  const namesUnsynced = mark === null || mark.isAssumed || segments.length === 0
  const parts = { ...base, ...opened, faultyRanges, logStartOffset, highWatermark, namesUnsynced, onDurable }
  const log = startLog(context, home, parts, opened.unsynced)
  // What cut it may have been a process that was killed: the cut is synced, at the latest, before the recovery point passes it.
  unsettled?.distrustEnd()
  noteOpened(home, log, countsLast)
  if (mark === null && !isKnown && segments.length > 0) {
    // Kept before anything replaces the checkpoint: a start after this one, which may be killed, must know as much.
    home.mark.assume(markIdOf(topic, topicId), partition, Math.min(checkpoints.recoveryPoint, log.logEndOffset))
  }
  // It starts anew above what the mark knows, which would otherwise go on to tell its end.
  const isNewStart = log.sizeBytes === 0 && log.segments.first.exists
  if (mark !== null && isNewStart && log.logEndOffset > mark.durableOffset) home.onEmptied(log, log.logEndOffset)
  home.scheduleSync(log)
  return log
}

/** A log with no more files open than it needs. `unsynced`: segments that were found with what nobody synced. */
function startLog(context: StorageContext, home: LogDirectory, parts: LogParts, unsynced: readonly Segment[]): Log {
  const log = new Log(context, home, parts)
  for (const segment of unsynced) {
    segment.needsDirectorySync = true
    log.writer.onWritten(segment)
  }
  for (const segment of parts.segments.all) if (!segment.hasUnsyncedBytes) segment.close()
  if (!log.isCheckpointed) context.openLogs.add(log)
  return log
}

/**
 * The mark learns up to where the log needs no recovery. `countsLast`: its fingerprint counts the last segment as closed, whose successor
 * never got a file; appends go into it again now, so that the mark must say otherwise before they come (`DurableMark.complete`).
 */
function noteOpened({ mark }: LogDirectory, log: Log, countsLast: boolean): void {
  const { topic, topicId, partition, recoveryPoint, segments } = log
  const markId = markIdOf(topic, topicId)
  const fingerprint = fingerprintOfClosed(segments.all, recoveryPoint)
  mark.onOpened(markId, partition, recoveryPoint, fingerprint)
  if (countsLast) mark.noteRecoveryPoint(markId, partition, recoveryPoint, fingerprint)
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
 * Segments whose predecessors never reached the disk are of no use: had the log begun there, its start would be at or below what was
 * synced, since retention takes only what was. They are set aside all the same: what is known may be less than what was.
 */
function withoutLostHead(
  context: StorageContext,
  segments: Segment[],
  isSyncedKnown: boolean,
  mark: DurableMarkEntry | null,
  checkpoints: LogCheckpoints,
): Segment[] {
  const first = segments[0]
  if (first === undefined || !isSyncedKnown) return segments
  const knownOffset = Math.max(mark?.durableOffset ?? 0, checkpoints.logStartOffset, checkpoints.recoveryPoint)
  if (first.baseOffset <= knownOffset) return segments
  setSegmentsAside(context, segments, `nothing is known of the log above ${knownOffset}`)
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

/**
 * A clean stop of this broker closed each log that it had: where the entry does not say so, it is an older one, whose newer record was
 * damaged, or the log was left out. What it says is held against the files, as after a crash. Of another broker's stop no entry says so.
 */
function wasStoppedCleanly(mark: DurableMarkEntry | null, cleanStop: CleanStop): boolean {
  return cleanStop === 'anyone' || (cleanStop === 'ours' && (mark === null || mark.clean))
}

/**
 * How the files agree with what the mark says of them. Null if they do not: lost, cut or exchanged; what is left is then walked from its
 * start.
 */
function matchMark(
  context: StorageContext,
  path: string,
  segments: readonly Segment[],
  epochs: LogEpochs,
  mark: DurableMarkEntry | null,
  stoppedCleanly: boolean,
): FingerprintMatch | null {
  // Of a clean stop that somebody else made: what was written behind the recovery point is not what the mark was told of.
  if (mark === null || (stoppedCleanly && !mark.clean)) return NOTHING_COUNTED
  const { fingerprint, clean, recoveryPoint } = mark
  const checksum = epochs.fileChecksum
  const match = matchFingerprint(context.disk, path, segments, fingerprint, clean, recoveryPoint, checksum)
  if (match === null) context.logger.warn('files are not as they were, walking the log', { path })
  return match
}

const NOTHING_COUNTED: FingerprintMatch = { surplusCount: 0, countedEnd: -1 }

/** The segment that ends just at the recovery point and that the mark does not count: see `RecoveryInput.unsettled`. */
function unsettledOf(
  segments: readonly Segment[],
  mark: DurableMarkEntry | null,
  match: FingerprintMatch | null,
): Segment | null {
  if (mark === null || match === null) return null
  const { countedEnd } = match
  return segments[countedEnd + 1]?.baseOffset === mark.recoveryPoint ? (segments[countedEnd] ?? null) : null
}

/** Retention gave up the first `count` segments, and a crash brought their names back: it takes them again when it runs next. */
function raiseLogStart(
  context: StorageContext,
  segments: readonly Segment[],
  count: number,
  checkpoints: LogCheckpoints,
): void {
  const { baseOffset, directory } = segments[count]!
  context.logger.info('segments that were given up are back', { path: directory, count, logStartOffset: baseOffset })
  checkpoints.logStartOffset = Math.max(checkpoints.logStartOffset, baseOffset)
}

/**
 * Up to where nothing needs to be looked at. The mark says it where there is one, a moment late at most: only what it says comes with a
 * fingerprint. The checkpoint is believed for want of a mark after a clean stop only, which leaves nothing behind the data of a file:
 * Kafka's directories have no mark either. Not where a mark is damaged: who knows what else is.
 */
function recoveryPointOf(
  home: LogDirectory,
  mark: DurableMarkEntry | null,
  checkpoints: LogCheckpoints,
  stoppedCleanly: boolean,
): Offset {
  if (mark !== null) return mark.recoveryPoint
  return stoppedCleanly && !home.mark.isComplete && home.mark.damage === null ? checkpoints.recoveryPoint : 0
}

/**
 * Whether what was synced since the log was made is known, and no more than that: neither is its mark lost, nor is it Kafka's, nor has its
 * directory lost the topic's id, without which its entry cannot be found.
 */
function isSyncedKnown(home: LogDirectory, mark: DurableMarkEntry | null, topicId: Uuid): boolean {
  return mark === null ? home.mark.isComplete && topicId !== ZERO_UUID : !mark.isAssumed
}

/** Up to where the log was synced. Not known of a lost mark, but the checkpoint says at least something. */
function syncedOf(isKnown: boolean, mark: DurableMarkEntry | null, checkpoints: LogCheckpoints): Synced {
  if (mark === null) return { offset: isKnown ? 0 : checkpoints.recoveryPoint, isKnown, end: null }
  const { durableOffset: offset, segmentBaseOffset, positionBytes } = mark
  return { offset, isKnown, end: isKnown ? { segmentBaseOffset, positionBytes } : null }
}

interface Synced {
  offset: Offset
  /** It may not have been more. */
  isKnown: boolean
  /** Where that is in the files; null if not known. */
  end: DurableEnd | null
}

/** What earlier starts found to be lost, null if that cannot be read: the whole log is then walked, which finds it again. */
function knownDamage(context: StorageContext, path: string, names: readonly string[]): FaultyRange[] | null {
  if (!names.includes(DAMAGED_RANGES_FILE)) return []
  try {
    return readDamagedRanges(context.disk, path)
  } catch (error) {
    if (!(error instanceof CorruptFileError)) throw error
    context.logger.warn('damaged ranges unreadable, walking the log', { error: error.message })
    return null
  }
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
  // A truncation that a crash cut short may have left its epochs in their file.
  if (!mark.clean) epochs.cache.truncateFromEnd(mark.durableOffset)
  return {
    segments,
    epochs,
    producers: new LogProducers(context, base.path, segments, mark.noProducers),
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
  epochs.cache.truncateFromEnd(logEndOffset)
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
  synced: Synced,
  unsettled: Segment | null,
  checkpoints: LogCheckpoints,
): Opened {
  const durableOffset = synced.isKnown ? synced.offset : 0
  const logStartOffset = Math.max(list[0]!.baseOffset, checkpoints.logStartOffset)
  setEnds(list, list.at(-1)!.baseOffset)
  const segments = new LogSegments(list)
  const producers = new LogProducers(context, base.path, segments, false)
  const state = producers.loadForRecovery(logStartOffset, checkpoints.recoveryPoint)
  const recoveryPoint = Math.min(checkpoints.recoveryPoint, state.mapEndOffset)
  // What starts above is read from the batches: an entry of the file would only stand in its way.
  epochs.cache.truncateFromEnd(recoveryPoint)
  const output = recoverSegments({
    segments: segments.all,
    config: base.config,
    recoveryPoint,
    transactionsPoint: checkpoints.recoveryPoint,
    durableOffset: synced.offset,
    isDurableKnown: synced.isKnown,
    durableEnd: synced.end,
    unsettled,
    epochs: epochs.cache,
    producers: state,
    logger: context.logger,
  })
  if (output.lost.length > 0) {
    segments.removeFrom(segments.count - output.lost.length)
    setSegmentsAside(context, output.lost, 'it goes on behind what never reached the disk')
  }
  if (output.needsNewSegment && segments.active.baseOffset < output.logEndOffset) {
    segments.add(newSegment(context, base, output.logEndOffset))
  }
  if (output.logEndOffset < logStartOffset)
    return startAgain(context, base, segments, epochs, producers, logStartOffset)
  const { logEndOffset } = output
  epochs.cache.truncateFromEnd(logEndOffset)
  epochs.cache.truncateFromStart(logStartOffset)
  // Also those of offsets that are still there: nobody knows whether they were written whole, or before a truncation.
  producers.removeSnapshots((offset) => offset > recoveryPoint)
  return {
    segments,
    epochs,
    producers,
    logEndOffset,
    durableOffset: Math.min(durableOffset, logEndOffset),
    recoveryPoint: Math.min(recoveryPoint, logEndOffset),
    faultyRanges: output.faultyRanges,
    unsynced: segments.all.filter(({ exists, nextOffset }) => exists && nextOffset > durableOffset),
  }
}

/**
 * Everything ends below the log start: files were cut or deleted from outside, or the start is an old one that a crash kept from being
 * lowered with the end.
 */
function startAgain(
  context: StorageContext,
  base: Base,
  segments: LogSegments,
  epochs: LogEpochs,
  producers: LogProducers,
  logStartOffset: Offset,
): Opened {
  setSegmentsAside(context, segments.removeFrom(0), `the log starts at ${logStartOffset}`)
  segments.add(newSegment(context, base, logStartOffset))
  // With a file from the start: it tells where the log begins, also where nothing is appended before the next crash.
  segments.active.file()
  context.disk.syncDirectory(base.path)
  epochs.cache.clear()
  producers.removeSnapshots(() => true)
  producers.clear(logStartOffset)
  return {
    segments,
    epochs,
    producers,
    logEndOffset: logStartOffset,
    durableOffset: logStartOffset,
    recoveryPoint: logStartOffset,
    faultyRanges: [],
    unsynced: [],
  }
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

/**
 * Records were deleted, and a checkpoint of the log took the epochs of what was left, before that of the directory's log starts: they are
 * back, and their epochs are read from the log. That is no reason to walk it. False if it does not bear the others out.
 */
function completeEpochs(
  { cache }: LogEpochs,
  segments: readonly Segment[],
  logStartOffset: Offset,
  recoveryPoint: Offset,
): boolean {
  const first = segments.find(({ sizeBytes }) => sizeBytes > 0)
  const startOffset = Math.max(first?.baseOffset ?? 0, logStartOffset)
  // What lies above the recovery point is walked.
  const endOffset = Math.min(cache.entries()[0]?.startOffset ?? 0, recoveryPoint)
  if (first === undefined || endOffset <= startOffset) return true
  const earlier = epochsBetween(segments, startOffset, endOffset)
  return earlier !== null && cache.prepend(earlier)
}

/**
 * Whether the cache knows the epoch of the last batch below the recovery point that the offset index leads to: an older copy of the
 * file does not. Above, the file need not know it yet, and the index may.
 */
function epochsAgree(
  epochs: LogEpochs,
  segments: readonly Segment[],
  logStartOffset: Offset,
  recoveryPoint: Offset,
): boolean {
  const last = segments.findLast(({ sizeBytes, baseOffset }) => sizeBytes > 0 && baseOffset < recoveryPoint)
  const found = last?.batchIndexedBelow(recoveryPoint) ?? null
  if (found !== null && found.epoch >= 0 && epochs.cache.epochAt(found.baseOffset) !== found.epoch) return false
  return epochsMatchLog(epochs.cache.entries(), segments, logStartOffset, recoveryPoint)
}

function openSegments(context: StorageContext, path: string, names: readonly string[], config: LogConfig): Segment[] {
  const segments: Segment[] = []
  const bases = new Set<Offset>()
  const present = new Set(names)
  for (const name of names) {
    const baseOffset = offsetOfFileName(name, LOG_SUFFIX)
    if (baseOffset < 0) continue
    const { sizeBytes } = context.disk.stat(`${path}/${name}`) ?? { sizeBytes: 0 }
    const hasTransactionIndex = present.has(offsetFileName(baseOffset, TRANSACTION_INDEX_SUFFIX))
    bases.add(baseOffset)
    segments.push(new Segment(context, path, baseOffset, config, { sizeBytes, hasTransactionIndex }))
  }
  for (const name of names) {
    const suffix = INDEX_SUFFIXES.find((candidate) => name.endsWith(candidate))
    if (suffix === undefined) continue
    const baseOffset = offsetOfFileName(name, suffix)
    if (baseOffset >= 0 && !bases.has(baseOffset)) context.disk.removeFile(`${path}/${name}`)
  }
  return segments
}
