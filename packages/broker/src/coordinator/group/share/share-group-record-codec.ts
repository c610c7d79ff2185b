import type { Uuid } from '@millrace/base'
import {
  createShareGroupCurrentMemberAssignmentKey,
  createShareGroupCurrentMemberAssignmentValue,
  createShareGroupCurrentMemberAssignmentValueTopicPartitions,
  createShareGroupMemberMetadataKey,
  createShareGroupMemberMetadataValue,
  createShareGroupMetadataKey,
  createShareGroupMetadataValue,
  createShareGroupStatePartitionMetadataKey,
  createShareGroupStatePartitionMetadataValue,
  createShareGroupStatePartitionMetadataValueTopicInfo,
  createShareGroupTargetAssignmentMemberKey,
  createShareGroupTargetAssignmentMemberValue,
  createShareGroupTargetAssignmentMemberValueTopicPartition,
  createShareGroupTargetAssignmentMetadataKey,
  createShareGroupTargetAssignmentMetadataValue,
  createTopicPartitionsInfo,
  decodeShareGroupCurrentMemberAssignmentKey,
  decodeShareGroupCurrentMemberAssignmentValue,
  decodeShareGroupMemberMetadataKey,
  decodeShareGroupMemberMetadataValue,
  decodeShareGroupMetadataKey,
  decodeShareGroupMetadataValue,
  decodeShareGroupStatePartitionMetadataKey,
  decodeShareGroupStatePartitionMetadataValue,
  decodeShareGroupTargetAssignmentMemberKey,
  decodeShareGroupTargetAssignmentMemberValue,
  decodeShareGroupTargetAssignmentMetadataKey,
  decodeShareGroupTargetAssignmentMetadataValue,
  encodeShareGroupCurrentMemberAssignmentKey,
  encodeShareGroupCurrentMemberAssignmentValue,
  encodeShareGroupMemberMetadataKey,
  encodeShareGroupMemberMetadataValue,
  encodeShareGroupMetadataKey,
  encodeShareGroupMetadataValue,
  encodeShareGroupStatePartitionMetadataKey,
  encodeShareGroupStatePartitionMetadataValue,
  encodeShareGroupTargetAssignmentMemberKey,
  encodeShareGroupTargetAssignmentMemberValue,
  encodeShareGroupTargetAssignmentMetadataKey,
  encodeShareGroupTargetAssignmentMetadataValue,
  type Reader,
  type Writer,
} from '@millrace/protocol'
import { safeNumber } from '../../runtime/record-numbers.ts'
import type { RecordWriter } from '../../runtime/record-writer.ts'
import { toAssignment } from '../modern/assignment.ts'
import { subscriptionOf } from '../modern/modern-member.ts'
import { topicRows } from '../modern/topic-rows.ts'
import type { ShareGroupRecord, StatePartitions, StateTopic } from './share-group-record.ts'

/** The only version there is, of keys and of values. */
const VERSION = 0
/** Members of share groups are in no other state. */
const STABLE = 0

/** What follows the type. */
export function encodeShareGroupKey(writer: Writer, record: ShareGroupRecord): void {
  const { groupId } = record
  switch (record.type) {
    case 'share-member': {
      const key = createShareGroupMemberMetadataKey({ groupId, memberId: record.memberId })
      encodeShareGroupMemberMetadataKey(writer, key, VERSION)
      break
    }
    case 'share-group':
      encodeShareGroupMetadataKey(writer, createShareGroupMetadataKey({ groupId }), VERSION)
      break
    case 'share-targets': {
      const key = createShareGroupTargetAssignmentMetadataKey({ groupId })
      encodeShareGroupTargetAssignmentMetadataKey(writer, key, VERSION)
      break
    }
    case 'share-target': {
      const key = createShareGroupTargetAssignmentMemberKey({ groupId, memberId: record.memberId })
      encodeShareGroupTargetAssignmentMemberKey(writer, key, VERSION)
      break
    }
    case 'share-current': {
      const key = createShareGroupCurrentMemberAssignmentKey({ groupId, memberId: record.memberId })
      encodeShareGroupCurrentMemberAssignmentKey(writer, key, VERSION)
      break
    }
    case 'share-partitions':
      encodeShareGroupStatePartitionMetadataKey(writer, createShareGroupStatePartitionMetadataKey({ groupId }), VERSION)
      break
  }
}

