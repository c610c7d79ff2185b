import type { ApiSchema } from './schema.ts'

/** DeleteShareGroupOffsets (key 92), versions 0. */
export const deleteShareGroupOffsets: ApiSchema = {
  key: 92,
  name: 'DeleteShareGroupOffsets',
  versions: '0',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupId', type: 'string' },
      {
        name: 'topics',
        type: 'DeleteShareGroupOffsetsRequestTopic[]',
        fields: [{ name: 'topicName', type: 'string' }],
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
        type: 'DeleteShareGroupOffsetsResponseTopic[]',
        fields: [
          { name: 'topicName', type: 'string' },
          { name: 'topicId', type: 'uuid' },
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true, default: null },
        ],
      },
    ],
  },
}
