import { type Offset, type Uuid, ZERO_UUID } from '@millrace/base'
import type { CleanStop } from './clean-stop.ts'
import { readDamagedRanges, rememberDamage } from './damaged-ranges.ts'
import type { DurableMarkEntry } from './durable-mark-record.ts'
import {
  DAMAGED_RANGES_FILE,
  DELETED_SUFFIX,
  INDEX_SUFFIXES,
  LEADER_EPOCH_FILE,
  LOG_SUFFIX,
  offsetFileName,
  offsetOfFileName,
  PARTITION_METADATA_FILE,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts'
import { exchangedFingerprints, type FingerprintMatch, fingerprintOfClosed, matchFingerprint } from './fingerprint.ts'
import { readGapsBelow, writeGapsBelow } from './gap-note.ts'
import { finishInterruptedSwaps } from './interrupted-swaps.ts'
import { areEpochsKnown } from './known-epochs.ts'
import { Log } from './log.ts'
import type { LogConfig } from './log-config.ts'
import type { FaultyRange } from './log-core.ts'
import type { LogDirectory } from './log-directory.ts'
import { LogEpochs } from './log-epochs.ts'
import { markIdOf } from './log-identities.ts'
import { type LogBase, type OpenedLog, openCovered, openEmpty, openUncovered, type SyncedEnd } from './log-openers.ts'
import { Segment } from './segment.ts'
import { setSegmentsAside } from './segment-removal.ts'
import type { StorageContext } from './storage-context.ts'
import { CorruptFileError } from './text-checkpoint.ts'

/** What the log directory's checkpoints say of one log; each may be missing or stale. */
export interface LogCheckpoints {
  recoveryPoint: Offset
  logStartOffset: Offset
  highWatermark: Offset
  cleanedOffset: Offset
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
  const { names, retired } = finishInterruptedSwaps(context, path, listed)
  home.strays.addFrom(path, names)
  if (topicId === ZERO_UUID && !names.some((file) => file.endsWith(LOG_SUFFIX))) return null
  const config = context.configOf(topic)
  const mark = home.mark.get(markIdOf(topic, topicId), partition)
  const made = openSegments(context, path, names, config)
  const base: LogBase = { topic, partition, topicId, path, config, made }
  const stoppedCleanly = wasStoppedCleanly(mark, cleanStop)
  // A truncation may have been cut short: what it took away must not come back over what is going to be appended in its place.
  if (!stoppedCleanly && names.some((file) => file.endsWith(DELETED_SUFFIX))) context.disk.syncDirectory(path)
  const known: Known = { names, retired, mark, isKnown: isSyncedKnown(home, mark), stoppedCleanly, checkpoints }
  try {
    return openLog(context, home, base, known, onDurable)
  } catch (error) {
    // Nobody else knows of them yet, and whoever tries again needs the descriptors.
    for (const segment of made) segment.abandon()
    throw error
  }
}

/** What is known of a log before its files are read. */
interface Known {
  /** Of its files. */
  names: readonly string[]
  /** See `SettledDirectory.retired`. */
  retired: ReadonlyMap<Offset, number>
  mark: DurableMarkEntry | null
  /** See {@link isSyncedKnown}. */
  isKnown: boolean
  stoppedCleanly: boolean
  checkpoints: LogCheckpoints
}

function openLog(
  context: StorageContext,
  home: LogDirectory,
  base: LogBase,
  known: Known,
  onDurable: (log: Log) => void,
): Log {
  const { path, topic, topicId, partition } = base
  const { names, retired, mark, isKnown, stoppedCleanly, checkpoints } = known
  const isForeign = !isKnown && home.mark.wasAbsent
  const segments = withoutLostHead(context, [...base.made], isKnown, mark, checkpoints)
  const epochs = new LogEpochs(context.disk, path, !names.includes(LEADER_EPOCH_FILE))
  const match = matchMark(context, path, segments, epochs, mark, stoppedCleanly, retired)
  if (match !== null && match.surplusCount > 0) raiseLogStart(context, segments, match.surplusCount, checkpoints)
  const unsettled = unsettledOf(segments, mark, match)
  const damage = knownDamage(context, path, names)
  const knownGaps = readGapsBelow(context.disk, context.logger, path, names)
  const knownPoint = damage === null ? 0 : recoveryPointOf(home, mark, checkpoints, stoppedCleanly)
  const epochsKnown = match !== null && areEpochsKnown(context, epochs, segments, known, knownPoint)
  if (!epochsKnown) epochs.reset()
  const recoveryPoint = epochsKnown ? knownPoint : 0
  const covered =
    epochsKnown &&
    damage !== null &&
    mark !== null &&
    endsAtMark(segments, mark) &&
    unsettled === null &&
    (mark.clean || recoveryPoint === mark.durableOffset) &&
    checkpoints.logStartOffset <= mark.durableOffset
  const countsLast = mark?.clean === false && segments.length > 0 && match?.countedEnd === segments.length
  let opened: OpenedLog
  if (segments.length === 0) opened = openEmpty(context, base, epochs, mark, checkpoints)
  else if (covered) opened = openCovered(context, base, segments, epochs, mark)
  else {
    const lowerTo = (point: Offset): void => {
      if (mark === null || point >= mark.recoveryPoint) return
      const fingerprint = fingerprintOfClosed(segments, point)
      home.mark.lowerRecoveryPointNow(markIdOf(topic, topicId), partition, point, fingerprint)
    }
    // Transaction indexes are built anew from here on. A crash may leave what came of it, and the one that was found is known to be wrong.
    lowerTo(recoveryPoint)
    const synced = syncedOf(isKnown, isForeign, mark, checkpoints, knownGaps)
    const points = { ...checkpoints, recoveryPoint }
    opened = openUncovered(context, base, segments, epochs, synced, unsettled, points, () => lowerTo(0))
  }
  const logStartOffset = Math.max(opened.segments.first.baseOffset, checkpoints.logStartOffset)
  const { disk, logger } = context
  const found = opened.faultyRanges
  const gapsBelow = rememberGaps(context, path, isForeign, knownGaps, opened)
  const faultyRanges = rememberDamage(disk, logger, path, damage, found, logStartOffset, opened.logEndOffset)
  const highWatermark = Math.min(Math.max(checkpoints.highWatermark, logStartOffset), opened.logEndOffset)
  // Its names may be in memory only: nothing of it was ever synced, or the last process was killed before it had any data.
  const namesUnsynced = mark === null || mark.isAssumed || mark.durableOffset === 0 || segments.length === 0
  const isAsClosed = mark?.clean === true && match !== null && (covered || segments.length === 0)
  const filesUnsettled = !isAsClosed && hasFiles(names, mark)
  // What lies outside was said of another log, or of what a crash took: then nothing is known to be compacted.
  const isCleaned = checkpoints.cleanedOffset > logStartOffset && checkpoints.cleanedOffset <= opened.logEndOffset
  const ends = { logStartOffset, highWatermark, cleanedOffset: isCleaned ? checkpoints.cleanedOffset : 0 }
  const parts = { ...base, ...opened, ...ends, faultyRanges, gapsBelow, namesUnsynced, filesUnsettled, onDurable }
  const log = new Log(context, home, parts)
  const isSynced = closeUnneeded(context, log, opened)
  if (!stoppedCleanly) distrustEnds(segments, match)
  // What compaction took out of use is gone with this start: the mark must not go on counting it.
  const isNews = countsLast || retired.size > 0
  noteStart(home, log, known, isNews, segments.length === 0)
  if (isSynced) home.onSynced(log, log.logEndOffset, log.segments.active.baseOffset, log.segments.active.writtenBytes)
  else home.scheduleSync(log)
  return log
}

/** What is said of the log before it may change. `wasEmpty`: there was no segment. */
function noteStart(home: LogDirectory, log: Log, known: Known, isNews: boolean, wasEmpty: boolean): void {
  const { mark, isKnown, checkpoints } = known
  noteOpened(home, log, isNews)
  if (mark === null && !isKnown && !wasEmpty) {
    // Kept before anything replaces the checkpoint: a start after this one, which may be killed, must know as much.
    const assumedOffset = Math.min(checkpoints.recoveryPoint, log.logEndOffset)
    home.mark.assume(markIdOf(log.topic, log.topicId), log.partition, assumedOffset)
  }
  // It starts anew above what the mark knows, which would otherwise go on to tell its end.
  const isNewStart = log.sizeBytes === 0 && log.segments.first.exists
  if (mark !== null && isNewStart && log.logEndOffset > mark.durableOffset) home.onEmptied(log, log.logEndOffset)
  // It was closed, and its successor never got a file: appends go into it again, behind what was synced of it, not below that.
  const { active } = log.segments
  if (mark !== null && mark.segmentBaseOffset > active.baseOffset && mark.durableOffset === log.logEndOffset) {
    home.mark.note(
      markIdOf(log.topic, log.topicId),
      log.partition,
      log.logEndOffset,
      active.baseOffset,
      active.writtenBytes,
    )
  }
}

/** Whether the log has, or had, more than its name: of thousands that do not, nothing needs to be settled. */
function hasFiles(names: readonly string[], mark: DurableMarkEntry | null): boolean {
  return (mark?.durableOffset ?? 0) > 0 || names.some((name) => name !== PARTITION_METADATA_FILE)
}

/**
 * Leaves no more files open than the log needs: what nobody is known to have synced is synced in the background. True if that was done
 * here, since few more can be open: it was all of it, its names included.
 */
function closeUnneeded(context: StorageContext, log: Log, { unsynced, synced }: OpenedLog): boolean {
  const left = unsynced.filter((segment) => !synced.has(segment))
  const isCrowded = context.openSegments.isCrowdedBy(left.length)
  for (const segment of left) {
    if (isCrowded) {
      segment.file().syncDataNow()
      segment.close()
    } else {
      log.writer.onWritten(segment)
    }
  }
  const isSynced = unsynced.length > 0 && (isCrowded || left.length === 0)
  if (isSynced) log.writer.syncNamesNow()
  for (const segment of log.segments.all) if (!segment.hasUnsyncedBytes) segment.close()
  if (isSynced || !log.isCheckpointed) context.openLogs.add(log)
  return isSynced
}

/**
 * The mark learns up to where the log needs no recovery. `isNews`: it says otherwise, and must be right before anything else changes
 * (`DurableMark.complete`). Its fingerprint counts the last segment as closed, for one, whose successor never got a file: appends go into
 * that again now.
 */
function noteOpened({ mark }: LogDirectory, log: Log, isNews: boolean): void {
  const { topic, topicId, partition, recoveryPoint, segments } = log
  const markId = markIdOf(topic, topicId)
  const fingerprint = fingerprintOfClosed(segments.all, recoveryPoint)
  mark.onOpened(markId, partition, recoveryPoint, fingerprint)
  if (isNews) mark.noteRecoveryPoint(markId, partition, recoveryPoint, fingerprint)
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
  retired: ReadonlyMap<Offset, number>,
): FingerprintMatch | null {
  // Of a clean stop that somebody else made: what was written behind the recovery point is not what the mark was told of.
  if (mark === null || (stoppedCleanly && !mark.clean)) return NOTHING_COUNTED
  const { fingerprint, clean, recoveryPoint } = mark
  const checksum = epochs.fileChecksum
  let match = matchFingerprint(context.disk, path, segments, fingerprint, clean, recoveryPoint, checksum)
  if (match === null && !clean) {
    for (const exchanged of exchangedFingerprints(segments, fingerprint, retired)) {
      match ??= matchFingerprint(context.disk, path, segments, exchanged, clean, recoveryPoint, checksum)
    }
  }
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

/**
 * A process that was killed may have cut what it had reserved behind the data of a closed segment and not synced that, although the data
 * were. The cuts are synced before the recovery point passes them: only then may a fingerprint name the sizes. What the mark counts is so.
 */
function distrustEnds(segments: readonly Segment[], match: FingerprintMatch | null): void {
  for (const segment of segments.slice(Math.max(0, match?.countedEnd ?? 0))) segment.distrustEnd()
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

/** Whether what was synced since the log was made is known, and no more than that: neither is its mark lost, nor is it Kafka's. */
function isSyncedKnown(home: LogDirectory, mark: DurableMarkEntry | null): boolean {
  return mark === null ? home.mark.isComplete : !mark.isAssumed
}

/** Up to where the log was synced. Not known of a lost mark, but the checkpoint says at least something. */
function syncedOf(
  isKnown: boolean,
  isForeign: boolean,
  mark: DurableMarkEntry | null,
  checkpoints: LogCheckpoints,
  knownGaps: Offset | null,
): SyncedEnd {
  const common = { isKnown, isForeign, gapsBelow: knownGaps ?? Number.POSITIVE_INFINITY }
  if (mark === null) return { ...common, offset: isKnown ? 0 : checkpoints.recoveryPoint, end: null }
  const { durableOffset: offset, segmentBaseOffset, positionBytes } = mark
  return { ...common, offset, end: isKnown ? { segmentBaseOffset, positionBytes } : null }
}

/** Up to where gaps are no losses from now on: noted before the log gets its mark. Throws `DiskError`. */
function rememberGaps(
  { disk, logger }: StorageContext,
  path: string,
  isForeign: boolean,
  known: Offset | null,
  { segments, logEndOffset }: OpenedLog,
): Offset {
  // Only a closed segment can have one: of many logs there is nothing to be noted.
  const isFound = known === null || (known === 0 && isForeign && segments.count > 1)
  const noted = isFound ? logEndOffset : known
  const gapsBelow = segments.first.baseOffset < noted ? Math.min(noted, logEndOffset) : 0
  if (gapsBelow !== known) writeGapsBelow(disk, logger, path, gapsBelow)
  return gapsBelow
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
