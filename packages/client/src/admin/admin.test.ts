import {
  ApiKey,
  type CreateTopicsRequest,
  createCreatableTopicResult,
  createCreateTopicsResponse,
  createDeletableGroupResult,
  createDeleteGroupsResponse,
  createDeleteRecordsPartitionResult,
  createDeleteRecordsResponse,
  createDeleteRecordsTopicResult,
  createDescribeConfigsResourceResult,
  createDescribeConfigsResponse,
  createDescribeConfigsResult,
  createDescribedGroupMember,
  createDescribeGroupsResponse,
  createDescribeGroupsResponseDescribedGroup,
  type DeleteRecordsRequest,
  type DescribeConfigsRequest,
  ErrorCode,
  type ListOffsetsRequest,
  type OffsetCommitRequest,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { encodeAssignment } from '../consumer/consumer-protocol-codec.ts'
import { TimeoutError } from '../errors/client-errors.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { fill, numbered } from '../testing/fake-records.ts'
import { Admin } from './admin.ts'

function adminOf(cluster: FakeCluster): Admin {
  return new Admin({ ...cluster.clientOptions, defaultApiTimeoutMs: 5000 })
}

/** The classic group `g` with one member that reads t-0. */
function serveGroup(cluster: FakeCluster): void {
  cluster.brokers.get(1)!.versionLimits.set(ApiKey.CONSUMER_GROUP_DESCRIBE, null)
  cluster.intercept(ApiKey.DESCRIBE_GROUPS, () =>
    createDescribeGroupsResponse({
      groups: [
        createDescribeGroupsResponseDescribedGroup({
          groupId: 'g',
          groupState: 'Stable',
          protocolType: 'consumer',
          protocolData: 'range',
          members: [
            createDescribedGroupMember({
              memberId: 'm-1',
              clientId: 'c',
              clientHost: '/10.0.0.1',
              memberAssignment: encodeAssignment([{ topic: 't', partition: 0 }]),
            }),
          ],
        }),
      ],
    }),
  )
}

describe('topics', () => {
  test('each topic to create has its own outcome', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.CREATE_TOPICS, ({ body }) =>
      createCreateTopicsResponse({
        topics: (body as CreateTopicsRequest).topics.map(({ name }) =>
          createCreatableTopicResult({
            name,
            errorCode: name === 'old' ? ErrorCode.TOPIC_ALREADY_EXISTS : 0,
            errorMessage: name === 'old' ? "Topic 'old' already exists." : null,
          }),
        ),
      }),
    )
    const admin = adminOf(cluster)
    const outcomes = await cluster.world.run(
      admin.createTopics([{ name: 'new', partitions: 3, configs: { 'retention.ms': '1' } }, { name: 'old' }]),
    )
    expect(outcomes.map(({ name, error }) => [name, error?.code ?? null])).toEqual([
      ['new', null],
      ['old', 'TOPIC_ALREADY_EXISTS'],
    ])
    const [request] = cluster.requests<CreateTopicsRequest>(ApiKey.CREATE_TOPICS)
    expect(request!.body.topics[0]).toMatchObject({
      numPartitions: 3,
      replicationFactor: -1,
      configs: [{ value: '1' }],
    })
    expect(request!.body.topics[1]).toMatchObject({ numPartitions: -1, replicationFactor: -1 })
    await admin.close()
  })

  test('a broker is not asked to take longer than its answer is waited for', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.CREATE_TOPICS, () => createCreateTopicsResponse())
    const admin = new Admin({ ...cluster.clientOptions, defaultApiTimeoutMs: 60_000, requestTimeoutMs: 20_000 })
    await cluster.world.run(admin.createTopics([{ name: 'a' }]))
    await cluster.world.run(admin.createTopics([{ name: 'a' }], { timeoutMs: 3000 }))
    const limits = cluster.requests<CreateTopicsRequest>(ApiKey.CREATE_TOPICS).map(({ body }) => body.timeoutMs)
    expect(limits).toEqual([20_000, 3000])
    await admin.close()
  })

  test('a controller that moved is found again', async () => {
    const cluster = new FakeCluster()
    let refusals = 2
    cluster.intercept(ApiKey.CREATE_TOPICS, ({ body }) => {
      const errorCode = refusals-- > 0 ? ErrorCode.NOT_CONTROLLER : 0
      const { topics } = body as CreateTopicsRequest
      return createCreateTopicsResponse({
        topics: topics.map(({ name }) => createCreatableTopicResult({ name, errorCode })),
      })
    })
    const admin = adminOf(cluster)
    const [outcome] = await cluster.world.run(admin.createTopics([{ name: 'a' }]))
    expect(outcome!.error).toBeNull()
    expect(cluster.requests(ApiKey.CREATE_TOPICS)).toHaveLength(3)
    await admin.close()
  })

  test('a cluster that cannot be reached ends the call at its limit, with the reason', async () => {
    const cluster = new FakeCluster()
    cluster.brokers.get(1)!.stop()
    const admin = adminOf(cluster)
    const error = await cluster.world.run(admin.createTopics([{ name: 'a' }]).catch((reason: unknown) => reason))
    expect(error).toBeInstanceOf(TimeoutError)
    expect((error as TimeoutError).cause).toMatchObject({ code: 'CONNECTION_FAILED' })
    await admin.close()
  })

  test('describing tells partitions in order and which topics do not exist, and creates none', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    cluster.createTopic('t', 3)
    const admin = adminOf(cluster)
    const [none, topic] = await cluster.world.run(admin.describeTopics(['none', 't']))
    expect(none!.error).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' })
    expect(topic!.partitions.map(({ partition, leader }) => [partition, leader])).toEqual([
      [0, 1],
      [1, 2],
      [2, 1],
    ])
    expect(cluster.topics.has('none')).toBe(false)
    await admin.close()
  })
})

