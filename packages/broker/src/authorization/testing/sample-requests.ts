import { type Uuid, ZERO_UUID } from '@millrace/base'
import { AclPatternType, ConfigResourceType } from '@millrace/consensus'
import * as protocol from '@millrace/protocol'
import { type ApiDefinition, ApiKey } from '@millrace/protocol'
import { batchOf } from '../../testing/batches.ts'
import type { NEEDS } from '../needs.ts'

/** What the samples are about: topics by these names, a group and a transactional id. */
export const SAMPLE = {
  topic: 'orders',
  oldTopic: 'payments',
  newTopic: 'fresh',
  group: 'billing',
  transactionalId: 'settlement',
} as const

/** A request of an API that meets some of its needs. */
export interface SampleRequest<Key extends keyof typeof NEEDS = keyof typeof NEEDS> {
  readonly api: ApiDefinition
  /** In the shape of the version. */
  request(version: number, topicId: Uuid): unknown
  /** Names of the needs that it cannot do without. */
  readonly needs: readonly (keyof (typeof NEEDS)[Key])[]
  /** First version with a place for the error; left out: all. */
  readonly toldSince?: number
}

function sample<Key extends keyof typeof NEEDS, Request, Response>(
  api: ApiDefinition<Request, Response>,
  _key: Key,
  needs: readonly (keyof (typeof NEEDS)[Key])[],
  request: (version: number, topicId: Uuid) => Request,
  more: { toldSince?: number } = {},
): SampleRequest {
  return { api: api as unknown as ApiDefinition, request, needs: needs as SampleRequest['needs'], ...more }
}

const named = (version: number, since: number, topicId: Uuid) =>
  version >= since ? { name: '', topicId } : { name: SAMPLE.topic, topicId: ZERO_UUID }
const configResource = { resourceType: ConfigResourceType.TOPIC, resourceName: SAMPLE.topic }
const configChange = { name: 'retention.ms', value: '60000' }

const shareMember = { groupId: SAMPLE.group, memberId: 'member', shareSessionEpoch: 0, maxBytes: 1_000 }

/** A topic that was made once is not new any more. */
let freshCount = 0

