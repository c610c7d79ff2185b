import type { ApiSchema } from './schema.ts'

/** RenewDelegationToken (key 39), versions 1-2. */
export const renewDelegationToken: ApiSchema = {
  key: 39,
  name: 'RenewDelegationToken',
  versions: '1-2',
  flexible: '2+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      { name: 'hmac', type: 'bytes' },
      { name: 'renewPeriodMs', type: 'int64' },
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
