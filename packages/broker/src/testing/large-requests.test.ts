import {
  type ApiDefinition,
  createCreatableTopic,
  createCreateTopicsRequest,
  createDeleteGroupsRequest,
  createDeleteTopicState,
  createDeleteTopicsRequest,
  createDescribeConfigsRequest,
  createDescribeConfigsResource,
  createDescribeGroupsRequest,
  createFindCoordinatorRequest,
  createMetadataRequest,
  createMetadataRequestTopic,
  createTopicsApi,
  deleteGroupsApi,
  deleteTopicsApi,
  describeConfigsApi,
  describeGroupsApi,
  ErrorCode,
  findCoordinatorApi,
  metadataApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf } from './batches.ts'
import { TestBroker } from './test-broker.ts'
import { ConnectionClosedError } from './test-client.ts'

const COUNT = 5000
const names = Array.from({ length: COUNT }, (_, n) => `n${n}`)

interface Large {
  api: ApiDefinition<never, never>
  request: unknown
  /** How many the answer tells of. */
  countOf(response: unknown): number
}

function large<Request, Response>(
  api: ApiDefinition<Request, Response>,
  request: Request,
  countOf: (response: Response) => number,
): [string, Large] {
  return [api.name, { api: api as never, request, countOf: countOf as never }]
}

const requests = [
  large(deleteGroupsApi, createDeleteGroupsRequest({ groupsNames: names }), ({ results }) => results.length),
  large(describeGroupsApi, createDescribeGroupsRequest({ groups: names }), ({ groups }) => groups.length),
  large(
    findCoordinatorApi,
    createFindCoordinatorRequest({ coordinatorKeys: names }),
    ({ coordinators }) => coordinators.length,
  ),
  large(
    metadataApi,
    createMetadataRequest({
      topics: names.map((name) => createMetadataRequestTopic({ name })),
      allowAutoTopicCreation: false,
    }),
    ({ topics }) => topics.length,
  ),
  large(
    describeConfigsApi,
    createDescribeConfigsRequest({
      resources: names.map((resourceName) => createDescribeConfigsResource({ resourceType: 2, resourceName })),
    }),
    ({ results }) => results.length,
  ),
  large(
    createTopicsApi,
    createCreateTopicsRequest({
      topics: names.map((name) => createCreatableTopic({ name, numPartitions: 1, replicationFactor: 1 })),
      timeoutMs: 1000,
      validateOnly: true,
    }),
    ({ topics }) => topics.length,
  ),
]

/** Goal: a request that names thousands of things is answered in full, and others are served before it is done. */
describe('a request of thousands of elements', () => {
  it.each(requests)('%s lets others in between', async (_name, { api, request, countOf }) => {
    await TestBroker.run({}, async (client, broker) => {
      // The log of the groups, without which nobody looks for any.
      await client.call(findCoordinatorApi, 4, createFindCoordinatorRequest({ coordinatorKeys: ['g'] }))
      await broker.idle()
      const order: string[] = []
      const busy = broker.connect().call(api, api.maxVersion, request as never)
      const slow = busy.then((response) => {
        order.push('large')
        return response
      })
      await broker.connect().call(metadataApi, 12, createMetadataRequest({ topics: [] }))
      order.push('small')
      expect(countOf(await slow)).toBe(COUNT)
      expect(order).toEqual(['small', 'large'])
    })
  })

  it('costs its connection beyond the limit of its API', async () => {
    await TestBroker.run({}, async (_client, broker) => {
      const groupsNames = Array.from({ length: 10_001 }, (_, n) => `${n}`)
      const call = broker.connect().call(deleteGroupsApi, 2, createDeleteGroupsRequest({ groupsNames }))
      await expect(call).rejects.toBeInstanceOf(ConnectionClosedError)
    })
  })

  it('tells of a thing once, however often it is named', async () => {
    await TestBroker.run({}, async (client) => {
      const one = createDescribeConfigsResource({ resourceType: 4, resourceName: '1', configurationKeys: null })
      const resources = Array.from({ length: 9_000 }, () => one)
      const { results } = await client.call(describeConfigsApi, 4, createDescribeConfigsRequest({ resources }))
      expect(results).toHaveLength(1)
      const groups = Array.from({ length: 9_000 }, () => 'g')
      const described = await client.call(describeGroupsApi, 6, createDescribeGroupsRequest({ groups }))
      expect(described.groups).toHaveLength(1)
    })
  })
})

