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
  Writer,
} from '@millrace/protocol'
import type { EncodedRecord, RecordCodec } from '../runtime/coordinator.ts'
import { mergeStateBatches } from './merge-state-batches.ts'
import type { ShareRecord } from './share-record.ts'
import type { ShareState, ShareUpdate, StateBatch } from './share-state.ts'

/** Types of records, which stand as a version before the key. */
const SHARE_SNAPSHOT = 0
const SHARE_UPDATE = 1
const KEY_VERSION = 0
const VALUE_VERSION = 0

/** The records of `__share_group_state` byte for byte as Kafka 4.3 writes them. */
export class ShareRecordCodec implements RecordCodec<ShareRecord> {
  readonly #writer = new Writer(1024)

  encode(record: ShareRecord): EncodedRecord {
    if (record.type === 'share-snapshot') {
      this.#begin(SHARE_SNAPSHOT)
      encodeShareSnapshotKey(this.#writer, createShareSnapshotKey(record.key), KEY_VERSION)
      return { key: this.#take(), value: record.value === null ? null : this.#encodeSnapshot(record.value) }
    }
    this.#begin(SHARE_UPDATE)
    encodeShareUpdateKey(this.#writer, createShareUpdateKey(record.key), KEY_VERSION)
    return { key: this.#take(), value: this.#encodeUpdate(record.value) }
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
    this.#begin(VALUE_VERSION)
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
    encodeShareSnapshotValue(this.#writer, value, VALUE_VERSION)
    return this.#take()
  }

  #encodeUpdate(update: ShareUpdate): Buffer {
    this.#begin(VALUE_VERSION)
    const value = createShareUpdateValue({
      snapshotEpoch: update.snapshotEpoch,
      leaderEpoch: update.leaderEpoch,
      startOffset: update.startOffset,
      deliveryCompleteCount: update.deliveryCompleteCount,
      stateBatches: update.stateBatches.map((batch) => createShareUpdateValueStateBatch(batch)),
    })
    encodeShareUpdateValue(this.#writer, value, VALUE_VERSION)
    return this.#take()
  }

  #begin(typeOrVersion: number): void {
    this.#writer.reset()
    this.#writer.int16(typeOrVersion)
  }

  /** A copy, since the writer is used again. */
  #take(): Buffer {
    return Buffer.from(this.#writer.toBuffer())
  }
}

function decodeSnapshot(bytes: Buffer): ShareState {
  const reader = new Reader(bytes)
  const value = decodeShareSnapshotValue(reader, reader.int16())
  return {
    snapshotEpoch: value.snapshotEpoch,
    stateEpoch: value.stateEpoch,
    leaderEpoch: value.leaderEpoch,
    startOffset: offsetOf(value.startOffset),
    deliveryCompleteCount: value.deliveryCompleteCount,
    createTimestampMs: offsetOf(value.createTimestamp),
    writeTimestampMs: offsetOf(value.writeTimestamp),
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
    startOffset: offsetOf(value.startOffset),
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
    const batch = { firstOffset: offsetOf(firstOffset), lastOffset: offsetOf(lastOffset), deliveryState, deliveryCount }
    if (batch.firstOffset < 0 || batch.lastOffset < batch.firstOffset) {
      throw new MalformedMessageError('a batch of a share partition that ends before it begins')
    }
    return batch
  })
}

/** Beyond 2^53 no record is. */
function offsetOf(value: number | bigint): number {
  if (typeof value === 'number') return value
  return value > 0n ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER
}
