import type { Uuid } from '@millrace/base'
import {
  type AddRaftVoterRequest,
  type AlterPartitionReassignmentsRequest,
  type AlterReplicaLogDirsRequest,
  ApiKey,
  createAddRaftVoterResponse,
  createAlterPartitionReassignmentsResponse,
  createAlterReplicaLogDirPartitionResult,
  createAlterReplicaLogDirsResponse,
  createAlterReplicaLogDirTopicResult,
  createDescribeClusterBroker,
  createDescribeClusterResponse,
  createDescribeLogDirsPartition,
  createDescribeLogDirsResponse,
  createDescribeLogDirsResult,
  createDescribeLogDirsTopic,
  createDescribeQuorumResponse,
  createDescribeQuorumResponseListener,
  createDescribeQuorumResponseNode,
  createDescribeQuorumResponsePartitionData,
  createDescribeQuorumResponseReplicaState,
  createDescribeQuorumResponseTopicData,
  createDescribeTopicPartitionsResponse,
  createDescribeTopicPartitionsResponseCursor,
  createDescribeTopicPartitionsResponsePartition,
  createDescribeTopicPartitionsResponseTopic,
  createElectLeadersResponse,
  createElectLeadersResponsePartitionResult,
  createListPartitionReassignmentsResponse,
  createOngoingPartitionReassignment,
  createOngoingTopicReassignment,
  createReassignablePartitionResponse,
  createReassignableTopicResponse,
  createRemoveRaftVoterResponse,
  createReplicaElectionResult,
  createUnregisterBrokerResponse,
  type DescribeClusterRequest,
  type DescribeLogDirsRequest,
  type DescribeTopicPartitionsRequest,
  type ElectLeadersRequest,
  ErrorCode,
  type ListPartitionReassignmentsRequest,
  type RemoveRaftVoterRequest,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { withAdmin } from '../testing/with-admin.ts'

const DIRECTORY = 'AAAAAAAAAAAAAAAAAAAAAQ' as Uuid

function limit(cluster: FakeCluster, apiKey: number, max: number | null): void {
  for (const broker of cluster.brokers.values()) broker.versionLimits.set(apiKey, max === null ? null : { min: 0, max })
}

describe('the quorum', () => {
  function serveQuorum(cluster: FakeCluster, errorCodes: number[] = []): void {
    cluster.intercept(ApiKey.DESCRIBE_QUORUM, () => {
      const state = (replicaId: number, logEndOffset: number) =>
        createDescribeQuorumResponseReplicaState({
          replicaId,
          replicaDirectoryId: DIRECTORY,
          logEndOffset,
          lastFetchTimestamp: 500,
          lastCaughtUpTimestamp: 400,
        })
      return createDescribeQuorumResponse({
        topics: [
          createDescribeQuorumResponseTopicData({
            topicName: '__cluster_metadata',
            partitions: [
              createDescribeQuorumResponsePartitionData({
                errorCode: errorCodes.shift() ?? 0,
                leaderId: 2,
                leaderEpoch: 7,
                highWatermark: 90,
                currentVoters: [state(3, -1), state(2, 100), state(1, 95)],
                observers: [state(4, 101)],
              }),
            ],
          }),
        ],
        nodes: [
          createDescribeQuorumResponseNode({
            nodeId: 2,
            listeners: [createDescribeQuorumResponseListener({ name: 'CONTROLLER', host: 'c2', port: 9093 })],
          }),
        ],
      })
    })
  }

  test('each node has its lag behind the leader, also one that was never heard of and one that is ahead', async () => {
    const cluster = new FakeCluster()
    serveQuorum(cluster)
    const quorum = await withAdmin(cluster, (admin) => admin.describeQuorum())
    expect(quorum).toMatchObject({ leaderId: 2, leaderEpoch: 7, highWatermark: 90n })
    expect(quorum.voters.map(({ nodeId, lag }) => [nodeId, lag])).toEqual([
      [1, 5n],
      [2, 0n],
      [3, 100n],
    ])
    expect(quorum.observers).toMatchObject([{ nodeId: 4, lag: 0n, lastFetchMs: 500, lastCaughtUpMs: 400 }])
    expect(quorum.voters[1]).toMatchObject({
      directoryId: DIRECTORY,
      listeners: [{ name: 'CONTROLLER', host: 'c2', port: 9093 }],
    })
  })

  test('it is asked again while there is no leader', async () => {
    const cluster = new FakeCluster()
    serveQuorum(cluster, [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_LEADER_OR_FOLLOWER])
    expect(await withAdmin(cluster, (admin) => admin.describeQuorum())).toMatchObject({ leaderId: 2 })
    expect(cluster.requests(ApiKey.DESCRIBE_QUORUM)).toHaveLength(3)
  })

  test('an answer without the metadata partition is an error, not an empty quorum', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.DESCRIBE_QUORUM, () => createDescribeQuorumResponse())
    await expect(withAdmin(cluster, (admin) => admin.describeQuorum())).rejects.toMatchObject({
      code: 'UNKNOWN_SERVER_ERROR',
    })
  })

  test('voters are added and removed by id and directory, and a refusal has the words of the leader', async () => {
    const cluster = new FakeCluster()
    let errorCode: number = ErrorCode.NONE
    cluster.intercept(ApiKey.ADD_RAFT_VOTER, () =>
      createAddRaftVoterResponse({ errorCode, errorMessage: errorCode === 0 ? null : 'It votes already.' }),
    )
    cluster.intercept(ApiKey.REMOVE_RAFT_VOTER, () => createRemoveRaftVoterResponse({ errorCode, errorMessage: null }))
    const voter = { nodeId: 4, directoryId: DIRECTORY }
    const listeners = [{ name: 'CONTROLLER', host: 'c4', port: 9093 }]
    await withAdmin(cluster, async (admin) => {
      await admin.addVoter({ ...voter, listeners })
      await admin.removeVoter(voter)
      errorCode = ErrorCode.DUPLICATE_VOTER
      await expect(admin.addVoter({ ...voter, listeners })).rejects.toMatchObject({
        code: 'DUPLICATE_VOTER',
        message: expect.stringContaining('voter 4: It votes already.'),
      })
      errorCode = ErrorCode.VOTER_NOT_FOUND
      await expect(admin.removeVoter(voter)).rejects.toMatchObject({ code: 'VOTER_NOT_FOUND' })
    })
    expect(cluster.requests<AddRaftVoterRequest>(ApiKey.ADD_RAFT_VOTER)[0]!.body).toMatchObject({
      voterId: 4,
      voterDirectoryId: DIRECTORY,
      listeners,
    })
    expect(cluster.requests<RemoveRaftVoterRequest>(ApiKey.REMOVE_RAFT_VOTER)[0]!.body).toMatchObject({
      voterId: 4,
      voterDirectoryId: DIRECTORY,
    })
  })
})

