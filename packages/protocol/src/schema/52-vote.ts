import type { ApiSchema } from './schema.ts'

/** Vote (key 52), versions 0-2. */
export const vote: ApiSchema = {
  key: 52,
  name: 'Vote',
  versions: '0-2',
  flexible: '0+',
  listeners: ['controller'],
  clusterAction: true,
  request: {
    fields: [
      { name: 'clusterId', type: 'string', nullable: true, default: null },
      { name: 'voterId', type: 'int32', versions: '1+', default: -1, ignorable: true },
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
              { name: 'replicaEpoch', type: 'int32' },
              { name: 'replicaId', type: 'int32' },
              { name: 'replicaDirectoryId', type: 'uuid', versions: '1+', ignorable: true },
              { name: 'voterDirectoryId', type: 'uuid', versions: '1+', ignorable: true },
              { name: 'lastOffsetEpoch', type: 'int32' },
              { name: 'lastOffset', type: 'int64' },
              { name: 'preVote', type: 'bool', versions: '2+' },
            ],
          },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'errorCode', type: 'int16' },
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
              { name: 'leaderId', type: 'int32' },
              { name: 'leaderEpoch', type: 'int32' },
              { name: 'voteGranted', type: 'bool' },
            ],
          },
        ],
      },
      {
        name: 'nodeEndpoints',
        type: 'NodeEndpoint[]',
        versions: '1+',
        tag: 0,
        fields: [
          { name: 'nodeId', type: 'int32' },
          { name: 'host', type: 'string' },
          { name: 'port', type: 'uint16' },
        ],
      },
    ],
  },
}
