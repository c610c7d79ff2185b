import type { ApiSchema } from './schema.ts'

/** UnregisterController (key 94), versions 0. */
export const unregisterController: ApiSchema = {
  key: 94,
  name: 'UnregisterController',
  versions: '0',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [{ name: 'controllerId', type: 'int32' }],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true },
    ],
  },
}
