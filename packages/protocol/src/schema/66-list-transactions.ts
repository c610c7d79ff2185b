import type { ApiSchema } from './schema.ts'

/** ListTransactions (key 66), versions 0-2. */
export const listTransactions: ApiSchema = {
  key: 66,
  name: 'ListTransactions',
  versions: '0-2',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'stateFilters', type: 'string[]' },
      { name: 'producerIdFilters', type: 'int64[]' },
      { name: 'durationFilter', type: 'int64', versions: '1+', default: -1 },
      { name: 'transactionalIdPattern', type: 'string', versions: '2+', nullable: true, default: null },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'unknownStateFilters', type: 'string[]' },
      {
        name: 'transactionStates',
        type: 'TransactionState[]',
        fields: [
          { name: 'transactionalId', type: 'string' },
          { name: 'producerId', type: 'int64' },
          { name: 'transactionState', type: 'string' },
        ],
      },
    ],
  },
}
