import type { ApiSchema } from './schema.ts'

/** WriteTxnMarkers (key 27), versions 1-2. */
export const writeTxnMarkers: ApiSchema = {
  key: 27,
  name: 'WriteTxnMarkers',
  versions: '1-2',
  flexible: '1+',
  listeners: ['broker'],
  clusterAction: true,
  request: {
    fields: [
      {
        name: 'markers',
        type: 'WritableTxnMarker[]',
        fields: [
          { name: 'producerId', type: 'int64' },
          { name: 'producerEpoch', type: 'int16' },
          { name: 'transactionResult', type: 'bool' },
          {
            name: 'topics',
            type: 'WritableTxnMarkerTopic[]',
            fields: [
              { name: 'name', type: 'string' },
              { name: 'partitionIndexes', type: 'int32[]' },
            ],
          },
          { name: 'coordinatorEpoch', type: 'int32' },
          { name: 'transactionVersion', type: 'int8', versions: '2+', ignorable: true },
        ],
      },
    ],
  },
  response: {
    fields: [
      {
        name: 'markers',
        type: 'WritableTxnMarkerResult[]',
        fields: [
          { name: 'producerId', type: 'int64' },
          {
            name: 'topics',
            type: 'WritableTxnMarkerTopicResult[]',
            fields: [
              { name: 'name', type: 'string' },
              {
                name: 'partitions',
                type: 'WritableTxnMarkerPartitionResult[]',
                fields: [
                  { name: 'partitionIndex', type: 'int32' },
                  { name: 'errorCode', type: 'int16' },
                ],
              },
            ],
          },
        ],
      },
    ],
  },
}
