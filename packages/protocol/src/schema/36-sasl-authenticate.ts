import type { ApiSchema } from './schema.ts'

/** SaslAuthenticate (key 36), versions 0-2. */
export const saslAuthenticate: ApiSchema = {
  key: 36,
  name: 'SaslAuthenticate',
  versions: '0-2',
  flexible: '2+',
  listeners: ['broker', 'controller'],
  request: {
    fields: [{ name: 'authBytes', type: 'bytes' }],
  },
  response: {
    fields: [
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true },
      { name: 'authBytes', type: 'bytes' },
      { name: 'sessionLifetimeMs', type: 'int64', versions: '1+', ignorable: true },
    ],
  },
}
