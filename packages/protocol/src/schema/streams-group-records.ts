import type { DataFamilySchema } from './schema.ts'

/** Records of `__consumer_offsets` for streams groups (KIP-1071). */
export const streamsGroupRecords: DataFamilySchema = {
  name: 'streams-group-records',
  messages: [
    {
      name: 'StreamsGroupMetadataKey',
      kind: 'coordinator-key',
      key: 17,
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'groupId', type: 'string' }],
    },
    {
      name: 'StreamsGroupMetadataValue',
      kind: 'coordinator-value',
      key: 17,
      versions: '0',
      flexible: '0+',
      structs: {
        LastAssignmentConfig: [
          { name: 'key', type: 'string' },
          { name: 'value', type: 'string' },
        ],
      },
      fields: [
        { name: 'epoch', type: 'int32' },
        { name: 'metadataHash', type: 'int64' },
        { name: 'validatedTopologyEpoch', type: 'int32', tag: 0, default: -1 },
        { name: 'lastAssignmentConfigs', type: 'LastAssignmentConfig[]', nullable: true, tag: 1 },
        { name: 'storedDescriptionTopologyEpoch', type: 'int32', tag: 2, default: -1 },
        { name: 'failedDescriptionTopologyEpoch', type: 'int32', tag: 3, default: -1 },
      ],
    },
    {
      name: 'StreamsGroupMemberMetadataKey',
      kind: 'coordinator-key',
      key: 19,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'memberId', type: 'string' },
      ],
    },
    {
      name: 'StreamsGroupMemberMetadataValue',
      kind: 'coordinator-value',
      key: 19,
      versions: '0',
      flexible: '0+',
      structs: {
        Endpoint: [
          { name: 'host', type: 'string' },
          { name: 'port', type: 'uint16' },
        ],
        KeyValue: [
          { name: 'key', type: 'string' },
          { name: 'value', type: 'string' },
        ],
      },
      fields: [
        { name: 'instanceId', type: 'string', nullable: true },
        { name: 'rackId', type: 'string', nullable: true },
        { name: 'clientId', type: 'string' },
        { name: 'clientHost', type: 'string' },
        { name: 'rebalanceTimeoutMs', type: 'int32', default: -1 },
        { name: 'topologyEpoch', type: 'int32' },
        { name: 'processId', type: 'string' },
        { name: 'userEndpoint', type: 'Endpoint', nullable: true, default: null },
        { name: 'clientTags', type: 'KeyValue[]' },
      ],
    },
    {
      name: 'StreamsGroupTargetAssignmentMetadataKey',
      kind: 'coordinator-key',
      key: 20,
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'groupId', type: 'string' }],
    },
    {
      name: 'StreamsGroupTargetAssignmentMetadataValue',
      kind: 'coordinator-value',
      key: 20,
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'assignmentEpoch', type: 'int32' },
        { name: 'assignmentTimestamp', type: 'int64', tag: 0, ignorable: true },
      ],
    },
    {
      name: 'StreamsGroupTargetAssignmentMemberKey',
      kind: 'coordinator-key',
      key: 21,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'memberId', type: 'string' },
      ],
    },
    {
      name: 'StreamsGroupTargetAssignmentMemberValue',
      kind: 'coordinator-value',
      key: 21,
      versions: '0',
      flexible: '0+',
      structs: {
        TaskIds: [
          { name: 'subtopologyId', type: 'string' },
          { name: 'partitions', type: 'int32[]' },
        ],
      },
      fields: [
        { name: 'activeTasks', type: 'TaskIds[]' },
        { name: 'standbyTasks', type: 'TaskIds[]' },
        { name: 'warmupTasks', type: 'TaskIds[]' },
      ],
    },
    {
      name: 'StreamsGroupCurrentMemberAssignmentKey',
      kind: 'coordinator-key',
      key: 22,
      versions: '0',
      flexible: 'none',
      fields: [
        { name: 'groupId', type: 'string' },
        { name: 'memberId', type: 'string' },
      ],
    },
    {
      name: 'StreamsGroupCurrentMemberAssignmentValue',
      kind: 'coordinator-value',
      key: 22,
      versions: '0',
      flexible: '0+',
      structs: {
        TaskIds: [
          { name: 'subtopologyId', type: 'string' },
          { name: 'partitions', type: 'int32[]' },
          { name: 'assignmentEpochs', type: 'int32[]', nullable: true, tag: 0 },
        ],
      },
      fields: [
        { name: 'memberEpoch', type: 'int32' },
        { name: 'previousMemberEpoch', type: 'int32' },
        { name: 'state', type: 'int8' },
        { name: 'activeTasks', type: 'TaskIds[]' },
        { name: 'standbyTasks', type: 'TaskIds[]' },
        { name: 'warmupTasks', type: 'TaskIds[]' },
        { name: 'activeTasksPendingRevocation', type: 'TaskIds[]' },
        { name: 'standbyTasksPendingRevocation', type: 'TaskIds[]' },
        { name: 'warmupTasksPendingRevocation', type: 'TaskIds[]' },
      ],
    },
    {
      name: 'StreamsGroupTopologyKey',
      kind: 'coordinator-key',
      key: 23,
      versions: '0',
      flexible: 'none',
      fields: [{ name: 'groupId', type: 'string' }],
    },
    {
      name: 'StreamsGroupTopologyValue',
      kind: 'coordinator-value',
      key: 23,
      versions: '0',
      flexible: '0+',
      structs: {
        TopicConfig: [
          { name: 'key', type: 'string' },
          { name: 'value', type: 'string' },
        ],
        TopicInfo: [
          { name: 'name', type: 'string' },
          { name: 'partitions', type: 'int32' },
          { name: 'replicationFactor', type: 'int16' },
          { name: 'topicConfigs', type: 'TopicConfig[]' },
        ],
      },
      fields: [
        { name: 'epoch', type: 'int32' },
        {
          name: 'subtopologies',
          type: 'Subtopology[]',
          fields: [
            { name: 'subtopologyId', type: 'string' },
            { name: 'sourceTopics', type: 'string[]' },
            { name: 'sourceTopicRegex', type: 'string[]' },
            { name: 'stateChangelogTopics', type: 'TopicInfo[]' },
            { name: 'repartitionSinkTopics', type: 'string[]' },
            { name: 'repartitionSourceTopics', type: 'TopicInfo[]' },
            {
              name: 'copartitionGroups',
              type: 'CopartitionGroup[]',
              fields: [
                { name: 'sourceTopics', type: 'int16[]' },
                { name: 'sourceTopicRegex', type: 'int16[]' },
                { name: 'repartitionSourceTopics', type: 'int16[]' },
              ],
            },
          ],
        },
      ],
    },
  ],
}
