import {
  createDescribeConfigsRequest,
  createDescribeConfigsResource,
  createDescribeGroupsRequest,
  createFindCoordinatorRequest,
  createIncrementalAlterConfigsRequest,
  createIncrementalAlterConfigsRequestAlterableConfig,
  createIncrementalAlterConfigsRequestAlterConfigsResource,
  createJoinGroupRequest,
  createJoinGroupRequestProtocol,
  createLeaveGroupRequest,
  createListOffsetsPartition,
  createListOffsetsRequest,
  createListOffsetsTopic,
  createMetadataRequest,
  describeConfigsApi,
  describeGroupsApi,
  findCoordinatorApi,
  incrementalAlterConfigsApi,
  joinGroupApi,
  leaveGroupApi,
  listOffsetsApi,
  MAX_NAME_BYTES,
  MAX_STRING_BYTES,
  metadataApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { TestBroker } from './test-broker.ts'
import { ConnectionClosedError } from './test-client.ts'

/** The longest text that a request can carry: an answer that quotes it is too long for a string. */
const longest = 'g'.repeat(MAX_STRING_BYTES)

type Client = ReturnType<TestBroker['connect']>

function alterNode(client: Client, name: string, value: string): Promise<unknown> {
  const configs = [createIncrementalAlterConfigsRequestAlterableConfig({ name, value })]
  const resource = { resourceType: 4, resourceName: '', configs }
  const resources = [createIncrementalAlterConfigsRequestAlterConfigsResource(resource)]
  return client.call(incrementalAlterConfigsApi, 1, createIncrementalAlterConfigsRequest({ resources }))
}

const naming: [string, (client: Client, name: string) => Promise<unknown>][] = [
  ['group', (client, name) => client.call(describeGroupsApi, 6, createDescribeGroupsRequest({ groups: [name] }))],
  [
    'node',
    (client, name) => {
      const resources = [createDescribeConfigsResource({ resourceType: 4, resourceName: name })]
      return client.call(describeConfigsApi, 4, createDescribeConfigsRequest({ resources }))
    },
  ],
  ['setting', (client, name) => alterNode(client, name, '1')],
  [
    'topic',
    (client, name) => {
      const partitions = [createListOffsetsPartition({ timestamp: -1 })]
      const topics = [createListOffsetsTopic({ name, partitions })]
      return client.call(listOffsetsApi, 10, createListOffsetsRequest({ topics }))
    },
  ],
]

/** Makes the log of the groups, without which no group is looked for. */
async function makeGroups(client: Client, broker: TestBroker): Promise<void> {
  await client.call(findCoordinatorApi, 4, createFindCoordinatorRequest({ coordinatorKeys: ['g'] }))
  await broker.idle()
}

async function expectServed(broker: TestBroker): Promise<void> {
  expect(broker.fatalErrors).toEqual([])
  const short = createDescribeGroupsRequest({ groups: ['short'] })
  const { groups } = await broker.connect().call(describeGroupsApi, 6, short)
  expect(groups[0]?.errorMessage).toBe('Group short not found.')
}

/** Goal: no map of the broker has keys that JavaScript cannot tell apart by their hash. */
describe('a name', () => {
  it.each(naming)('of a %s may have so many bytes, and costs the connection with one more', async (_what, send) => {
    await TestBroker.run({}, async (client, broker) => {
      await makeGroups(client, broker)
      await send(broker.connect(), 'g'.repeat(MAX_NAME_BYTES))
      for (const name of ['g'.repeat(MAX_NAME_BYTES + 1), longest])
        await expect(send(broker.connect(), name)).rejects.toBeInstanceOf(ConnectionClosedError)
      await expectServed(broker)
    })
  })

  it('of a client is one too, and so is the id of a member that is made of it', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await makeGroups(client, broker)
      const consumer = broker.connect()
      consumer.clientId = '€'.repeat(Math.floor(MAX_NAME_BYTES / 3))
      const protocols = [createJoinGroupRequestProtocol({ name: 'range' })]
      const member = { groupId: 'g', protocolType: 'consumer', sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000 }
      const joining = createJoinGroupRequest({ ...member, protocols })
      const answer = consumer.call(joinGroupApi, 3, joining)
      await broker.idle()
      await broker.advance(10)
      const { memberId, errorCode } = await answer
      expect(errorCode).toBe(0)
      const { groupId } = member
      const left = await consumer.call(leaveGroupApi, 1, createLeaveGroupRequest({ groupId, memberId }))
      expect(left.errorCode).toBe(0)
      consumer.clientId = 'x'.repeat(MAX_NAME_BYTES + 1)
      await expect(consumer.call(metadataApi, 9, createMetadataRequest())).rejects.toBeInstanceOf(ConnectionClosedError)
      await expectServed(broker)
    })
  })
})

/** Goal: a client cannot make the broker break one of its own rules by sending what an answer would repeat. */
describe('an answer that would quote too much', () => {
  it('of the value of a setting costs at most the connection', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await makeGroups(client, broker)
      const outcome = await alterNode(broker.connect(), 'log.retention.ms', longest).then(
        () => 'answered',
        (error: unknown) => error,
      )
      if (outcome !== 'answered') expect(outcome).toBeInstanceOf(ConnectionClosedError)
      await expectServed(broker)
    })
  })
})

describe('a request of more elements than any cluster has', () => {
  it('costs its connection before they are decoded', async () => {
    await TestBroker.run({}, async (client, broker) => {
      const many = createDescribeGroupsRequest({ groups: new Array<string>(500_001).fill('') })
      await expect(broker.connect().call(describeGroupsApi, 6, many)).rejects.toBeInstanceOf(ConnectionClosedError)
      const { groups } = await client.call(
        describeGroupsApi,
        6,
        createDescribeGroupsRequest({ groups: ['one', 'two'] }),
      )
      expect(groups).toHaveLength(2)
    })
  })
})
