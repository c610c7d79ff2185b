import type { ApiSchema } from './schema.ts'

/** OffsetFetch (key 9), versions 1-10. */
export const offsetFetch: ApiSchema = {
  key: 9,
  name: 'OffsetFetch',
  versions: '1-10',
  flexible: '6+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupId', type: 'string', versions: '1-7' },
      {
        name: 'topics',
        type: 'OffsetFetchRequestTopic[]',
        versions: '1-7',
        nullable: '2-7',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'partitionIndexes', type: 'int32[]' },
        ],
      },
      {
        name: 'groups',
        type: 'OffsetFetchRequestGroup[]',
        versions: '8+',
        fields: [
          { name: 'groupId', type: 'string' },
          { name: 'memberId', type: 'string', versions: '9+', nullable: true, default: null, ignorable: true },
          { name: 'memberEpoch', type: 'int32', versions: '9+', default: -1, ignorable: true },
          {
            name: 'topics',
            type: 'OffsetFetchRequestTopics[]',
            nullable: true,
            fields: [
              { name: 'name', type: 'string', versions: '8-9', ignorable: true },
              { name: 'topicId', type: 'uuid', versions: '10+', ignorable: true },
              { name: 'partitionIndexes', type: 'int32[]' },
            ],
          },
        ],
      },
      { name: 'requireStable', type: 'bool', versions: '7+' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', versions: '3+', ignorable: true },
      {
        name: 'topics',
        type: 'OffsetFetchResponseTopic[]',
        versions: '1-7',
        fields: [
          { name: 'name', type: 'string' },
          {
            name: 'partitions',
            type: 'OffsetFetchResponsePartition[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'committedOffset', type: 'int64' },
              { name: 'committedLeaderEpoch', type: 'int32', versions: '5-7', default: -1, ignorable: true },
              { name: 'metadata', type: 'string', nullable: true },
              { name: 'errorCode', type: 'int16' },
            ],
          },
        ],
      },
      { name: 'errorCode', type: 'int16', versions: '2-7', ignorable: true },
      {
        name: 'groups',
        type: 'OffsetFetchResponseGroup[]',
        versions: '8+',
        fields: [
          { name: 'groupId', type: 'string' },
          {
            name: 'topics',
            type: 'OffsetFetchResponseTopics[]',
            fields: [
              { name: 'name', type: 'string', versions: '8-9', ignorable: true },
              { name: 'topicId', type: 'uuid', versions: '10+', ignorable: true },
              {
                name: 'partitions',
                type: 'OffsetFetchResponsePartitions[]',
                fields: [
                  { name: 'partitionIndex', type: 'int32' },
                  { name: 'committedOffset', type: 'int64' },
                  { name: 'committedLeaderEpoch', type: 'int32', default: -1, ignorable: true },
                  { name: 'metadata', type: 'string', nullable: true },
                  { name: 'errorCode', type: 'int16' },
                ],
              },
            ],
          },
          { name: 'errorCode', type: 'int16' },
        ],
      },
    ],
  },
}
