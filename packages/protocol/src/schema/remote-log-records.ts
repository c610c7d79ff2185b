import type { DataFamilySchema } from './schema.ts'

/** Records of the remote log metadata topic (KIP-405). */
export const remoteLogRecords: DataFamilySchema = {
  name: 'remote-log-records',
  messages: [
    {
      name: 'RemoteLogSegmentMetadataRecord',
      kind: 'metadata',
      key: 0,
      versions: '0',
      flexible: '0+',
      fields: [
        {
          name: 'remoteLogSegmentId',
          type: 'RemoteLogSegmentIdEntry',
          fields: [
            {
              name: 'topicIdPartition',
              type: 'TopicIdPartitionEntry',
              fields: [
                { name: 'name', type: 'string' },
                { name: 'id', type: 'uuid' },
                { name: 'partition', type: 'int32' },
              ],
            },
            { name: 'id', type: 'uuid' },
          ],
        },
        { name: 'startOffset', type: 'int64' },
        { name: 'endOffset', type: 'int64' },
        { name: 'brokerId', type: 'int32' },
        { name: 'maxTimestampMs', type: 'int64' },
        { name: 'eventTimestampMs', type: 'int64' },
        {
          name: 'segmentLeaderEpochs',
          type: 'SegmentLeaderEpochEntry[]',
          fields: [
            { name: 'leaderEpoch', type: 'int32' },
            { name: 'offset', type: 'int64' },
          ],
        },
        { name: 'segmentSizeInBytes', type: 'int32' },
        { name: 'customMetadata', type: 'bytes', nullable: true, default: null },
        { name: 'remoteLogSegmentState', type: 'int8' },
        { name: 'txnIndexEmpty', type: 'bool', tag: 0 },
      ],
    },
    {
      name: 'RemoteLogSegmentMetadataUpdateRecord',
      kind: 'metadata',
      key: 1,
      versions: '0',
      flexible: '0+',
      fields: [
        {
          name: 'remoteLogSegmentId',
          type: 'RemoteLogSegmentIdEntry',
          fields: [
            {
              name: 'topicIdPartition',
              type: 'TopicIdPartitionEntry',
              fields: [
                { name: 'name', type: 'string' },
                { name: 'id', type: 'uuid' },
                { name: 'partition', type: 'int32' },
              ],
            },
            { name: 'id', type: 'uuid' },
          ],
        },
        { name: 'brokerId', type: 'int32' },
        { name: 'eventTimestampMs', type: 'int64' },
        { name: 'customMetadata', type: 'bytes', nullable: true, default: null },
        { name: 'remoteLogSegmentState', type: 'int8' },
      ],
    },
    {
      name: 'RemotePartitionDeleteMetadataRecord',
      kind: 'metadata',
      key: 2,
      versions: '0',
      flexible: '0+',
      fields: [
        {
          name: 'topicIdPartition',
          type: 'TopicIdPartitionEntry',
          fields: [
            { name: 'name', type: 'string' },
            { name: 'id', type: 'uuid' },
            { name: 'partition', type: 'int32' },
          ],
        },
        { name: 'brokerId', type: 'int32' },
        { name: 'eventTimestampMs', type: 'int64' },
        { name: 'remotePartitionDeleteState', type: 'int8' },
      ],
    },
    {
      name: 'RemoteLogSegmentMetadataSnapshotRecord',
      kind: 'metadata',
      key: 3,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'segmentId', type: 'uuid' },
        { name: 'startOffset', type: 'int64' },
        { name: 'endOffset', type: 'int64' },
        { name: 'brokerId', type: 'int32' },
        { name: 'maxTimestampMs', type: 'int64' },
        { name: 'eventTimestampMs', type: 'int64' },
        {
          name: 'segmentLeaderEpochs',
          type: 'SegmentLeaderEpochEntry[]',
          fields: [
            { name: 'leaderEpoch', type: 'int32' },
            { name: 'offset', type: 'int64' },
          ],
        },
        { name: 'segmentSizeInBytes', type: 'int32' },
        { name: 'customMetadata', type: 'bytes', nullable: true, default: null },
        { name: 'remoteLogSegmentState', type: 'int8' },
        { name: 'txnIndexEmpty', type: 'bool', tag: 0 },
      ],
    },
  ],
}
