import type { ApiSchema } from './schema.ts'

/** DescribeCluster (key 60), versions 0-2. */
export const describeCluster: ApiSchema = {
  key: 60,
  name: 'DescribeCluster',
  versions: '0-2',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  request: {
    fields: [
      { name: 'includeClusterAuthorizedOperations', type: 'bool' },
      { name: 'endpointType', type: 'int8', versions: '1+', default: 1 },
      { name: 'includeFencedBrokers', type: 'bool', versions: '2+' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true, default: null },
      { name: 'endpointType', type: 'int8', versions: '1+', default: 1 },
      { name: 'clusterId', type: 'string' },
      { name: 'controllerId', type: 'int32', default: -1 },
      {
        name: 'brokers',
        type: 'DescribeClusterBroker[]',
        fields: [
          { name: 'brokerId', type: 'int32' },
          { name: 'host', type: 'string' },
          { name: 'port', type: 'int32' },
          { name: 'rack', type: 'string', nullable: true, default: null },
          { name: 'isFenced', type: 'bool', versions: '2+' },
        ],
      },
      { name: 'clusterAuthorizedOperations', type: 'int32', default: -2147483648 },
    ],
  },
}
