import type { DataFamilySchema } from './schema.ts'

/** Keys and values of control batches, in partitions and in the metadata log. */
export const controlRecords: DataFamilySchema = {
  name: 'control-records',
  messages: [
    {
      name: 'ControlRecordTypeSchema',
      kind: 'data',
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'type', type: 'int16' }],
    },
    {
      name: 'EndTxnMarker',
      kind: 'data',
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'coordinatorEpoch', type: 'int32' }],
    },
    {
      name: 'LeaderChangeMessage',
      kind: 'data',
      versions: '0-1',
      flexible: '0+',
      structs: {
        Voter: [
          { name: 'voterId', type: 'int32' },
          { name: 'voterDirectoryId', type: 'uuid', versions: '1+' },
        ],
      },
      fields: [
        { name: 'version', type: 'int16' },
        { name: 'leaderId', type: 'int32' },
        { name: 'voters', type: 'Voter[]' },
        { name: 'grantingVoters', type: 'Voter[]' },
      ],
    },
    {
      name: 'SnapshotHeaderRecord',
      kind: 'data',
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'version', type: 'int16' },
        { name: 'lastContainedLogTimestamp', type: 'int64' },
      ],
    },
    {
      name: 'SnapshotFooterRecord',
      kind: 'data',
      versions: '0',
      flexible: '0+',
      fields: [{ name: 'version', type: 'int16' }],
    },
    {
      name: 'KRaftVersionRecord',
      kind: 'data',
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'version', type: 'int16' },
        { name: 'kRaftVersion', type: 'int16' },
      ],
    },
    {
      name: 'VotersRecord',
      kind: 'data',
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'version', type: 'int16' },
        {
          name: 'voters',
          type: 'Voter[]',
          fields: [
            { name: 'voterId', type: 'int32' },
            { name: 'voterDirectoryId', type: 'uuid' },
            {
              name: 'endpoints',
              type: 'Endpoint[]',
              fields: [
                { name: 'name', type: 'string' },
                { name: 'host', type: 'string' },
                { name: 'port', type: 'uint16' },
              ],
            },
            {
              name: 'kRaftVersionFeature',
              type: 'KRaftVersionFeature',
              fields: [
                { name: 'minSupportedVersion', type: 'int16' },
                { name: 'maxSupportedVersion', type: 'int16' },
              ],
            },
          ],
        },
      ],
    },
  ],
}
