import type { ApiSchema } from './schema.ts'

/** CreatePartitions (key 37), versions 0-3. */
export const createPartitions: ApiSchema = {
  key: 37,
  name: 'CreatePartitions',
  versions: '0-3',
  flexible: '2+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      {
        name: 'topics',
        type: 'CreatePartitionsTopic[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'count', type: 'int32' },
          {
            name: 'assignments',
            type: 'CreatePartitionsAssignment[]',
            nullable: true,
            fields: [{ name: 'brokerIds', type: 'int32[]' }],
          },
        ],
      },
      { name: 'timeoutMs', type: 'int32' },
      { name: 'validateOnly', type: 'bool' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'results',
        type: 'CreatePartitionsTopicResult[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true, default: null },
        ],
      },
    ],
  },
}
