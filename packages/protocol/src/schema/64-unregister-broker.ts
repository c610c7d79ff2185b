import type { ApiSchema } from './schema.ts'

/** UnregisterBroker (key 64), versions 0. */
export const unregisterBroker: ApiSchema = {
  key: 64,
  name: 'UnregisterBroker',
  versions: '0',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [{ name: 'brokerId', type: 'int32' }],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true },
    ],
  },
}
