import type { TimestampMs } from '@millrace/base'
import { BatchBuilder } from '@millrace/protocol'
import type { EncodedRecord } from './coordinator.ts'
import type { TransactionalProducer } from './write-batch.ts'

/** One batch of these records, as `CoordinatorLog.append` takes it: uncompressed, base offset 0, without sequences. */
export function encodeRecordBatch(
  records: readonly EncodedRecord[],
  timestampMs: TimestampMs,
  sizeBytes: number,
  producer: TransactionalProducer | null = null,
): Buffer {
  const transaction =
    producer === null
      ? {}
      : { producerId: producer.producerId, producerEpoch: producer.producerEpoch, transactional: true }
  const builder = new BatchBuilder({ initialSizeBytes: sizeBytes, ...transaction })
  for (const { key, value } of records) builder.append(timestampMs, key, value)
  return builder.build()
}
