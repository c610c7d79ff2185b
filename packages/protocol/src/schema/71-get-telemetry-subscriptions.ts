import type { ApiSchema } from './schema.ts'

/** GetTelemetrySubscriptions (key 71), versions 0. */
export const getTelemetrySubscriptions: ApiSchema = {
  key: 71,
  name: 'GetTelemetrySubscriptions',
  versions: '0',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [{ name: 'clientInstanceId', type: 'uuid' }],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'clientInstanceId', type: 'uuid' },
      { name: 'subscriptionId', type: 'int32' },
      { name: 'acceptedCompressionTypes', type: 'int8[]' },
      { name: 'pushIntervalMs', type: 'int32' },
      { name: 'telemetryMaxBytes', type: 'int32' },
      { name: 'deltaTemporality', type: 'bool' },
      { name: 'requestedMetrics', type: 'string[]' },
    ],
  },
}