/** One or more of each API that is served. */
export const SAMPLES: readonly SampleRequest[] = [
  sample(protocol.produceApi, ApiKey.PRODUCE, ['topic'], (version, topicId) => {
    const partitionData = [protocol.createPartitionProduceData({ index: 0, records: batchOf(['a']) })]
    return protocol.createProduceRequest({
      acks: 1,
      timeoutMs: 1_000,
      topicData: [protocol.createTopicProduceData({ ...named(version, 13, topicId), partitionData })],
    })
  }),
  sample(protocol.fetchApi, ApiKey.FETCH, ['topic'], (version, topicId) => {
    const partitions = [protocol.createFetchRequestFetchPartition({ partition: 0, partitionMaxBytes: 1_000 })]
    const { name: topic, topicId: id } = named(version, 13, topicId)
    return protocol.createFetchRequest({
      maxBytes: 1_000,
      topics: [protocol.createFetchRequestFetchTopic({ topic, topicId: id, partitions })],
    })
  }),
  sample(protocol.fetchApi, ApiKey.FETCH, ['follower'], (version, topicId) => {
    const partitions = [protocol.createFetchRequestFetchPartition({ partition: 0, partitionMaxBytes: 1_000 })]
    const { name: topic, topicId: id } = named(version, 13, topicId)
    const replica =
      version >= 15 ? { replicaState: protocol.createFetchRequestReplicaState({ replicaId: 2 }) } : { replicaId: 2 }
    return protocol.createFetchRequest({
      ...replica,
      maxBytes: 1_000,
      topics: [protocol.createFetchRequestFetchTopic({ topic, topicId: id, partitions })],
    })
  }),
  sample(protocol.listOffsetsApi, ApiKey.LIST_OFFSETS, ['topic'], () => {
    const partitions = [protocol.createListOffsetsPartition({ partitionIndex: 0, timestamp: -1 })]
    return protocol.createListOffsetsRequest({
      replicaId: -1,
      topics: [protocol.createListOffsetsTopic({ name: SAMPLE.topic, partitions })],
    })
  }),
  sample(protocol.metadataApi, ApiKey.METADATA, ['topic'], () =>
    protocol.createMetadataRequest({ topics: [protocol.createMetadataRequestTopic({ name: SAMPLE.topic })] }),
  ),
  sample(protocol.metadataApi, ApiKey.METADATA, ['topic', 'newTopic'], () =>
    protocol.createMetadataRequest({
      allowAutoTopicCreation: true,
      topics: [protocol.createMetadataRequestTopic({ name: `${SAMPLE.newTopic}-${freshCount++}` })],
    }),
  ),
  sample(protocol.offsetCommitApi, ApiKey.OFFSET_COMMIT, ['group', 'topic'], (version, topicId) => {
    const partitions = [protocol.createOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset: 0 })]
    return protocol.createOffsetCommitRequest({
      groupId: SAMPLE.group,
      topics: [protocol.createOffsetCommitRequestTopic({ ...named(version, 10, topicId), partitions })],
    })
  }),
  sample(protocol.offsetFetchApi, ApiKey.OFFSET_FETCH, ['group', 'topic'], (version, topicId) => {
    const { group: groupId } = SAMPLE
    if (version < 8) {
      const topics = [protocol.createOffsetFetchRequestTopic({ name: SAMPLE.topic, partitionIndexes: [0] })]
      return protocol.createOffsetFetchRequest({ groupId, topics })
    }
    const topics = [protocol.createOffsetFetchRequestTopics({ ...named(version, 10, topicId), partitionIndexes: [0] })]
    return protocol.createOffsetFetchRequest({ groups: [protocol.createOffsetFetchRequestGroup({ groupId, topics })] })
  }),
  sample(protocol.findCoordinatorApi, ApiKey.FIND_COORDINATOR, ['group'], (version) =>
    protocol.createFindCoordinatorRequest(
      version < 4 ? { key: SAMPLE.group, keyType: 0 } : { coordinatorKeys: [SAMPLE.group], keyType: 0 },
    ),
  ),
  sample(protocol.joinGroupApi, ApiKey.JOIN_GROUP, ['group'], () =>
    protocol.createJoinGroupRequest({
      groupId: SAMPLE.group,
      sessionTimeoutMs: 10_000,
      protocolType: 'consumer',
      // Of no member, so that nobody waits for the group.
      memberId: 'nobody',
      protocols: [protocol.createJoinGroupRequestProtocol({ name: 'range' })],
    }),
  ),
  sample(protocol.heartbeatApi, ApiKey.HEARTBEAT, ['group'], () =>
    protocol.createHeartbeatRequest({ groupId: SAMPLE.group, memberId: 'nobody' }),
  ),
  sample(protocol.leaveGroupApi, ApiKey.LEAVE_GROUP, ['group'], (version) =>
    protocol.createLeaveGroupRequest(
      version < 3
        ? { groupId: SAMPLE.group, memberId: 'nobody' }
        : { groupId: SAMPLE.group, members: [protocol.createMemberIdentity({ memberId: 'nobody' })] },
    ),
  ),
  sample(protocol.syncGroupApi, ApiKey.SYNC_GROUP, ['group'], (version) =>
    protocol.createSyncGroupRequest({
      groupId: SAMPLE.group,
      memberId: 'nobody',
      ...(version < 5 ? {} : { protocolType: 'consumer', protocolName: 'range' }),
    }),
  ),
  sample(protocol.describeGroupsApi, ApiKey.DESCRIBE_GROUPS, ['group'], () =>
    protocol.createDescribeGroupsRequest({ groups: [SAMPLE.group] }),
  ),
  sample(protocol.consumerGroupHeartbeatApi, ApiKey.CONSUMER_GROUP_HEARTBEAT, ['group', 'topic'], () =>
    protocol.createConsumerGroupHeartbeatRequest({
      groupId: SAMPLE.group,
      memberId: 'member',
      // No group comes of it: what others ask for must be there or not, whatever was asked before.
      memberEpoch: 1,
      subscribedTopicNames: [SAMPLE.topic],
    }),
  ),
  sample(protocol.consumerGroupDescribeApi, ApiKey.CONSUMER_GROUP_DESCRIBE, ['group'], () =>
    protocol.createConsumerGroupDescribeRequest({ groupIds: [SAMPLE.group] }),
  ),
  sample(protocol.listGroupsApi, ApiKey.LIST_GROUPS, [], () => protocol.createListGroupsRequest({})),
  sample(protocol.saslHandshakeApi, ApiKey.SASL_HANDSHAKE, [], () =>
    protocol.createSaslHandshakeRequest({ mechanism: 'PLAIN' }),
  ),
  sample(protocol.apiVersionsApi, ApiKey.API_VERSIONS, [], (version) =>
    protocol.createApiVersionsRequest(version < 3 ? {} : { clientSoftwareName: 'test', clientSoftwareVersion: '1' }),
  ),
  sample(protocol.createTopicsApi, ApiKey.CREATE_TOPICS, ['topic', 'configs'], (version) =>
    protocol.createCreateTopicsRequest({
      timeoutMs: 1_000,
      validateOnly: true,
      topics: [
        protocol.createCreatableTopic({
          name: `${SAMPLE.newTopic}-of-version-${version}`,
          numPartitions: 1,
          replicationFactor: 1,
        }),
      ],
    }),
  ),
  sample(protocol.deleteTopicsApi, ApiKey.DELETE_TOPICS, ['topic'], (version) =>
    protocol.createDeleteTopicsRequest(
      version < 6
        ? { timeoutMs: 1_000, topicNames: [SAMPLE.oldTopic] }
        : { timeoutMs: 1_000, topics: [protocol.createDeleteTopicState({ name: SAMPLE.oldTopic })] },
    ),
  ),
  sample(protocol.deleteRecordsApi, ApiKey.DELETE_RECORDS, ['topic'], () => {
    const partitions = [protocol.createDeleteRecordsPartition({ partitionIndex: 0, offset: 0 })]
    return protocol.createDeleteRecordsRequest({
      timeoutMs: 1_000,
      topics: [protocol.createDeleteRecordsTopic({ name: SAMPLE.topic, partitions })],
    })
  }),
  sample(protocol.initProducerIdApi, ApiKey.INIT_PRODUCER_ID, ['idempotent'], () =>
    protocol.createInitProducerIdRequest({ transactionalId: null }),
  ),
  sample(protocol.offsetForLeaderEpochApi, ApiKey.OFFSET_FOR_LEADER_EPOCH, ['topic'], () => {
    const partitions = [
      protocol.createOffsetForLeaderPartition({ partition: 0, currentLeaderEpoch: -1, leaderEpoch: 0 }),
    ]
    return protocol.createOffsetForLeaderEpochRequest({
      replicaId: -1,
      topics: [protocol.createOffsetForLeaderTopic({ topic: SAMPLE.topic, partitions })],
    })
  }),
  sample(protocol.describeAclsApi, ApiKey.DESCRIBE_ACLS, ['cluster'], () =>
    protocol.createDescribeAclsRequest({
      resourceTypeFilter: 1,
      resourceNameFilter: null,
      patternTypeFilter: AclPatternType.ANY,
      principalFilter: null,
      hostFilter: null,
      operation: 1,
      permissionType: 1,
    }),
  ),
  sample(protocol.createAclsApi, ApiKey.CREATE_ACLS, ['cluster'], () =>
    protocol.createCreateAclsRequest({
      creations: [
        protocol.createAclCreation({
          resourceType: 2,
          resourceName: 'made',
          resourcePatternType: AclPatternType.LITERAL,
          principal: 'User:bob',
          host: '*',
          operation: 3,
          permissionType: 3,
        }),
      ],
    }),
  ),
  sample(protocol.deleteAclsApi, ApiKey.DELETE_ACLS, ['cluster'], () =>
    protocol.createDeleteAclsRequest({
      filters: [
        protocol.createDeleteAclsFilter({
          resourceTypeFilter: 2,
          resourceNameFilter: 'nothing',
          patternTypeFilter: AclPatternType.ANY,
          principalFilter: null,
          hostFilter: null,
          operation: 1,
          permissionType: 1,
        }),
      ],
    }),
  ),
  ...transactionSamples(),
  ...configSamples(),
  sample(protocol.alterReplicaLogDirsApi, ApiKey.ALTER_REPLICA_LOG_DIRS, ['cluster'], () =>
    protocol.createAlterReplicaLogDirsRequest({
      dirs: [
        protocol.createAlterReplicaLogDir({
          path: '/nowhere',
          topics: [protocol.createAlterReplicaLogDirTopic({ name: SAMPLE.topic, partitions: [0] })],
        }),
      ],
    }),
  ),
  sample(
    protocol.describeLogDirsApi,
    ApiKey.DESCRIBE_LOG_DIRS,
    ['cluster'],
    () => protocol.createDescribeLogDirsRequest({ topics: null }),
    { toldSince: 3 },
  ),
  sample(protocol.saslAuthenticateApi, ApiKey.SASL_AUTHENTICATE, [], () => protocol.createSaslAuthenticateRequest({})),
  sample(protocol.createPartitionsApi, ApiKey.CREATE_PARTITIONS, ['topic'], () =>
    protocol.createCreatePartitionsRequest({
      timeoutMs: 1_000,
      validateOnly: true,
      topics: [protocol.createCreatePartitionsTopic({ name: SAMPLE.topic, count: 3, assignments: null })],
    }),
  ),
  sample(protocol.deleteGroupsApi, ApiKey.DELETE_GROUPS, ['group'], () =>
    protocol.createDeleteGroupsRequest({ groupsNames: [SAMPLE.group] }),
  ),
  sample(protocol.electLeadersApi, ApiKey.ELECT_LEADERS, ['cluster'], () =>
    protocol.createElectLeadersRequest({
      timeoutMs: 1_000,
      topicPartitions: [protocol.createElectLeadersRequestTopicPartitions({ topic: SAMPLE.topic, partitions: [0] })],
    }),
  ),
  sample(protocol.alterPartitionReassignmentsApi, ApiKey.ALTER_PARTITION_REASSIGNMENTS, ['cluster'], () =>
    protocol.createAlterPartitionReassignmentsRequest({ timeoutMs: 1_000 }),
  ),
  sample(protocol.listPartitionReassignmentsApi, ApiKey.LIST_PARTITION_REASSIGNMENTS, ['cluster'], () =>
    protocol.createListPartitionReassignmentsRequest({ timeoutMs: 1_000, topics: null }),
  ),
  sample(protocol.offsetDeleteApi, ApiKey.OFFSET_DELETE, ['group', 'topic'], () => {
    const partitions = [protocol.createOffsetDeleteRequestPartition({ partitionIndex: 0 })]
    return protocol.createOffsetDeleteRequest({
      groupId: SAMPLE.group,
      topics: [protocol.createOffsetDeleteRequestTopic({ name: SAMPLE.topic, partitions })],
    })
  }),
  sample(protocol.describeClientQuotasApi, ApiKey.DESCRIBE_CLIENT_QUOTAS, ['cluster'], () =>
    protocol.createDescribeClientQuotasRequest({}),
  ),
  sample(protocol.alterClientQuotasApi, ApiKey.ALTER_CLIENT_QUOTAS, ['cluster'], () =>
    protocol.createAlterClientQuotasRequest({
      entries: [
        protocol.createAlterClientQuotasRequestEntryData({
          entity: [protocol.createAlterClientQuotasRequestEntityData({ entityType: 'user', entityName: 'bob' })],
        }),
      ],
    }),
  ),
  sample(protocol.describeUserScramCredentialsApi, ApiKey.DESCRIBE_USER_SCRAM_CREDENTIALS, ['cluster'], () =>
    protocol.createDescribeUserScramCredentialsRequest({ users: null }),
  ),
  sample(protocol.alterUserScramCredentialsApi, ApiKey.ALTER_USER_SCRAM_CREDENTIALS, ['cluster'], () =>
    protocol.createAlterUserScramCredentialsRequest({
      deletions: [protocol.createScramCredentialDeletion({ name: 'bob', mechanism: 1 })],
    }),
  ),
  sample(protocol.describeQuorumApi, ApiKey.DESCRIBE_QUORUM, ['cluster'], () =>
    protocol.createDescribeQuorumRequest({
      topics: [
        protocol.createDescribeQuorumRequestTopicData({
          topicName: '__cluster_metadata',
          partitions: [protocol.createDescribeQuorumRequestPartitionData({ partitionIndex: 0 })],
        }),
      ],
    }),
  ),
  sample(protocol.updateFeaturesApi, ApiKey.UPDATE_FEATURES, ['cluster'], () =>
    protocol.createUpdateFeaturesRequest({ timeoutMs: 1_000 }),
  ),
  sample(protocol.describeClusterApi, ApiKey.DESCRIBE_CLUSTER, [], () => protocol.createDescribeClusterRequest({})),
  sample(protocol.describeProducersApi, ApiKey.DESCRIBE_PRODUCERS, ['topic'], () =>
    protocol.createDescribeProducersRequest({
      topics: [protocol.createDescribeProducersRequestTopicRequest({ name: SAMPLE.topic, partitionIndexes: [0] })],
    }),
  ),
  sample(protocol.unregisterBrokerApi, ApiKey.UNREGISTER_BROKER, ['cluster'], () =>
    protocol.createUnregisterBrokerRequest({ brokerId: 77 }),
  ),
  sample(protocol.listConfigResourcesApi, ApiKey.LIST_CONFIG_RESOURCES, ['cluster'], () =>
    protocol.createListConfigResourcesRequest({}),
  ),
  sample(protocol.describeTopicPartitionsApi, ApiKey.DESCRIBE_TOPIC_PARTITIONS, ['topic'], () =>
    protocol.createDescribeTopicPartitionsRequest({
      topics: [protocol.createDescribeTopicPartitionsRequestTopicRequest({ name: SAMPLE.topic })],
      responsePartitionLimit: 10,
    }),
  ),
  sample(protocol.shareGroupHeartbeatApi, ApiKey.SHARE_GROUP_HEARTBEAT, ['group', 'topic'], () =>
    protocol.createShareGroupHeartbeatRequest({
      groupId: SAMPLE.group,
      memberId: 'nobody',
      subscribedTopicNames: [SAMPLE.topic],
    }),
  ),
  sample(protocol.shareGroupDescribeApi, ApiKey.SHARE_GROUP_DESCRIBE, ['group'], () =>
    protocol.createShareGroupDescribeRequest({ groupIds: [SAMPLE.group] }),
  ),
  sample(protocol.describeShareGroupOffsetsApi, ApiKey.DESCRIBE_SHARE_GROUP_OFFSETS, ['group', 'topic'], () => {
    const topics = [protocol.createDescribeShareGroupOffsetsRequestTopic({ topicName: SAMPLE.topic, partitions: [0] })]
    const groups = [protocol.createDescribeShareGroupOffsetsRequestGroup({ groupId: SAMPLE.group, topics })]
    return protocol.createDescribeShareGroupOffsetsRequest({ groups })
  }),
  sample(protocol.alterShareGroupOffsetsApi, ApiKey.ALTER_SHARE_GROUP_OFFSETS, ['group', 'topic'], () => {
    const partitions = [protocol.createAlterShareGroupOffsetsRequestPartition({})]
    const topics = [protocol.createAlterShareGroupOffsetsRequestTopic({ topicName: SAMPLE.topic, partitions })]
    return protocol.createAlterShareGroupOffsetsRequest({ groupId: SAMPLE.group, topics })
  }),
  sample(protocol.deleteShareGroupOffsetsApi, ApiKey.DELETE_SHARE_GROUP_OFFSETS, ['group', 'topic'], () => {
    const topics = [protocol.createDeleteShareGroupOffsetsRequestTopic({ topicName: SAMPLE.topic })]
    return protocol.createDeleteShareGroupOffsetsRequest({ groupId: SAMPLE.group, topics })
  }),
  sample(protocol.shareFetchApi, ApiKey.SHARE_FETCH, ['group', 'topic'], (_version, topicId) => {
    const partitions = [protocol.createShareFetchRequestFetchPartition({ partitionIndex: 0 })]
    return protocol.createShareFetchRequest({
      ...shareMember,
      topics: [protocol.createShareFetchRequestFetchTopic({ topicId, partitions })],
    })
  }),
  sample(protocol.shareAcknowledgeApi, ApiKey.SHARE_ACKNOWLEDGE, ['group'], () =>
    protocol.createShareAcknowledgeRequest({ ...shareMember, memberId: 'nobody', shareSessionEpoch: 1 }),
  ),
  sample(
    protocol.initializeShareGroupStateApi,
    ApiKey.INITIALIZE_SHARE_GROUP_STATE,
    ['cluster'],
    (_version, topicId) => {
      const partitions = [protocol.createInitializeShareGroupStateRequestPartitionData({})]
      const topics = [protocol.createInitializeStateData({ topicId, partitions })]
      return protocol.createInitializeShareGroupStateRequest({ groupId: SAMPLE.group, topics })
    },
  ),
  sample(protocol.readShareGroupStateApi, ApiKey.READ_SHARE_GROUP_STATE, ['cluster'], (_version, topicId) => {
    const partitions = [protocol.createReadShareGroupStateRequestPartitionData({})]
    const topics = [protocol.createReadStateData({ topicId, partitions })]
    return protocol.createReadShareGroupStateRequest({ groupId: SAMPLE.group, topics })
  }),
  sample(protocol.writeShareGroupStateApi, ApiKey.WRITE_SHARE_GROUP_STATE, ['cluster'], (_version, topicId) => {
    const partitions = [protocol.createWriteShareGroupStateRequestPartitionData({})]
    const topics = [protocol.createWriteStateData({ topicId, partitions })]
    return protocol.createWriteShareGroupStateRequest({ groupId: SAMPLE.group, topics })
  }),
  sample(protocol.deleteShareGroupStateApi, ApiKey.DELETE_SHARE_GROUP_STATE, ['cluster'], (_version, topicId) => {
    const partitions = [protocol.createDeleteShareGroupStateRequestPartitionData({})]
    const topics = [protocol.createDeleteStateData({ topicId, partitions })]
    return protocol.createDeleteShareGroupStateRequest({ groupId: SAMPLE.group, topics })
  }),
  sample(
    protocol.readShareGroupStateSummaryApi,
    ApiKey.READ_SHARE_GROUP_STATE_SUMMARY,
    ['cluster'],
    (_version, topicId) => {
      const partitions = [protocol.createReadShareGroupStateSummaryRequestPartitionData({})]
      const topics = [protocol.createReadStateSummaryData({ topicId, partitions })]
      return protocol.createReadShareGroupStateSummaryRequest({ groupId: SAMPLE.group, topics })
    },
  ),
  sample(protocol.addRaftVoterApi, ApiKey.ADD_RAFT_VOTER, ['cluster'], () =>
    protocol.createAddRaftVoterRequest({ voterId: 3, timeoutMs: 1_000 }),
  ),
  sample(protocol.removeRaftVoterApi, ApiKey.REMOVE_RAFT_VOTER, ['cluster'], () =>
    protocol.createRemoveRaftVoterRequest({ voterId: 3 }),
  ),
]

