import type { ApiSchema } from './schema.ts'

/** Produce (key 0), versions 3-13. */
export const produce: ApiSchema = {
  key: 0,
  name: 'Produce',
  versions: '3-13',
  flexible: '9+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'transactionalId', type: 'string', nullable: true, default: null },
      { name: 'acks', type: 'int16' },
      { name: 'timeoutMs', type: 'int32' },
      {
        name: 'topicData',
        type: 'TopicProduceData[]',
        fields: [
          { name: 'name', type: 'string', versions: '3-12', ignorable: true },
          { name: 'topicId', type: 'uuid', versions: '13+', ignorable: true },
          {
            name: 'partitionData',
            type: 'PartitionProduceData[]',
            fields: [
              { name: 'index', type: 'int32' },
              { name: 'records', type: 'records', nullable: true },
            ],
          },
        ],
      },
    ],
  },
  response: {
    fields: [
      {
        name: 'responses',
        type: 'TopicProduceResponse[]',
        fields: [
          { name: 'name', type: 'string', versions: '3-12', ignorable: true },
          { name: 'topicId', type: 'uuid', versions: '13+', ignorable: true },
          {
            name: 'partitionResponses',
            type: 'PartitionProduceResponse[]',
            fields: [
              { name: 'index', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'baseOffset', type: 'int64' },
              { name: 'logAppendTimeMs', type: 'int64', default: -1, ignorable: true },
              { name: 'logStartOffset', type: 'int64', versions: '5+', default: -1, ignorable: true },
              {
                name: 'recordErrors',
                type: 'BatchIndexAndErrorMessage[]',
                versions: '8+',
                ignorable: true,
                fields: [
                  { name: 'batchIndex', type: 'int32' },
                  { name: 'batchIndexErrorMessage', type: 'string', nullable: true, default: null },
                ],
              },
              { name: 'errorMessage', type: 'string', versions: '8+', nullable: true, default: null, ignorable: true },
              {
                name: 'currentLeader',
                type: 'LeaderIdAndEpoch',
                versions: '10+',
                tag: 0,
                fields: [
                  { name: 'leaderId', type: 'int32', default: -1 },
                  { name: 'leaderEpoch', type: 'int32', default: -1 },
                ],
              },
            ],
          },
        ],
      },
      { name: 'throttleTimeMs', type: 'int32', ignorable: true },
      {
        name: 'nodeEndpoints',
        type: 'NodeEndpoint[]',
        versions: '10+',
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