describe('configuration', () => {
  test('a broker is asked for its own configuration, others for the rest', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    for (const broker of cluster.brokers.values()) expect(broker.requests).toEqual([])
    cluster.intercept(ApiKey.DESCRIBE_CONFIGS, ({ body }) =>
      createDescribeConfigsResponse({
        results: (body as DescribeConfigsRequest).resources.map(({ resourceType, resourceName }) =>
          createDescribeConfigsResult({
            resourceType,
            resourceName,
            configs: [createDescribeConfigsResourceResult({ name: 'k', value: 'v', configSource: 5, configType: 2 })],
          }),
        ),
      }),
    )
    const admin = adminOf(cluster)
    const outcomes = await cluster.world.run(
      admin.describeConfigs([
        { type: 'broker', name: '2' },
        { type: 'topic', name: 't' },
      ]),
    )
    expect(outcomes).toMatchObject([
      { type: 'broker', name: '2', entries: [{ name: 'k', value: 'v', source: 'default', type: 'string' }] },
      { type: 'topic', name: 't' },
    ])
    const own = cluster.brokers.get(2)!.of<DescribeConfigsRequest>(ApiKey.DESCRIBE_CONFIGS)
    expect(own.some(({ body }) => body.resources.some(({ resourceName }) => resourceName === '2'))).toBe(true)
    await admin.close()
  })

  test('a broker that does not exist is an error of the argument', async () => {
    const cluster = new FakeCluster()
    const admin = adminOf(cluster)
    await expect(cluster.world.run(admin.describeConfigs([{ type: 'broker', name: '7' }]))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    await admin.close()
  })
})

