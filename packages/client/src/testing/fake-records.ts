import { BatchBuilder, buildEndTxnMarker, ControlRecordType } from '@millrace/protocol'
import type { FakePartition } from './fake-partition.ts'

/** Stores records with these values, in batches of at most `batchSize`. Timestamps are the record's number times 1000. */
export function fill(partition: FakePartition, values: readonly string[], batchSize = 10): void {
  for (let start = 0; start < values.length; start += batchSize) {
    const builder = new BatchBuilder()
    const base = partition.endOffset
    for (const [slot, value] of values.slice(start, start + batchSize).entries()) {
      builder.append((base + slot) * 1000, null, value)
    }
    partition.append(builder.build())
  }
}

/** `count` values that say their number. */
export function numbered(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, slot) => `v${first + slot}`)
}

/** Stores one transactional batch of a producer, without its marker. */
export function fillTransaction(
  partition: FakePartition,
  producerId: number,
  sequence: number,
  values: readonly string[],
): void {
  const builder = new BatchBuilder({ transactional: true, producerId, producerEpoch: 0, baseSequence: sequence })
  for (const value of values) builder.append(0, null, value)
  partition.append(builder.build())
}

/** Ends a producer's transaction. */
export function endTransaction(partition: FakePartition, producerId: number, committed: boolean): void {
  const type = committed ? ControlRecordType.COMMIT : ControlRecordType.ABORT
  partition.appendMarker(buildEndTxnMarker({ type, producerId, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 0 }))
}
