import type { ApiSchema } from './schema.ts'

/** AddRaftVoter (key 80), versions 0-1. */
export const addRaftVoter: ApiSchema = {
  key: 80,
  name: 'AddRaftVoter',
  versions: '0-1',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      { name: 'clusterId', type: 'string', nullable: true },
      { name: 'timeoutMs', type: 'int32' },
      { name: 'voterId', type: 'int32' },
      { name: 'voterDirectoryId', type: 'uuid' },
      {
        name: 'listeners',
        type: 'Listener[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'host', type: 'string' },
          { name: 'port', type: 'uint16' },
        ],
      },
      { name: 'ackWhenCommitted', type: 'bool', versions: '1+', default: true },
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
