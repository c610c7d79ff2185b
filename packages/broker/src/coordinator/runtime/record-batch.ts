import type { TimestampMs } from '@millrace/base'
import { BatchBuilder } from '@millrace/protocol'
import type { EncodedRecord } from './coordinator.ts'

/** One batch of these records, as `CoordinatorLog.append` takes it: uncompressed, without a producer, base offset 0. */
export function encodeRecordBatch(
  records: readonly EncodedRecord[],
  timestampMs: TimestampMs,
  sizeBytes: number,
): Buffer {
  const builder = new BatchBuilder({ initialSizeBytes: sizeBytes })
  for (const { key, value } of records) builder.append(timestampMs, key, value)
  return builder.build()
}
