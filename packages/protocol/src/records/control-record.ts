import { BatchBuilder } from './batch-builder.ts'
import { CorruptBatchError } from './corrupt-batch-error.ts'
import type { RecordReader } from './record-reader.ts'

/** Types of the records in control batches, second int16 of their key. Others may come: readers skip them. */
export const ControlRecordType = {
  ABORT: 0,
  COMMIT: 1,
  LEADER_CHANGE: 2,
  SNAPSHOT_HEADER: 3,
  SNAPSHOT_FOOTER: 4,
  KRAFT_VERSION: 5,
  KRAFT_VOTERS: 6,
} as const

/** One of the values of {@link ControlRecordType}. */
export type ControlRecordType = (typeof ControlRecordType)[keyof typeof ControlRecordType]

const KEY_VERSION = 0
const END_TXN_MARKER_VERSION = 0

/** Who ends which transaction, and how. */
export interface EndTxnMarkerOptions {
  readonly type: typeof ControlRecordType.ABORT | typeof ControlRecordType.COMMIT
  /** Epoch of the coordinator's partition: a partition leader refuses markers of an older coordinator. */
  readonly coordinatorEpoch: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly timestamp: number
  readonly baseOffset?: number
  readonly partitionLeaderEpoch?: number
}

/** A control batch of one record that ends a producer's transaction in a partition (KIP-98). */
export function buildEndTxnMarker(options: EndTxnMarkerOptions): Buffer {
  const { type, coordinatorEpoch, producerId, producerEpoch, timestamp, baseOffset = 0 } = options
  const builder = new BatchBuilder({
    baseOffset,
    partitionLeaderEpoch: options.partitionLeaderEpoch ?? -1,
    producerId,
    producerEpoch,
    transactional: true,
    control: true,
    initialSizeBytes: 128,
  })
  const value = Buffer.alloc(6)
  value.writeInt16BE(END_TXN_MARKER_VERSION, 0)
  value.writeInt32BE(coordinatorEpoch, 2)
  builder.append(timestamp, encodeControlKey(type), value)
  return builder.build()
}

/** Key of a control record: version and type, both int16. */
export function encodeControlKey(type: ControlRecordType): Buffer {
  const key = Buffer.alloc(4)
  key.writeInt16BE(KEY_VERSION, 0)
  key.writeInt16BE(type, 2)
  return key
}

/** The type of the control record that `reader` stands on, perhaps one that we do not know. Throws `CorruptBatchError` `record`. */
export function controlTypeOf(reader: RecordReader): number {
  const { bytes, keyPosition, keyLength } = reader
  if (keyLength < 4 || bytes.readInt16BE(keyPosition) < KEY_VERSION) {
    throw new CorruptBatchError('record', reader.recordPosition, 'no type in the key of a control record')
  }
  return bytes.readInt16BE(keyPosition + 2)
}

/** The coordinator epoch of the transaction marker that `reader` stands on. Throws `CorruptBatchError` `record`. */
export function coordinatorEpochOf(reader: RecordReader): number {
  const { bytes, valuePosition, valueLength } = reader
  if (valueLength < 6 || bytes.readInt16BE(valuePosition) < END_TXN_MARKER_VERSION) {
    throw new CorruptBatchError('record', reader.recordPosition, 'no coordinator epoch in a transaction marker')
  }
  return bytes.readInt32BE(valuePosition + 2) // later versions append fields
}
