import type { ApiSchema } from './schema.ts'

/** Metadata (key 3), versions 0-13. */
export const metadata: ApiSchema = {
  key: 3,
  name: 'Metadata',
  versions: '0-13',
  flexible: '9+',
  listeners: ['broker'],
  request: {
    fields: [
      {
        name: 'topics',
        type: 'MetadataRequestTopic[]',
        nullable: '1+',
        fields: [
          { name: 'topicId', type: 'uuid', versions: '10+', ignorable: true },
          { name: 'name', type: 'string', nullable: '10+' },
        ],
      },
      { name: 'allowAutoTopicCreation', type: 'bool', versions: '4+', default: true },
      { name: 'includeClusterAuthorizedOperations', type: 'bool', versions: '8-10' },
      { name: 'includeTopicAuthorizedOperations', type: 'bool', versions: '8+' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', versions: '3+', ignorable: true },
      {
        name: 'brokers',
        type: 'MetadataResponseBroker[]',
        fields: [
          { name: 'nodeId', type: 'int32' },
          { name: 'host', type: 'string' },
          { name: 'port', type: 'int32' },
          { name: 'rack', type: 'string', versions: '1+', nullable: true, default: null, ignorable: true },
        ],
      },
      { name: 'clusterId', type: 'string', versions: '2+', nullable: true, default: null, ignorable: true },
      { name: 'controllerId', type: 'int32', versions: '1+', default: -1, ignorable: true },
      {
        name: 'topics',
        type: 'MetadataResponseTopic[]',
        fields: [
          { name: 'errorCode', type: 'int16' },
          { name: 'name', type: 'string', nullable: '12+' },
          { name: 'topicId', type: 'uuid', versions: '10+', ignorable: true },
          { name: 'isInternal', type: 'bool', versions: '1+', ignorable: true },
          {
            name: 'partitions',
            type: 'MetadataResponsePartition[]',
            fields: [
              { name: 'errorCode', type: 'int16' },
              { name: 'partitionIndex', type: 'int32' },
              { name: 'leaderId', type: 'int32' },
              { name: 'leaderEpoch', type: 'int32', versions: '7+', default: -1, ignorable: true },
              { name: 'replicaNodes', type: 'int32[]' },
              { name: 'isrNodes', type: 'int32[]' },
              { name: 'offlineReplicas', type: 'int32[]', versions: '5+', ignorable: true },
            ],
          },
          { name: 'topicAuthorizedOperations', type: 'int32', versions: '8+', default: -2147483648 },
        ],
      },
      { name: 'clusterAuthorizedOperations', type: 'int32', versions: '8-10', default: -2147483648 },
      { name: 'errorCode', type: 'int16', versions: '13+', ignorable: true },
    ],
  },
}
