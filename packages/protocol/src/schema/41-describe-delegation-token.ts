import type { ApiSchema } from './schema.ts'

/** DescribeDelegationToken (key 41), versions 1-3. */
export const describeDelegationToken: ApiSchema = {
  key: 41,
  name: 'DescribeDelegationToken',
  versions: '1-3',
  flexible: '2+',
  listeners: ['broker', 'controller'],
  request: {
    fields: [
      {
        name: 'owners',
        type: 'DescribeDelegationTokenOwner[]',
        nullable: true,
        fields: [
          { name: 'principalType', type: 'string' },
          { name: 'principalName', type: 'string' },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'errorCode', type: 'int16' },
      {
        name: 'tokens',
        type: 'DescribedDelegationToken[]',
        fields: [
          { name: 'principalType', type: 'string' },
          { name: 'principalName', type: 'string' },
          { name: 'tokenRequesterPrincipalType', type: 'string', versions: '3+' },
          { name: 'tokenRequesterPrincipalName', type: 'string', versions: '3+' },
          { name: 'issueTimestamp', type: 'int64' },
          { name: 'expiryTimestamp', type: 'int64' },
          { name: 'maxTimestamp', type: 'int64' },
          { name: 'tokenId', type: 'string' },
          { name: 'hmac', type: 'bytes' },
          {
            name: 'renewers',
            type: 'DescribedDelegationTokenRenewer[]',
            fields: [
              { name: 'principalType', type: 'string' },
              { name: 'principalName', type: 'string' },
            ],
          },
        ],
      },
      { name: 'throttleTimeMs', type: 'int32' },
    ],
  },
}
