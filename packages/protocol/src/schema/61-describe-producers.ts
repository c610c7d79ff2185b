import type { ApiSchema } from './schema.ts'

/** DescribeProducers (key 61), versions 0. */
export const describeProducers: ApiSchema = {
  key: 61,
  name: 'DescribeProducers',
  versions: '0',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [
      {
        name: 'topics',
        type: 'TopicRequest[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'partitionIndexes', type: 'int32[]' },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'topics',
        type: 'TopicResponse[]',
        fields: [
          { name: 'name', type: 'string' },
          {
            name: 'partitions',
            type: 'PartitionResponse[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'errorMessage', type: 'string', nullable: true, default: null },
              {
                name: 'activeProducers',
                type: 'ProducerState[]',
                fields: [
                  { name: 'producerId', type: 'int64' },
                  { name: 'producerEpoch', type: 'int32' },
                  { name: 'lastSequence', type: 'int32', default: -1 },
                  { name: 'lastTimestamp', type: 'int64', default: -1 },
                  { name: 'coordinatorEpoch', type: 'int32' },
                  { name: 'currentTxnStartOffset', type: 'int64', default: -1 },
                ],
              },
            ],
          },
        ],
      },
    ],
  },
}
