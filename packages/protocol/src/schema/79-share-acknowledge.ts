import type { ApiSchema } from './schema.ts'

/** ShareAcknowledge (key 79), versions 1-2. */
export const shareAcknowledge: ApiSchema = {
  key: 79,
  name: 'ShareAcknowledge',
  versions: '1-2',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupId', type: 'string', nullable: true, default: null },
      { name: 'memberId', type: 'string', nullable: true },
      { name: 'shareSessionEpoch', type: 'int32' },
      { name: 'isRenewAck', type: 'bool', versions: '2+' },
      {
        name: 'topics',
        type: 'AcknowledgeTopic[]',
        fields: [
          { name: 'topicId', type: 'uuid' },
          {
            name: 'partitions',
            type: 'AcknowledgePartition[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              {
                name: 'acknowledgementBatches',
                type: 'AcknowledgementBatch[]',
                fields: [
                  { name: 'firstOffset', type: 'int64' },
                  { name: 'lastOffset', type: 'int64' },
                  { name: 'acknowledgeTypes', type: 'int8[]' },
                ],
              },
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
      { name: 'acquisitionLockTimeoutMs', type: 'int32', versions: '2+', ignorable: true },
      {
        name: 'responses',
        type: 'ShareAcknowledgeTopicResponse[]',
        fields: [
          { name: 'topicId', type: 'uuid' },
          {
            name: 'partitions',
            type: 'PartitionData[]',
            fields: [
              { name: 'partitionIndex', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'errorMessage', type: 'string', nullable: true, default: null },
              {
                name: 'currentLeader',
                type: 'LeaderIdAndEpoch',
                fields: [
                  { name: 'leaderId', type: 'int32' },
                  { name: 'leaderEpoch', type: 'int32' },
                ],
              },
            ],
          },
        ],
      },
      {
        name: 'nodeEndpoints',
        type: 'NodeEndpoint[]',
        fields: [
          { name: 'nodeId', type: 'int32' },
          { name: 'host', type: 'string' },
          { name: 'port', type: 'int32' },
          { name: 'rack', type: 'string', nullable: true, default: null },
        ],
      },
    ],
  },
}
