import { BatchCursor } from './batch-cursor.ts'
import { lastOffsetDeltaOf, recordCountOf } from './batch-header.ts'
import { type BatchFailure, CorruptBatchError } from './corrupt-batch-error.ts'
import { RecordReader } from './record-reader.ts'

/** What could be read of some record data, and what stopped the reading. */
export interface RecordsInspection {
  /** Batches and records read in full before the failure. */
  readonly batchCount: number
  readonly recordCount: number
  /** Bytes from the beginning of the batch that failed, or of an incomplete last one; 0 if everything was read. */
  readonly leftBytes: number
  /** null: nothing is wrong. */
  readonly failure: BatchFailure | null
  readonly error: CorruptBatchError | null
}

/**
 * Reads `buffer[start, end)` to the end: framing, checksums and every record. With `asProduced` it also asks whether offsets are those that
 * a producer must send, consecutive from the base offset, which stored batches need not be after compaction. For tools and tests.
 */
export function inspectRecords(
  buffer: Buffer,
  start = 0,
  end: number = buffer.length,
  asProduced = false,
): RecordsInspection {
  const cursor = new BatchCursor(buffer, start, end)
  const reader = new RecordReader()
  let batchCount = 0
  let recordCount = 0
  let leftBytes = end - start
  try {
    while (cursor.next()) {
      leftBytes = end - cursor.position
      cursor.checkCrc()
      reader.open(buffer, cursor.position)
      let consecutive = true
      for (let delta = 0; reader.next(); delta++) {
        recordCount++
        if (reader.offsetDelta !== delta) consecutive = false
      }
      if (asProduced && cursor.magic === 2) checkProducedOffsets(cursor, consecutive)
      batchCount++
      leftBytes = cursor.trailingBytes
    }
    if (leftBytes > 0) throw new CorruptBatchError('truncated', end - leftBytes, 'the data ends within a batch')
  } catch (error) {
    if (!(error instanceof CorruptBatchError)) throw error
    return { batchCount, recordCount, leftBytes, failure: error.failure, error }
  }
  return { batchCount, recordCount, leftBytes, failure: null, error: null }
}

function checkProducedOffsets(cursor: BatchCursor, consecutive: boolean): void {
  const { buffer, position } = cursor
  if (lastOffsetDeltaOf(buffer, position) + 1 !== recordCountOf(buffer, position)) {
    throw new CorruptBatchError('last-offset-delta', position, 'differs from the number of records')
  }
  if (!consecutive) throw new CorruptBatchError('offset-delta', position, 'offsets are not consecutive')
}
