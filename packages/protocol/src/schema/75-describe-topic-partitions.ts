import type { ApiSchema } from './schema.ts'

/** DescribeTopicPartitions (key 75), versions 0. */
export const describeTopicPartitions: ApiSchema = {
  key: 75,
  name: 'DescribeTopicPartitions',
  versions: '0',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'topics', type: 'TopicRequest[]', fields: [{ name: 'name', type: 'string' }] },
      { name: 'responsePartitionLimit', type: 'int32', default: 2000 },
      {
        name: 'cursor',
        type: 'Cursor',
        nullable: true,
        default: null,
        fields: [
          { name: 'topicName', type: 'string' },
          { name: 'partitionIndex', type: 'int32' },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', ignorable: true },
      {
        name: 'topics',
        type: 'DescribeTopicPartitionsResponseTopic[]',
        fields: [
          { name: 'errorCode', type: 'int16' },
          { name: 'name', type: 'string', nullable: true },
          { name: 'topicId', type: 'uuid', ignorable: true },
          { name: 'isInternal', type: 'bool', ignorable: true },
          {
            name: 'partitions',
            type: 'DescribeTopicPartitionsResponsePartition[]',
            fields: [
              { name: 'errorCode', type: 'int16' },
              { name: 'partitionIndex', type: 'int32' },
              { name: 'leaderId', type: 'int32' },
              { name: 'leaderEpoch', type: 'int32', default: -1, ignorable: true },
              { name: 'replicaNodes', type: 'int32[]' },
              { name: 'isrNodes', type: 'int32[]' },
              { name: 'eligibleLeaderReplicas', type: 'int32[]', nullable: true, default: null },
              { name: 'lastKnownElr', type: 'int32[]', nullable: true, default: null },
              { name: 'offlineReplicas', type: 'int32[]', ignorable: true },
            ],
          },
          { name: 'topicAuthorizedOperations', type: 'int32', default: -2147483648 },
        ],
      },
      {
        name: 'nextCursor',
        type: 'Cursor',
        nullable: true,
        default: null,
        fields: [
          { name: 'topicName', type: 'string' },
          { name: 'partitionIndex', type: 'int32' },
        ],
      },
    ],
  },
}
