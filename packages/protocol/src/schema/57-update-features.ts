import type { ApiSchema } from './schema.ts'

/** UpdateFeatures (key 57), versions 0-2. */
export const updateFeatures: ApiSchema = {
  key: 57,
  name: 'UpdateFeatures',
  versions: '0-2',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  clusterAction: true,
  forwardable: true,
  request: {
    fields: [
      { name: 'timeoutMs', type: 'int32', default: 60000 },
      {
        name: 'featureUpdates',
        type: 'FeatureUpdateKey[]',
        fields: [
          { name: 'feature', type: 'string' },
          { name: 'maxVersionLevel', type: 'int16' },
          { name: 'allowDowngrade', type: 'bool', versions: '0' },
          { name: 'upgradeType', type: 'int8', versions: '1+', default: 1 },
        ],
      },
      { name: 'validateOnly', type: 'bool', versions: '1+' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true },
      {
        name: 'results',
        type: 'UpdatableFeatureResult[]',
        versions: '0-1',
        ignorable: true,
        fields: [
          { name: 'feature', type: 'string' },
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true },
        ],
      },
    ],
  },
}
