import { ApiKey, createMetadataRequest, createMetadataResponse, metadataApi } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { ClientCore } from '../client/client-core.ts'
import { ConnectionError, TimeoutError, UnsupportedVersionError } from '../errors/client-errors.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'

const TRAITS = { maxInFlightRequestsPerConnection: 5, allowAutoTopicCreation: false }

function coreOf(cluster: FakeCluster, options: object = {}): ClientCore {
  return new ClientCore({ ...cluster.clientOptions, ...options }, TRAITS)
}

function askMetadata(core: ClientCore, timeoutMs = 1000) {
  return core.requestAny(metadataApi, createMetadataRequest({ topics: [] }), { timeoutMs })
}

describe('connections', () => {
  test('answers are matched in order when many requests are under way on one connection', async () => {
    const cluster = new FakeCluster()
    let count = 0
    cluster.intercept(ApiKey.METADATA, () => createMetadataResponse({ clusterId: `answer-${count++}` }))
    const core = coreOf(cluster)
    await cluster.world.run(askMetadata(core))
    const answers = await cluster.world.run(Promise.all(Array.from({ length: 20 }, () => askMetadata(core))))
    expect(answers.map(({ response }) => response.clusterId)).toEqual(
      Array.from({ length: 20 }, (_, slot) => `answer-${slot + 1}`),
    )
    expect(cluster.network.openCount).toBe(1)
    core.close()
  })

  test('answers cut into single bytes are put together again', async () => {
    const cluster = new FakeCluster()
    cluster.network.chunkBytes = 1
    const core = coreOf(cluster)
    const { response } = await cluster.world.run(askMetadata(core))
    expect(response.clusterId).toBe('fake-cluster')
    core.close()
  })

  test('a broker that knows only an older ApiVersions is spoken to in that version', async () => {
    const cluster = new FakeCluster()
    cluster.brokers.get(1)!.versionLimits.set(ApiKey.API_VERSIONS, { min: 0, max: 2 })
    cluster.brokers.get(1)!.versionLimits.set(ApiKey.METADATA, { min: 0, max: 7 })
    const core = coreOf(cluster)
    const { version } = await cluster.world.run(askMetadata(core))
    expect(version).toBe(7)
    core.close()
  })

  test('an API that the broker does not serve rejects and leaves the connection usable', async () => {
    const cluster = new FakeCluster()
    cluster.brokers.get(1)!.versionLimits.set(ApiKey.METADATA, null)
    const core = coreOf(cluster)
    await expect(cluster.world.run(askMetadata(core))).rejects.toThrow(UnsupportedVersionError)
    core.close()
  })

  test('a request without an answer ends the connection at its limit, and the next one gets a new connection', async () => {
    const cluster = new FakeCluster()
    let silent = true
    cluster.intercept(ApiKey.METADATA, () => (silent ? 'drop' : null))
    const core = coreOf(cluster)
    const error = await cluster.world.run(askMetadata(core).catch((reason: unknown) => reason))
    expect(error).toMatchObject({ code: 'CONNECTION_TIMED_OUT', retriable: true })
    silent = false
    await cluster.world.pass(200)
    const { response } = await cluster.world.run(askMetadata(core))
    expect(response.clusterId).toBe('fake-cluster')
    core.close()
  })

  test('an answer with another correlation id ends the connection', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.METADATA, ({ channel }) => {
      channel.send(Buffer.from([0, 0, 0, 8, 0x7f, 0, 0, 1, 0, 0, 0, 0]))
      return 'drop'
    })
    const core = coreOf(cluster)
    const error = await cluster.world.run(askMetadata(core).catch((reason: unknown) => reason))
    expect(error).toMatchObject({ code: 'CONNECTION_PROTOCOL' })
    core.close()
  })

  test('an answer longer than the limit ends the connection before memory is taken', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.METADATA, ({ channel }) => {
      channel.send(Buffer.from([0x7f, 0xff, 0xff, 0xff]))
      return 'drop'
    })
    const core = coreOf(cluster)
    const error = await cluster.world.run(askMetadata(core).catch((reason: unknown) => reason))
    expect(error).toMatchObject({ code: 'CONNECTION_PROTOCOL' })
    core.close()
  })

  test('a bootstrap server that hangs does not keep a client from starting', async () => {
    const cluster = new FakeCluster({ brokers: 3 })
    cluster.network.silent.add(9001)
    cluster.network.silent.add(9002)
    const core = coreOf(cluster)
    const startMs = cluster.world.clock.monotonicMs()
    await cluster.world.run(askMetadata(core, 30_000))
    expect(cluster.world.clock.monotonicMs() - startMs).toBeLessThan(1000)
    core.close()
  })

  test('when nothing can be reached the call ends within its limit', async () => {
    const cluster = new FakeCluster()
    cluster.network.silent.add(9001)
    const core = coreOf(cluster)
    await expect(cluster.world.run(askMetadata(core, 2000))).rejects.toThrow(TimeoutError)
    core.close()
  })

  test('attempts to reach a broker that refuses become rarer', async () => {
    const cluster = new FakeCluster()
    cluster.brokers.get(1)!.stop()
    const core = coreOf(cluster, { reconnectBackoffMs: 50, reconnectBackoffMaxMs: 1000 })
    core.metadata.requestUpdate()
    await cluster.world.pass(60_000)
    expect(cluster.network.openCount).toBeGreaterThan(40)
    expect(cluster.network.openCount).toBeLessThan(100)
    core.close()
  })

  test('requests beyond the limit of a connection wait their turn', async () => {
    const cluster = new FakeCluster()
    const core = coreOf(cluster)
    await cluster.world.run(core.metadata.update())
    const { promise: gate, resolve: release } = Promise.withResolvers<null>()
    cluster.intercept(ApiKey.METADATA, () => gate)
    const message = createMetadataRequest({ topics: [] })
    const asked = Array.from({ length: 12 }, () => core.requestNode(1, 'main', metadataApi, message))
    await cluster.world.settle()
    expect(core.connections.link(1)!.inFlightCount).toBe(5)
    release(null)
    await cluster.world.run(Promise.all(asked))
    expect(cluster.requests(ApiKey.METADATA)).toHaveLength(13)
    core.close()
  })

  test('closing rejects what is pending and leaves no timer behind', async () => {
    const cluster = new FakeCluster()
    cluster.intercept(ApiKey.METADATA, () => 'drop')
    const core = coreOf(cluster)
    const pending = askMetadata(core).catch((reason: unknown) => reason)
    await cluster.world.settle()
    core.close()
    expect(await cluster.world.run(pending)).toBeInstanceOf(ConnectionError)
    expect(cluster.world.clientTimerCount).toBe(0)
  })

  test('requests that wait for a broker may be tried again when it leaves the cluster', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    const core = coreOf(cluster, { reconnectBackoffMs: 5000, reconnectBackoffMaxMs: 5000 })
    await cluster.world.run(core.metadata.update())
    cluster.brokers.get(2)!.stop()
    const ask = () =>
      core.requestNode(2, 'coordinator', metadataApi, createMetadataRequest({ topics: [] })).catch((reason) => reason)
    expect(await cluster.world.run(ask())).toBeInstanceOf(ConnectionError)
    const waiting = ask()
    await cluster.world.settle()
    cluster.brokers.delete(2)
    await cluster.world.run(core.metadata.update())
    const error = await cluster.world.run(waiting)
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error).toMatchObject({ retriable: true, code: 'CONNECTION_CLOSED' })
    core.close()
  })

  test('the limit of a request includes the time that connecting takes', async () => {
    const cluster = new FakeCluster()
    const core = coreOf(cluster)
    await cluster.world.run(core.metadata.update())
    cluster.network.silent.add(9001)
    const startMs = cluster.world.clock.monotonicMs()
    const asked = core.requestNode(1, 'fetch', metadataApi, createMetadataRequest({ topics: [] }), { timeoutMs: 1000 })
    await expect(cluster.world.run(asked)).rejects.toThrow(TimeoutError)
    expect(cluster.world.clock.monotonicMs() - startMs).toBeLessThan(1100)
    core.close()
    await cluster.world.settle()
    expect(cluster.world.clientTimerCount).toBe(0)
  })

  test('requests in line whose time is over do not keep those behind them from their turn', async () => {
    const cluster = new FakeCluster()
    const core = coreOf(cluster)
    await cluster.world.run(core.metadata.update())
    const { promise: gate, resolve: release } = Promise.withResolvers<null>()
    cluster.intercept(ApiKey.METADATA, () => gate)
    const message = createMetadataRequest({ topics: [] })
    const ask = (timeoutMs: number) =>
      core.requestNode(1, 'main', metadataApi, message, { timeoutMs }).catch((reason: unknown) => reason)
    const early = Array.from({ length: 5 }, () => ask(30_000))
    const expired = Array.from({ length: 6 }, () => ask(100))
    const last = ask(30_000)
    await cluster.world.pass(200)
    const startMs = cluster.world.clock.monotonicMs()
    release(null)
    await cluster.world.run(Promise.all(early))
    for (const error of await cluster.world.run(Promise.all(expired))) expect(error).toBeInstanceOf(TimeoutError)
    expect(await cluster.world.run(last)).toMatchObject({ response: { clusterId: 'fake-cluster' } })
    expect(cluster.world.clock.monotonicMs() - startMs).toBeLessThan(1000)
    core.close()
  })
})
