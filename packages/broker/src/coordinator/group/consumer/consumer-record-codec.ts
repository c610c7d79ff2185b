import type { Uuid } from '@millrace/base'
import {
  createClassicMemberMetadata,
  createClassicProtocol,
  createConsumerGroupCurrentMemberAssignmentKey,
  createConsumerGroupCurrentMemberAssignmentValue,
  createConsumerGroupCurrentMemberAssignmentValueTopicPartitions,
  createConsumerGroupMemberMetadataKey,
  createConsumerGroupMemberMetadataValue,
  createConsumerGroupMetadataKey,
  createConsumerGroupMetadataValue,
  createConsumerGroupPartitionMetadataKey,
  createConsumerGroupPartitionMetadataValue,
  createConsumerGroupRegularExpressionKey,
  createConsumerGroupRegularExpressionValue,
  createConsumerGroupTargetAssignmentMemberKey,
  createConsumerGroupTargetAssignmentMemberValue,
  createConsumerGroupTargetAssignmentMemberValueTopicPartition,
  createConsumerGroupTargetAssignmentMetadataKey,
  createConsumerGroupTargetAssignmentMetadataValue,
  decodeConsumerGroupCurrentMemberAssignmentKey,
  decodeConsumerGroupCurrentMemberAssignmentValue,
  decodeConsumerGroupMemberMetadataKey,
  decodeConsumerGroupMemberMetadataValue,
  decodeConsumerGroupMetadataKey,
  decodeConsumerGroupMetadataValue,
  decodeConsumerGroupPartitionMetadataKey,
  decodeConsumerGroupPartitionMetadataValue,
  decodeConsumerGroupRegularExpressionKey,
  decodeConsumerGroupRegularExpressionValue,
  decodeConsumerGroupTargetAssignmentMemberKey,
  decodeConsumerGroupTargetAssignmentMemberValue,
  decodeConsumerGroupTargetAssignmentMetadataKey,
  decodeConsumerGroupTargetAssignmentMetadataValue,
  encodeConsumerGroupCurrentMemberAssignmentKey,
  encodeConsumerGroupCurrentMemberAssignmentValue,
  encodeConsumerGroupMemberMetadataKey,
  encodeConsumerGroupMemberMetadataValue,
  encodeConsumerGroupMetadataKey,
  encodeConsumerGroupMetadataValue,
  encodeConsumerGroupPartitionMetadataKey,
  encodeConsumerGroupPartitionMetadataValue,
  encodeConsumerGroupRegularExpressionKey,
  encodeConsumerGroupRegularExpressionValue,
  encodeConsumerGroupTargetAssignmentMemberKey,
  encodeConsumerGroupTargetAssignmentMemberValue,
  encodeConsumerGroupTargetAssignmentMetadataKey,
  encodeConsumerGroupTargetAssignmentMetadataValue,
  type Reader,
  type Writer,
} from '@millrace/protocol'
import { safeNumber } from '../../runtime/record-numbers.ts'
import type { RecordWriter } from '../../runtime/record-writer.ts'
import { toAssignment } from '../modern/assignment.ts'
import { topicRows } from '../modern/topic-rows.ts'
import {
  type ConsumerGroupRecord,
  type CurrentAssignment,
  type MemberMetadata,
  MemberState,
  type ResolvedRegex,
} from './consumer-record.ts'
import { EMPTY_EPOCH_ASSIGNMENT, type EpochAssignment, EpochAssignmentDraft } from './epoch-assignment.ts'

/** The only version there is, of keys and of values. */
const VERSION = 0

/** What follows the type. */
export function encodeConsumerKey(writer: Writer, record: ConsumerGroupRecord): void {
  const { groupId } = record
  switch (record.type) {
    case 'consumer-group':
      encodeConsumerGroupMetadataKey(writer, createConsumerGroupMetadataKey({ groupId }), VERSION)
      break
    case 'consumer-partitions':
      encodeConsumerGroupPartitionMetadataKey(writer, createConsumerGroupPartitionMetadataKey({ groupId }), VERSION)
      break
    case 'consumer-member': {
      const key = createConsumerGroupMemberMetadataKey({ groupId, memberId: record.memberId })
      encodeConsumerGroupMemberMetadataKey(writer, key, VERSION)
      break
    }
    case 'consumer-targets': {
      const key = createConsumerGroupTargetAssignmentMetadataKey({ groupId })
      encodeConsumerGroupTargetAssignmentMetadataKey(writer, key, VERSION)
      break
    }
    case 'consumer-target': {
      const key = createConsumerGroupTargetAssignmentMemberKey({ groupId, memberId: record.memberId })
      encodeConsumerGroupTargetAssignmentMemberKey(writer, key, VERSION)
      break
    }
    case 'consumer-current': {
      const key = createConsumerGroupCurrentMemberAssignmentKey({ groupId, memberId: record.memberId })
      encodeConsumerGroupCurrentMemberAssignmentKey(writer, key, VERSION)
      break
    }
    case 'consumer-regex': {
      const key = createConsumerGroupRegularExpressionKey({ groupId, regularExpression: record.regex })
      encodeConsumerGroupRegularExpressionKey(writer, key, VERSION)
      break
    }
  }
}

