import type { ApiSchema } from './schema.ts'

/** ElectLeaders (key 43), versions 0-2. */
export const electLeaders: ApiSchema = {
  key: 43,
  name: 'ElectLeaders',
  versions: '0-2',
  flexible: '2+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      { name: 'electionType', type: 'int8', versions: '1+' },
      {
        name: 'topicPartitions',
        type: 'TopicPartitions[]',
        nullable: true,
        fields: [
          { name: 'topic', type: 'string' },
          { name: 'partitions', type: 'int32[]' },
        ],
      },
      { name: 'timeoutMs', type: 'int32', default: 60000 },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16', versions: '1+' },
      {
        name: 'replicaElectionResults',
        type: 'ReplicaElectionResult[]',
        fields: [
          { name: 'topic', type: 'string' },
          {
            name: 'partitionResult',
            type: 'PartitionResult[]',
            fields: [
              { name: 'partitionId', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'errorMessage', type: 'string', nullable: true },
            ],
          },
        ],
      },
    ],
  },
}
