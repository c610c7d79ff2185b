import type { ApiSchema } from './schema.ts'

/** ShareGroupHeartbeat (key 76), versions 1. */
export const shareGroupHeartbeat: ApiSchema = {
  key: 76,
  name: 'ShareGroupHeartbeat',
  versions: '1',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupId', type: 'string' },
      { name: 'memberId', type: 'string' },
      { name: 'memberEpoch', type: 'int32' },
      { name: 'rackId', type: 'string', nullable: true, default: null },
      { name: 'subscribedTopicNames', type: 'string[]', nullable: true, default: null },
    ],
  },
  response: {
    structs: {
      TopicPartitions: [
        { name: 'topicId', type: 'uuid' },
        { name: 'partitions', type: 'int32[]' },
      ],
    },
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true, default: null },
      { name: 'memberId', type: 'string', nullable: true, default: null },
      { name: 'memberEpoch', type: 'int32' },
      { name: 'heartbeatIntervalMs', type: 'int32' },
      {
        name: 'assignment',
        type: 'Assignment',
        nullable: true,
        default: null,
        fields: [{ name: 'topicPartitions', type: 'TopicPartitions[]' }],
      },
    ],
  },
}
