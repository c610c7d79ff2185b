import type { DataFamilySchema } from './schema.ts'

/** What consumers of the classic group protocol put into JoinGroup and SyncGroup. */
export const consumerProtocol: DataFamilySchema = {
  name: 'consumer-protocol',
  messages: [
    {
      name: 'ConsumerProtocolSubscription',
      kind: 'data',
      versions: '0-3',
      flexible: 'none',
      fields: [
        { name: 'topics', type: 'string[]' },
        { name: 'userData', type: 'bytes', nullable: true, default: null },
        {
          name: 'ownedPartitions',
          type: 'TopicPartition[]',
          versions: '1+',
          ignorable: true,
          fields: [
            { name: 'topic', type: 'string' },
            { name: 'partitions', type: 'int32[]' },
          ],
        },
        { name: 'generationId', type: 'int32', versions: '2+', default: -1, ignorable: true },
        { name: 'rackId', type: 'string', versions: '3+', nullable: true, default: null, ignorable: true },
      ],
    },
    {
      name: 'ConsumerProtocolAssignment',
      kind: 'data',
      versions: '0-3',
      flexible: 'none',
      fields: [
        {
          name: 'assignedPartitions',
          type: 'TopicPartition[]',
          fields: [
            { name: 'topic', type: 'string' },
            { name: 'partitions', type: 'int32[]' },
          ],
        },
        { name: 'userData', type: 'bytes', nullable: true, default: null },
      ],
    },
  ],
}
