import type { ApiSchema } from './schema.ts'

/** AddPartitionsToTxn (key 24), versions 0-5. */
export const addPartitionsToTxn: ApiSchema = {
  key: 24,
  name: 'AddPartitionsToTxn',
  versions: '0-5',
  flexible: '3+',
  listeners: ['broker'],
  request: {
    structs: {
      AddPartitionsToTxnTopic: [
        { name: 'name', type: 'string' },
        { name: 'partitions', type: 'int32[]' },
      ],
    },
    fields: [
      {
        name: 'transactions',
        type: 'AddPartitionsToTxnTransaction[]',
        versions: '4+',
        fields: [
          { name: 'transactionalId', type: 'string' },
          { name: 'producerId', type: 'int64' },
          { name: 'producerEpoch', type: 'int16' },
          { name: 'verifyOnly', type: 'bool' },
          { name: 'topics', type: 'AddPartitionsToTxnTopic[]' },
        ],
      },
      { name: 'v3AndBelowTransactionalId', type: 'string', versions: '0-3' },
      { name: 'v3AndBelowProducerId', type: 'int64', versions: '0-3' },
      { name: 'v3AndBelowProducerEpoch', type: 'int16', versions: '0-3' },
      { name: 'v3AndBelowTopics', type: 'AddPartitionsToTxnTopic[]', versions: '0-3' },
    ],
  },
  response: {
    structs: {
      AddPartitionsToTxnTopicResult: [
        { name: 'name', type: 'string' },
        { name: 'resultsByPartition', type: 'AddPartitionsToTxnPartitionResult[]' },
      ],
      AddPartitionsToTxnPartitionResult: [
        { name: 'partitionIndex', type: 'int32' },
        { name: 'partitionErrorCode', type: 'int16' },
      ],
    },
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16', versions: '4+', ignorable: true },
      {
        name: 'resultsByTransaction',
        type: 'AddPartitionsToTxnResult[]',
        versions: '4+',
        fields: [
          { name: 'transactionalId', type: 'string' },
          { name: 'topicResults', type: 'AddPartitionsToTxnTopicResult[]' },
        ],
      },
      { name: 'resultsByTopicV3AndBelow', type: 'AddPartitionsToTxnTopicResult[]', versions: '0-3' },
    ],
  },
}
