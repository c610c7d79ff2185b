import type { ApiSchema } from './schema.ts'

/** BrokerHeartbeat (key 63), versions 0-2. */
export const brokerHeartbeat: ApiSchema = {
  key: 63,
  name: 'BrokerHeartbeat',
  versions: '0-2',
  flexible: '0+',
  listeners: ['controller'],
  clusterAction: true,
  request: {
    fields: [
      { name: 'brokerId', type: 'int32' },
      { name: 'brokerEpoch', type: 'int64', default: -1 },
      { name: 'currentMetadataOffset', type: 'int64' },
      { name: 'wantFence', type: 'bool' },
      { name: 'wantShutDown', type: 'bool' },
      { name: 'offlineLogDirs', type: 'uuid[]', versions: '1+', tag: 0 },
      { name: 'cordonedLogDirs', type: 'uuid[]', versions: '2+', nullable: true, tag: 1, default: null },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'isCaughtUp', type: 'bool' },
      { name: 'isFenced', type: 'bool', default: true },
      { name: 'shouldShutDown', type: 'bool' },
    ],
  },
}