describe('brokers', () => {
  function serveBrokers(cluster: FakeCluster): void {
    cluster.intercept(ApiKey.DESCRIBE_CLUSTER, ({ body }) => {
      const fenced = (body as DescribeClusterRequest).includeFencedBrokers
      return createDescribeClusterResponse({
        clusterId: 'c',
        controllerId: 1,
        brokers: [
          ...(fenced ? [createDescribeClusterBroker({ brokerId: 2, host: 'b2', port: 9092, isFenced: true })] : []),
          createDescribeClusterBroker({ brokerId: 1, host: 'b1', port: 9092, rack: 'r' }),
        ],
      })
    })
  }

  test('fenced ones are told if asked for', async () => {
    const cluster = new FakeCluster()
    serveBrokers(cluster)
    const [all, live] = await withAdmin(cluster, async (admin) => [
      await admin.describeCluster({ includeFenced: true }),
      await admin.describeCluster(),
    ])
    expect(all.brokers).toEqual([
      { nodeId: 1, host: 'b1', port: 9092, rack: 'r', isFenced: false },
      { nodeId: 2, host: 'b2', port: 9092, rack: null, isFenced: true },
    ])
    expect(live.brokers.map(({ nodeId }) => nodeId)).toEqual([1])
  })

  test('a broker of an older version is asked for what it knows', async () => {
    const cluster = new FakeCluster()
    serveBrokers(cluster)
    limit(cluster, ApiKey.DESCRIBE_CLUSTER, 1)
    const { brokers } = await withAdmin(cluster, (admin) => admin.describeCluster({ includeFenced: true }))
    expect(brokers.map(({ nodeId }) => nodeId)).toEqual([1])
  })

  test('one is forgotten, and a refusal rejects', async () => {
    const cluster = new FakeCluster()
    let errorCode: number = ErrorCode.NONE
    cluster.intercept(ApiKey.UNREGISTER_BROKER, () => createUnregisterBrokerResponse({ errorCode, errorMessage: null }))
    await withAdmin(cluster, async (admin) => {
      await admin.unregisterBroker(3)
      errorCode = ErrorCode.BROKER_ID_NOT_REGISTERED
      await expect(admin.unregisterBroker(3)).rejects.toMatchObject({ code: 'BROKER_ID_NOT_REGISTERED' })
    })
    expect(cluster.requests(ApiKey.UNREGISTER_BROKER)[0]!.body).toMatchObject({ brokerId: 3 })
  })
})

