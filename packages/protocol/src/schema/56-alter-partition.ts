import type { ApiSchema } from './schema.ts'

/** AlterPartition (key 56), versions 2-3. */
export const alterPartition: ApiSchema = {
  key: 56,
  name: 'AlterPartition',
  versions: '2-3',
  flexible: '0+',
  listeners: ['controller'],
  clusterAction: true,
  request: {
    fields: [
      { name: 'brokerId', type: 'int32' },
      { name: 'brokerEpoch', type: 'int64', default: -1 },
      {
        name: 'topics',
        type: 'TopicData[]',
        fields: [
          { name: 'topicId', type: 'uuid', ignorable: true },
          {
            name: 'partitions',
            type: 'PartitionData[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'leaderEpoch', type: 'int32' },
              { name: 'newIsr', type: 'int32[]', versions: '2' },
              {
                name: 'newIsrWithEpochs',
                type: 'BrokerState[]',
                versions: '3+',
                fields: [
                  { name: 'brokerId', type: 'int32' },
                  { name: 'brokerEpoch', type: 'int64', default: -1 },
                ],
              },
              { name: 'leaderRecoveryState', type: 'int8' },
              { name: 'partitionEpoch', type: 'int32' },
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
      {
        name: 'topics',
        type: 'TopicData[]',
        fields: [
          { name: 'topicId', type: 'uuid', ignorable: true },
          {
            name: 'partitions',
            type: 'PartitionData[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'leaderId', type: 'int32' },
              { name: 'leaderEpoch', type: 'int32' },
              { name: 'isr', type: 'int32[]' },
              { name: 'leaderRecoveryState', type: 'int8', ignorable: true },
              { name: 'partitionEpoch', type: 'int32' },
            ],
          },
        ],
      },
    ],
  },
}
