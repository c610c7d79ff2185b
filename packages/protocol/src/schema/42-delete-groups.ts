import type { ApiSchema } from './schema.ts'

/** DeleteGroups (key 42), versions 0-3. */
export const deleteGroups: ApiSchema = {
  key: 42,
  name: 'DeleteGroups',
  versions: '0-3',
  flexible: '2+',
  listeners: ['broker'],
  request: {
    fields: [{ name: 'groupsNames', type: 'string[]' }],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'results',
        type: 'DeletableGroupResult[]',
        fields: [
          { name: 'groupId', type: 'string' },
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', versions: '3+', nullable: true, default: null, ignorable: true },
        ],
      },
    ],
  },
}
