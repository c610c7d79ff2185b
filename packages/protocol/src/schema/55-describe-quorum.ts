import type { ApiSchema } from './schema.ts'

/** DescribeQuorum (key 55), versions 0-2. */
export const describeQuorum: ApiSchema = {
  key: 55,
  name: 'DescribeQuorum',
  versions: '0-2',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  clusterAction: true,
  forwardable: true,
  request: {
    fields: [
      {
        name: 'topics',
        type: 'TopicData[]',
        fields: [
          { name: 'topicName', type: 'string' },
          { name: 'partitions', type: 'PartitionData[]', fields: [{ name: 'partitionIndex', type: 'int32' }] },
        ],
      },
    ],
  },
  response: {
    structs: {
      ReplicaState: [
        { name: 'replicaId', type: 'int32' },
        { name: 'replicaDirectoryId', type: 'uuid', versions: '2+' },
        { name: 'logEndOffset', type: 'int64' },
        { name: 'lastFetchTimestamp', type: 'int64', versions: '1+', default: -1, ignorable: true },
        { name: 'lastCaughtUpTimestamp', type: 'int64', versions: '1+', default: -1, ignorable: true },
      ],
    },
    fields: [
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', versions: '2+', nullable: true, ignorable: true },
      {
        name: 'topics',
        type: 'TopicData[]',
        fields: [
          { name: 'topicName', type: 'string' },
          {
            name: 'partitions',
            type: 'PartitionData[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'errorMessage', type: 'string', versions: '2+', nullable: true, ignorable: true },
              { name: 'leaderId', type: 'int32' },
              { name: 'leaderEpoch', type: 'int32' },
              { name: 'highWatermark', type: 'int64' },
              { name: 'currentVoters', type: 'ReplicaState[]' },
              { name: 'observers', type: 'ReplicaState[]' },
            ],
          },
        ],
      },
      {
        name: 'nodes',
        type: 'Node[]',
        versions: '2+',
        fields: [
          { name: 'nodeId', type: 'int32' },
          {
            name: 'listeners',
            type: 'Listener[]',
            fields: [
              { name: 'name', type: 'string' },
              { name: 'host', type: 'string' },
              { name: 'port', type: 'uint16' },
            ],
          },
        ],
      },
    ],
  },
}
