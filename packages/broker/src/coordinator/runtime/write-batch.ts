import type { Offset } from '@millrace/base'
import type { EncodedRecord } from './coordinator.ts'
import type { WriteOperation } from './write-operation.ts'

/** Upper bound of what a record takes beside key and value: length, attributes, two deltas, two lengths, header count. */
const RECORD_OVERHEAD_BYTES = 5 + 1 + 10 + 5 + 5 + 5 + 1
/** Size of a batch header, record batch v2. */
const BATCH_OVERHEAD_BYTES = 61

/** Size that a record adds to a batch at most. */
export function recordSizeBytes(record: EncodedRecord): number {
  return RECORD_OVERHEAD_BYTES + record.key.length + (record.value === null ? 0 : record.value.length)
}

/**
 * Operations that share one append. While it is open it collects records; once appended it waits for the high watermark, with
 * the operations without records that came after it and must not be answered before it.
 */
export class WriteBatch<Event> {
  /** Offset that the first record gets if nobody else appends, and nobody else may. */
  readonly baseOffset: Offset
  /** First version of the state that depends on this batch: rolling back goes to before it. */
  readonly firstVersion: number
  readonly timestampMs: number
  readonly records: EncodedRecord[] = []
  readonly operations: WriteOperation<Event>[] = []
  sizeBytes = BATCH_OVERHEAD_BYTES
  lastVersion: number

  constructor(baseOffset: Offset, firstVersion: number, timestampMs: number) {
    this.baseOffset = baseOffset
    this.firstVersion = firstVersion
    this.lastVersion = firstVersion
    this.timestampMs = timestampMs
  }

  /** Offset after the last record. */
  get endOffset(): Offset {
    return this.baseOffset + this.records.length
  }

  add(record: EncodedRecord): void {
    this.records.push(record)
    this.sizeBytes += recordSizeBytes(record)
  }
}
