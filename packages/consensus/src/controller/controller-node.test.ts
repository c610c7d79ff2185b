import { describe, expect, test } from 'vitest'
import { ControllerRequestError, ControllerUnavailableError } from './controller-errors.ts'
import { ControllerCluster } from './testing/controller-cluster.ts'

const topicOf = (name: string, replicationFactor = 3) => ({
  validateOnly: false,
  topics: [{ name, numPartitions: 2, replicationFactor, assignments: [], configs: [] }],
})

describe('a formed cluster', () => {
  test('brokers register with any node, come into service and see the same metadata', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(2)
    const images = [1, 2, 3].map((id) => cluster.broker(id).image!)
    expect(images[0]!.brokers.size).toBe(3)
    expect([...images[0]!.brokers.values()].every((broker) => !broker.fenced)).toBe(true)
    expect(images[0]!.features.get('metadata.version')).toBeGreaterThan(0)
    expect(cluster.broker(3).answers.at(-1)).toEqual({
      errorCode: 0,
      isCaughtUp: true,
      isFenced: false,
      shouldShutDown: false,
    })
    expect(cluster.problems).toEqual([])
  })

  test('a topic that one node asks for is known to all', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    const [result] = await cluster.result(cluster.broker(3).node.request('createTopics', topicOf('orders'), 1000))
    expect(result).toMatchObject({ name: 'orders', errorCode: 0, numPartitions: 2 })
    await cluster.advance(20)
    for (const id of [1, 2, 3]) expect(cluster.broker(id).image!.topics.get('orders')!.partitions.length).toBe(2)
  })
})

describe('death of a broker', () => {
  test('a killed one is fenced after the grace, and its leaderships move', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    await cluster.result(cluster.broker(1).node.request('createTopics', topicOf('orders'), 1000))
    cluster.fake.kill(3)
    await cluster.advance(140)
    expect(cluster.broker(1).image!.brokers.get(3)!.fenced).toBe(false)
    await cluster.advance(60)
    const { brokers, topics } = cluster.broker(1).image!
    expect(brokers.get(3)!.fenced).toBe(true)
    for (const partition of topics.get('orders')!.partitions) {
      expect([1, 2]).toContain(partition.leader)
      expect(partition.isr).not.toContain(3)
    }
  })

  test('one that stands still with its connection is fenced at the late sign', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    cluster.fake.frozen.add(2)
    await cluster.advance(1200)
    expect(cluster.broker(1).image!.brokers.get(2)!.fenced).toBe(false)
    await cluster.advance(400)
    expect(cluster.broker(1).image!.brokers.get(2)!.fenced).toBe(true)
    cluster.fake.frozen.delete(2)
    await cluster.advance(500)
    expect(cluster.broker(1).image!.brokers.get(2)!.fenced).toBe(false)
  })

  test('of the active controller: the next one fences it at once', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    cluster.fake.kill(1)
    await cluster.advance(200)
    cluster.fake.elect(2)
    await cluster.advance(60)
    expect(cluster.broker(2).image!.brokers.get(1)!.fenced).toBe(true)
    expect(cluster.broker(2).image!.brokers.get(3)!.fenced).toBe(false)
    await cluster.advance(2000)
    expect(cluster.broker(2).image!.brokers.get(3)!.fenced).toBe(false)
  })
})

describe('requests while the controller changes', () => {
  test('what was not taken is asked of the next controller', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    cluster.fake.depose()
    await cluster.advance(20)
    const asked = cluster.broker(3).node.request('createTopics', topicOf('orders'), 5000)
    await cluster.advance(200)
    cluster.fake.elect(2)
    expect(await cluster.result(asked)).toMatchObject([{ errorCode: 0 }])
  })

  test('what may have been done is not done again, unless that does no harm', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    cluster.fake.commitDelayMs = 1000
    const create = cluster.broker(3).node.request('createTopics', topicOf('orders'), 5000)
    const ids = cluster
      .broker(3)
      .node.request('allocateProducerIds', { brokerId: 3, brokerEpoch: cluster.broker(3).epoch }, 5000)
    await cluster.advance(20)
    cluster.fake.depose()
    const error = await cluster.result(create).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ControllerUnavailableError)
    expect((error as ControllerUnavailableError).mayBeDone).toBe(true)
    cluster.fake.commitDelayMs = 2
    cluster.fake.elect(2)
    expect(await cluster.result(ids)).toEqual({ start: 0, end: 1000 })
  })

  test('without any controller the time runs out, and nothing was done', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    const asked = cluster.broker(3).node.request('createTopics', topicOf('orders'), 300)
    const error = await cluster.result(asked).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'CONTROLLER_UNAVAILABLE', mayBeDone: false })
  })

  test('a controller whose rule fails steps down and says so', async () => {
    const cluster = new ControllerCluster([1, 2, 3], {
      configRules: {
        ...(await import('../testing/cluster.ts')).testConfigRules,
        validate: () => {
          throw new Error('a bug')
        },
      },
    })
    await cluster.form(1)
    const resources = [{ resourceType: 2, resourceName: 'x', configs: [{ name: 'a', configOperation: 0, value: '1' }] }]
    const asked = cluster.broker(2).node.request('incrementalAlterConfigs', { resources, validateOnly: false }, 1000)
    const error = await cluster.result(asked).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ControllerRequestError)
    expect(error).toMatchObject({ errorCode: -1 })
    expect(cluster.fake.quorums.get(1)!.resignCount).toBe(1)
    expect(cluster.fake.leaderId).toBe(null)
    expect(cluster.problems.length).toBe(1)
  })
})