/** Of a record that has a value. */
export function encodeShareGroupValue(values: RecordWriter, record: ShareGroupRecord): void {
  const writer = values.begin(VERSION)
  switch (record.type) {
    case 'share-member': {
      const { subscribedTopics, ...rest } = record.value!
      const value = createShareGroupMemberMetadataValue({ ...rest, subscribedTopicNames: [...subscribedTopics] })
      encodeShareGroupMemberMetadataValue(writer, value, VERSION)
      break
    }
    case 'share-group':
      encodeShareGroupMetadataValue(writer, createShareGroupMetadataValue(record.value!), VERSION)
      break
    case 'share-targets': {
      const { epoch, timestampMs } = record.value!
      const value = createShareGroupTargetAssignmentMetadataValue({
        assignmentEpoch: epoch,
        assignmentTimestamp: timestampMs,
      })
      encodeShareGroupTargetAssignmentMetadataValue(writer, value, VERSION)
      break
    }
    case 'share-target': {
      const topicPartitions = topicRows(record.value!, createShareGroupTargetAssignmentMemberValueTopicPartition)
      const value = createShareGroupTargetAssignmentMemberValue({ topicPartitions })
      encodeShareGroupTargetAssignmentMemberValue(writer, value, VERSION)
      break
    }
    case 'share-current': {
      const { memberEpoch, previousMemberEpoch, assigned } = record.value!
      const assignedPartitions = topicRows(assigned, createShareGroupCurrentMemberAssignmentValueTopicPartitions)
      const value = createShareGroupCurrentMemberAssignmentValue({
        ...{ memberEpoch, previousMemberEpoch, assignedPartitions },
        state: STABLE,
      })
      encodeShareGroupCurrentMemberAssignmentValue(writer, value, VERSION)
      break
    }
    case 'share-partitions':
      encodePartitions(writer, record.value!)
      break
  }
}

/** `key` is behind the type; `value` is null or before its version. */
export function decodeShareGroupRecord(
  type: ShareGroupRecord['type'],
  key: Reader,
  value: Reader | null,
): ShareGroupRecord {
  switch (type) {
    case 'share-member': {
      const { groupId, memberId } = decodeShareGroupMemberMetadataKey(key, VERSION)
      if (value === null) return { type, groupId, memberId, value }
      const { rackId, clientId, clientHost, subscribedTopicNames } = decodeShareGroupMemberMetadataValue(
        value,
        value.int16(),
      )
      const subscribedTopics = subscriptionOf(subscribedTopicNames)
      return { type, groupId, memberId, value: { rackId, clientId, clientHost, subscribedTopics } }
    }
    case 'share-group': {
      const { groupId } = decodeShareGroupMetadataKey(key, VERSION)
      if (value === null) return { type, groupId, value }
      const { epoch, metadataHash } = decodeShareGroupMetadataValue(value, value.int16())
      return { type, groupId, value: { epoch, metadataHash: BigInt(metadataHash) } }
    }
    case 'share-targets': {
      const { groupId } = decodeShareGroupTargetAssignmentMetadataKey(key, VERSION)
      if (value === null) return { type, groupId, value }
      const target = decodeShareGroupTargetAssignmentMetadataValue(value, value.int16())
      const timestampMs = safeNumber(target.assignmentTimestamp)
      return { type, groupId, value: { epoch: target.assignmentEpoch, timestampMs } }
    }
    case 'share-target': {
      const { groupId, memberId } = decodeShareGroupTargetAssignmentMemberKey(key, VERSION)
      if (value === null) return { type, groupId, memberId, value }
      const { topicPartitions } = decodeShareGroupTargetAssignmentMemberValue(value, value.int16())
      return { type, groupId, memberId, value: toAssignment(topicPartitions) }
    }
    case 'share-current': {
      const { groupId, memberId } = decodeShareGroupCurrentMemberAssignmentKey(key, VERSION)
      if (value === null) return { type, groupId, memberId, value }
      const current = decodeShareGroupCurrentMemberAssignmentValue(value, value.int16())
      const { memberEpoch, previousMemberEpoch } = current
      const assigned = toAssignment(current.assignedPartitions)
      return { type, groupId, memberId, value: { memberEpoch, previousMemberEpoch, assigned } }
    }
    case 'share-partitions': {
      const { groupId } = decodeShareGroupStatePartitionMetadataKey(key, VERSION)
      return { type, groupId, value: value === null ? null : decodePartitions(value) }
    }
  }
}

function encodePartitions(writer: Writer, { initializing, initialized, deleting }: StatePartitions): void {
  const value = createShareGroupStatePartitionMetadataValue({
    initializingTopics: topicsOf(initializing),
    initializedTopics: topicsOf(initialized),
    deletingTopics: Array.from(deleting, ([topicId, topicName]) =>
      createShareGroupStatePartitionMetadataValueTopicInfo({ topicId, topicName }),
    ),
  })
  encodeShareGroupStatePartitionMetadataValue(writer, value, VERSION)
}

function topicsOf(topics: ReadonlyMap<Uuid, StateTopic>) {
  return Array.from(topics, ([topicId, { name: topicName, partitions }]) =>
    createTopicPartitionsInfo({ topicId, topicName, partitions: [...partitions] }),
  )
}

function decodePartitions(reader: Reader): StatePartitions {
  const value = decodeShareGroupStatePartitionMetadataValue(reader, reader.int16())
  return {
    initializing: topicMap(value.initializingTopics),
    initialized: topicMap(value.initializedTopics),
    deleting: new Map(value.deletingTopics.map(({ topicId, topicName }) => [topicId, topicName])),
  }
}

function topicMap(
  topics: readonly { readonly topicId: Uuid; readonly topicName: string; readonly partitions: readonly number[] }[],
): Map<Uuid, StateTopic> {
  return new Map(
    topics.map(({ topicId, topicName: name, partitions }) => [
      topicId,
      { name, partitions: [...new Set(partitions)].sort((left, right) => left - right) },
    ]),
  )
}
