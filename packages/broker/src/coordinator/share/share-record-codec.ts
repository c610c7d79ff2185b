import {
  createShareSnapshotKey,
  createShareSnapshotValue,
  createShareSnapshotValueStateBatch,
  createShareUpdateKey,
  createShareUpdateValue,
  createShareUpdateValueStateBatch,
  decodeShareSnapshotKey,
  decodeShareSnapshotValue,
  decodeShareUpdateKey,
  decodeShareUpdateValue,
  encodeShareSnapshotKey,
  encodeShareSnapshotValue,
  encodeShareUpdateKey,
  encodeShareUpdateValue,
  MalformedMessageError,
  Reader,
} from '@millrace/protocol'
import type { EncodedRecord, RecordCodec } from '../runtime/coordinator.ts'
import { safeNumber } from '../runtime/record-numbers.ts'
import { KEY_VERSION, RecordWriter } from '../runtime/record-writer.ts'
import { mergeStateBatches } from './merge-state-batches.ts'
import type { ShareRecord } from './share-record.ts'
import type { ShareState, ShareUpdate, StateBatch } from './share-state.ts'

/** Types of records, which stand as a version before the key. */
const SHARE_SNAPSHOT = 0
const SHARE_UPDATE = 1
const VALUE_VERSION = 0

/** The records of `__share_group_state` byte for byte as Kafka 4.3 writes them. */
export class ShareRecordCodec implements RecordCodec<ShareRecord> {
  readonly #writer = new RecordWriter()

  encode(record: ShareRecord): EncodedRecord {
    if (record.type === 'share-snapshot') {
      encodeShareSnapshotKey(this.#writer.begin(SHARE_SNAPSHOT), createShareSnapshotKey(record.key), KEY_VERSION)
      return { key: this.#writer.take(), value: record.value === null ? null : this.#encodeSnapshot(record.value) }
    }
    encodeShareUpdateKey(this.#writer.begin(SHARE_UPDATE), createShareUpdateKey(record.key), KEY_VERSION)
    return { key: this.#writer.take(), value: this.#encodeUpdate(record.value) }
  }

  decode(key: Buffer, value: Buffer | null): ShareRecord | null {
    const reader = new Reader(key)
    switch (reader.int16()) {
      case SHARE_SNAPSHOT: {
        const { groupId, topicId, partition } = decodeShareSnapshotKey(reader, KEY_VERSION)
        const state = value === null ? null : decodeSnapshot(value)
        return { type: 'share-snapshot', key: { groupId, topicId, partition }, value: state }
      }
      case SHARE_UPDATE: {
        const { groupId, topicId, partition } = decodeShareUpdateKey(reader, KEY_VERSION)
        if (value === null) throw new MalformedMessageError('an update of a share partition without a value')
        return { type: 'share-update', key: { groupId, topicId, partition }, value: decodeUpdate(value) }
      }
      default:
        return null
    }
  }

  #encodeSnapshot(state: ShareState): Buffer {
    const value = createShareSnapshotValue({
      snapshotEpoch: state.snapshotEpoch,
      stateEpoch: state.stateEpoch,
      leaderEpoch: state.leaderEpoch,
      startOffset: state.startOffset,
      deliveryCompleteCount: state.deliveryCompleteCount,
      createTimestamp: state.createTimestampMs,
      writeTimestamp: state.writeTimestampMs,
      stateBatches: state.stateBatches.map((batch) => createShareSnapshotValueStateBatch(batch)),
    })
    encodeShareSnapshotValue(this.#writer.begin(VALUE_VERSION), value, VALUE_VERSION)
    return this.#writer.take()
  }

  #encodeUpdate(update: ShareUpdate): Buffer {
    const value = createShareUpdateValue({
      snapshotEpoch: update.snapshotEpoch,
      leaderEpoch: update.leaderEpoch,
      startOffset: update.startOffset,
      deliveryCompleteCount: update.deliveryCompleteCount,
      stateBatches: update.stateBatches.map((batch) => createShareUpdateValueStateBatch(batch)),
    })
    encodeShareUpdateValue(this.#writer.begin(VALUE_VERSION), value, VALUE_VERSION)
    return this.#writer.take()
  }
}

function decodeSnapshot(bytes: Buffer): ShareState {
  const reader = new Reader(bytes)
  const value = decodeShareSnapshotValue(reader, reader.int16())
  return {
    snapshotEpoch: value.snapshotEpoch,
    stateEpoch: value.stateEpoch,
    leaderEpoch: value.leaderEpoch,
    startOffset: safeNumber(value.startOffset),
    deliveryCompleteCount: value.deliveryCompleteCount,
    createTimestampMs: safeNumber(value.createTimestamp),
    writeTimestampMs: safeNumber(value.writeTimestamp),
    // The machine takes order for granted, whoever wrote it.
    stateBatches: mergeStateBatches([], batchesOf(value.stateBatches), -1),
  }
}

function decodeUpdate(bytes: Buffer): ShareUpdate {
  const reader = new Reader(bytes)
  const value = decodeShareUpdateValue(reader, reader.int16())
  return {
    snapshotEpoch: value.snapshotEpoch,
    leaderEpoch: value.leaderEpoch,
    startOffset: safeNumber(value.startOffset),
    deliveryCompleteCount: value.deliveryCompleteCount,
    stateBatches: batchesOf(value.stateBatches),
  }
}

interface WireBatch {
  readonly firstOffset: number | bigint
  readonly lastOffset: number | bigint
  readonly deliveryState: number
  readonly deliveryCount: number
}

/** Throws `MalformedMessageError` for what no leader writes. */
function batchesOf(batches: readonly WireBatch[]): StateBatch[] {
  return batches.map(({ firstOffset, lastOffset, deliveryState, deliveryCount }) => {
    const batch = {
      firstOffset: safeNumber(firstOffset),
      lastOffset: safeNumber(lastOffset),
      deliveryState,
      deliveryCount,
    }
    if (batch.firstOffset < 0 || batch.lastOffset < batch.firstOffset) {
      throw new MalformedMessageError('a batch of a share partition that ends before it begins')
    }
    return batch
  })
}
