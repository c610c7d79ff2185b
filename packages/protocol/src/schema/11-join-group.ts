import type { ApiSchema } from './schema.ts'

/** JoinGroup (key 11), versions 0-9. */
export const joinGroup: ApiSchema = {
  key: 11,
  name: 'JoinGroup',
  versions: '0-9',
  flexible: '6+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupId', type: 'string' },
      { name: 'sessionTimeoutMs', type: 'int32' },
      { name: 'rebalanceTimeoutMs', type: 'int32', versions: '1+', default: -1, ignorable: true },
      { name: 'memberId', type: 'string' },
      { name: 'groupInstanceId', type: 'string', versions: '5+', nullable: true, default: null },
      { name: 'protocolType', type: 'string' },
      {
        name: 'protocols',
        type: 'JoinGroupRequestProtocol[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'metadata', type: 'bytes' },
        ],
      },
      { name: 'reason', type: 'string', versions: '8+', nullable: true, default: null, ignorable: true },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', versions: '2+', ignorable: true },
      { name: 'errorCode', type: 'int16' },
      { name: 'generationId', type: 'int32', default: -1 },
      { name: 'protocolType', type: 'string', versions: '7+', nullable: true, default: null, ignorable: true },
      { name: 'protocolName', type: 'string', nullable: '7+' },
      { name: 'leader', type: 'string' },
      { name: 'skipAssignment', type: 'bool', versions: '9+' },
      { name: 'memberId', type: 'string' },
      {
        name: 'members',
        type: 'JoinGroupResponseMember[]',
        fields: [
          { name: 'memberId', type: 'string' },
          { name: 'groupInstanceId', type: 'string', versions: '5+', nullable: true, default: null, ignorable: true },
          { name: 'metadata', type: 'bytes' },
        ],
      },
    ],
  },
}
