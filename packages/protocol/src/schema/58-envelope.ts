import type { ApiSchema } from './schema.ts'

/** Envelope (key 58), versions 0. */
export const envelope: ApiSchema = {
  key: 58,
  name: 'Envelope',
  versions: '0',
  flexible: '0+',
  listeners: ['controller'],
  clusterAction: true,
  request: {
    fields: [
      { name: 'requestData', type: 'bytes' },
      { name: 'requestPrincipal', type: 'bytes', nullable: true },
      { name: 'clientHostAddress', type: 'bytes' },
    ],
  },
  response: {
    fields: [
      { name: 'responseData', type: 'bytes', nullable: true, default: null },
      { name: 'errorCode', type: 'int16' },
    ],
  },
}
