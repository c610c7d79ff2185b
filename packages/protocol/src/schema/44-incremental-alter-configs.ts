import type { ApiSchema } from './schema.ts'

/** IncrementalAlterConfigs (key 44), versions 0-1. */
export const incrementalAlterConfigs: ApiSchema = {
  key: 44,
  name: 'IncrementalAlterConfigs',
  versions: '0-1',
  flexible: '1+',
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
              { name: 'configOperation', type: 'int8' },
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
