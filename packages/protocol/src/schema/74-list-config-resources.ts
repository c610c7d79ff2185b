import type { ApiSchema } from './schema.ts'

/** ListConfigResources (key 74), versions 0-1. */
export const listConfigResources: ApiSchema = {
  key: 74,
  name: 'ListConfigResources',
  versions: '0-1',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [{ name: 'resourceTypes', type: 'int8[]', versions: '1+' }],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      {
        name: 'configResources',
        type: 'ConfigResource[]',
        fields: [
          { name: 'resourceName', type: 'string' },
          { name: 'resourceType', type: 'int8', versions: '1+', default: 16, ignorable: true },
        ],
      },
    ],
  },
}
