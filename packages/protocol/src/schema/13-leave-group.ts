import type { ApiSchema } from './schema.ts'

/** LeaveGroup (key 13), versions 0-5. */
export const leaveGroup: ApiSchema = {
  key: 13,
  name: 'LeaveGroup',
  versions: '0-5',
  flexible: '4+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupId', type: 'string' },
      { name: 'memberId', type: 'string', versions: '0-2' },
      {
        name: 'members',
        type: 'MemberIdentity[]',
        versions: '3+',
        fields: [
          { name: 'memberId', type: 'string' },
          { name: 'groupInstanceId', type: 'string', nullable: true, default: null },
          { name: 'reason', type: 'string', versions: '5+', nullable: true, default: null, ignorable: true },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', versions: '1+', ignorable: true },
      { name: 'errorCode', type: 'int16' },
      {
        name: 'members',
        type: 'MemberResponse[]',
        versions: '3+',
        fields: [
          { name: 'memberId', type: 'string' },
          { name: 'groupInstanceId', type: 'string', nullable: true },
          { name: 'errorCode', type: 'int16' },
        ],
      },
    ],
  },
}
