import type { ApiSchema } from './schema.ts'

/** AlterUserScramCredentials (key 51), versions 0. */
export const alterUserScramCredentials: ApiSchema = {
  key: 51,
  name: 'AlterUserScramCredentials',
  versions: '0',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      {
        name: 'deletions',
        type: 'ScramCredentialDeletion[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'mechanism', type: 'int8' },
        ],
      },
      {
        name: 'upsertions',
        type: 'ScramCredentialUpsertion[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'mechanism', type: 'int8' },
          { name: 'iterations', type: 'int32' },
          { name: 'salt', type: 'bytes' },
          { name: 'saltedPassword', type: 'bytes' },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'results',
        type: 'AlterUserScramCredentialsResult[]',
        fields: [
          { name: 'user', type: 'string' },
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true },
        ],
      },
    ],
  },
}
