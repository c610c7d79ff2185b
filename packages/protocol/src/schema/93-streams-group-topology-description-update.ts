import type { ApiSchema } from './schema.ts'

/** StreamsGroupTopologyDescriptionUpdate (key 93), versions 0. */
export const streamsGroupTopologyDescriptionUpdate: ApiSchema = {
  key: 93,
  name: 'StreamsGroupTopologyDescriptionUpdate',
  versions: '0',
  flexible: '0+',
  listeners: ['broker'],
  request: {
    structs: {
      TopologyDescription: [
        { name: 'subtopologies', type: 'TopologyDescriptionSubtopology[]' },
        { name: 'globalStores', type: 'TopologyDescriptionGlobalStore[]' },
      ],
      TopologyDescriptionSubtopology: [
        { name: 'subtopologyId', type: 'string' },
        { name: 'nodes', type: 'TopologyDescriptionNode[]' },
      ],
      TopologyDescriptionNode: [
        { name: 'name', type: 'string' },
        { name: 'nodeType', type: 'int8' },
        { name: 'sourceTopics', type: 'string[]' },
        { name: 'sinkTopic', type: 'string', nullable: true, default: null },
        { name: 'stores', type: 'string[]' },
        { name: 'successors', type: 'string[]' },
      ],
      TopologyDescriptionGlobalStore: [
        { name: 'source', type: 'TopologyDescriptionNode' },
        { name: 'processor', type: 'TopologyDescriptionNode' },
      ],
    },
    fields: [
      { name: 'groupId', type: 'string' },
      { name: 'memberId', type: 'string' },
      { name: 'topologyEpoch', type: 'int32' },
      { name: 'topologyDescription', type: 'TopologyDescription' },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      { name: 'errorMessage', type: 'string', nullable: true, default: null },
    ],
  },
}
