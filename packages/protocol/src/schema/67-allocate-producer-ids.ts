import type { ApiSchema } from './schema.ts'

/** AllocateProducerIds (key 67), versions 0. */
export const allocateProducerIds: ApiSchema = {
  key: 67,
  name: 'AllocateProducerIds',
  versions: '0',
  flexible: '0+',
  listeners: ['controller'],
  clusterAction: true,
  forwardable: true,
  request: {
    fields: [
      { name: 'brokerId', type: 'int32' },
      { name: 'brokerEpoch', type: 'int64', default: -1 },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'producerIdStart', type: 'int64' },
      { name: 'producerIdLen', type: 'int32' },
    ],
  },
}
