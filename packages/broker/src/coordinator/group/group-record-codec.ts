import {
  createGroupMetadataKey,
  createGroupMetadataValue,
  createMemberMetadata,
  createOffsetCommitKey,
  createOffsetCommitValue,
  decodeGroupMetadataKey,
  decodeGroupMetadataValue,
  decodeOffsetCommitKey,
  decodeOffsetCommitValue,
  encodeGroupMetadataKey,
  encodeGroupMetadataValue,
  encodeOffsetCommitKey,
  encodeOffsetCommitValue,
  MalformedMessageError,
  Reader,
  Writer,
} from '@millrace/protocol'
import type { EncodedRecord, RecordCodec } from '../runtime/coordinator.ts'
import { decodeConsumerRecord, encodeConsumerKey, encodeConsumerValue } from './consumer/consumer-record-codec.ts'
import type { GroupMetadata, GroupRecord, OffsetValue } from './group-record.ts'
import { safeNumber } from './record-numbers.ts'
import { isShareGroupRecord } from './share/share-group-record.ts'
import { decodeShareGroupRecord, encodeShareGroupKey, encodeShareGroupValue } from './share/share-group-record-codec.ts'

/** Types of records, which stand as a version before the key (`coordinators.md`, 3.9). */
const LEGACY_OFFSET_COMMIT = 0
const OFFSET_COMMIT = 1
const GROUP_METADATA = 2
/** All keys have this version inside their type. */
const KEY_VERSION = 0
/** Version of an offset that brings its own expiry: the only one that has a place for it. */
const OFFSET_WITH_EXPIRY_VERSION = 1
const OFFSET_VERSION = 4
const GROUP_METADATA_VERSION = 3

/** The records of `__consumer_offsets` byte for byte as Kafka 4.3 writes them, so that its tools read them too. */
export class GroupRecordCodec implements RecordCodec<GroupRecord> {
  readonly #writer = new Writer(1024)

  encode(record: GroupRecord): EncodedRecord {
    const { groupId } = record
    if (record.type === 'offset-commit') {
      const { topic, partition, value } = record
      this.#begin(OFFSET_COMMIT)
      encodeOffsetCommitKey(this.#writer, createOffsetCommitKey({ group: groupId, topic, partition }), KEY_VERSION)
      return { key: this.#take(), value: value === null ? null : this.#encodeOffset(value) }
    }
    if (record.type !== 'group-metadata') {
      this.#writer.reset()
      if (isShareGroupRecord(record)) encodeShareGroupKey(this.#writer, record)
      else encodeConsumerKey(this.#writer, record)
      const key = this.#take()
      if (record.value === null) return { key, value: null }
      this.#writer.reset()
      if (isShareGroupRecord(record)) encodeShareGroupValue(this.#writer, record)
      else encodeConsumerValue(this.#writer, record)
      return { key, value: this.#take() }
    }
    this.#begin(GROUP_METADATA)
    encodeGroupMetadataKey(this.#writer, createGroupMetadataKey({ group: groupId }), KEY_VERSION)
    return { key: this.#take(), value: record.value === null ? null : this.#encodeGroup(record.value) }
  }

  decode(key: Buffer, value: Buffer | null): GroupRecord | null {
    const reader = new Reader(key)
    const type = reader.int16()
    switch (type) {
      case LEGACY_OFFSET_COMMIT:
      case OFFSET_COMMIT: {
        const { group, topic, partition } = decodeOffsetCommitKey(reader, KEY_VERSION)
        const offset = value === null ? null : decodeOffset(value)
        return { type: 'offset-commit', groupId: group, topic, partition, value: offset }
      }
      case GROUP_METADATA: {
        const { group } = decodeGroupMetadataKey(reader, KEY_VERSION)
        return { type: 'group-metadata', groupId: group, value: value === null ? null : decodeGroup(value) }
      }
      default: {
        const valueReader = value === null ? null : new Reader(value)
        return decodeConsumerRecord(type, reader, valueReader) ?? decodeShareGroupRecord(type, reader, valueReader)
      }
    }
  }

  #encodeOffset(offset: OffsetValue): Buffer {
    const version = offset.expireTimestampMs === -1 ? OFFSET_VERSION : OFFSET_WITH_EXPIRY_VERSION
    this.#begin(version)
    const value = createOffsetCommitValue({
      offset: offset.committedOffset,
      leaderEpoch: offset.leaderEpoch,
      metadata: offset.metadata,
      commitTimestamp: offset.commitTimestampMs,
      expireTimestamp: offset.expireTimestampMs,
      topicId: offset.topicId,
    })
    encodeOffsetCommitValue(this.#writer, value, version)
    return this.#take()
  }

  #encodeGroup(group: GroupMetadata): Buffer {
    this.#begin(GROUP_METADATA_VERSION)
    const value = createGroupMetadataValue({
      protocolType: group.protocolType,
      generation: group.generationId,
      protocol: group.protocolName,
      leader: group.leaderId,
      currentStateTimestamp: group.stateTimestampMs,
      members: group.members.map((member) =>
        createMemberMetadata({
          memberId: member.memberId,
          groupInstanceId: member.groupInstanceId,
          clientId: member.clientId,
          clientHost: member.clientHost,
          rebalanceTimeout: member.rebalanceTimeoutMs,
          sessionTimeout: member.sessionTimeoutMs,
          subscription: member.subscription,
          assignment: member.assignment,
        }),
      ),
    })
    encodeGroupMetadataValue(this.#writer, value, GROUP_METADATA_VERSION)
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

function decodeOffset(bytes: Buffer): OffsetValue {
  const reader = new Reader(bytes)
  const value = decodeOffsetCommitValue(reader, reader.int16())
  return {
    committedOffset: safeNumber(value.offset),
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestampMs: safeNumber(value.commitTimestamp),
    expireTimestampMs: safeNumber(value.expireTimestamp),
    topicId: value.topicId,
  }
}

function decodeGroup(bytes: Buffer): GroupMetadata {
  const reader = new Reader(bytes)
  const value = decodeGroupMetadataValue(reader, reader.int16())
  requireDistinct(value.members.map(({ memberId }) => memberId))
  requireDistinct(value.members.flatMap(({ groupInstanceId }) => groupInstanceId ?? []))
  return {
    protocolType: value.protocolType,
    generationId: value.generation,
    protocolName: value.protocol,
    leaderId: value.leader,
    stateTimestampMs: safeNumber(value.currentStateTimestamp),
    members: value.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeoutMs: member.rebalanceTimeout === -1 ? member.sessionTimeout : member.rebalanceTimeout,
      sessionTimeoutMs: member.sessionTimeout,
      // Copies: views would keep the whole chunk of the log in memory.
      subscription: Buffer.from(member.subscription),
      assignment: Buffer.from(member.assignment),
    })),
  }
}

/** No coordinator writes a group in which two members are one; the state machine takes it for granted. */
function requireDistinct(ids: readonly string[]): void {
  if (new Set(ids).size < ids.length) throw new MalformedMessageError('an id occurs twice among the members of a group')
}