/** Of a record that has a value. */
export function encodeConsumerValue(values: RecordWriter, record: ConsumerGroupRecord): void {
  const writer = values.begin(VERSION)
  switch (record.type) {
    case 'consumer-group':
      encodeConsumerGroupMetadataValue(writer, createConsumerGroupMetadataValue(record.value!), VERSION)
      break
    case 'consumer-partitions':
      encodeConsumerGroupPartitionMetadataValue(writer, createConsumerGroupPartitionMetadataValue({}), VERSION)
      break
    case 'consumer-member':
      encodeMember(writer, record.value!)
      break
    case 'consumer-targets': {
      const { epoch, timestampMs } = record.value!
      const value = createConsumerGroupTargetAssignmentMetadataValue({
        assignmentEpoch: epoch,
        assignmentTimestamp: timestampMs,
      })
      encodeConsumerGroupTargetAssignmentMetadataValue(writer, value, VERSION)
      break
    }
    case 'consumer-target': {
      const topicPartitions = topicRows(record.value!, createConsumerGroupTargetAssignmentMemberValueTopicPartition)
      const value = createConsumerGroupTargetAssignmentMemberValue({ topicPartitions })
      encodeConsumerGroupTargetAssignmentMemberValue(writer, value, VERSION)
      break
    }
    case 'consumer-current':
      encodeCurrent(writer, record.value!)
      break
    case 'consumer-regex': {
      const { topics, version, timestampMs } = record.value!
      const value = createConsumerGroupRegularExpressionValue({ topics: [...topics], version, timestamp: timestampMs })
      encodeConsumerGroupRegularExpressionValue(writer, value, VERSION)
      break
    }
  }
}

/** `key` is behind the type; `value` is null or before its version. */
export function decodeConsumerRecord(
  type: ConsumerGroupRecord['type'],
  key: Reader,
  value: Reader | null,
): ConsumerGroupRecord {
  switch (type) {
    case 'consumer-group': {
      const { groupId } = decodeConsumerGroupMetadataKey(key, VERSION)
      if (value === null) return { type, groupId, value }
      const { epoch, metadataHash } = decodeConsumerGroupMetadataValue(value, value.int16())
      return { type, groupId, value: { epoch, metadataHash: BigInt(metadataHash) } }
    }
    case 'consumer-partitions': {
      const { groupId } = decodeConsumerGroupPartitionMetadataKey(key, VERSION)
      if (value === null) return { type, groupId, value }
      decodeConsumerGroupPartitionMetadataValue(value, value.int16())
      return { type, groupId, value: 'present' }
    }
    case 'consumer-member': {
      const { groupId, memberId } = decodeConsumerGroupMemberMetadataKey(key, VERSION)
      return { type, groupId, memberId, value: value === null ? null : decodeMember(value) }
    }
    case 'consumer-targets': {
      const { groupId } = decodeConsumerGroupTargetAssignmentMetadataKey(key, VERSION)
      if (value === null) return { type, groupId, value }
      const target = decodeConsumerGroupTargetAssignmentMetadataValue(value, value.int16())
      const timestampMs = safeNumber(target.assignmentTimestamp)
      return { type, groupId, value: { epoch: target.assignmentEpoch, timestampMs } }
    }
    case 'consumer-target': {
      const { groupId, memberId } = decodeConsumerGroupTargetAssignmentMemberKey(key, VERSION)
      if (value === null) return { type, groupId, memberId, value }
      const { topicPartitions } = decodeConsumerGroupTargetAssignmentMemberValue(value, value.int16())
      return { type, groupId, memberId, value: toAssignment(topicPartitions) }
    }
    case 'consumer-current': {
      const { groupId, memberId } = decodeConsumerGroupCurrentMemberAssignmentKey(key, VERSION)
      return { type, groupId, memberId, value: value === null ? null : decodeCurrent(value) }
    }
    case 'consumer-regex': {
      const { groupId, regularExpression } = decodeConsumerGroupRegularExpressionKey(key, VERSION)
      return { type, groupId, regex: regularExpression, value: value === null ? null : decodeRegex(value) }
    }
  }
}

