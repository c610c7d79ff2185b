import type { ApiSchema } from './schema.ts'

/** RemoveRaftVoter (key 81), versions 0. */
export const removeRaftVoter: ApiSchema = {
  key: 81,
  name: 'RemoveRaftVoter',
  versions: '0',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      { name: 'clusterId', type: 'string', nullable: true },
      { name: 'voterId', type: 'int32' },
      { name: 'voterDirectoryId', type: 'uuid' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true, ignorable: true },
    ],
  },
}
