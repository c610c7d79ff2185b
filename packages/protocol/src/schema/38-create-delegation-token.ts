import type { ApiSchema } from './schema.ts'

/** CreateDelegationToken (key 38), versions 1-3. */
export const createDelegationToken: ApiSchema = {
  key: 38,
  name: 'CreateDelegationToken',
  versions: '1-3',
  flexible: '2+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      { name: 'ownerPrincipalType', type: 'string', versions: '3+', nullable: true },
      { name: 'ownerPrincipalName', type: 'string', versions: '3+', nullable: true },
      {
        name: 'renewers',
        type: 'CreatableRenewers[]',
        fields: [
          { name: 'principalType', type: 'string' },
          { name: 'principalName', type: 'string' },
        ],
      },
      { name: 'maxLifetimeMs', type: 'int64' },
    ],
  },
  response: {
    fields: [
      { name: 'errorCode', type: 'int16' },
      { name: 'principalType', type: 'string' },
      { name: 'principalName', type: 'string' },
      { name: 'tokenRequesterPrincipalType', type: 'string', versions: '3+' },
      { name: 'tokenRequesterPrincipalName', type: 'string', versions: '3+' },
      { name: 'issueTimestampMs', type: 'int64' },
      { name: 'expiryTimestampMs', type: 'int64' },
      { name: 'maxTimestampMs', type: 'int64' },
      { name: 'tokenId', type: 'string' },
      { name: 'hmac', type: 'bytes' },
      { name: 'throttleTimeMs', type: 'int32' },
    ],
  },
}
