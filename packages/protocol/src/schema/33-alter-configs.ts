import type { ApiSchema } from './schema.ts'

/** AlterConfigs (key 33), versions 0-2. */
export const alterConfigs: ApiSchema = {
  key: 33,
  name: 'AlterConfigs',
  versions: '0-2',
  flexible: '2+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      {
        name: 'resources',
        type: 'AlterConfigsResource[]',
        fields: [
          { name: 'resourceType', type: 'int8' },
          { name: 'resourceName', type: 'string' },
          {
            name: 'configs',
            type: 'AlterableConfig[]',
            fields: [
              { name: 'name', type: 'string' },
              { name: 'value', type: 'string', nullable: true },
            ],
          },
        ],
      },
      { name: 'validateOnly', type: 'bool' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'responses',
        type: 'AlterConfigsResourceResponse[]',
        fields: [
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true },
          { name: 'resourceType', type: 'int8' },
          { name: 'resourceName', type: 'string' },
        ],
      },
    ],
  },
}
