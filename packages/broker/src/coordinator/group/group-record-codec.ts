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
  type Writer,
} from '@millrace/protocol'
import type { EncodedRecord, RecordCodec } from '../runtime/coordinator.ts'
import { safeNumber } from '../runtime/record-numbers.ts'
import { KEY_VERSION, RecordWriter } from '../runtime/record-writer.ts'
import { decodeConsumerRecord, encodeConsumerKey, encodeConsumerValue } from './consumer/consumer-record-codec.ts'
import type { GroupMetadata, GroupRecord, OffsetValue } from './group-record.ts'
import { GROUP_RECORD_TYPES, groupRecordTypeOf } from './group-record-types.ts'
import { isShareGroupRecord, isShareGroupType } from './share/share-group-record.ts'
import { decodeShareGroupRecord, encodeShareGroupKey, encodeShareGroupValue } from './share/share-group-record-codec.ts'

/** Version of an offset that brings its own expiry: the only one that has a place for it. */
const OFFSET_WITH_EXPIRY_VERSION = 1
const OFFSET_VERSION = 4
const GROUP_METADATA_VERSION = 3

/** The records of `__consumer_offsets` byte for byte as Kafka 4.3 writes them, so that its tools read them too. */
export class GroupRecordCodec implements RecordCodec<GroupRecord> {
  readonly #writer = new RecordWriter()

  encode(record: GroupRecord): EncodedRecord {
    encodeKey(this.#writer.begin(GROUP_RECORD_TYPES[record.type]), record)
    const key = this.#writer.take()
    if (record.value === null) return { key, value: null }
    encodeValue(this.#writer, record)
    return { key, value: this.#writer.take() }
  }

  decode(key: Buffer, value: Buffer | null): GroupRecord | null {
    const reader = new Reader(key)
    const type = groupRecordTypeOf(reader.int16())
    const valueReader = value === null ? null : new Reader(value)
    switch (type) {
      case undefined:
        return null
      case 'offset-commit': {
        const { group, topic, partition } = decodeOffsetCommitKey(reader, KEY_VERSION)
        const offset = valueReader === null ? null : decodeOffset(valueReader)
        return { type, groupId: group, topic, partition, value: offset }
      }
      case 'group-metadata': {
        const { group } = decodeGroupMetadataKey(reader, KEY_VERSION)
        return { type, groupId: group, value: valueReader === null ? null : decodeGroup(valueReader) }
      }
      default:
        return isShareGroupType(type)
          ? decodeShareGroupRecord(type, reader, valueReader)
          : decodeConsumerRecord(type, reader, valueReader)
    }
  }
}

function encodeKey(writer: Writer, record: GroupRecord): void {
  if (record.type === 'offset-commit') {
    const { groupId, topic, partition } = record
    encodeOffsetCommitKey(writer, createOffsetCommitKey({ group: groupId, topic, partition }), KEY_VERSION)
  } else if (record.type === 'group-metadata') {
    encodeGroupMetadataKey(writer, createGroupMetadataKey({ group: record.groupId }), KEY_VERSION)
  } else if (isShareGroupRecord(record)) {
    encodeShareGroupKey(writer, record)
  } else {
    encodeConsumerKey(writer, record)
  }
}

/** Of a record that has a value. */
function encodeValue(writer: RecordWriter, record: GroupRecord): void {
  if (record.type === 'offset-commit') encodeOffset(writer, record.value!)
  else if (record.type === 'group-metadata') encodeGroup(writer, record.value!)
  else if (isShareGroupRecord(record)) encodeShareGroupValue(writer, record)
  else encodeConsumerValue(writer, record)
}

function encodeOffset(writer: RecordWriter, offset: OffsetValue): void {
  const version = offset.expireTimestampMs === -1 ? OFFSET_VERSION : OFFSET_WITH_EXPIRY_VERSION
  const value = createOffsetCommitValue({
    offset: offset.committedOffset,
    leaderEpoch: offset.leaderEpoch,
    metadata: offset.metadata,
    commitTimestamp: offset.commitTimestampMs,
    expireTimestamp: offset.expireTimestampMs,
    topicId: offset.topicId,
  })
  encodeOffsetCommitValue(writer.begin(version), value, version)
}

function encodeGroup(writer: RecordWriter, group: GroupMetadata): void {
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
  encodeGroupMetadataValue(writer.begin(GROUP_METADATA_VERSION), value, GROUP_METADATA_VERSION)
}

function decodeOffset(reader: Reader): OffsetValue {
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

function decodeGroup(reader: Reader): GroupMetadata {
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
