import type { ApiSchema } from './schema.ts'

/** StreamsGroupDescribe (key 89), versions 0-1. */
export const streamsGroupDescribe: ApiSchema = {
  key: 89,
  name: 'StreamsGroupDescribe',
  versions: '0-1',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    fields: [
      { name: 'groupIds', type: 'string[]' },
      { name: 'includeAuthorizedOperations', type: 'bool' },
      { name: 'includeTopologyDescription', type: 'bool', versions: '1+' },
    ],
  },
  response: {
    structs: {
      Endpoint: [
        { name: 'host', type: 'string' },
        { name: 'port', type: 'uint16' },
      ],
      TaskOffset: [
        { name: 'subtopologyId', type: 'string' },
        { name: 'partition', type: 'int32' },
        { name: 'offset', type: 'int64' },
      ],
      Assignment: [
        { name: 'activeTasks', type: 'TaskIds[]' },
        { name: 'standbyTasks', type: 'TaskIds[]' },
        { name: 'warmupTasks', type: 'TaskIds[]' },
      ],
      TaskIds: [
        { name: 'subtopologyId', type: 'string' },
        { name: 'partitions', type: 'int32[]' },
      ],
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
      TopologyDescription: [
        { name: 'subtopologies', type: 'TopologyDescriptionSubtopology[]', versions: '1+' },
        { name: 'globalStores', type: 'TopologyDescriptionGlobalStore[]', versions: '1+' },
      ],
      TopologyDescriptionSubtopology: [
        { name: 'subtopologyId', type: 'string', versions: '1+' },
        { name: 'nodes', type: 'TopologyDescriptionNode[]', versions: '1+' },
      ],
      TopologyDescriptionNode: [
        { name: 'name', type: 'string', versions: '1+' },
        { name: 'nodeType', type: 'int8', versions: '1+' },
        { name: 'sourceTopics', type: 'string[]', versions: '1+' },
        { name: 'sinkTopic', type: 'string', versions: '1+', nullable: true, default: null },
        { name: 'stores', type: 'string[]', versions: '1+' },
        { name: 'successors', type: 'string[]', versions: '1+' },
      ],
      TopologyDescriptionGlobalStore: [
        { name: 'source', type: 'TopologyDescriptionNode', versions: '1+' },
        { name: 'processor', type: 'TopologyDescriptionNode', versions: '1+' },
      ],
    },
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      {
        name: 'groups',
        type: 'DescribedGroup[]',
        fields: [
          { name: 'errorCode', type: 'int16' },
          { name: 'errorMessage', type: 'string', nullable: true, default: null },
          { name: 'groupId', type: 'string' },
          { name: 'groupState', type: 'string' },
          { name: 'groupEpoch', type: 'int32' },
          { name: 'assignmentEpoch', type: 'int32' },
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
                nullable: true,
                default: null,
                fields: [
                  { name: 'subtopologyId', type: 'string' },
                  { name: 'sourceTopics', type: 'string[]' },
                  { name: 'repartitionSinkTopics', type: 'string[]' },
                  { name: 'stateChangelogTopics', type: 'TopicInfo[]' },
                  { name: 'repartitionSourceTopics', type: 'TopicInfo[]' },
                ],
              },
            ],
          },
          {
            name: 'members',
            type: 'Member[]',
            fields: [
              { name: 'memberId', type: 'string' },
              { name: 'memberEpoch', type: 'int32' },
              { name: 'instanceId', type: 'string', nullable: true, default: null },
              { name: 'rackId', type: 'string', nullable: true, default: null },
              { name: 'clientId', type: 'string' },
              { name: 'clientHost', type: 'string' },
              { name: 'topologyEpoch', type: 'int32' },
              { name: 'processId', type: 'string' },
              { name: 'userEndpoint', type: 'Endpoint', nullable: true, default: null },
              { name: 'clientTags', type: 'KeyValue[]' },
              { name: 'taskOffsets', type: 'TaskOffset[]' },
              { name: 'taskEndOffsets', type: 'TaskOffset[]' },
              { name: 'assignment', type: 'Assignment' },
              { name: 'targetAssignment', type: 'Assignment' },
              { name: 'isClassic', type: 'bool' },
            ],
          },
          { name: 'authorizedOperations', type: 'int32', default: -2147483648 },
          { name: 'topologyDescription', type: 'TopologyDescription', versions: '1+', nullable: true, default: null },
          { name: 'topologyDescriptionStatus', type: 'int8', versions: '1+' },
          { name: 'assignorName', type: 'string', versions: '1+', nullable: true, default: null, ignorable: true },
        ],
      },
    ],
  },
}
