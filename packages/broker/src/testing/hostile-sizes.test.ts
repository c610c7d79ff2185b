import {
  createDescribeConfigsRequest,
  createDescribeConfigsResource,
  createDescribeGroupsRequest,
  createFindCoordinatorRequest,
  createIncrementalAlterConfigsRequest,
  createIncrementalAlterConfigsRequestAlterableConfig,
  createIncrementalAlterConfigsRequestAlterConfigsResource,
  describeConfigsApi,
  describeGroupsApi,
  findCoordinatorApi,
  incrementalAlterConfigsApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { TestBroker } from './test-broker.ts'
import { ConnectionClosedError } from './test-client.ts'

/** The longest text that a request can carry: an answer that quotes it is too long for a string. */
const longest = 'g'.repeat(32_767)

const requests: [string, (client: ReturnType<TestBroker['connect']>) => Promise<unknown>][] = [
  ['the group id', (client) => client.call(describeGroupsApi, 6, createDescribeGroupsRequest({ groups: [longest] }))],
  [
    'the name of a node',
    (client) => {
      const resources = [createDescribeConfigsResource({ resourceType: 4, resourceName: longest })]
      return client.call(describeConfigsApi, 4, createDescribeConfigsRequest({ resources }))
    },
  ],
  [
    'the name of a setting',
    (client) => {
      const configs = [createIncrementalAlterConfigsRequestAlterableConfig({ name: longest, value: '1' })]
      const resource = { resourceType: 4, resourceName: '', configs }
      const resources = [createIncrementalAlterConfigsRequestAlterConfigsResource(resource)]
      return client.call(incrementalAlterConfigsApi, 1, createIncrementalAlterConfigsRequest({ resources }))
    },
  ],
]

/** Goal: a client cannot make the broker break one of its own rules by sending what an answer would repeat. */
describe('an answer that would quote too much', () => {
  it.each(requests)('of %s costs at most the connection', async (_what, send) => {
    await TestBroker.run({}, async (client, broker) => {
      // Makes the log of the groups, without which no group is looked for.
      await client.call(findCoordinatorApi, 4, createFindCoordinatorRequest({ coordinatorKeys: ['g'] }))
      await broker.idle()
      const outcome = await send(broker.connect()).then(
        () => 'answered',
        (error: unknown) => error,
      )
      if (outcome !== 'answered') expect(outcome).toBeInstanceOf(ConnectionClosedError)
      expect(broker.fatalErrors).toEqual([])
      const short = createDescribeGroupsRequest({ groups: ['short'] })
      const { groups } = await broker.connect().call(describeGroupsApi, 6, short)
      expect(groups[0]?.errorMessage).toBe('Group short not found.')
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
