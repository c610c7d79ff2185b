import type { ApiSchema } from './schema.ts'

/** DeleteTopics (key 20), versions 1-6. */
export const deleteTopics: ApiSchema = {
  key: 20,
  name: 'DeleteTopics',
  versions: '1-6',
  flexible: '4+',
  listeners: ['broker', 'controller'],
  forwardable: true,
  request: {
    fields: [
      {
        name: 'topics',
        type: 'DeleteTopicState[]',
        versions: '6+',
        fields: [
          { name: 'name', type: 'string', nullable: true, default: null },
          { name: 'topicId', type: 'uuid' },
        ],
      },
      { name: 'topicNames', type: 'string[]', versions: '1-5', ignorable: true },
      { name: 'timeoutMs', type: 'int32' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32', ignorable: true },
      {
        name: 'responses',
        type: 'DeletableTopicResult[]',
        fields: [
          { name: 'name', type: 'string', nullable: '6+' },
          { name: 'topicId', type: 'uuid', versions: '6+', ignorable: true },
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', versions: '5+', nullable: true, default: null, ignorable: true },
        ],
      },
    ],
  },
}
