import type { Offset } from '@millrace/base'
import { maxTimestampOf, partitionLeaderEpochOf } from '@millrace/protocol'
import type { BatchScanner } from './batch-scanner.ts'
import type { LeaderEpochCache } from './leader-epoch-cache.ts'
import type { LogConfig, StorageLogger } from './log-config.ts'
import type { FaultyRange } from './log-core.ts'
import type { ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'
import { replayProducerBatch } from './transaction-marker.ts'

/** What recovery works on and what it must know. */
export interface RecoveryInput {
  segments: readonly Segment[]
  config: LogConfig
  /** Everything below needs no look: indexes, epochs and a producer snapshot cover it. */
  recoveryPoint: Offset
  /** Transaction indexes are right below: at or above the recovery point, which is lower where a producer snapshot was lost. */
  transactionsPoint: Offset
  /** Everything below was synced: damage there is corruption. 0 if not known. */
  durableOffset: Offset
  /** What lies above was not synced; else it may have been. */
  isDurableKnown: boolean
  /** There has been no mark in the directory before: it may be Kafka's. */
  isForeign: boolean
  /** A segment that ends at or below this may end before the next one begins, as Kafka's compaction leaves them. */
  gapsBelow: Offset
  /** Where in the files `durableOffset` is; null if not known. */
  durableEnd: DurableEnd | null
  /** Ends at the recovery point and was closed after that was noted: what had been reserved behind its data may be back. */
  unsettled: Segment | null
  epochs: LeaderEpochCache
  producers: ProducerState
  logger: StorageLogger
  /** The walk of a segment has ended. */
  onWalked(segment: Segment): void
}

/** All below a position of a segment, and all of the segments before it, was synced and is in whole batches. */
export interface DurableEnd {
  segmentBaseOffset: Offset
  positionBytes: number
}

export interface RecoveryOutput {
  logEndOffset: Offset
  /** Segments that hold only what came after a torn place: of no use to the log. */
  lost: Segment[]
  faultyRanges: FaultyRange[]
  /** The last segment ends in damage that is kept: appends need a new one at `logEndOffset`. */
  needsNewSegment: boolean
}

/**
 * Walks the log from the recovery point: checks each batch, rebuilds indexes, epochs and producer state.
 * A bad batch above the mark is a torn tail: the file is cut there and later segments are of no use. One below it is corruption: the
 * bytes stay, the range is reported and the walk goes on behind it (`reliability.md`, 5.2). Synchronous; throws `DiskError`.
 */
export function recoverSegments(input: RecoveryInput): RecoveryOutput {
  const { segments, recoveryPoint } = input
  const output: RecoveryOutput = { logEndOffset: 0, lost: [], faultyRanges: [], needsNewSegment: false }
  let first = segments.length - 1
  while (first > 0 && segments[first]!.baseOffset > recoveryPoint) first--
  if (first > 0 && segments[first - 1] === input.unsettled) first--
  for (let slot = Math.max(0, first); slot < segments.length; slot++) {
    const segment = segments[slot]!
    const upperOffset = segments[slot + 1]?.baseOffset ?? Number.POSITIVE_INFINITY
    const torn = recoverSegment(input, segment, upperOffset, output)
    output.logEndOffset = segment.nextOffset
    input.onWalked(segment)
    if (torn || endsEarly(input, segment, upperOffset, output)) {
      output.lost = segments.slice(slot + 1)
      break
    }
  }
  if (output.logEndOffset < input.durableOffset) reportMissing(input, output)
  return output
}

/**
 * Whether batches between the end of a segment and the next one never reached the disk: the next is then of no use. What is missing
 * below the mark is corruption, and the next goes on behind it. What the topic's policy says is no help: it is not known yet, and a log may
 * have been compacted long ago. Nor is it needed: here each segment begins where the one before it ends, also in a log that is or was
 * compacted, but for gaps that no segment could span. Kafka's
 * compaction leaves gaps: in its directories, which have no mark yet, they are none, nor are they later (`readGapsBelow`), until the first
 * compaction here fills them.
 */
function endsEarly(input: RecoveryInput, segment: Segment, upperOffset: Offset, output: RecoveryOutput): boolean {
  if (segment.nextOffset >= upperOffset || upperOffset === Number.POSITIVE_INFINITY) return false
  if (!input.isDurableKnown && (input.isForeign || upperOffset <= input.gapsBelow)) return false
  if (upperOffset - segment.baseOffset > RELATIVE_OFFSET_MAX) return false
  if (segment.nextOffset >= input.durableOffset) {
    input.logger.warn('log ends at a gap', { segment: segment.logPath, offset: segment.nextOffset })
    return true
  }
  if (upperOffset <= input.gapsBelow) return false
  const range = { startOffset: segment.nextOffset, endOffset: upperOffset }
  output.faultyRanges.push(range)
  input.logger.error('segment is shorter than what was synced', { segment: segment.logPath, ...range })
  return false
}

/** Whether it was cut at a torn place, with what follows missing. */
function recoverSegment(input: RecoveryInput, segment: Segment, upperOffset: Offset, output: RecoveryOutput): boolean {
  const scanner = segment.beginRecovery(input.recoveryPoint, input.transactionsPoint)
  output.needsNewSegment = false
  for (;;) {
    const found = scanner.next()
    if (found === 'end') break
    if (found === 'batch' && scanner.isWhole(endOffsetAt(input, segment, scanner.position, upperOffset))) {
      takeBatch(input, segment, scanner)
      continue
    }
    const isTorn = !wasSynced(input, segment, scanner)
    const isComplete = scanner.expectedOffset >= upperOffset
    // What belongs to the next segment, which has it.
    if (found === 'batch' && scanner.lastOffset >= upperOffset && (isTorn || isComplete)) break
    // All that was synced has been met: the segment behind it may have lost its name, which never held anything that counts.
    const isWhole = isComplete || scanner.expectedOffset >= input.durableOffset
    if (isTorn || (isWhole && scanner.isZeroToEnd())) {
      const cutBytes = segment.fileBytes - scanner.position
      if (!scanner.isZeroAt(scanner.position)) {
        input.logger.warn('torn tail cut', { segment: segment.logPath, offset: scanner.expectedOffset, cutBytes })
      }
      endWalk(segment, scanner)
      // Behind a whole segment may stand what was reserved for it: the next one goes on where it ends, and may have been acknowledged.
      return !isComplete
    }
    if (!skipDamage(input, segment, scanner, upperOffset, output)) return false
  }
  endWalk(segment, scanner)
  return false
}

/**
 * Cuts off what stands from the scanner's position on. Durably, before anything is appended in its place: a loss of power might leave pages
 * of both, and so what was cut off, such as a sound batch behind a torn one, behind another process's batches, or in place of one. Zeros may
 * come back: they are all that a process leaves there if it is killed.
 */
function endWalk(segment: Segment, scanner: BatchScanner): void {
  const cutBytes = segment.fileBytes - scanner.position
  const isZero = cutBytes <= ZEROS_READ_BYTES_MAX && scanner.isZeroToEnd()
  segment.endRecovery(scanner.position)
  if (!isZero) segment.file().syncDataNow()
}

/**
 * Whether what stands at the scanner's position was synced: damage there is corruption. Told by the position where that is known, since
 * offsets may be what is damaged: no checksum covers the base of a batch.
 */
function wasSynced({ durableEnd, durableOffset }: RecoveryInput, segment: Segment, scanner: BatchScanner): boolean {
  if (durableEnd === null) return scanner.expectedOffset < durableOffset
  if (segment.baseOffset !== durableEnd.segmentBaseOffset) return segment.baseOffset < durableEnd.segmentBaseOffset
  return scanner.position < durableEnd.positionBytes
}

/** The batch at a position ends below this, whatever it says: what was synced up to there are the offsets below the mark. */
function endOffsetAt(input: RecoveryInput, segment: Segment, position: number, upperOffset: Offset): Offset {
  const { durableEnd, durableOffset } = input
  if (durableEnd === null || segment.baseOffset !== durableEnd.segmentBaseOffset) return upperOffset
  return position < durableEnd.positionBytes ? Math.min(durableOffset, upperOffset) : upperOffset
}

function takeBatch(input: RecoveryInput, segment: Segment, scanner: BatchScanner): void {
  const { header, headerPosition: at } = scanner
  segment.sizeBytes = scanner.position
  segment.onAppended(scanner.sizeBytes, scanner.lastOffset, maxTimestampOf(header, at), input.config.indexIntervalBytes)
  const epoch = partitionLeaderEpochOf(header, at)
  if (epoch > input.epochs.latestEpoch) input.epochs.assign(epoch, scanner.baseOffset)
  // By its end: where the log starts in the middle of a batch, that one counts.
  if (scanner.lastOffset < input.producers.mapEndOffset) return
  const aborted = replayProducerBatch(input.producers, scanner)
  if (aborted !== null && scanner.baseOffset >= input.transactionsPoint) {
    segment.indexes.transactions.append({ ...aborted.ended, lastStableOffset: aborted.lastStableOffset })
  }
}

/** Goes on at the next sound batch of the segment, or ends it. Returns whether there is one. */
function skipDamage(
  input: RecoveryInput,
  segment: Segment,
  scanner: BatchScanner,
  upperOffset: Offset,
  output: RecoveryOutput,
): boolean {
  const startOffset = scanner.expectedOffset
  const { position } = scanner
  let resumed = scanner.resync(upperOffset)
  while (resumed && scanner.lastOffset >= endOffsetAt(input, segment, scanner.position, upperOffset)) {
    resumed = scanner.resync(upperOffset)
  }
  const endOffset = resumed ? scanner.baseOffset : Math.max(input.durableOffset, startOffset)
  const range = { startOffset, endOffset: Math.min(endOffset, upperOffset) }
  input.logger.error('corruption below the durable mark', { segment: segment.logPath, position, ...range })
  // Also at the end of a segment: who goes through its headers later must not believe those of what is damaged.
  const endPosition = resumed ? scanner.position : segment.fileBytes
  if (resumed || startOffset < range.endOffset) segment.soundness.holes.push({ ...range, endPosition })
  if (resumed) {
    takeBatch(input, segment, scanner)
    return true
  }
  output.faultyRanges.push(range)
  segment.endAtDamage(range.endOffset)
  output.needsNewSegment = true
  return false
}

/** The files end before the mark: what is missing was synced once. */
function reportMissing(input: RecoveryInput, output: RecoveryOutput): void {
  const range = { startOffset: output.logEndOffset, endOffset: input.durableOffset }
  output.faultyRanges.push(range)
  output.logEndOffset = input.durableOffset
  output.needsNewSegment = true
  input.logger.error('log is shorter than its durable mark', { segment: input.segments.at(-1)?.logPath, ...range })
}

/** To look at more costs more than a sync. */
const ZEROS_READ_BYTES_MAX = 1 << 20
/** A relative offset is an int32 in the indexes. */
const RELATIVE_OFFSET_MAX = 2 ** 31 - 1