test('log directories are asked about some partitions, at each broker', async () => {
  const cluster = new FakeCluster({ brokers: 2 })
  cluster.intercept(ApiKey.DESCRIBE_LOG_DIRS, ({ nodeId }) =>
    createDescribeLogDirsResponse({
      results: [
        createDescribeLogDirsResult({
          logDir: '/d',
          topics: [
            createDescribeLogDirsTopic({
              name: 't',
              partitions: [createDescribeLogDirsPartition({ partitionIndex: 1, partitionSize: 9, offsetLag: nodeId })],
            }),
          ],
        }),
      ],
    }),
  )
  const partitions = [{ topic: 't', partition: 1 }]
  const found = await withAdmin(cluster, (admin) => admin.describeLogDirs({ partitions }))
  expect(found.map(({ nodeId, partitions: [one] }) => [nodeId, one?.offsetLag])).toEqual([
    [1, 1n],
    [2, 2n],
  ])
  const [asked] = cluster.requests<DescribeLogDirsRequest>(ApiKey.DESCRIBE_LOG_DIRS)
  expect(asked!.body.topics).toMatchObject([{ topic: 't', partitions: [1] }])
})

test('moves between log directories are asked of each broker, each with its own outcome', async () => {
  const cluster = new FakeCluster({ brokers: 2 })
  cluster.intercept(ApiKey.ALTER_REPLICA_LOG_DIRS, ({ nodeId, body }) =>
    createAlterReplicaLogDirsResponse({
      results: (body as AlterReplicaLogDirsRequest).dirs.flatMap(({ topics }) =>
        topics.map(({ name, partitions }) =>
          createAlterReplicaLogDirTopicResult({
            topicName: name,
            partitions: partitions.map((partitionIndex) =>
              createAlterReplicaLogDirPartitionResult({
                partitionIndex,
                errorCode: nodeId === 2 ? ErrorCode.LOG_DIR_NOT_FOUND : ErrorCode.NONE,
              }),
            ),
          }),
        ),
      ),
    }),
  )
  const moves = [
    { topic: 't', partition: 0, nodeId: 1, logDir: '/a' },
    { topic: 't', partition: 1, nodeId: 1, logDir: '/b' },
    { topic: 't', partition: 0, nodeId: 2, logDir: '/c' },
  ]
  const outcomes = await withAdmin(cluster, (admin) => admin.alterReplicaLogDirs(moves))
  expect(outcomes.map(({ error, ...move }) => move)).toEqual(moves)
  expect(outcomes.map(({ error }) => error?.code ?? null)).toEqual([null, null, 'LOG_DIR_NOT_FOUND'])
  const [first] = cluster.requests<AlterReplicaLogDirsRequest>(ApiKey.ALTER_REPLICA_LOG_DIRS)
  expect(first!.body.dirs).toMatchObject([
    { path: '/a', topics: [{ name: 't', partitions: [0] }] },
    { path: '/b', topics: [{ name: 't', partitions: [1] }] },
  ])
})

