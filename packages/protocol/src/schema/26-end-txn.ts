import type { ApiSchema } from './schema.ts'

/** EndTxn (key 26), versions 0-5. */
export const endTxn: ApiSchema = {
  key: 26,
  name: 'EndTxn',
  versions: '0-5',
  flexible: '3+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'transactionalId', type: 'string' },
      { name: 'producerId', type: 'int64' },
      { name: 'producerEpoch', type: 'int16' },
      { name: 'committed', type: 'bool' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'producerId', type: 'int64', versions: '5+', default: -1, ignorable: true },
      { name: 'producerEpoch', type: 'int16', versions: '5+', default: -1, ignorable: true },
    ],
  },
}
