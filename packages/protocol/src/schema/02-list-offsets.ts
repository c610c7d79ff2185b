import type { ApiSchema } from './schema.ts'

/** ListOffsets (key 2), versions 1-11. */
export const listOffsets: ApiSchema = {
  key: 2,
  name: 'ListOffsets',
  versions: '1-11',
  flexible: '6+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'replicaId', type: 'int32' },
      { name: 'isolationLevel', type: 'int8', versions: '2+' },
      {
        name: 'topics',
        type: 'ListOffsetsTopic[]',
        fields: [
          { name: 'name', type: 'string' },
          {
            name: 'partitions',
            type: 'ListOffsetsPartition[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'currentLeaderEpoch', type: 'int32', versions: '4+', default: -1, ignorable: true },
              { name: 'timestamp', type: 'int64' },
            ],
          },
        ],
      },
      { name: 'timeoutMs', type: 'int32', versions: '10+', ignorable: true },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', versions: '2+', ignorable: true },
      {
        name: 'topics',
        type: 'ListOffsetsTopicResponse[]',
        fields: [
          { name: 'name', type: 'string' },
          {
            name: 'partitions',
            type: 'ListOffsetsPartitionResponse[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'timestamp', type: 'int64', default: -1 },
              { name: 'offset', type: 'int64', default: -1 },
              { name: 'leaderEpoch', type: 'int32', versions: '4+', default: -1 },
            ],
          },
        ],
      },
    ],
  },
}
