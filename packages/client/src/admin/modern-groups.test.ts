import {
  type AlterShareGroupOffsetsRequest,
  ApiKey,
  createAlterShareGroupOffsetsResponse,
  createAlterShareGroupOffsetsResponsePartition,
  createAlterShareGroupOffsetsResponseTopic,
  createConsumerGroupDescribeResponse,
  createConsumerGroupDescribeResponseAssignment,
  createConsumerGroupDescribeResponseDescribedGroup,
  createConsumerGroupDescribeResponseMember,
  createConsumerGroupDescribeResponseTopicPartitions,
  createDeleteShareGroupOffsetsResponse,
  createDeleteShareGroupOffsetsResponseTopic,
  createDescribeShareGroupOffsetsResponse,
  createDescribeShareGroupOffsetsResponseGroup,
  createDescribeShareGroupOffsetsResponsePartition,
  createDescribeShareGroupOffsetsResponseTopic,
  createShareGroupDescribeResponse,
  createShareGroupDescribeResponseDescribedGroup,
  createShareGroupDescribeResponseMember,
  type DescribeShareGroupOffsetsRequest,
  ErrorCode,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { Admin } from './admin.ts'

function adminOf(cluster: FakeCluster): Admin {
  return new Admin({ ...cluster.clientOptions, defaultApiTimeoutMs: 5000, retryBackoffMs: 10 })
}

function assignmentOf(...partitions: number[]) {
  const topic = createConsumerGroupDescribeResponseTopicPartitions({ topicName: 't', partitions })
  return createConsumerGroupDescribeResponseAssignment({ topicPartitions: [topic] })
}

describe('groups whose coordinator assigns', () => {
  test('a consumer group is told with its epochs; one that is none has its own error', async () => {
    const cluster = new FakeCluster()
    let loading = 1
    cluster.intercept(ApiKey.CONSUMER_GROUP_DESCRIBE, ({ body }) => {
      const [groupId] = (body as { groupIds: string[] }).groupIds
      const errorCode =
        loading-- > 0
          ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
          : groupId === 'g'
            ? ErrorCode.NONE
            : ErrorCode.GROUP_ID_NOT_FOUND
      const group = createConsumerGroupDescribeResponseDescribedGroup({
        groupId: groupId!,
        errorCode,
        groupState: 'Reconciling',
        groupEpoch: 5,
        assignmentEpoch: 4,
        assignorName: 'uniform',
        members:
          errorCode === ErrorCode.NONE
            ? [
                createConsumerGroupDescribeResponseMember({
                  memberId: 'm',
                  memberEpoch: 3,
                  clientId: 'c',
                  clientHost: '/10.0.0.1',
                  subscribedTopicNames: ['t'],
                  subscribedTopicRegex: 't.*',
                  assignment: assignmentOf(0),
                  targetAssignment: assignmentOf(0, 1),
                  memberType: 1,
                }),
              ]
            : [],
      })
      return createConsumerGroupDescribeResponse({ groups: [group] })
    })
    const admin = adminOf(cluster)
    const [group, none] = await cluster.world.run(admin.describeConsumerGroups(['g', 'none']))
    expect(group).toEqual({
      groupId: 'g',
      state: 'Reconciling',
      groupEpoch: 5,
      assignmentEpoch: 4,
      assignor: 'uniform',
      coordinator: 1,
      error: null,
      members: [
        {
          memberId: 'm',
          groupInstanceId: null,
          rackId: null,
          memberEpoch: 3,
          clientId: 'c',
          host: '/10.0.0.1',
          topics: ['t'],
          topicPattern: 't.*',
          assignment: [{ topic: 't', partition: 0 }],
          targetAssignment: [
            { topic: 't', partition: 0 },
            { topic: 't', partition: 1 },
          ],
          isClassic: false,
        },
      ],
    })
    expect(none).toMatchObject({ groupId: 'none', members: [], error: { code: 'GROUP_ID_NOT_FOUND' } })
    await admin.close()
  })

  test('a share group is told with its members', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.SHARE_GROUP_DESCRIBE, () =>
      createShareGroupDescribeResponse({
        groups: [
          createShareGroupDescribeResponseDescribedGroup({
            groupId: 's',
            groupState: 'Stable',
            groupEpoch: 2,
            assignmentEpoch: 2,
            assignorName: 'simple',
            members: [
              createShareGroupDescribeResponseMember({ memberId: 'm', memberEpoch: 2, assignment: assignmentOf(1) }),
            ],
          }),
        ],
      }),
    )
    const admin = adminOf(cluster)
    const [group] = await cluster.world.run(admin.describeShareGroups(['s']))
    expect(group).toMatchObject({
      state: 'Stable',
      assignor: 'simple',
      members: [{ memberId: 'm', assignment: [{ topic: 't', partition: 1 }] }],
      error: null,
    })
    await admin.close()
  })
})