/** Goal: what answers take before they are bytes is bounded, and comes back, however many ask for long ones and then go. */
describe('long answers for many connections', () => {
  it('are made within their budget, and those whose clients go are not made', async () => {
    await TestBroker.run({ settings: { 'queued.max.response.bytes': '1' } }, async (client, broker) => {
      const budget = async (what: 'used' | 'limit'): Promise<number> => {
        const line = new RegExp(`millrace_budget_${what}\\{budget="answers-in-making"[^}]*\\} (\\d+)`)
        return Number(line.exec(await broker.metrics())![1])
      }
      const limit = await budget('limit')
      const resources = Array.from({ length: 1000 }, (_, n) =>
        createDescribeConfigsResource({ resourceType: 32, resourceName: `g${n}`, configurationKeys: null }),
      )
      const request = createDescribeConfigsRequest({ resources, includeSynonyms: true, includeDocumentation: true })
      const clients = Array.from({ length: 8 }, () => broker.connect())
      let answered = 0
      const asked = clients.map((each) =>
        each.call(describeConfigsApi, 4, request).then(
          () => answered++,
          () => undefined,
        ),
      )
      let mostBytes = 0
      while (answered < 2) {
        await broker.idle()
        mostBytes = Math.max(mostBytes, await budget('used'))
        // Who asks for little is served meanwhile.
        expect((await client.call(metadataApi, 12, createMetadataRequest({ topics: [] }))).brokers).toHaveLength(1)
      }
      // One answer of them is some twelve MB.
      expect(mostBytes).toBeGreaterThan(limit / 2)
      expect(mostBytes).toBeLessThan(limit + 14_000_000)
      for (const each of clients) each.close()
      await Promise.all(asked)
      await broker.idle()
      expect(await budget('used')).toBe(0)
    })
  })
})

describe('topics by the hundred', () => {
  it('are made, served and deleted, in several steps', async () => {
    await TestBroker.run({}, async (client, broker) => {
      const topics = Array.from({ length: 350 }, (_, n) =>
        createCreatableTopic({ name: `t${n}`, numPartitions: 2, replicationFactor: 1 }),
      )
      topics.push(createCreatableTopic({ name: 't0', numPartitions: 1, replicationFactor: 1 }))
      const made = await client.call(createTopicsApi, 7, createCreateTopicsRequest({ topics, timeoutMs: 1000 }))
      expect(made.topics.filter(({ errorCode }) => errorCode === 0)).toHaveLength(349)
      expect(made.topics.find(({ name }) => name === 't1')?.configs?.length).toBeGreaterThan(20)
      expect(made.topics.find(({ name }) => name === 't0')?.errorCode).toBe(ErrorCode.INVALID_REQUEST)
      await broker.idle()
      for (const name of ['t1', 't349']) {
        expect((await client.produce(name, batchOf(['v']), { partition: 1 })).errorCode).toBe(0)
      }
      const doomed = Array.from({ length: 350 }, (_, n) => createDeleteTopicState({ name: `t${n}` }))
      const request = createDeleteTopicsRequest({ topics: doomed, timeoutMs: 1000 })
      const deleted = await client.call(deleteTopicsApi, 6, request)
      expect(deleted.responses.filter(({ errorCode }) => errorCode === 0)).toHaveLength(349)
      expect((await client.call(metadataApi, 12, createMetadataRequest({ topics: null }))).topics).toEqual([])
      await broker.idle()
      expect(broker.disk.listDirectory('/data').filter((name) => /^t\d+-\d$/.test(name))).toEqual([])
    })
  })

  it('a topic of many partitions gets its logs in later turns, and a successor of its name its own', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('wide', 450)
      const early = await client.produce('wide', batchOf(['early']), { partition: 449 })
      expect([0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]).toContain(early.errorCode)
      await broker.idle()
      expect((await client.produce('wide', batchOf(['old']), { partition: 449 })).errorCode).toBe(0)
      // At once: most of the old directories are still to be renamed.
      expect(await client.deleteTopic('wide')).toBe(0)
      await client.createTopic('wide', 450)
      await broker.idle()
      const { baseOffset, errorCode } = await client.produce('wide', batchOf(['new']), { partition: 449 })
      expect([errorCode, baseOffset]).toEqual([0, 0])
      const directories = broker.disk.listDirectory('/data')
      expect(directories.filter((name) => /^wide-\d+$/.test(name))).toHaveLength(450)
      expect(directories.filter((name) => name.endsWith('-stray'))).toEqual([])
    })
  })

  it('a broker that stops has deleted what was to be deleted', async () => {
    const broker = await TestBroker.start()
    const client = broker.connect()
    await client.createTopic('wide', 450)
    await broker.idle()
    expect(await client.deleteTopic('wide')).toBe(0)
    await broker.stop()
    broker.assertSound()
    expect(broker.disk.listDirectory('/data').filter((name) => /^wide-\d+$/.test(name))).toEqual([])
  })
})
