import type { Offset } from '@millrace/base'
import { BatchScanner } from './batch-scanner.ts'
import type { ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'
import { replayProducerBatch } from './transaction-marker.ts'

/** Enough to read the header of a batch. */
const PROBE_BYTES = 4096

/**
 * Applies the batches of a segment from the state's end on. What this process neither wrote nor walked is held against its checksums, as a
 * walk does: one bit of a batch opens a transaction that nobody ends, makes a commit of an abort, or shuts a producer out, and whoever
 * waits for committed records does not come to read that batch. What is damaged counts for nothing and is told, as by a read.
 */
export function replaySegment(state: ProducerState, segment: Segment): void {
  const { soundness } = segment
  soundness.noteDamage(segment.indexes.loadNow())
  const scanner = scannerAt(segment, state.mapEndOffset)
  for (let found = scanner.next(); found !== 'end'; found = scanner.next()) {
    // Where damage is known, some of it may lie in what was walked, under headers that look sound.
    const isDoubted = soundness.holes.length > 0 || soundness.isDoubtedAt(scanner.position)
    const isSound = found === 'batch' && (!isDoubted || scanner.isWhole(segment.writtenNextOffset))
    if (!isSound && !passDamage(segment, scanner)) return
    // By its end: where the log starts in the middle of a batch, that one counts.
    if (scanner.lastOffset >= state.mapEndOffset) replayProducerBatch(state, scanner)
  }
}

/** Begins where the index leads for `offset`, if the batch there is the one that it names; else with the segment. */
function scannerAt(segment: Segment, offset: Offset): BatchScanner {
  const { baseOffset, writtenBytes } = segment
  const { offsets } = segment.indexes
  const position = offsets.positionFor(offset)
  const { foundOffset } = offsets
  const file = segment.file()
  const first = new BatchScanner(file, position, writtenBytes, baseOffset, PROBE_BYTES)
  const isNamed = position > 0 && first.next() === 'batch' && first.lastOffset === foundOffset
  const scanner = new BatchScanner(file, isNamed ? position : 0, writtenBytes, baseOffset)
  if (isNamed) scanner.expectedOffset = first.baseOffset
  return scanner
}

/** Tells of the damaged place and goes on at the next sound batch, or ends. Returns whether there is one. */
function passDamage({ soundness, writtenBytes, writtenNextOffset }: Segment, scanner: BatchScanner): boolean {
  const startOffset = scanner.expectedOffset
  const isResumed = scanner.resync(writtenNextOffset)
  const endOffset = isResumed ? scanner.baseOffset : writtenNextOffset
  const endPosition = isResumed ? scanner.position : writtenBytes
  if (startOffset < endOffset) soundness.noteDamage([{ startOffset, endOffset, endPosition }])
  return isResumed
}