describe('groups', () => {
  test('lag joins members, committed offsets and the ends of the logs', async () => {
    const cluster = new FakeCluster()
    const { partitions } = cluster.createTopic('t', 2)
    fill(partitions[0]!, numbered(10))
    fill(partitions[1]!, numbered(7))
    cluster.committed.set('g', new Map([['t-1', 5]]))
    serveGroup(cluster)
    const admin = adminOf(cluster)
    expect(await cluster.world.run(admin.groupLag('g'))).toEqual([
      {
        topic: 't',
        partition: 0,
        committedOffset: null,
        logEndOffset: 10n,
        lag: null,
        member: { memberId: 'm-1', clientId: 'c', host: '/10.0.0.1' },
      },
      { topic: 't', partition: 1, committedOffset: 5n, logEndOffset: 7n, lag: 2n, member: null },
    ])
    await admin.close()
  })

  test.each([
    [{ to: 'earliest' as const }, 2n],
    [{ to: 'latest' as const }, 20n],
    [{ to: 'current' as const }, 8n],
    [{ toOffset: 15n }, 15n],
    [{ toOffset: 99n }, 20n],
    [{ shiftBy: -100n }, 2n],
    [{ shiftBy: 3n }, 11n],
    [{ toTimestamp: 12_000 }, 10n],
    [{ toTimestamp: 99_000 }, 20n],
  ])('a reset to %o is planned inside the log', async (target, newOffset) => {
    const cluster = new FakeCluster()
    const partition = cluster.createTopic('t').partitions[0]!
    fill(partition, numbered(20))
    partition.logStartOffset = 2
    cluster.committed.set('g', new Map([['t-0', 8]]))
    const admin = adminOf(cluster)
    expect(await cluster.world.run(admin.planOffsetReset('g', [{ topic: 't', partition: 0 }], target))).toEqual([
      { topic: 't', partition: 0, currentOffset: 8n, newOffset },
    ])
    expect(cluster.requests<OffsetCommitRequest>(ApiKey.OFFSET_COMMIT)).toEqual([])
    await admin.close()
  })

  test('offsets are set as nobody in particular, and a group with members refuses', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const admin = adminOf(cluster)
    const place = { topic: 't', partition: 0, offset: 3n }
    const [done] = await cluster.world.run(admin.alterGroupOffsets('g', [place]))
    expect(done!.error).toBeNull()
    expect(cluster.committed.get('g')?.get('t-0')).toBe(3)
    cluster
      .group('g')
      .members.set('m', { memberId: 'm', metadata: Buffer.alloc(0), protocols: [], join: null, sync: null })
    const [refused] = await cluster.world.run(admin.alterGroupOffsets('g', [place]))
    expect(refused!.error).toMatchObject({ code: 'UNKNOWN_MEMBER_ID', topic: 't', partition: 0 })
    await admin.close()
  })

  test('a coordinator that is still loading is asked again', async () => {
    const cluster = new FakeCluster()
    let loading = 2
    cluster.intercept(ApiKey.DELETE_GROUPS, () =>
      createDeleteGroupsResponse({
        results: [
          createDeletableGroupResult({
            groupId: 'g',
            errorCode: loading-- > 0 ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : ErrorCode.NON_EMPTY_GROUP,
          }),
        ],
      }),
    )
    const admin = adminOf(cluster)
    const [outcome] = await cluster.world.run(admin.deleteGroups(['g']))
    expect(outcome).toMatchObject({ groupId: 'g', error: { code: 'NON_EMPTY_GROUP' } })
    expect(cluster.requests(ApiKey.DELETE_GROUPS)).toHaveLength(3)
    await admin.close()
  })
})

describe('offsets and records', () => {
  test('one partition may be asked about several times in one call', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(20))
    const admin = adminOf(cluster)
    const place = { topic: 't', partition: 0 }
    const found = await cluster.world.run(
      admin.listOffsets([
        { ...place, spec: 'latest' },
        { ...place, spec: 'earliest' },
        { ...place, spec: { timestamp: 15_000 } },
      ]),
    )
    expect(found.map(({ offset }) => offset)).toEqual([20n, 0n, 10n])
    for (const { body } of cluster.requests<ListOffsetsRequest>(ApiKey.LIST_OFFSETS)) {
      expect(body.topics[0]!.partitions).toHaveLength(1)
    }
    await admin.close()
  })

  test('records are deleted at the leaders, again where they moved, and impossible partitions have an error', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    const { partitions } = cluster.createTopic('t', 2)
    partitions[1]!.moveTo(1)
    let stale = true
    cluster.intercept(ApiKey.DELETE_RECORDS, ({ body, nodeId }) =>
      createDeleteRecordsResponse({
        topics: (body as DeleteRecordsRequest).topics.map(({ name, partitions: asked }) =>
          createDeleteRecordsTopicResult({
            name,
            partitions: asked.map(({ partitionIndex, offset }) => {
              const moved = partitions[partitionIndex]!.leaderId !== nodeId || stale
              stale = false
              const errorCode = moved ? ErrorCode.NOT_LEADER_OR_FOLLOWER : 0
              return createDeleteRecordsPartitionResult({
                partitionIndex,
                errorCode,
                lowWatermark: moved ? -1 : offset,
              })
            }),
          }),
        ),
      }),
    )
    const admin = adminOf(cluster)
    const deletions = [0, 1, 9].map((partition) => ({ topic: 't', partition, offset: 4n }))
    const outcomes = await cluster.world.run(admin.deleteRecords(deletions))
    expect(
      outcomes.map(({ partition, logStartOffset, error }) => [partition, logStartOffset, error?.code ?? null]),
    ).toEqual([
      [0, 4n, null],
      [1, 4n, null],
      [9, -1n, 'INVALID_PARTITIONS'],
    ])
    await admin.close()
  })
})
