import type { DataFamilySchema } from './schema.ts'

/** Records of `__share_group_state` (KIP-932). */
export const shareStateRecords: DataFamilySchema = {
  name: 'share-state-records',
  messages: [
    {
      name: 'ShareSnapshotKey',
      kind: 'coordinator-key',
      key: 0,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'topicId', type: 'uuid' },
        { name: 'partition', type: 'int32' },
      ],
    },
    {
      name: 'ShareSnapshotValue',
      kind: 'coordinator-value',
      key: 0,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'snapshotEpoch', type: 'int32' },
        { name: 'stateEpoch', type: 'int32' },
        { name: 'leaderEpoch', type: 'int32' },
        { name: 'startOffset', type: 'int64' },
        { name: 'deliveryCompleteCount', type: 'int32', tag: 0, default: -1 },
        { name: 'createTimestamp', type: 'int64' },
        { name: 'writeTimestamp', type: 'int64' },
        {
          name: 'stateBatches',
          type: 'StateBatch[]',
          fields: [
            { name: 'firstOffset', type: 'int64' },
            { name: 'lastOffset', type: 'int64' },
            { name: 'deliveryState', type: 'int8' },
            { name: 'deliveryCount', type: 'int16' },
          ],
        },
      ],
    },
    {
      name: 'ShareUpdateKey',
      kind: 'coordinator-key',
      key: 1,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'topicId', type: 'uuid' },
        { name: 'partition', type: 'int32' },
      ],
    },
    {
      name: 'ShareUpdateValue',
      kind: 'coordinator-value',
      key: 1,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'snapshotEpoch', type: 'int32' },
        { name: 'leaderEpoch', type: 'int32' },
        { name: 'startOffset', type: 'int64' },
        { name: 'deliveryCompleteCount', type: 'int32', tag: 0, default: -1 },
        {
          name: 'stateBatches',
          type: 'StateBatch[]',
          fields: [
            { name: 'firstOffset', type: 'int64' },
            { name: 'lastOffset', type: 'int64' },
            { name: 'deliveryState', type: 'int8' },
            { name: 'deliveryCount', type: 'int16' },
          ],
        },
      ],
    },
  ],
}
