import type { ApiSchema } from './schema.ts'

/** OffsetDelete (key 47), versions 0. */
export const offsetDelete: ApiSchema = {
  key: 47,
  name: 'OffsetDelete',
  versions: '0',
  flexible: 'none',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupId', type: 'string' },
      {
        name: 'topics',
        type: 'OffsetDeleteRequestTopic[]',
        fields: [
          { name: 'name', type: 'string' },
          {
            name: 'partitions',
            type: 'OffsetDeleteRequestPartition[]',
            fields: [{ name: 'partitionIndex', type: 'int32' }],
          },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'errorCode', type: 'int16' },
      { name: 'throttleTimeMs', type: 'int32', ignorable: true },
      {
        name: 'topics',
        type: 'OffsetDeleteResponseTopic[]',
        fields: [
          { name: 'name', type: 'string' },
          {
            name: 'partitions',
            type: 'OffsetDeleteResponsePartition[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
            ],
          },
        ],
      },
    ],
  },
}
