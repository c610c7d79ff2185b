import {
  type ConsumerGroupHeartbeatRequest,
  consumerGroupDescribeApi,
  consumerGroupHeartbeatApi,
  createConsumerGroupDescribeRequest,
  createConsumerGroupHeartbeatRequest,
  createDescribeConfigsRequest,
  createDescribeConfigsResource,
  createFeatureUpdateKey,
  createFindCoordinatorRequest,
  createIncrementalAlterConfigsRequest,
  createIncrementalAlterConfigsRequestAlterableConfig,
  createIncrementalAlterConfigsRequestAlterConfigsResource,
  createListGroupsRequest,
  createUpdateFeaturesRequest,
  describeConfigsApi,
  ErrorCode,
  findCoordinatorApi,
  incrementalAlterConfigsApi,
  listGroupsApi,
  updateFeaturesApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import type { DataClient } from './data-client.ts'
import { TestBroker } from './test-broker.ts'

const GROUP_RESOURCE = 32
const GROUP = 'group'

const heartbeat = (client: DataClient, request: Partial<ConsumerGroupHeartbeatRequest>, version = 1) =>
  client.call(
    consumerGroupHeartbeatApi,
    version,
    createConsumerGroupHeartbeatRequest({ groupId: GROUP, memberId: 'member', ...request }),
  )

const joining = { memberEpoch: 0, rebalanceTimeoutMs: 10_000, subscribedTopicNames: ['topic'], topicPartitions: [] }

/** A broker that coordinates groups, with a topic. */
async function prepare(client: DataClient, partitionCount = 1): Promise<void> {
  await client.createTopic('topic', partitionCount)
  await client.call(findCoordinatorApi, 4, createFindCoordinatorRequest({ coordinatorKeys: [GROUP] }))
  await client.call(findCoordinatorApi, 4, createFindCoordinatorRequest({ coordinatorKeys: [GROUP] }))
}

async function alterGroup(client: DataClient, name: string, value: string): Promise<number> {
  const configs = [createIncrementalAlterConfigsRequestAlterableConfig({ name, value, configOperation: 0 })]
  const resources = [
    createIncrementalAlterConfigsRequestAlterConfigsResource({
      resourceType: GROUP_RESOURCE,
      resourceName: GROUP,
      configs,
    }),
  ]
  const request = createIncrementalAlterConfigsRequest({ resources })
  return (await client.call(incrementalAlterConfigsApi, 1, request)).responses[0]!.errorCode
}

async function types(client: DataClient, ...typesFilter: string[]): Promise<string[][]> {
  const { groups } = await client.call(listGroupsApi, 5, createListGroupsRequest({ typesFilter }))
  return groups.map(({ groupId, groupType, groupState }) => [groupId, groupType, groupState])
}

describe('a broker with consumer groups', () => {
  it('takes members in, tells of them, and knows them after a restart', async () => {
    const started = await TestBroker.start()
    const client = started.connect()
    await prepare(client, 3)
    const joined = await heartbeat(client, joining)
    expect(joined).toMatchObject({ errorCode: 0, memberEpoch: 1, memberId: 'member', heartbeatIntervalMs: 5000 })
    expect(joined.assignment?.topicPartitions).toMatchObject([{ partitions: [0, 1, 2] }])
    expect(await types(client)).toEqual([[GROUP, 'Consumer', 'Stable']])
    expect(await types(client, 'consumer')).toHaveLength(1)
    expect(await types(client, 'classic')).toEqual([])
    await started.stop()
    started.assertSound()
    await TestBroker.run({ disk: started.disk }, async (again) => {
      expect(await heartbeat(again, { memberEpoch: 1 })).toMatchObject({
        errorCode: 0,
        memberEpoch: 1,
        assignment: null,
      })
      const request = createConsumerGroupDescribeRequest({ groupIds: [GROUP, 'other'] })
      const { groups } = await again.call(consumerGroupDescribeApi, 1, request)
      expect(groups).toMatchObject([
        {
          errorCode: 0,
          groupState: 'Stable',
          groupEpoch: 1,
          assignmentEpoch: 1,
          assignorName: 'uniform',
          members: [
            {
              memberId: 'member',
              memberType: 1,
              subscribedTopicNames: ['topic'],
              assignment: { topicPartitions: [{ topicName: 'topic', partitions: [0, 1, 2] }] },
              targetAssignment: { topicPartitions: [{ topicName: 'topic', partitions: [0, 1, 2] }] },
            },
          ],
        },
        { errorCode: ErrorCode.GROUP_ID_NOT_FOUND, groupId: 'other' },
      ])
    })
  })

  it('tells what is wrong with a request, whatever it is', async () => {
    await TestBroker.run({}, async (client) => {
      await prepare(client)
      const wrong: Partial<ConsumerGroupHeartbeatRequest>[] = [
        { groupId: '' },
        { memberId: '' },
        { memberId: 'm'.repeat(5000) },
        { instanceId: '' },
        { rackId: '' },
        { memberEpoch: -3 },
        { memberEpoch: -2 },
        { rebalanceTimeoutMs: -1 },
        { rebalanceTimeoutMs: -7 },
        { topicPartitions: null },
        { subscribedTopicNames: null },
      ]
      for (const each of wrong) {
        const { errorCode, errorMessage } = await heartbeat(client, { ...joining, ...each })
        expect([each, errorCode]).toEqual([each, ErrorCode.INVALID_REQUEST])
        expect(errorMessage).not.toBeNull()
      }
      const regex = { ...joining, subscribedTopicNames: null, subscribedTopicRegex: '(a' }
      expect((await heartbeat(client, regex)).errorCode).toBe(ErrorCode.INVALID_REGULAR_EXPRESSION)
      const assignor = { ...joining, serverAssignor: 'unknown' }
      expect((await heartbeat(client, assignor)).errorCode).toBe(ErrorCode.UNSUPPORTED_ASSIGNOR)
      expect(await types(client)).toEqual([])
      // In version 0 the broker gives ids out.
      const first = await heartbeat(client, { ...joining, memberId: '' }, 0)
      expect(first).toMatchObject({ errorCode: 0, memberEpoch: 1 })
      expect(first.memberId).toHaveLength(22)
    })
  })

  it('goes by settings of a single group, which may be described', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await prepare(client)
      expect(await alterGroup(client, 'consumer.session.timeout.ms', '50000')).toBe(0)
      expect(await alterGroup(client, 'consumer.heartbeat.interval.ms', '7000')).toBe(0)
      expect(await alterGroup(client, 'consumer.heartbeat.interval.ms', '60000')).not.toBe(0)
      expect(await heartbeat(client, joining)).toMatchObject({ errorCode: 0, heartbeatIntervalMs: 7000 })
      const resources = [createDescribeConfigsResource({ resourceType: GROUP_RESOURCE, resourceName: GROUP })]
      const request = createDescribeConfigsRequest({ resources })
      const { configs } = (await client.call(describeConfigsApi, 4, request)).results[0]!
      expect(configs.find(({ name }) => name === 'consumer.session.timeout.ms')?.value).toBe('50000')
      await broker.advance(49_000)
      expect(await types(broker.connect())).toEqual([[GROUP, 'Consumer', 'Stable']])
      await broker.advance(1000)
      expect(await types(broker.connect())).toEqual([[GROUP, 'Consumer', 'Empty']])
    })
  })

  it('does not serve them without the feature', async () => {
    await TestBroker.run({}, async (client) => {
      await prepare(client)
      const update = createFeatureUpdateKey({ feature: 'group.version', maxVersionLevel: 0, upgradeType: 2 })
      const request = createUpdateFeaturesRequest({ featureUpdates: [update], timeoutMs: 1000 })
      expect((await client.call(updateFeaturesApi, 2, request)).errorCode).toBe(0)
      expect((await heartbeat(client, joining)).errorCode).toBe(ErrorCode.UNSUPPORTED_VERSION)
    })
  })

  it('does not serve them if the settings leave the protocol out', async () => {
    await TestBroker.run({ settings: { 'group.coordinator.rebalance.protocols': 'classic' } }, async (client) => {
      await prepare(client)
      expect((await heartbeat(client, joining)).errorCode).toBe(ErrorCode.UNSUPPORTED_VERSION)
      const request = createConsumerGroupDescribeRequest({ groupIds: [GROUP] })
      const { groups } = await client.call(consumerGroupDescribeApi, 1, request)
      expect(groups).toMatchObject([{ errorCode: ErrorCode.UNSUPPORTED_VERSION }])
    })
  })
})
