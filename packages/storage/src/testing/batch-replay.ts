import type { Offset, ProducerId } from '@millrace/base'
import { baseSequenceOf, isControlBatch, isTransactionalBatch, maxTimestampOf, producerIdOf } from '@millrace/protocol'
import { readEndMarker } from '../transaction-marker.ts'
import type { ModelBatch } from './log-model.ts'

/** Offsets inclusive. */
export interface AbortedRange {
  producerId: ProducerId
  firstOffset: Offset
  lastOffset: Offset
}

/** What follows from batches about producers and transactions, as one would write it without thinking of speed. */
export interface BatchReplay {
  /** Last data batch of each producer. */
  last: Map<ProducerId, ModelBatch>
  /** First offset of each open transaction. */
  open: Map<ProducerId, Offset>
  /** Aborted transactions with data, in order of their markers. */
  aborted: AbortedRange[]
}

/** Replays batches in order of their offsets. */
export function replayBatches(batches: readonly ModelBatch[]): BatchReplay {
  const replay: BatchReplay = { last: new Map(), open: new Map(), aborted: [] }
  for (const batch of batches) {
    const { bytes, baseOffset } = batch
    const producerId = producerIdOf(bytes, 0)
    if (producerId < 0) continue
    if (!isControlBatch(bytes, 0)) {
      replay.last.set(producerId, batch)
      if (isTransactionalBatch(bytes, 0) && !replay.open.has(producerId)) replay.open.set(producerId, baseOffset)
      continue
    }
    const firstOffset = replay.open.get(producerId)
    replay.open.delete(producerId)
    const isAbort = readEndMarker(bytes, 0, bytes.length)?.commit === false
    if (firstOffset !== undefined && isAbort) replay.aborted.push({ producerId, firstOffset, lastOffset: baseOffset })
  }
  return replay
}

/** Sequence of the first record that a batch continues with. */
export function nextSequence(batch: ModelBatch | undefined): number {
  return batch === undefined ? 0 : baseSequenceOf(batch.bytes, 0) + (batch.lastOffset - batch.baseOffset) + 1
}

export function timestampOf(batch: ModelBatch): number {
  return maxTimestampOf(batch.bytes, 0)
}
