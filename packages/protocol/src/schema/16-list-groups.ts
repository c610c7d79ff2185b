import type { ApiSchema } from './schema.ts'

/** ListGroups (key 16), versions 0-5. */
export const listGroups: ApiSchema = {
  key: 16,
  name: 'ListGroups',
  versions: '0-5',
  flexible: '3+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'statesFilter', type: 'string[]', versions: '4+' },
      { name: 'typesFilter', type: 'string[]', versions: '5+' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', versions: '1+', ignorable: true },
      { name: 'errorCode', type: 'int16' },
      {
        name: 'groups',
        type: 'ListedGroup[]',
        fields: [
          { name: 'groupId', type: 'string' },
          { name: 'protocolType', type: 'string' },
          { name: 'groupState', type: 'string', versions: '4+', ignorable: true },
          { name: 'groupType', type: 'string', versions: '5+', ignorable: true },
        ],
      },
    ],
  },
}
