import type { ApiSchema } from './schema.ts'

/** AssignReplicasToDirs (key 73), versions 0. */
export const assignReplicasToDirs: ApiSchema = {
  key: 73,
  name: 'AssignReplicasToDirs',
  versions: '0',
  flexible: '0+',
  listeners: ['controller'],
  request: {
    fields: [
      { name: 'brokerId', type: 'int32' },
      { name: 'brokerEpoch', type: 'int64', default: -1 },
      {
        name: 'directories',
        type: 'DirectoryData[]',
        fields: [
          { name: 'id', type: 'uuid' },
          {
            name: 'topics',
            type: 'TopicData[]',
            fields: [
              { name: 'topicId', type: 'uuid' },
              { name: 'partitions', type: 'PartitionData[]', fields: [{ name: 'partitionIndex', type: 'int32' }] },
            ],
          },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      {
        name: 'directories',
        type: 'DirectoryData[]',
        fields: [
          { name: 'id', type: 'uuid' },
          {
            name: 'topics',
            type: 'TopicData[]',
            fields: [
              { name: 'topicId', type: 'uuid' },
              {
                name: 'partitions',
                type: 'PartitionData[]',
                fields: [
                  { name: 'partitionIndex', type: 'int32' },
                  { name: 'errorCode', type: 'int16' },
                ],
              },
            ],
          },
        ],
      },
    ],
  },
}
