import { DiskError, type Offset } from '@millrace/base'
import type { DurableMarkEntry } from './durable-mark-record.ts'
import { epochsBetween, epochsMatchLog } from './epoch-check.ts'
import type { LogEpochs } from './log-epochs.ts'
import type { Segment } from './segment.ts'
import type { StorageContext } from './storage-context.ts'
import { CorruptFileError } from './text-checkpoint.ts'

/** How a start finds a log, as far as it matters for its epochs. */
interface FoundLog {
  readonly mark: DurableMarkEntry | null
  readonly stoppedCleanly: boolean
  readonly checkpoints: { readonly logStartOffset: Offset }
}

/** Whether the leader epochs in their file are what they were, and can be gone by up to `knownPoint`. Throws `DiskError`. */
export function areEpochsKnown(
  context: StorageContext,
  epochs: LogEpochs,
  segments: readonly Segment[],
  { mark, stoppedCleanly, checkpoints: { logStartOffset } }: FoundLog,
  knownPoint: Offset,
): boolean {
  if (!epochsReadable(context, epochs, segments)) return false
  // The fingerprint of a clean stop counts them.
  if (stoppedCleanly || mark?.clean === true) {
    if (mark?.clean === true) addLostEpochs(context, epochs, segments, logStartOffset, mark.durableOffset)
    return true
  }
  return (
    completeEpochs(epochs, segments, logStartOffset, knownPoint) &&
    epochsMatchLog(epochs.cache.entries(), segments, logStartOffset, knownPoint)
  )
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
  if (earlier === null || !cache.prepend(earlier)) return false
  // An epoch without records was kept for a log that had none.
  cache.truncateFromEnd(recoveryPoint)
  return true
}

/**
 * After a stop that was cut off between its mark and the log starts records are back without their epochs, as {@link completeEpochs} says.
 * What the log does not tell of them stays unknown: those that the file has are right, and no reason to walk it.
 */
function addLostEpochs(
  { logger }: StorageContext,
  epochs: LogEpochs,
  segments: readonly Segment[],
  logStartOffset: Offset,
  endOffset: Offset,
): void {
  try {
    completeEpochs(epochs, segments, logStartOffset, endOffset)
  } catch (error) {
    if (!(error instanceof DiskError)) throw error
    logger.warn('epochs of the first records cannot be read', { path: error.path, error: error.message })
  }
}
