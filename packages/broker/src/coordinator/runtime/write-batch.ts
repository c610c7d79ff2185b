import type { Offset, ProducerId } from '@millrace/base'
import type { Verification } from '../../partition/transaction-verifications.ts'
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

/** The producer on whose behalf, and as part of whose transaction, records are written. */
export interface TransactionalProducer {
  readonly producerId: ProducerId
  readonly producerEpoch: number
  /** Null: its transaction is open in the log already. */
  readonly verification: Verification | null
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
  /** Its records are part of a transaction; null: they are not. */
  readonly producer: TransactionalProducer | null
  readonly records: EncodedRecord[] = []
  readonly operations: WriteOperation<Event>[] = []
  sizeBytes = BATCH_OVERHEAD_BYTES
  lastVersion: number

  constructor(
    baseOffset: Offset,
    firstVersion: number,
    timestampMs: number,
    producer: TransactionalProducer | null = null,
  ) {
    this.baseOffset = baseOffset
    this.firstVersion = firstVersion
    this.lastVersion = firstVersion
    this.timestampMs = timestampMs
    this.producer = producer
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
