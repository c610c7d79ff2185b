import type { ApiSchema } from './schema.ts'

/** BeginQuorumEpoch (key 53), versions 0-1. */
export const beginQuorumEpoch: ApiSchema = {
  key: 53,
  name: 'BeginQuorumEpoch',
  versions: '0-1',
  flexible: '1+',
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
              { name: 'voterDirectoryId', type: 'uuid', versions: '1+', ignorable: true },
              { name: 'leaderId', type: 'int32' },
              { name: 'leaderEpoch', type: 'int32' },
            ],
          },
        ],
      },
      {
        name: 'leaderEndpoints',
        type: 'LeaderEndpoint[]',
        versions: '1+',
        ignorable: true,
        fields: [
          { name: 'name', type: 'string' },
          { name: 'host', type: 'string' },
          { name: 'port', type: 'uint16' },
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