describe('moves of partitions', () => {
  test('begin and end by partition, each with its own outcome', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.ALTER_PARTITION_REASSIGNMENTS, ({ body }) =>
      createAlterPartitionReassignmentsResponse({
        errorMessage: null,
        responses: (body as AlterPartitionReassignmentsRequest).topics.map(({ name, partitions }) =>
          createReassignableTopicResponse({
            name,
            partitions: partitions.map(({ partitionIndex, replicas }) =>
              createReassignablePartitionResponse({
                partitionIndex,
                errorCode: replicas === null ? ErrorCode.NO_REASSIGNMENT_IN_PROGRESS : 0,
                errorMessage: null,
              }),
            ),
          }),
        ),
      }),
    )
    const outcomes = await withAdmin(cluster, (admin) =>
      admin.alterReassignments([
        { topic: 'b', partition: 0, replicas: [1, 2] },
        { topic: 'a', partition: 1, replicas: null },
        { topic: 'a', partition: 0, replicas: [3] },
      ]),
    )
    expect(outcomes.map(({ topic, partition, error }) => [topic, partition, error?.code ?? null])).toEqual([
      ['a', 0, null],
      ['a', 1, 'NO_REASSIGNMENT_IN_PROGRESS'],
      ['b', 0, null],
    ])
  })

  test('where the replication factor must stay, a broker that cannot heed it is not asked', async () => {
    const cluster = new FakeCluster()
    limit(cluster, ApiKey.ALTER_PARTITION_REASSIGNMENTS, 0)
    await expect(
      withAdmin(cluster, (admin) =>
        admin.alterReassignments([{ topic: 'a', partition: 0, replicas: [1] }], {
          allowReplicationFactorChange: false,
        }),
      ),
    ).rejects.toMatchObject({ code: 'UNSUPPORTED_VERSION' })
    expect(cluster.requests(ApiKey.ALTER_PARTITION_REASSIGNMENTS)).toEqual([])
  })

  test('those under way are listed in order, of some partitions or all', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.LIST_PARTITION_REASSIGNMENTS, () =>
      createListPartitionReassignmentsResponse({
        errorMessage: null,
        topics: [
          createOngoingTopicReassignment({
            name: 't',
            partitions: [
              createOngoingPartitionReassignment({ partitionIndex: 2, replicas: [1, 2], addingReplicas: [2] }),
              createOngoingPartitionReassignment({ partitionIndex: 1, replicas: [1, 3], removingReplicas: [3] }),
            ],
          }),
        ],
      }),
    )
    const found = await withAdmin(cluster, async (admin) => {
      await admin.listReassignments({ partitions: [{ topic: 't', partition: 2 }] })
      return admin.listReassignments()
    })
    expect(found).toEqual([
      { topic: 't', partition: 1, replicas: [1, 3], addingReplicas: [], removingReplicas: [3] },
      { topic: 't', partition: 2, replicas: [1, 2], addingReplicas: [2], removingReplicas: [] },
    ])
    const asked = cluster.requests<ListPartitionReassignmentsRequest>(ApiKey.LIST_PARTITION_REASSIGNMENTS)
    expect(asked.map(({ body }) => body.topics?.length ?? null)).toEqual([1, null])
  })
})

