import {
  BATCH_HEADER_BYTES,
  baseSequenceOf,
  isControlBatch,
  isTransactionalBatch,
  maxTimestampOf,
  producerEpochOf,
  producerIdOf,
} from '@millrace/protocol'
import type { BatchScanner } from './batch-scanner.ts'
import type { EndedTransaction, ProducerState } from './producer-state.ts'

/** A record that ends a transaction: key version int16 = 0 and type int16, value version int16 = 0 and coordinator epoch int32. */
export interface EndMarker {
  commit: boolean
  coordinatorEpoch: number
}

const ABORT = 0
const COMMIT = 1
/** Attributes, deltas, sizes, key and value of a marker's record fit with room to spare. */
const MARKER_RECORD_BYTES_MAX = 128

/**
 * The end marker of a control batch whose header stands at `position`; null for control records of other kinds and for batches that
 * compaction emptied. Control batches are never compressed.
 */
export function readEndMarker(buffer: Buffer, position: number, end: number): EndMarker | null {
  let at = position + BATCH_HEADER_BYTES
  if (end <= at) return null
  at = skipVarint(buffer, at, end) // size of the record
  at += 1 // attributes
  at = skipVarint(buffer, at, end) // timestamp delta
  at = skipVarint(buffer, at, end) // offset delta
  at = skipVarint(buffer, at, end) // size of the key
  if (at + 4 > end) return null
  const type = buffer.readInt16BE(at + 2)
  at = skipVarint(buffer, at + 4, end) // size of the value
  if ((type !== ABORT && type !== COMMIT) || at + 6 > end) return null
  return { commit: type === COMMIT, coordinatorEpoch: buffer.readInt32BE(at + 2) }
}

/**
 * Applies one stored batch to the producer state, as a follower does: no check refuses it. Returns the transaction it ended by
 * abort, with the last stable offset that the transaction index records, or null.
 */
export function replayProducerBatch(
  state: ProducerState,
  scanner: BatchScanner,
): { ended: EndedTransaction; lastStableOffset: number } | null {
  const { header, headerPosition: at } = scanner
  const producerId = producerIdOf(header, at)
  state.mapEndOffset = scanner.lastOffset + 1
  if (producerId < 0) return null
  if (!isControlBatch(header, at)) {
    state.checkData('replication', producerId, -1, -1, 0, false)
    state.onData(
      producerId,
      producerEpochOf(header, at),
      baseSequenceOf(header, at),
      scanner.baseOffset,
      scanner.lastOffset,
      maxTimestampOf(header, at),
      isTransactionalBatch(header, at),
    )
    return null
  }
  const batch = scanner.readStart(BATCH_HEADER_BYTES + MARKER_RECORD_BYTES_MAX)
  const marker = readEndMarker(batch, 0, batch.length)
  if (marker === null) return null
  const ended = state.onMarker(
    producerId,
    producerEpochOf(batch, 0),
    marker.coordinatorEpoch,
    scanner.baseOffset,
    maxTimestampOf(batch, 0),
  )
  if (ended === null) return null
  const lastStableOffset = state.lastStableOffsetOf(ended)
  state.completeTransaction(ended)
  return marker.commit ? null : { ended, lastStableOffset }
}

function skipVarint(buffer: Buffer, position: number, end: number): number {
  let at = position
  while (at < end && (buffer[at]! & 0x80) !== 0) at++
  return at + 1
}