function encodeMember(writer: Writer, member: MemberMetadata): void {
  const { instanceId, rackId, clientId, clientHost, subscribedTopics, topicRegex, classic } = member
  const value = createConsumerGroupMemberMetadataValue({
    instanceId,
    rackId,
    clientId,
    clientHost,
    subscribedTopicNames: [...subscribedTopics],
    subscribedTopicRegex: topicRegex ?? '',
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    serverAssignor: member.serverAssignor,
    classicMemberMetadata:
      classic === null
        ? null
        : createClassicMemberMetadata({
            sessionTimeoutMs: classic.sessionTimeoutMs,
            supportedProtocols: classic.protocols.map(createClassicProtocol),
          }),
  })
  encodeConsumerGroupMemberMetadataValue(writer, value, VERSION)
}

function decodeMember(reader: Reader): MemberMetadata {
  const value = decodeConsumerGroupMemberMetadataValue(reader, reader.int16())
  const { classicMemberMetadata: classic } = value
  return {
    instanceId: value.instanceId,
    rackId: value.rackId,
    clientId: value.clientId,
    clientHost: value.clientHost,
    subscribedTopics: [...new Set(value.subscribedTopicNames)].sort(),
    topicRegex: value.subscribedTopicRegex === '' ? null : value.subscribedTopicRegex,
    rebalanceTimeoutMs: value.rebalanceTimeoutMs,
    serverAssignor: value.serverAssignor,
    classic:
      classic === null || classic.supportedProtocols.length === 0
        ? null
        : {
            sessionTimeoutMs: classic.sessionTimeoutMs,
            // Copies: views would keep the whole chunk of the log in memory.
            protocols: classic.supportedProtocols.map(({ name, metadata }) => ({
              name,
              metadata: Buffer.from(metadata),
            })),
          },
  }
}

function encodeCurrent(writer: Writer, current: CurrentAssignment): void {
  const value = createConsumerGroupCurrentMemberAssignmentValue({
    memberEpoch: current.memberEpoch,
    previousMemberEpoch: current.previousMemberEpoch,
    state: current.state,
    assignedPartitions: topicsOf(current.assigned),
    partitionsPendingRevocation: topicsOf(current.pendingRevocation),
  })
  encodeConsumerGroupCurrentMemberAssignmentValue(writer, value, VERSION)
}

function topicsOf({ partitions, epochs }: EpochAssignment) {
  return Array.from(partitions, ([topicId, list]) =>
    createConsumerGroupCurrentMemberAssignmentValueTopicPartitions({
      topicId,
      partitions: [...list],
      assignmentEpochs: [...epochs.get(topicId)!],
    }),
  )
}

function decodeCurrent(reader: Reader): CurrentAssignment {
  const value = decodeConsumerGroupCurrentMemberAssignmentValue(reader, reader.int16())
  const { memberEpoch, previousMemberEpoch } = value
  return {
    memberEpoch,
    previousMemberEpoch,
    state: stateOf(value.state),
    assigned: epochsOf(value.assignedPartitions, memberEpoch),
    pendingRevocation: epochsOf(value.partitionsPendingRevocation, memberEpoch),
  }
}

/** Any other is that of a later version. */
function stateOf(state: number): MemberState {
  for (const known of Object.values(MemberState)) if (known === state) return known
  return MemberState.UNKNOWN
}

/** Kafka before 4.3 wrote no epochs: then that of the member stands for all, as there; 0 for a static member that has left. */
function epochsOf(
  topics: readonly { topicId: Uuid; partitions: readonly number[]; assignmentEpochs: readonly number[] | null }[],
  memberEpoch: number,
): EpochAssignment {
  const draft = new EpochAssignmentDraft()
  for (const { topicId, partitions, assignmentEpochs } of topics) {
    const epochs = assignmentEpochs?.length === partitions.length ? assignmentEpochs : null
    partitions.forEach((partition, slot) => {
      draft.add(topicId, partition, epochs === null ? Math.max(memberEpoch, 0) : epochs[slot]!)
    })
  }
  return draft.finish(EMPTY_EPOCH_ASSIGNMENT)
}

function decodeRegex(reader: Reader): ResolvedRegex {
  const { topics, version, timestamp } = decodeConsumerGroupRegularExpressionValue(reader, reader.int16())
  return { topics: [...new Set(topics)].sort(), version: safeNumber(version), timestampMs: safeNumber(timestamp) }
}
