import type { ApiSchema } from './schema.ts'

/** DeleteAcls (key 31), versions 1-3. */
export const deleteAcls: ApiSchema = {
  key: 31,
  name: 'DeleteAcls',
  versions: '1-3',
  flexible: '2+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      {
        name: 'filters',
        type: 'DeleteAclsFilter[]',
        fields: [
          { name: 'resourceTypeFilter', type: 'int8' },
          { name: 'resourceNameFilter', type: 'string', nullable: true },
          { name: 'patternTypeFilter', type: 'int8', default: 3 },
          { name: 'principalFilter', type: 'string', nullable: true },
          { name: 'hostFilter', type: 'string', nullable: true },
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
        name: 'filterResults',
        type: 'DeleteAclsFilterResult[]',
        fields: [
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true },
          {
            name: 'matchingAcls',
            type: 'DeleteAclsMatchingAcl[]',
            fields: [
              { name: 'errorCode', type: 'int16' },
              { name: 'errorMessage', type: 'string', nullable: true },
              { name: 'resourceType', type: 'int8' },
              { name: 'resourceName', type: 'string' },
              { name: 'patternType', type: 'int8', default: 3 },
              { name: 'principal', type: 'string' },
              { name: 'host', type: 'string' },
              { name: 'operation', type: 'int8' },
              { name: 'permissionType', type: 'int8' },
            ],
          },
        ],
      },
    ],
  },
}