describe('offsets of share groups', () => {
  test('are told, unknown ones as null', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.DESCRIBE_SHARE_GROUP_OFFSETS, () =>
      createDescribeShareGroupOffsetsResponse({
        groups: [
          createDescribeShareGroupOffsetsResponseGroup({
            groupId: 's',
            topics: [
              createDescribeShareGroupOffsetsResponseTopic({
                topicName: 't',
                partitions: [
                  createDescribeShareGroupOffsetsResponsePartition({ startOffset: 7, leaderEpoch: 1, lag: 3 }),
                  createDescribeShareGroupOffsetsResponsePartition({ partitionIndex: 1, startOffset: -1 }),
                ],
              }),
            ],
          }),
        ],
      }),
    )
    const admin = adminOf(cluster)
    expect(await cluster.world.run(admin.listShareGroupOffsets('s'))).toEqual([
      { topic: 't', partition: 0, startOffset: 7n, leaderEpoch: 1, lag: 3n, error: null },
      { topic: 't', partition: 1, startOffset: null, leaderEpoch: 0, lag: null, error: null },
    ])
    await cluster.world.run(admin.listShareGroupOffsets('s', { partitions: [{ topic: 't', partition: 1 }] }))
    const asked = cluster
      .requests<DescribeShareGroupOffsetsRequest>(ApiKey.DESCRIBE_SHARE_GROUP_OFFSETS)
      .map(({ body }) => body.groups[0]!.topics)
    expect(asked).toMatchObject([null, [{ topicName: 't', partitions: [1] }]])
    await admin.close()
  })

  test('are changed and deleted, with an outcome for each', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.ALTER_SHARE_GROUP_OFFSETS, () =>
      createAlterShareGroupOffsetsResponse({
        responses: [
          createAlterShareGroupOffsetsResponseTopic({
            topicName: 't',
            partitions: [
              createAlterShareGroupOffsetsResponsePartition({ partitionIndex: 0 }),
              createAlterShareGroupOffsetsResponsePartition({
                partitionIndex: 9,
                errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
              }),
            ],
          }),
        ],
      }),
    )
    cluster.intercept(ApiKey.DELETE_SHARE_GROUP_OFFSETS, () =>
      createDeleteShareGroupOffsetsResponse({
        responses: [createDeleteShareGroupOffsetsResponseTopic({ topicName: 't' })],
      }),
    )
    const admin = adminOf(cluster)
    const altered = admin.alterShareGroupOffsets('s', [
      { topic: 't', partition: 0, offset: 5n },
      { topic: 't', partition: 9, offset: 5 },
    ])
    expect(await cluster.world.run(altered)).toMatchObject([
      { partition: 0, error: null },
      { partition: 9, error: { code: 'UNKNOWN_TOPIC_OR_PARTITION' } },
    ])
    const { topics } = cluster.requests<AlterShareGroupOffsetsRequest>(ApiKey.ALTER_SHARE_GROUP_OFFSETS)[0]!.body
    expect(topics[0]!.partitions.map(({ startOffset }) => Number(startOffset))).toEqual([5, 5])
    expect(await cluster.world.run(admin.deleteShareGroupOffsets('s', ['t', 'u']))).toMatchObject([
      { topic: 't', error: null },
      { topic: 'u', error: { code: 'UNKNOWN_SERVER_ERROR' } },
    ])
    await admin.close()
  })

  test('of a group with members stay', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.DELETE_SHARE_GROUP_OFFSETS, () =>
      createDeleteShareGroupOffsetsResponse({ errorCode: ErrorCode.NON_EMPTY_GROUP }),
    )
    const admin = adminOf(cluster)
    await expect(cluster.world.run(admin.deleteShareGroupOffsets('s', ['t']))).rejects.toMatchObject({
      code: 'NON_EMPTY_GROUP',
    })
    await admin.close()
  })
})
