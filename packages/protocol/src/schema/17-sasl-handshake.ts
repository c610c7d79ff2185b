import type { ApiSchema } from './schema.ts'

/** SaslHandshake (key 17), versions 0-1. */
export const saslHandshake: ApiSchema = {
  key: 17,
  name: 'SaslHandshake',
  versions: '0-1',
  flexible: 'none',
  listeners: ['broker', 'controller'],
  request: {
    fields: [{ name: 'mechanism', type: 'string' }],
  },
  response: {
    fields: [
      { name: 'errorCode', type: 'int16' },
      { name: 'mechanisms', type: 'string[]' },
    ],
  },
}
