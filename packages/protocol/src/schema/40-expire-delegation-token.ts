import type { ApiSchema } from './schema.ts'

/** ExpireDelegationToken (key 40), versions 1-2. */
export const expireDelegationToken: ApiSchema = {
  key: 40,
  name: 'ExpireDelegationToken',
  versions: '1-2',
  flexible: '2+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      { name: 'hmac', type: 'bytes' },
      { name: 'expiryTimePeriodMs', type: 'int64' },
    ],
  },
  response: {
    fields: [
      { name: 'errorCode', type: 'int16' },
      { name: 'expiryTimestampMs', type: 'int64' },
      { name: 'throttleTimeMs', type: 'int32' },
    ],
  },
}
