import type { ApiSchema } from './schema.ts'

/** StreamsGroupHeartbeat (key 88), versions 0-1. */
export const streamsGroupHeartbeat: ApiSchema = {
  key: 88,
  name: 'StreamsGroupHeartbeat',
  versions: '0-1',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    structs: {
      KeyValue: [
        { name: 'key', type: 'string' },
        { name: 'value', type: 'string' },
      ],
      TopicInfo: [
        { name: 'name', type: 'string' },
        { name: 'partitions', type: 'int32' },
        { name: 'replicationFactor', type: 'int16' },
        { name: 'topicConfigs', type: 'KeyValue[]' },
      ],
      Endpoint: [
        { name: 'host', type: 'string' },
        { name: 'port', type: 'uint16' },
      ],
      TaskOffset: [
        { name: 'subtopologyId', type: 'string' },
        { name: 'partition', type: 'int32' },
        { name: 'offset', type: 'int64' },
      ],
      TaskIds: [
        { name: 'subtopologyId', type: 'string' },
        { name: 'partitions', type: 'int32[]' },
      ],
    },
    fields: [
      { name: 'groupId', type: 'string' },
      { name: 'memberId', type: 'string' },
      { name: 'memberEpoch', type: 'int32' },
      { name: 'endpointInformationEpoch', type: 'int32' },
      { name: 'instanceId', type: 'string', nullable: true, default: null },
      { name: 'rackId', type: 'string', nullable: true, default: null },
      { name: 'rebalanceTimeoutMs', type: 'int32', default: -1 },
      {
        name: 'topology',
        type: 'Topology',
        nullable: true,
        default: null,
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
      { name: 'activeTasks', type: 'TaskIds[]', nullable: true, default: null },
      { name: 'standbyTasks', type: 'TaskIds[]', nullable: true, default: null },
      { name: 'warmupTasks', type: 'TaskIds[]', nullable: true, default: null },
      { name: 'processId', type: 'string', nullable: true, default: null },
      { name: 'userEndpoint', type: 'Endpoint', nullable: true, default: null },
      { name: 'clientTags', type: 'KeyValue[]', nullable: true, default: null },
      { name: 'taskOffsets', type: 'TaskOffset[]', nullable: true, default: null },
      { name: 'taskEndOffsets', type: 'TaskOffset[]', nullable: true, default: null },
      { name: 'shutdownApplication', type: 'bool' },
    ],
  },
  response: {
    structs: {
      Status: [
        { name: 'statusCode', type: 'int8' },
        { name: 'statusDetail', type: 'string' },
      ],
      TopicPartition: [
        { name: 'topic', type: 'string' },
        { name: 'partitions', type: 'int32[]' },
      ],
      TaskIds: [
        { name: 'subtopologyId', type: 'string' },
        { name: 'partitions', type: 'int32[]' },
      ],
      Endpoint: [
        { name: 'host', type: 'string' },
        { name: 'port', type: 'uint16' },
      ],
    },
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true, default: null },
      { name: 'memberId', type: 'string' },
      { name: 'memberEpoch', type: 'int32' },
      { name: 'heartbeatIntervalMs', type: 'int32' },
      { name: 'acceptableRecoveryLagLegacy', type: 'int32', versions: '0' },
      { name: 'taskOffsetIntervalMs', type: 'int32' },
      { name: 'acceptableRecoveryLag', type: 'int64', versions: '1+', default: -1, ignorable: true },
      { name: 'status', type: 'Status[]', nullable: true },
      { name: 'activeTasks', type: 'TaskIds[]', nullable: true, default: null },
      { name: 'standbyTasks', type: 'TaskIds[]', nullable: true, default: null },
      { name: 'warmupTasks', type: 'TaskIds[]', nullable: true, default: null },
      { name: 'topologyDescriptionRequired', type: 'bool', versions: '1+' },
      { name: 'endpointInformationEpoch', type: 'int32' },
      {
        name: 'partitionsByUserEndpoint',
        type: 'EndpointToPartitions[]',
        nullable: true,
        default: null,
        fields: [
          { name: 'userEndpoint', type: 'Endpoint' },
          { name: 'activePartitions', type: 'TopicPartition[]' },
          { name: 'standbyPartitions', type: 'TopicPartition[]' },
        ],
      },
    ],
  },
}
