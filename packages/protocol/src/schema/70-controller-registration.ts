import type { ApiSchema } from './schema.ts'

/** ControllerRegistration (key 70), versions 0. */
export const controllerRegistration: ApiSchema = {
  key: 70,
  name: 'ControllerRegistration',
  versions: '0',
  flexible: '0+',
  listeners: ['controller'],
  request: {
    fields: [
      { name: 'controllerId', type: 'int32' },
      { name: 'incarnationId', type: 'uuid' },
      { name: 'zkMigrationReady', type: 'bool' },
      {
        name: 'listeners',
        type: 'Listener[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'host', type: 'string' },
          { name: 'port', type: 'uint16' },
          { name: 'securityProtocol', type: 'int16' },
        ],
      },
      {
        name: 'features',
        type: 'Feature[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'minSupportedVersion', type: 'int16' },
          { name: 'maxSupportedVersion', type: 'int16' },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true },
    ],
  },
}
