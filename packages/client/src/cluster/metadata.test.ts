import { ApiKey, type MetadataRequest } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { ClientCore } from '../client/client-core.ts'
import { TimeoutError } from '../errors/client-errors.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'

function coreOf(cluster: FakeCluster, allowAutoTopicCreation = false): ClientCore {
  return new ClientCore(cluster.clientOptions, { maxInFlightRequestsPerConnection: 5, allowAutoTopicCreation })
}

describe('metadata', () => {
  test('many callers that want topics share requests', async () => {
    const cluster = new FakeCluster()
    for (let number = 0; number < 50; number++) cluster.createTopic(`topic-${number}`)
    const core = coreOf(cluster)
    const names = [...cluster.topics.keys()]
    const topics = await cluster.world.run(Promise.all(names.map((name) => core.metadata.awaitTopic(name, 1000))))
    expect(topics.map(({ name }) => name)).toEqual(names)
    expect(cluster.requests(ApiKey.METADATA).length).toBeLessThanOrEqual(2)
    core.close()
  })

  test('a topic that appears later is found without a new call', async () => {
    const cluster = new FakeCluster()
    const core = coreOf(cluster)
    const found = core.metadata.awaitTopic('late', 10_000)
    await cluster.world.pass(500)
    cluster.createTopic('late', 3)
    expect((await cluster.world.run(found)).partitions).toHaveLength(3)
    core.close()
  })

  test('a topic that never appears ends in a timeout that says why', async () => {
    const cluster = new FakeCluster()
    const core = coreOf(cluster)
    const error = await cluster.world.run(core.metadata.awaitTopic('none', 3000).catch((reason: unknown) => reason))
    expect(error).toBeInstanceOf(TimeoutError)
    expect((error as TimeoutError).cause).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' })
    core.close()
  })

  test('brokers that deny a topic are believed after the limit for that, well before the deadline', async () => {
    const cluster = new FakeCluster()
    const core = coreOf(cluster)
    const startMs = core.ports.clock.monotonicMs()
    const denied = core.metadata.awaitTopic('none', 30_000, 1000).catch((reason: unknown) => reason)
    expect(await cluster.world.run(denied)).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION', topic: 'none' })
    expect(core.ports.clock.monotonicMs() - startMs).toBeLessThan(3000)
    const late = core.metadata.awaitTopic('late', 30_000, 1000)
    await cluster.world.pass(500)
    cluster.createTopic('late')
    expect((await cluster.world.run(late)).name).toBe('late')
    core.close()
  })

  test('a topic that may not be used rejects at once', async () => {
    const cluster = new FakeCluster()
    const core = coreOf(cluster)
    cluster.intercept(ApiKey.METADATA, async (request) => {
      const answer = (await cluster.answer(request)) as { topics: { errorCode: number }[] }
      for (const topic of answer.topics) topic.errorCode = 29
      return answer
    })
    await expect(cluster.world.run(core.metadata.awaitTopic('secret', 3000))).rejects.toThrow(ProtocolError)
    core.close()
  })

  test('an older leader epoch than known is not believed', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    const partition = cluster.createTopic('t').partitions[0]!
    const core = coreOf(cluster)
    core.metadata.addTopic('t')
    partition.moveTo(2)
    await cluster.world.run(core.metadata.update())
    partition.leaderEpoch = 0
    partition.leaderId = 1
    await cluster.world.run(core.metadata.update())
    expect(core.metadata.partition('t', 0)).toMatchObject({ leaderId: 2, leaderEpoch: 1 })
    core.close()
  })

  test('a leader that an answer named is taken if its epoch is newer', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    cluster.createTopic('t')
    const core = coreOf(cluster)
    core.metadata.addTopic('t')
    await cluster.world.run(core.metadata.update())
    core.metadata.learnLeaders([{ topic: 't', partition: 0, leaderId: 2, leaderEpoch: 5 }], [])
    expect(core.metadata.partition('t', 0)).toMatchObject({ leaderId: 2, leaderEpoch: 5 })
    core.metadata.learnLeaders([{ topic: 't', partition: 0, leaderId: 1, leaderEpoch: 4 }], [])
    expect(core.metadata.partition('t', 0)).toMatchObject({ leaderId: 2, leaderEpoch: 5 })
    core.close()
  })

  test('topics that nobody uses any more are neither asked for nor kept', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('a')
    cluster.createTopic('b')
    const core = coreOf(cluster)
    core.metadata.addTopic('a')
    core.metadata.addTopic('b')
    await cluster.world.run(core.metadata.update())
    core.metadata.removeTopic('b')
    await cluster.world.run(core.metadata.update())
    expect([...core.metadata.view.topics.keys()]).toEqual(['a'])
    const last = cluster.requests<MetadataRequest>(ApiKey.METADATA).at(-1)!
    expect(last.body.topics!.map(({ name }) => name)).toEqual(['a'])
    core.close()
  })

  test('it is refreshed when it grows old', async () => {
    const cluster = new FakeCluster()
    const core = new ClientCore(
      { ...cluster.clientOptions, metadataMaxAgeMs: 5000 },
      { maxInFlightRequestsPerConnection: 5, allowAutoTopicCreation: false },
    )
    await cluster.world.run(core.metadata.update())
    await cluster.world.pass(20_000, 100)
    expect(cluster.requests(ApiKey.METADATA).length).toBeGreaterThanOrEqual(4)
    expect(cluster.requests(ApiKey.METADATA).length).toBeLessThanOrEqual(6)
    core.close()
  })

  test('when every known broker is gone the bootstrap servers are asked again', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    const core = new ClientCore(
      { ...cluster.clientOptions, bootstrapServers: 'broker:9001' },
      { maxInFlightRequestsPerConnection: 5, allowAutoTopicCreation: false },
    )
    await cluster.world.run(core.metadata.update())
    cluster.brokers.get(1)!.stop()
    cluster.brokers.get(2)!.stop()
    await cluster.world.pass(5000)
    cluster.brokers.get(1)!.start()
    await cluster.world.run(core.retrying('updating', 10_000, () => core.metadata.update()))
    expect(core.metadata.view.brokers.size).toBe(2)
    core.close()
  })

  test('what is wanted because of an answer, or while it is on its way, leads to another one', async () => {
    const cluster = new FakeCluster()
    const core = coreOf(cluster)
    let wishes = 0
    core.metadata.onUpdate(() => {
      if (wishes++ < 3) core.metadata.requestUpdate()
    })
    core.metadata.requestUpdate()
    await cluster.world.pass(10_000)
    expect(cluster.requests(ApiKey.METADATA)).toHaveLength(4)
    core.close()
  })

  test('who is told nothing new asks again ever more rarely', async () => {
    const cluster = new FakeCluster()
    const core = coreOf(cluster)
    core.metadata.onUpdate(() => core.metadata.requestUpdate())
    core.metadata.requestUpdate()
    await cluster.world.pass(20_000)
    const count = cluster.requests(ApiKey.METADATA).length
    expect(count).toBeGreaterThan(15)
    expect(count).toBeLessThan(35)
    core.close()
  })

  test('a topic without partitions is asked for with pauses until it has some', async () => {
    const cluster = new FakeCluster()
    const topic = cluster.createTopic('t', 0)
    const core = coreOf(cluster)
    const found = core.metadata.awaitTopic('t', 10_000)
    await cluster.world.pass(3000)
    expect(cluster.requests(ApiKey.METADATA).length).toBeLessThan(12)
    topic.partitions.push(...cluster.createTopic('spare').partitions)
    expect((await cluster.world.run(found)).partitions).toHaveLength(1)
    core.close()
  })
})
