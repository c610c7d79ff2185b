import type { ApiSchema } from './schema.ts'

/** TxnOffsetCommit (key 28), versions 0-6. */
export const txnOffsetCommit: ApiSchema = {
  key: 28,
  name: 'TxnOffsetCommit',
  versions: '0-6',
  flexible: '3+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'transactionalId', type: 'string' },
      { name: 'groupId', type: 'string' },
      { name: 'producerId', type: 'int64' },
      { name: 'producerEpoch', type: 'int16' },
      { name: 'generationIdOrMemberEpoch', type: 'int32', versions: '3+', default: -1 },
      { name: 'memberId', type: 'string', versions: '3+' },
      { name: 'groupInstanceId', type: 'string', versions: '3+', nullable: true, default: null },
      {
        name: 'topics',
        type: 'TxnOffsetCommitRequestTopic[]',
        fields: [
          { name: 'name', type: 'string', versions: '0-5', ignorable: true },
          { name: 'topicId', type: 'uuid', versions: '6+', ignorable: true },
          {
            name: 'partitions',
            type: 'TxnOffsetCommitRequestPartition[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'committedOffset', type: 'int64' },
              { name: 'committedLeaderEpoch', type: 'int32', versions: '2+', default: -1, ignorable: true },
              { name: 'committedMetadata', type: 'string', nullable: true },
            ],
          },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'topics',
        type: 'TxnOffsetCommitResponseTopic[]',
        fields: [
          { name: 'name', type: 'string', versions: '0-5', ignorable: true },
          { name: 'topicId', type: 'uuid', versions: '6+', ignorable: true },
          {
            name: 'partitions',
            type: 'TxnOffsetCommitResponsePartition[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
            ],
          },
        ],
      },
    ],
  },
}
