import type { DataFamilySchema } from './schema.ts'

/** Records of `__consumer_offsets` for consumer groups (KIP-848). */
export const consumerGroupRecords: DataFamilySchema = {
  name: 'consumer-group-records',
  messages: [
    {
      name: 'ConsumerGroupMetadataKey',
      kind: 'coordinator-key',
      key: 3,
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'groupId', type: 'string' }],
    },
    {
      name: 'ConsumerGroupMetadataValue',
      kind: 'coordinator-value',
      key: 3,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'epoch', type: 'int32' },
        { name: 'metadataHash', type: 'int64', tag: 0 },
      ],
    },
    {
      name: 'ConsumerGroupPartitionMetadataKey',
      kind: 'coordinator-key',
      key: 4,
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'groupId', type: 'string' }],
    },
    {
      name: 'ConsumerGroupPartitionMetadataValue',
      kind: 'coordinator-value',
      key: 4,
      versions: '0',
      flexible: '0+',
      fields: [
        {
          name: 'topics',
          type: 'TopicMetadata[]',
          fields: [
            { name: 'topicId', type: 'uuid' },
            { name: 'topicName', type: 'string' },
            { name: 'numPartitions', type: 'int32' },
            {
              name: 'partitionMetadata',
              type: 'PartitionMetadata[]',
              fields: [
                { name: 'partition', type: 'int32' },
                { name: 'racks', type: 'string[]' },
              ],
            },
          ],
        },
      ],
    },
    {
      name: 'ConsumerGroupMemberMetadataKey',
      kind: 'coordinator-key',
      key: 5,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'memberId', type: 'string' },
      ],
    },
    {
      name: 'ConsumerGroupMemberMetadataValue',
      kind: 'coordinator-value',
      key: 5,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'instanceId', type: 'string', nullable: true },
        { name: 'rackId', type: 'string', nullable: true },
        { name: 'clientId', type: 'string' },
        { name: 'clientHost', type: 'string' },
        { name: 'subscribedTopicNames', type: 'string[]' },
        { name: 'subscribedTopicRegex', type: 'string', nullable: true },
        { name: 'rebalanceTimeoutMs', type: 'int32', default: -1 },
        { name: 'serverAssignor', type: 'string', nullable: true },
        {
          name: 'classicMemberMetadata',
          type: 'ClassicMemberMetadata',
          nullable: true,
          tag: 0,
          fields: [
            { name: 'sessionTimeoutMs', type: 'int32' },
            {
              name: 'supportedProtocols',
              type: 'ClassicProtocol[]',
              fields: [
                { name: 'name', type: 'string' },
                { name: 'metadata', type: 'bytes' },
              ],
            },
          ],
        },
      ],
    },
    {
      name: 'ConsumerGroupTargetAssignmentMetadataKey',
      kind: 'coordinator-key',
      key: 6,
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'groupId', type: 'string' }],
    },
    {
      name: 'ConsumerGroupTargetAssignmentMetadataValue',
      kind: 'coordinator-value',
      key: 6,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'assignmentEpoch', type: 'int32' },
        { name: 'assignmentTimestamp', type: 'int64', tag: 0, ignorable: true },
      ],
    },
    {
      name: 'ConsumerGroupTargetAssignmentMemberKey',
      kind: 'coordinator-key',
      key: 7,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'memberId', type: 'string' },
      ],
    },
    {
      name: 'ConsumerGroupTargetAssignmentMemberValue',
      kind: 'coordinator-value',
      key: 7,
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
      name: 'ConsumerGroupCurrentMemberAssignmentKey',
      kind: 'coordinator-key',
      key: 8,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'memberId', type: 'string' },
      ],
    },
    {
      name: 'ConsumerGroupCurrentMemberAssignmentValue',
      kind: 'coordinator-value',
      key: 8,
      versions: '0',
      flexible: '0+',
      structs: {
        TopicPartitions: [
          { name: 'topicId', type: 'uuid' },
          { name: 'partitions', type: 'int32[]' },
          { name: 'assignmentEpochs', type: 'int32[]', nullable: true, tag: 0 },
        ],
      },
      fields: [
        { name: 'memberEpoch', type: 'int32' },
        { name: 'previousMemberEpoch', type: 'int32' },
        { name: 'state', type: 'int8' },
        { name: 'assignedPartitions', type: 'TopicPartitions[]' },
        { name: 'partitionsPendingRevocation', type: 'TopicPartitions[]' },
      ],
    },
    {
      name: 'ConsumerGroupRegularExpressionKey',
      kind: 'coordinator-key',
      key: 16,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'regularExpression', type: 'string' },
      ],
    },
    {
      name: 'ConsumerGroupRegularExpressionValue',
      kind: 'coordinator-value',
      key: 16,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'topics', type: 'string[]' },
        { name: 'version', type: 'int64' },
        { name: 'timestamp', type: 'int64' },
      ],
    },
  ],
}
