import type { ApiSchema } from './schema.ts'

/** Heartbeat (key 12), versions 0-4. */
export const heartbeat: ApiSchema = {
  key: 12,
  name: 'Heartbeat',
  versions: '0-4',
  flexible: '4+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupId', type: 'string' },
      { name: 'generationId', type: 'int32' },
      { name: 'memberId', type: 'string' },
      { name: 'groupInstanceId', type: 'string', versions: '3+', nullable: true, default: null },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', versions: '1+', ignorable: true },
      { name: 'errorCode', type: 'int16' },
    ],
  },
}
