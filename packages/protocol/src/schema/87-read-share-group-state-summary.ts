import type { ApiSchema } from './schema.ts'

/** ReadShareGroupStateSummary (key 87), versions 0-1. */
export const readShareGroupStateSummary: ApiSchema = {
  key: 87,
  name: 'ReadShareGroupStateSummary',
  versions: '0-1',
  flexible: '0+',
  listeners: ['broker'],
  clusterAction: true,
  request: {
    fields: [
      { name: 'groupId', type: 'string' },
      {
        name: 'topics',
        type: 'ReadStateSummaryData[]',
        fields: [
          { name: 'topicId', type: 'uuid' },
          {
            name: 'partitions',
            type: 'PartitionData[]',
            fields: [
              { name: 'partition', type: 'int32' },
              { name: 'leaderEpoch', type: 'int32' },
            ],
          },
        ],
      },
    ],
  },
  response: {
    fields: [
      {
        name: 'results',
        type: 'ReadStateSummaryResult[]',
        fields: [
          { name: 'topicId', type: 'uuid' },
          {
            name: 'partitions',
            type: 'PartitionResult[]',
            fields: [
              { name: 'partition', type: 'int32' },
              { name: 'errorCode', type: 'int16' },
              { name: 'errorMessage', type: 'string', nullable: true, default: null },
              { name: 'stateEpoch', type: 'int32' },
              { name: 'leaderEpoch', type: 'int32' },
              { name: 'startOffset', type: 'int64' },
              { name: 'deliveryCompleteCount', type: 'int32', versions: '1+', default: -1, ignorable: true },
            ],
          },
        ],
      },
    ],
  },
}