/** Of producers with a transactional id, and of the brokers that serve them. */
function transactionSamples(): SampleRequest[] {
  const { transactionalId, group: groupId, topic } = SAMPLE
  const producer = { transactionalId, producerId: 1, producerEpoch: 0 }
  const enlisted = [protocol.createAddPartitionsToTxnTopic({ name: topic, partitions: [0] })]
  return [
    sample(protocol.initProducerIdApi, ApiKey.INIT_PRODUCER_ID, ['transaction'], () =>
      protocol.createInitProducerIdRequest({ transactionalId, transactionTimeoutMs: 1_000 }),
    ),
    sample(
      { ...protocol.addPartitionsToTxnApi, maxVersion: 3 },
      ApiKey.ADD_PARTITIONS_TO_TXN,
      ['transaction', 'topic'],
      () =>
        protocol.createAddPartitionsToTxnRequest({
          v3AndBelowTransactionalId: transactionalId,
          v3AndBelowProducerId: 1,
          v3AndBelowTopics: enlisted,
        }),
    ),
    sample({ ...protocol.addPartitionsToTxnApi, minVersion: 4 }, ApiKey.ADD_PARTITIONS_TO_TXN, ['broker'], () => {
      const transaction = protocol.createAddPartitionsToTxnTransaction({ ...producer, topics: enlisted })
      return protocol.createAddPartitionsToTxnRequest({ transactions: [transaction] })
    }),
    sample(protocol.addOffsetsToTxnApi, ApiKey.ADD_OFFSETS_TO_TXN, ['transaction', 'group'], () =>
      protocol.createAddOffsetsToTxnRequest({ ...producer, groupId }),
    ),
    sample(protocol.endTxnApi, ApiKey.END_TXN, ['transaction'], () => protocol.createEndTxnRequest({ ...producer })),
    sample(protocol.writeTxnMarkersApi, ApiKey.WRITE_TXN_MARKERS, ['broker'], () => {
      const topics = [protocol.createWritableTxnMarkerTopic({ name: topic, partitionIndexes: [0] })]
      return protocol.createWriteTxnMarkersRequest({
        markers: [protocol.createWritableTxnMarker({ producerId: 1, topics })],
      })
    }),
    sample(
      protocol.txnOffsetCommitApi,
      ApiKey.TXN_OFFSET_COMMIT,
      ['transaction', 'group', 'topic'],
      (version, topicId) => {
        const partitions = [protocol.createTxnOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset: 0 })]
        const topics = [protocol.createTxnOffsetCommitRequestTopic({ ...named(version, 6, topicId), partitions })]
        return protocol.createTxnOffsetCommitRequest({ ...producer, groupId, topics })
      },
    ),
    sample(protocol.describeTransactionsApi, ApiKey.DESCRIBE_TRANSACTIONS, ['transaction'], () =>
      protocol.createDescribeTransactionsRequest({ transactionalIds: [transactionalId] }),
    ),
    sample(protocol.listTransactionsApi, ApiKey.LIST_TRANSACTIONS, [], () =>
      protocol.createListTransactionsRequest({}),
    ),
  ]
}

