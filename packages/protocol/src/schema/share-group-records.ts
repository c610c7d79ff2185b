import type { DataFamilySchema } from './schema.ts'

/** Records of `__consumer_offsets` for share groups (KIP-932). */
export const shareGroupRecords: DataFamilySchema = {
  name: 'share-group-records',
  messages: [
    {
      name: 'ShareGroupMemberMetadataKey',
      kind: 'coordinator-key',
      key: 10,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'memberId', type: 'string' },
      ],
    },
    {
      name: 'ShareGroupMemberMetadataValue',
      kind: 'coordinator-value',
      key: 10,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'rackId', type: 'string', nullable: true },
        { name: 'clientId', type: 'string' },
        { name: 'clientHost', type: 'string' },
        { name: 'subscribedTopicNames', type: 'string[]' },
      ],
    },
    {
      name: 'ShareGroupMetadataKey',
      kind: 'coordinator-key',
      key: 11,
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'groupId', type: 'string' }],
    },
    {
      name: 'ShareGroupMetadataValue',
      kind: 'coordinator-value',
      key: 11,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'epoch', type: 'int32' },
        { name: 'metadataHash', type: 'int64' },
      ],
    },
    {
      name: 'ShareGroupTargetAssignmentMetadataKey',
      kind: 'coordinator-key',
      key: 12,
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'groupId', type: 'string' }],
    },
    {
      name: 'ShareGroupTargetAssignmentMetadataValue',
      kind: 'coordinator-value',
      key: 12,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'assignmentEpoch', type: 'int32' },
        { name: 'assignmentTimestamp', type: 'int64', tag: 0, ignorable: true },
      ],
    },
    {
      name: 'ShareGroupTargetAssignmentMemberKey',
      kind: 'coordinator-key',
      key: 13,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'memberId', type: 'string' },
      ],
    },
    {
      name: 'ShareGroupTargetAssignmentMemberValue',
      kind: 'coordinator-value',
      key: 13,
      versions: '0',
      flexible: '0+',
      fields: [
        {
          name: 'topicPartitions',
          type: 'TopicPartition[]',
          fields: [
            { name: 'topicId', type: 'uuid' },
            { name: 'partitions', type: 'int32[]' },
          ],
        },
      ],
    },
    {
      name: 'ShareGroupCurrentMemberAssignmentKey',
      kind: 'coordinator-key',
      key: 14,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'memberId', type: 'string' },
      ],
    },
    {
      name: 'ShareGroupCurrentMemberAssignmentValue',
      kind: 'coordinator-value',
      key: 14,
      versions: '0',
      flexible: '0+',
      structs: {
        TopicPartitions: [
          { name: 'topicId', type: 'uuid' },
          { name: 'partitions', type: 'int32[]' },
        ],
      },
      fields: [
        { name: 'memberEpoch', type: 'int32' },
        { name: 'previousMemberEpoch', type: 'int32' },
        { name: 'state', type: 'int8' },
        { name: 'assignedPartitions', type: 'TopicPartitions[]' },
      ],
    },
    {
      name: 'ShareGroupStatePartitionMetadataKey',
      kind: 'coordinator-key',
      key: 15,
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'groupId', type: 'string' }],
    },
    {
      name: 'ShareGroupStatePartitionMetadataValue',
      kind: 'coordinator-value',
      key: 15,
      versions: '0',
      flexible: '0+',
      structs: {
        TopicPartitionsInfo: [
          { name: 'topicId', type: 'uuid' },
          { name: 'topicName', type: 'string' },
          { name: 'partitions', type: 'int32[]' },
        ],
        TopicInfo: [
          { name: 'topicId', type: 'uuid' },
          { name: 'topicName', type: 'string' },
        ],
      },
      fields: [
        { name: 'initializingTopics', type: 'TopicPartitionsInfo[]' },
        { name: 'initializedTopics', type: 'TopicPartitionsInfo[]' },
        { name: 'deletingTopics', type: 'TopicInfo[]' },
      ],
    },
  ],
}
