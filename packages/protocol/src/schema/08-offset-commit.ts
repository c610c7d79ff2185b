import type { ApiSchema } from './schema.ts'

/** OffsetCommit (key 8), versions 2-10. */
export const offsetCommit: ApiSchema = {
  key: 8,
  name: 'OffsetCommit',
  versions: '2-10',
  flexible: '8+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupId', type: 'string' },
      { name: 'generationIdOrMemberEpoch', type: 'int32', default: -1, ignorable: true },
      { name: 'memberId', type: 'string', ignorable: true },
      { name: 'groupInstanceId', type: 'string', versions: '7+', nullable: true, default: null },
      { name: 'retentionTimeMs', type: 'int64', versions: '2-4', default: -1, ignorable: true },
      {
        name: 'topics',
        type: 'OffsetCommitRequestTopic[]',
        fields: [
          { name: 'name', type: 'string', versions: '2-9', ignorable: true },
          { name: 'topicId', type: 'uuid', versions: '10+', ignorable: true },
          {
            name: 'partitions',
            type: 'OffsetCommitRequestPartition[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'committedOffset', type: 'int64' },
              { name: 'committedLeaderEpoch', type: 'int32', versions: '6+', default: -1, ignorable: true },
              { name: 'committedMetadata', type: 'string', nullable: true },
            ],
          },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', versions: '3+', ignorable: true },
      {
        name: 'topics',
        type: 'OffsetCommitResponseTopic[]',
        fields: [
          { name: 'name', type: 'string', versions: '2-9', ignorable: true },
          { name: 'topicId', type: 'uuid', versions: '10+', ignorable: true },
          {
            name: 'partitions',
            type: 'OffsetCommitResponsePartition[]',
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