/** Of each kind of resource that has settings. */
function configSamples(): SampleRequest[] {
  const group = { resourceType: ConfigResourceType.GROUP, resourceName: SAMPLE.group }
  const broker = { resourceType: ConfigResourceType.BROKER, resourceName: '' }
  const kinds = [
    ['topic', configResource, configChange],
    ['group', group, { name: 'consumer.session.timeout.ms', value: '50000' }],
    ['cluster', broker, { name: 'log.cleaner.threads', value: '1' }],
  ] as const
  return kinds.flatMap(([kind, resource, change]) => [
    sample(protocol.describeConfigsApi, ApiKey.DESCRIBE_CONFIGS, [kind], () =>
      protocol.createDescribeConfigsRequest({ resources: [protocol.createDescribeConfigsResource(resource)] }),
    ),
    sample(protocol.alterConfigsApi, ApiKey.ALTER_CONFIGS, [kind], () =>
      protocol.createAlterConfigsRequest({
        validateOnly: true,
        resources: [
          protocol.createAlterConfigsRequestAlterConfigsResource({
            ...resource,
            configs: [protocol.createAlterConfigsRequestAlterableConfig(change)],
          }),
        ],
      }),
    ),
    sample(protocol.incrementalAlterConfigsApi, ApiKey.INCREMENTAL_ALTER_CONFIGS, [kind], () =>
      protocol.createIncrementalAlterConfigsRequest({
        validateOnly: true,
        resources: [
          protocol.createIncrementalAlterConfigsRequestAlterConfigsResource({
            ...resource,
            configs: [protocol.createIncrementalAlterConfigsRequestAlterableConfig(change)],
          }),
        ],
      }),
    ),
  ])
}
