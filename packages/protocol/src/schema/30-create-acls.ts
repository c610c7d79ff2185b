import type { ApiSchema } from './schema.ts'

/** CreateAcls (key 30), versions 1-3. */
export const createAcls: ApiSchema = {
  key: 30,
  name: 'CreateAcls',
  versions: '1-3',
  flexible: '2+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      {
        name: 'creations',
        type: 'AclCreation[]',
        fields: [
          { name: 'resourceType', type: 'int8' },
          { name: 'resourceName', type: 'string' },
          { name: 'resourcePatternType', type: 'int8', default: 3 },
          { name: 'principal', type: 'string' },
          { name: 'host', type: 'string' },
          { name: 'operation', type: 'int8' },
          { name: 'permissionType', type: 'int8' },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'results',
        type: 'AclCreationResult[]',
        fields: [
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true },
        ],
      },
    ],
  },
}
