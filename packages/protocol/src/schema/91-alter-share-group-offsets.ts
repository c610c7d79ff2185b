import type { ApiSchema } from './schema.ts'

/** AlterShareGroupOffsets (key 91), versions 0. */
export const alterShareGroupOffsets: ApiSchema = {
  key: 91,
  name: 'AlterShareGroupOffsets',
  versions: '0',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupId', type: 'string' },
      {
        name: 'topics',
        type: 'AlterShareGroupOffsetsRequestTopic[]',
        fields: [
          { name: 'topicName', type: 'string' },
          {
            name: 'partitions',
            type: 'AlterShareGroupOffsetsRequestPartition[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'startOffset', type: 'int64' },
            ],
          },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true, default: null },
      {
        name: 'responses',
        type: 'AlterShareGroupOffsetsResponseTopic[]',
        fields: [
          { name: 'topicName', type: 'string' },
          { name: 'topicId', type: 'uuid' },
          {
            name: 'partitions',
            type: 'AlterShareGroupOffsetsResponsePartition[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'errorMessage', type: 'string', nullable: true, default: null },
            ],
          },
        ],
      },
    ],
  },
}
