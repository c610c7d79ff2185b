import type { ApiSchema } from './schema.ts'

/** PushTelemetry (key 72), versions 0. */
export const pushTelemetry: ApiSchema = {
  key: 72,
  name: 'PushTelemetry',
  versions: '0',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'clientInstanceId', type: 'uuid' },
      { name: 'subscriptionId', type: 'int32' },
      { name: 'terminating', type: 'bool' },
      { name: 'compressionType', type: 'int8' },
      { name: 'metrics', type: 'bytes' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
    ],
  },
}
