import type { ApiSchema } from './schema.ts'

/** AlterReplicaLogDirs (key 34), versions 1-2. */
export const alterReplicaLogDirs: ApiSchema = {
  key: 34,
  name: 'AlterReplicaLogDirs',
  versions: '1-2',
  flexible: '2+',
  listeners: ['broker'],
  request: {
    fields: [
      {
        name: 'dirs',
        type: 'AlterReplicaLogDir[]',
        fields: [
          { name: 'path', type: 'string' },
          {
            name: 'topics',
            type: 'AlterReplicaLogDirTopic[]',
            fields: [
              { name: 'name', type: 'string' },
              { name: 'partitions', type: 'int32[]' },
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
        name: 'results',
        type: 'AlterReplicaLogDirTopicResult[]',
        fields: [
          { name: 'topicName', type: 'string' },
          {
            name: 'partitions',
            type: 'AlterReplicaLogDirPartitionResult[]',
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
