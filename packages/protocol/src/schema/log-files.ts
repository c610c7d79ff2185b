import type { DataFamilySchema } from './schema.ts'

/** Contents of small files beside a log: transaction index, producer snapshot, quorum state. */
export const logFiles: DataFamilySchema = {
  name: 'log-files',
  messages: [
    {
      name: 'AbortedTxn',
      kind: 'data',
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'producerId', type: 'int64' },
        { name: 'firstOffset', type: 'int64' },
        { name: 'lastOffset', type: 'int64' },
        { name: 'lastStableOffset', type: 'int64' },
      ],
    },
    {
      name: 'ProducerSnapshot',
      kind: 'data',
      versions: '1',
      flexible: 'none',
      fields: [
        { name: 'crc', type: 'uint32' },
        {
          name: 'producerEntries',
          type: 'ProducerEntry[]',
          fields: [
            { name: 'producerId', type: 'int64' },
            { name: 'epoch', type: 'int16' },
            { name: 'lastSequence', type: 'int32' },
            { name: 'lastOffset', type: 'int64' },
            { name: 'offsetDelta', type: 'int32' },
            { name: 'timestamp', type: 'int64' },
            { name: 'coordinatorEpoch', type: 'int32' },
            { name: 'currentTxnFirstOffset', type: 'int64' },
          ],
        },
      ],
    },
    {
      name: 'QuorumStateData',
      kind: 'data',
      versions: '0-1',
      flexible: '0+',
      fields: [
        { name: 'clusterId', type: 'string', versions: '0' },
        { name: 'leaderId', type: 'int32', default: -1 },
        { name: 'leaderEpoch', type: 'int32', default: -1 },
        { name: 'votedId', type: 'int32', default: -1 },
        { name: 'votedDirectoryId', type: 'uuid', versions: '1+' },
        { name: 'appliedOffset', type: 'int64', versions: '0' },
        {
          name: 'currentVoters',
          type: 'Voter[]',
          versions: '0',
          nullable: true,
          fields: [{ name: 'voterId', type: 'int32' }],
        },
      ],
    },
  ],
}
