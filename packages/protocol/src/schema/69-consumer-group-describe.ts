import type { ApiSchema } from './schema.ts'

/** ConsumerGroupDescribe (key 69), versions 0-1. */
export const consumerGroupDescribe: ApiSchema = {
  key: 69,
  name: 'ConsumerGroupDescribe',
  versions: '0-1',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupIds', type: 'string[]' },
      { name: 'includeAuthorizedOperations', type: 'bool' },
    ],
  },
  response: {
    structs: {
      TopicPartitions: [
        { name: 'topicId', type: 'uuid' },
        { name: 'topicName', type: 'string' },
        { name: 'partitions', type: 'int32[]' },
      ],
      Assignment: [{ name: 'topicPartitions', type: 'TopicPartitions[]' }],
    },
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'groups',
        type: 'DescribedGroup[]',
        fields: [
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true, default: null },
          { name: 'groupId', type: 'string' },
          { name: 'groupState', type: 'string' },
          { name: 'groupEpoch', type: 'int32' },
          { name: 'assignmentEpoch', type: 'int32' },
          { name: 'assignorName', type: 'string' },
          {
            name: 'members',
            type: 'Member[]',
            fields: [
              { name: 'memberId', type: 'string' },
              { name: 'instanceId', type: 'string', nullable: true, default: null },
              { name: 'rackId', type: 'string', nullable: true, default: null },
              { name: 'memberEpoch', type: 'int32' },
              { name: 'clientId', type: 'string' },
              { name: 'clientHost', type: 'string' },
              { name: 'subscribedTopicNames', type: 'string[]' },
              { name: 'subscribedTopicRegex', type: 'string', nullable: true, default: null },
              { name: 'assignment', type: 'Assignment' },
              { name: 'targetAssignment', type: 'Assignment' },
              { name: 'memberType', type: 'int8', versions: '1+', default: -1, ignorable: true },
            ],
          },
          { name: 'authorizedOperations', type: 'int32', default: -2147483648 },
        ],
      },
    ],
  },
}
