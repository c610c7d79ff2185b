import type { ApiSchema } from './schema.ts'

/** ListPartitionReassignments (key 46), versions 0. */
export const listPartitionReassignments: ApiSchema = {
  key: 46,
  name: 'ListPartitionReassignments',
  versions: '0',
  flexible: '0+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      { name: 'timeoutMs', type: 'int32', default: 60000 },
      {
        name: 'topics',
        type: 'ListPartitionReassignmentsTopics[]',
        nullable: true,
        default: null,
        fields: [
          { name: 'name', type: 'string' },
          { name: 'partitionIndexes', type: 'int32[]' },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true },
      {
        name: 'topics',
        type: 'OngoingTopicReassignment[]',
        fields: [
          { name: 'name', type: 'string' },
          {
            name: 'partitions',
            type: 'OngoingPartitionReassignment[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'replicas', type: 'int32[]' },
              { name: 'addingReplicas', type: 'int32[]' },
              { name: 'removingReplicas', type: 'int32[]' },
            ],
          },
        ],
      },
    ],
  },
}
