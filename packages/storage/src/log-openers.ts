import type { Offset, Uuid } from '@millrace/base'
import type { DurableMarkEntry } from './durable-mark-record.ts'
import type { LogConfig } from './log-config.ts'
import type { FaultyRange } from './log-core.ts'
import type { LogEpochs } from './log-epochs.ts'
import { LogProducers } from './log-producers.ts'
import { type DurableEnd, recoverSegments } from './log-recovery.ts'
import { LogSegments } from './log-segments.ts'
import { Segment } from './segment.ts'
import { setSegmentsAside } from './segment-removal.ts'
import type { StorageContext } from './storage-context.ts'

/** See `LogCheckpoints`, of which the recovery point may have been lowered. */
interface Checkpoints {
  recoveryPoint: Offset
  logStartOffset: Offset
}

/** Whose log it is. */
export interface LogBase {
  topic: string
  partition: number
  topicId: Uuid
  path: string
  config: LogConfig
  /** All segments that were made for it: given up if it cannot be opened. */
  made: Segment[]
}

/** A log that can be used once its parts are put together. */
export interface OpenedLog {
  segments: LogSegments
  epochs: LogEpochs
  producers: LogProducers
  logEndOffset: Offset
  durableOffset: Offset
  recoveryPoint: Offset
  faultyRanges: FaultyRange[]
  /** What nobody is known to have synced, but for {@link synced}. */
  unsynced: Segment[]
  /** What was walked, and has been synced and closed already: few more files could be opened. */
  synced: ReadonlySet<Segment>
}

/** Up to where a log is known to have been synced. */
export interface SyncedEnd {
  offset: Offset
  /** It may not have been more. */
  isKnown: boolean
  /** See `RecoveryInput.isForeign`. */
  isForeign: boolean
  /** See `RecoveryInput.gapsBelow`. */
  gapsBelow: Offset
  /** Where that is in the files; null if not known. */
  end: DurableEnd | null
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
export function openCovered(
  context: StorageContext,
  base: LogBase,
  list: Segment[],
  epochs: LogEpochs,
  mark: DurableMarkEntry,
): OpenedLog {
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
    synced: NONE_SYNCED,
  }
}

/** No file yet, or none any more: a log that never had data starts at its start, a lost one behind what it lost. */
export function openEmpty(
  context: StorageContext,
  base: LogBase,
  epochs: LogEpochs,
  mark: DurableMarkEntry | null,
  checkpoints: Checkpoints,
): OpenedLog {
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
    synced: NONE_SYNCED,
  }
}

/** Walks what lies above the recovery point. `forgetClosed`: before all that the mark counts goes, has it count nothing, durably. */
export function openUncovered(
  context: StorageContext,
  base: LogBase,
  list: Segment[],
  epochs: LogEpochs,
  synced: SyncedEnd,
  unsettled: Segment | null,
  checkpoints: Checkpoints,
  forgetClosed: () => void,
): OpenedLog {
  const durableOffset = synced.isKnown ? synced.offset : 0
  const logStartOffset = Math.max(list[0]!.baseOffset, checkpoints.logStartOffset)
  setEnds(list, list.at(-1)!.baseOffset)
  const segments = new LogSegments(list)
  const producers = new LogProducers(context, base.path, segments, false)
  const state = producers.loadForRecovery(logStartOffset, checkpoints.recoveryPoint)
  const recoveryPoint = Math.min(checkpoints.recoveryPoint, state.mapEndOffset)
  // What starts above is read from the batches: an entry of the file would only stand in its way.
  epochs.cache.truncateFromEnd(recoveryPoint)
  const walked = new Set<Segment>()
  const output = recoverSegments({
    segments: segments.all,
    config: base.config,
    recoveryPoint,
    transactionsPoint: checkpoints.recoveryPoint,
    durableOffset: synced.offset,
    isDurableKnown: synced.isKnown,
    isForeign: synced.isForeign,
    gapsBelow: synced.gapsBelow,
    durableEnd: synced.end,
    unsettled,
    epochs: epochs.cache,
    producers: state,
    logger: context.logger,
    onWalked: (segment) => syncIfCrowded(context, segment, walked),
  })
  if (output.lost.length > 0) {
    segments.removeFrom(segments.count - output.lost.length)
    setSegmentsAside(context, output.lost, 'it goes on behind what never reached the disk')
  }
  if (output.needsNewSegment && segments.active.baseOffset < output.logEndOffset) {
    segments.add(newSegment(context, base, output.logEndOffset))
  }
  if (output.logEndOffset < logStartOffset) {
    forgetClosed()
    return startAgain(context, base, segments, epochs, producers, logStartOffset)
  }
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
    // Also what was cut here: behind a segment that another one follows, a tail that comes back is damage of what was synced.
    unsynced: segments.all.filter(
      ({ exists, nextOffset, hasUnsettledEnd }) => exists && (nextOffset > durableOffset || hasUnsettledEnd),
    ),
    synced: walked,
  }
}

/**
 * Everything ends below the log start: files were cut or deleted from outside, or the start is an old one that a crash kept from being
 * lowered with the end.
 */
function startAgain(
  context: StorageContext,
  base: LogBase,
  segments: LogSegments,
  epochs: LogEpochs,
  producers: LogProducers,
  logStartOffset: Offset,
): OpenedLog {
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
    synced: NONE_SYNCED,
  }
}

function newSegment(context: StorageContext, base: LogBase, baseOffset: Offset): Segment {
  const segment = new Segment(context, base.path, baseOffset, base.config, null)
  base.made.push(segment)
  return segment
}

/**
 * What was walked stays open until it is synced, in the background. Where that would be more than can be open, it is synced here: after a
 * start without a mark every segment of every log has been walked. Closed without that, a lost write would be told to nobody.
 */
function syncIfCrowded(context: StorageContext, segment: Segment, walked: Set<Segment>): void {
  if (!context.openSegments.isCrowdedBy(0)) return
  segment.file().syncDataNow()
  segment.close()
  walked.add(segment)
}

const NONE_SYNCED: ReadonlySet<Segment> = new Set()
