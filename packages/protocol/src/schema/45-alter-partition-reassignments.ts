import type { ApiSchema } from './schema.ts'

/** AlterPartitionReassignments (key 45), versions 0-1. */
export const alterPartitionReassignments: ApiSchema = {
  key: 45,
  name: 'AlterPartitionReassignments',
  versions: '0-1',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      { name: 'timeoutMs', type: 'int32', default: 60000 },
      { name: 'allowReplicationFactorChange', type: 'bool', versions: '1+', default: true },
      {
        name: 'topics',
        type: 'ReassignableTopic[]',
        fields: [
          { name: 'name', type: 'string' },
          {
            name: 'partitions',
            type: 'ReassignablePartition[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'replicas', type: 'int32[]', nullable: true, default: null },
            ],
          },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'allowReplicationFactorChange', type: 'bool', versions: '1+', default: true, ignorable: true },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true },
      {
        name: 'responses',
        type: 'ReassignableTopicResponse[]',
        fields: [
          { name: 'name', type: 'string' },
          {
            name: 'partitions',
            type: 'ReassignablePartitionResponse[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'errorMessage', type: 'string', nullable: true },
            ],
          },
        ],
      },
    ],
  },
}
