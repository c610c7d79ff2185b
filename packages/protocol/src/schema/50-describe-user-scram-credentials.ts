import type { ApiSchema } from './schema.ts'

/** DescribeUserScramCredentials (key 50), versions 0. */
export const describeUserScramCredentials: ApiSchema = {
  key: 50,
  name: 'DescribeUserScramCredentials',
  versions: '0',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  request: {
    fields: [{ name: 'users', type: 'UserName[]', nullable: true, fields: [{ name: 'name', type: 'string' }] }],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true },
      {
        name: 'results',
        type: 'DescribeUserScramCredentialsResult[]',
        fields: [
          { name: 'user', type: 'string' },
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true },
          {
            name: 'credentialInfos',
            type: 'CredentialInfo[]',
            fields: [
              { name: 'mechanism', type: 'int8' },
              { name: 'iterations', type: 'int32' },
            ],
          },
        ],
      },
    ],
  },
}
