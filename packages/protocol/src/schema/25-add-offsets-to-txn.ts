import type { ApiSchema } from './schema.ts'

/** AddOffsetsToTxn (key 25), versions 0-4. */
export const addOffsetsToTxn: ApiSchema = {
  key: 25,
  name: 'AddOffsetsToTxn',
  versions: '0-4',
  flexible: '3+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'transactionalId', type: 'string' },
      { name: 'producerId', type: 'int64' },
      { name: 'producerEpoch', type: 'int16' },
      { name: 'groupId', type: 'string' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
    ],
  },
}
