import { BatchBuilder, type BatchOptions } from '@millrace/protocol'

export interface TestRecord {
  key?: string | null
  value?: string | null
  timestamp?: number
}

/** Where simulated clocks start, so that ordinary records are neither too old nor too new. */
export const START_MS = 1_700_000_000_000

/** A batch as a producer sends it: a string is a record's value. */
export function batchOf(records: readonly (string | TestRecord)[], options: BatchOptions = {}): Buffer {
  const builder = new BatchBuilder(options)
  for (const record of records) {
    const { key = null, value = null, timestamp = START_MS } = typeof record === 'string' ? { value: record } : record
    builder.append(timestamp, key, value)
  }
  return Buffer.from(builder.build())
}

/** A batch of an idempotent producer. */
export function sequencedBatch(
  values: readonly string[],
  baseSequence: number,
  producer: { producerId?: number; producerEpoch?: number } = {},
): Buffer {
  return batchOf(values, { producerId: 7, producerEpoch: 0, baseSequence, ...producer })
}
