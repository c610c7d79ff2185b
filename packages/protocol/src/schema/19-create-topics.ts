import type { ApiSchema } from './schema.ts'

/** CreateTopics (key 19), versions 2-7. */
export const createTopics: ApiSchema = {
  key: 19,
  name: 'CreateTopics',
  versions: '2-7',
  flexible: '5+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      {
        name: 'topics',
        type: 'CreatableTopic[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'numPartitions', type: 'int32' },
          { name: 'replicationFactor', type: 'int16' },
          {
            name: 'assignments',
            type: 'CreatableReplicaAssignment[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'brokerIds', type: 'int32[]' },
            ],
          },
          {
            name: 'configs',
            type: 'CreatableTopicConfig[]',
            fields: [
              { name: 'name', type: 'string' },
              { name: 'value', type: 'string', nullable: true },
            ],
          },
        ],
      },
      { name: 'timeoutMs', type: 'int32', default: 60000 },
      { name: 'validateOnly', type: 'bool' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', ignorable: true },
      {
        name: 'topics',
        type: 'CreatableTopicResult[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'topicId', type: 'uuid', versions: '7+', ignorable: true },
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true, ignorable: true },
          { name: 'topicConfigErrorCode', type: 'int16', versions: '5+', tag: 0, ignorable: true },
          { name: 'numPartitions', type: 'int32', versions: '5+', default: -1, ignorable: true },
          { name: 'replicationFactor', type: 'int16', versions: '5+', default: -1, ignorable: true },
          {
            name: 'configs',
            type: 'CreatableTopicConfigs[]',
            versions: '5+',
            nullable: true,
            ignorable: true,
            fields: [
              { name: 'name', type: 'string' },
              { name: 'value', type: 'string', nullable: true },
              { name: 'readOnly', type: 'bool' },
              { name: 'configSource', type: 'int8', default: -1, ignorable: true },
              { name: 'isSensitive', type: 'bool' },
            ],
          },
        ],
      },
    ],
  },
}
