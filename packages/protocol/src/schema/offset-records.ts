import type { DataFamilySchema } from './schema.ts'

/** Records of `__consumer_offsets` for classic groups and offsets. */
export const offsetRecords: DataFamilySchema = {
  name: 'offset-records',
  messages: [
    {
      name: 'LegacyOffsetCommitKey',
      kind: 'coordinator-key',
      key: 0,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'group', type: 'string' },
        { name: 'topic', type: 'string' },
        { name: 'partition', type: 'int32' },
      ],
    },
    {
      name: 'LegacyOffsetCommitValue',
      kind: 'coordinator-value',
      key: 0,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'offset', type: 'int64' },
        { name: 'metadata', type: 'string' },
        { name: 'commitTimestamp', type: 'int64' },
      ],
    },
    {
      name: 'OffsetCommitKey',
      kind: 'coordinator-key',
      key: 1,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'group', type: 'string' },
        { name: 'topic', type: 'string' },
        { name: 'partition', type: 'int32' },
      ],
    },
    {
      name: 'OffsetCommitValue',
      kind: 'coordinator-value',
      key: 1,
      versions: '0-4',
      flexible: '4+',
      fields: [
        { name: 'offset', type: 'int64' },
        { name: 'leaderEpoch', type: 'int32', versions: '3+', default: -1, ignorable: true },
        { name: 'metadata', type: 'string' },
        { name: 'commitTimestamp', type: 'int64' },
        { name: 'expireTimestamp', type: 'int64', versions: '1', default: -1, ignorable: true },
        { name: 'topicId', type: 'uuid', versions: '4+', tag: 0, ignorable: true },
      ],
    },
    {
      name: 'GroupMetadataKey',
      kind: 'coordinator-key',
      key: 2,
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'group', type: 'string' }],
    },
    {
      name: 'GroupMetadataValue',
      kind: 'coordinator-value',
      key: 2,
      versions: '0-4',
      flexible: '4+',
      structs: {
        MemberMetadata: [
          { name: 'memberId', type: 'string' },
          { name: 'groupInstanceId', type: 'string', versions: '3+', nullable: true, default: null, ignorable: true },
          { name: 'clientId', type: 'string' },
          { name: 'clientHost', type: 'string' },
          { name: 'rebalanceTimeout', type: 'int32', versions: '1+', default: -1, ignorable: true },
          { name: 'sessionTimeout', type: 'int32' },
          { name: 'subscription', type: 'bytes' },
          { name: 'assignment', type: 'bytes' },
        ],
      },
      fields: [
        { name: 'protocolType', type: 'string' },
        { name: 'generation', type: 'int32' },
        { name: 'protocol', type: 'string', nullable: true },
        { name: 'leader', type: 'string', nullable: true },
        { name: 'currentStateTimestamp', type: 'int64', versions: '2+', default: -1, ignorable: true },
        { name: 'members', type: 'MemberMetadata[]' },
      ],
    },
  ],
}
