import type { ApiSchema } from './schema.ts'

/** Fetch (key 1), versions 4-18. */
export const fetch: ApiSchema = {
  key: 1,
  name: 'Fetch',
  versions: '4-18',
  flexible: '12+',
  listeners: ['broker', 'controller'],
  request: {
    fields: [
      { name: 'clusterId', type: 'string', versions: '12+', nullable: true, tag: 0, default: null, ignorable: true },
      { name: 'replicaId', type: 'int32', versions: '4-14', default: -1 },
      {
        name: 'replicaState',
        type: 'ReplicaState',
        versions: '15+',
        tag: 1,
        fields: [
          { name: 'replicaId', type: 'int32', default: -1 },
          { name: 'replicaEpoch', type: 'int64', default: -1 },
        ],
      },
      { name: 'maxWaitMs', type: 'int32' },
      { name: 'minBytes', type: 'int32' },
      { name: 'maxBytes', type: 'int32', default: 2147483647, ignorable: true },
      { name: 'isolationLevel', type: 'int8', ignorable: true },
      { name: 'sessionId', type: 'int32', versions: '7+', ignorable: true },
      { name: 'sessionEpoch', type: 'int32', versions: '7+', default: -1, ignorable: true },
      {
        name: 'topics',
        type: 'FetchTopic[]',
        fields: [
          { name: 'topic', type: 'string', versions: '4-12', ignorable: true },
          { name: 'topicId', type: 'uuid', versions: '13+', ignorable: true },
          {
            name: 'partitions',
            type: 'FetchPartition[]',
            fields: [
              { name: 'partition', type: 'int32' },
              { name: 'currentLeaderEpoch', type: 'int32', versions: '9+', default: -1, ignorable: true },
              { name: 'fetchOffset', type: 'int64' },
              { name: 'lastFetchedEpoch', type: 'int32', versions: '12+', default: -1 },
              { name: 'logStartOffset', type: 'int64', versions: '5+', default: -1, ignorable: true },
              { name: 'partitionMaxBytes', type: 'int32' },
              { name: 'replicaDirectoryId', type: 'uuid', versions: '17+', tag: 0, ignorable: true },
              {
                name: 'highWatermark',
                type: 'int64',
                versions: '18+',
                tag: 1,
                default: 9223372036854775807n,
                ignorable: true,
              },
            ],
          },
        ],
      },
      {
        name: 'forgottenTopicsData',
        type: 'ForgottenTopic[]',
        versions: '7+',
        fields: [
          { name: 'topic', type: 'string', versions: '7-12', ignorable: true },
          { name: 'topicId', type: 'uuid', versions: '13+', ignorable: true },
          { name: 'partitions', type: 'int32[]' },
        ],
      },
      { name: 'rackId', type: 'string', versions: '11+', ignorable: true },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', ignorable: true },
      { name: 'errorCode', type: 'int16', versions: '7+', ignorable: true },
      { name: 'sessionId', type: 'int32', versions: '7+' },
      {
        name: 'responses',
        type: 'FetchableTopicResponse[]',
        fields: [
          { name: 'topic', type: 'string', versions: '4-12', ignorable: true },
          { name: 'topicId', type: 'uuid', versions: '13+', ignorable: true },
          {
            name: 'partitions',
            type: 'PartitionData[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'highWatermark', type: 'int64' },
              { name: 'lastStableOffset', type: 'int64', default: -1, ignorable: true },
              { name: 'logStartOffset', type: 'int64', versions: '5+', default: -1, ignorable: true },
              {
                name: 'divergingEpoch',
                type: 'EpochEndOffset',
                versions: '12+',
                tag: 0,
                fields: [
                  { name: 'epoch', type: 'int32', default: -1 },
                  { name: 'endOffset', type: 'int64', default: -1 },
                ],
              },
              {
                name: 'currentLeader',
                type: 'LeaderIdAndEpoch',
                versions: '12+',
                tag: 1,
                fields: [
                  { name: 'leaderId', type: 'int32', default: -1 },
                  { name: 'leaderEpoch', type: 'int32', default: -1 },
                ],
              },
              {
                name: 'snapshotId',
                type: 'SnapshotId',
                versions: '12+',
                tag: 2,
                fields: [
                  { name: 'endOffset', type: 'int64', default: -1 },
                  { name: 'epoch', type: 'int32', default: -1 },
                ],
              },
              {
                name: 'abortedTransactions',
                type: 'AbortedTransaction[]',
                nullable: true,
                ignorable: true,
                fields: [
                  { name: 'producerId', type: 'int64' },
                  { name: 'firstOffset', type: 'int64' },
                ],
              },
              { name: 'preferredReadReplica', type: 'int32', versions: '11+', default: -1 },
              { name: 'records', type: 'records', nullable: true },
            ],
          },
        ],
      },
      {
        name: 'nodeEndpoints',
        type: 'NodeEndpoint[]',
        versions: '16+',
        tag: 0,
        fields: [
          { name: 'nodeId', type: 'int32' },
          { name: 'host', type: 'string' },
          { name: 'port', type: 'int32' },
          { name: 'rack', type: 'string', nullable: true, default: null },
        ],
      },
    ],
  },
}
