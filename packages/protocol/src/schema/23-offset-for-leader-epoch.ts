import type { ApiSchema } from './schema.ts'

/** OffsetForLeaderEpoch (key 23), versions 2-4. */
export const offsetForLeaderEpoch: ApiSchema = {
  key: 23,
  name: 'OffsetForLeaderEpoch',
  versions: '2-4',
  flexible: '4+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'replicaId', type: 'int32', versions: '3+', default: -2, ignorable: true },
      {
        name: 'topics',
        type: 'OffsetForLeaderTopic[]',
        fields: [
          { name: 'topic', type: 'string' },
          {
            name: 'partitions',
            type: 'OffsetForLeaderPartition[]',
            fields: [
              { name: 'partition', type: 'int32' },
              { name: 'currentLeaderEpoch', type: 'int32', default: -1, ignorable: true },
              { name: 'leaderEpoch', type: 'int32' },
            ],
          },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', ignorable: true },
      {
        name: 'topics',
        type: 'OffsetForLeaderTopicResult[]',
        fields: [
          { name: 'topic', type: 'string' },
          {
            name: 'partitions',
            type: 'EpochEndOffset[]',
            fields: [
              { name: 'errorCode', type: 'int16' },
              { name: 'partition', type: 'int32' },
              { name: 'leaderEpoch', type: 'int32', default: -1, ignorable: true },
              { name: 'endOffset', type: 'int64', default: -1 },
            ],
          },
        ],
      },
    ],
  },
}
