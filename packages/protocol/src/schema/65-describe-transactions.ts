import type { ApiSchema } from './schema.ts'

/** DescribeTransactions (key 65), versions 0. */
export const describeTransactions: ApiSchema = {
  key: 65,
  name: 'DescribeTransactions',
  versions: '0',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [{ name: 'transactionalIds', type: 'string[]' }],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'transactionStates',
        type: 'TransactionState[]',
        fields: [
          { name: 'errorCode', type: 'int16' },
          { name: 'transactionalId', type: 'string' },
          { name: 'transactionState', type: 'string' },
          { name: 'transactionTimeoutMs', type: 'int32' },
          { name: 'transactionStartTimeMs', type: 'int64' },
          { name: 'producerId', type: 'int64' },
          { name: 'producerEpoch', type: 'int16' },
          {
            name: 'topics',
            type: 'TopicData[]',
            fields: [
              { name: 'topic', type: 'string' },
              { name: 'partitions', type: 'int32[]' },
            ],
          },
        ],
      },
    ],
  },
}
