import type { ApiSchema } from './schema.ts'

/** DescribeConfigs (key 32), versions 1-4. */
export const describeConfigs: ApiSchema = {
  key: 32,
  name: 'DescribeConfigs',
  versions: '1-4',
  flexible: '4+',
  listeners: ['broker', 'controller'],
  request: {
    fields: [
      {
        name: 'resources',
        type: 'DescribeConfigsResource[]',
        fields: [
          { name: 'resourceType', type: 'int8' },
          { name: 'resourceName', type: 'string' },
          { name: 'configurationKeys', type: 'string[]', nullable: true },
        ],
      },
      { name: 'includeSynonyms', type: 'bool' },
      { name: 'includeDocumentation', type: 'bool', versions: '3+' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'results',
        type: 'DescribeConfigsResult[]',
        fields: [
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true },
          { name: 'resourceType', type: 'int8' },
          { name: 'resourceName', type: 'string' },
          {
            name: 'configs',
            type: 'DescribeConfigsResourceResult[]',
            fields: [
              { name: 'name', type: 'string' },
              { name: 'value', type: 'string', nullable: true },
              { name: 'readOnly', type: 'bool' },
              { name: 'configSource', type: 'int8', default: -1, ignorable: true },
              { name: 'isSensitive', type: 'bool' },
              {
                name: 'synonyms',
                type: 'DescribeConfigsSynonym[]',
                ignorable: true,
                fields: [
                  { name: 'name', type: 'string' },
                  { name: 'value', type: 'string', nullable: true },
                  { name: 'source', type: 'int8' },
                ],
              },
              { name: 'configType', type: 'int8', versions: '3+', ignorable: true },
              { name: 'documentation', type: 'string', versions: '3+', nullable: true, ignorable: true },
            ],
          },
        ],
      },
    ],
  },
}