describe('elections', () => {
  test('are held for some partitions or all, with an outcome for each', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.ELECT_LEADERS, () =>
      createElectLeadersResponse({
        replicaElectionResults: [
          createReplicaElectionResult({
            topic: 't',
            partitionResult: [
              createElectLeadersResponsePartitionResult({ partitionId: 1, errorCode: 0, errorMessage: null }),
              createElectLeadersResponsePartitionResult({
                partitionId: 0,
                errorCode: ErrorCode.ELECTION_NOT_NEEDED,
                errorMessage: null,
              }),
            ],
          }),
        ],
      }),
    )
    const outcomes = await withAdmin(cluster, async (admin) => {
      await admin.electLeaders('unclean', [{ topic: 't', partition: 0 }])
      return admin.electLeaders('preferred', null)
    })
    expect(outcomes.map(({ partition, error }) => [partition, error?.code ?? null])).toEqual([
      [0, 'ELECTION_NOT_NEEDED'],
      [1, null],
    ])
    const asked = cluster.requests<ElectLeadersRequest>(ApiKey.ELECT_LEADERS).map(({ body }) => body)
    expect(asked).toMatchObject([
      { electionType: 1, topicPartitions: [{ topic: 't', partitions: [0] }] },
      { electionType: 0, topicPartitions: null },
    ])
  })

  test('a broker that only knows preferred ones is not asked for an unclean one', async () => {
    const cluster = new FakeCluster()
    limit(cluster, ApiKey.ELECT_LEADERS, 0)
    await expect(withAdmin(cluster, (admin) => admin.electLeaders('unclean', null))).rejects.toMatchObject({
      code: 'UNSUPPORTED_VERSION',
    })
  })
})

describe('eligible leaders of topics', () => {
  const partition = (partitionIndex: number) =>
    createDescribeTopicPartitionsResponsePartition({
      partitionIndex,
      leaderId: -1,
      errorCode: ErrorCode.LEADER_NOT_AVAILABLE,
      replicaNodes: [1, 2, 3],
      eligibleLeaderReplicas: [2],
      lastKnownElr: [3],
    })

  function servePages(cluster: FakeCluster, repeats: boolean): void {
    cluster.intercept(ApiKey.DESCRIBE_TOPIC_PARTITIONS, ({ body }) => {
      const { cursor } = body as DescribeTopicPartitionsRequest
      const next = cursor === null || repeats ? { topicName: 't', partitionIndex: 1 } : null
      return createDescribeTopicPartitionsResponse({
        topics: [
          createDescribeTopicPartitionsResponseTopic({ name: 't', partitions: [partition(cursor === null ? 0 : 1)] }),
        ],
        nextCursor: next === null ? null : createDescribeTopicPartitionsResponseCursor(next),
      })
    })
  }

  test('come with the partitions, over as many pages as there are', async () => {
    const cluster = new FakeCluster()
    servePages(cluster, false)
    const [topic] = await withAdmin(cluster, (admin) => admin.describeTopics(['t']))
    expect(topic!.error).toBeNull()
    expect(topic!.partitions).toMatchObject([
      { partition: 0, leader: -1, isr: [], elr: [2], lastKnownElr: [3] },
      { partition: 1, elr: [2] },
    ])
  })

  test('a broker whose pages do not end is not asked for ever', async () => {
    const cluster = new FakeCluster()
    servePages(cluster, true)
    await expect(withAdmin(cluster, (admin) => admin.describeTopics(['t']))).rejects.toMatchObject({
      code: 'UNKNOWN_SERVER_ERROR',
    })
  })

  test('are not known where the broker does not tell', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    limit(cluster, ApiKey.DESCRIBE_TOPIC_PARTITIONS, null)
    const [topic] = await withAdmin(cluster, (admin) => admin.describeTopics(['t']))
    expect(topic!.partitions).toMatchObject([{ partition: 0, leader: 1, isr: [1], elr: null, lastKnownElr: null }])
  })
})
