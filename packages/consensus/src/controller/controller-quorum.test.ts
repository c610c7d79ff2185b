import { SeededRandom, SimulatedClock, SimulatedTimers } from '@millrace/base'
import { expect, test } from 'vitest'
import { encodeSnapshot } from '../metadata/snapshot-codec.ts'
import { QuorumNode } from '../quorum/quorum-node.ts'
import { MemoryStore } from '../quorum/testing/memory-store.ts'
import { testConfigRules, testSettings } from '../testing/cluster.ts'
import { PeerRouter } from '../transport/peer-router.ts'
import { PeerChannel } from '../transport/peer-transport.ts'
import { MemoryNetwork } from '../transport/testing/memory-network.ts'
import { ControllerNode } from './controller-node.ts'
import { TestBroker } from './testing/controller-cluster.ts'
import { directoryIdOf } from './testing/fake-quorum.ts'

/** Controllers over the real quorum, with memory for disk and network, in virtual time. Nodes above `voterCount` are brokers only. */
class RealCluster {
  readonly clock = new SimulatedClock()
  readonly timers = new SimulatedTimers(this.clock)
  readonly network = new MemoryNetwork(this.timers)
  readonly stores = new Map<number, MemoryStore>()
  readonly brokers = new Map<number, TestBroker>()
  readonly problems: unknown[] = []
  readonly #up = new Set<number>()
  readonly #random = new SeededRandom(11)
  readonly #voters: { id: number; directoryId: ReturnType<typeof directoryIdOf>; host: string; port: number }[]
  #incarnation = 0

  constructor(voterCount: number, nodeCount: number) {
    const ids = Array.from({ length: nodeCount }, (_, slot) => slot + 1)
    this.#voters = ids
      .slice(0, voterCount)
      .map((id) => ({ id, directoryId: directoryIdOf(id), host: 'localhost', port: 1000 + id }))
    for (const id of ids) this.start(id)
  }

  start(id: number): TestBroker {
    this.#up.add(id)
    const store = this.stores.get(id) ?? new MemoryStore(this.timers)
    this.stores.set(id, store)
    const router = new PeerRouter()
    const transport = this.network.join(id, router)
    const node = new ControllerNode({
      nodeId: id,
      clusterId: 'cluster',
      transport,
      clock: this.clock,
      timers: this.timers,
      random: this.#random.fork(`controller ${id}`),
      configRules: testConfigRules,
      settings: () => ({ ...testSettings, nodeId: id }),
      onProblem: (error) => this.problems.push(error),
      openQuorum: (listener, onFatal) => {
        const quorum = new QuorumNode({
          self: { id, directoryId: directoryIdOf(id) },
          store,
          transport,
          listener,
          bootstrapVoters: this.#voters.some((voter) => voter.id === id) ? this.#voters : [],
          bootstrapEndpoints: new Map(this.#voters.map((voter) => [voter.id, voter])),
          clock: this.clock,
          timers: this.timers,
          random: this.#random.fork(`quorum ${id}`),
          onFatal,
          limits: { snapshotBytes: 20_000 },
        })
        router.attach(PeerChannel.RAFT, quorum)
        return quorum
      },
    })
    router.attach(PeerChannel.CONTROLLER, node)
    const host = { timers: this.timers, runs: (brokerId: number) => (this.#up.has(brokerId) ? true : null) }
    const broker = new TestBroker(host, id, node, this.#incarnation++)
    this.brokers.set(id, broker)
    node.start(broker)
    return broker
  }

  kill(id: number): void {
    this.#up.delete(id)
    this.stores.get(id)!.crash()
    this.network.leave(id)
    // A dead process does nothing more; this one has timers in the simulated clock.
    void this.broker(id).node.close()
  }

  broker(id: number): TestBroker {
    return this.brokers.get(id)!
  }

  activeId(): number | null {
    return [...this.#up].find((id) => this.broker(id).node.isActive) ?? null
  }

  async until(what: string, holds: () => boolean, limitMs = 10_000): Promise<number> {
    const startMs = this.clock.monotonicMs()
    while (!holds()) {
      if (this.clock.monotonicMs() - startMs > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`)
      this.timers.advance(1)
      for (let turn = 0; turn < 30; turn++) await Promise.resolve()
    }
    return this.clock.monotonicMs() - startMs
  }

  async result<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    const outcome = promise.finally(() => {
      settled = true
    })
    // Awaited below; until then a rejection has an owner.
    outcome.catch(() => undefined)
    await this.until('an answer', () => settled)
    return outcome
  }

  async form(): Promise<void> {
    await this.result(Promise.all([...this.brokers.values()].map((broker) => broker.register())))
    const isServed = (broker: TestBroker) =>
      [...this.brokers.keys()].every((id) => broker.image?.brokers.get(id)?.fenced === false)
    await this.until('all in service', () => [...this.brokers.values()].every(isServed))
  }
}

const topics = (count: number, replicationFactor: number, prefix = 't') => ({
  validateOnly: false,
  topics: Array.from({ length: count }, (_, slot) => ({
    name: `${prefix}${slot}`,
    numPartitions: 3,
    replicationFactor,
    assignments: [],
    configs: [],
  })),
})

test('over the real quorum: the active controller is killed, with the leaderships of its broker', async () => {
  const cluster = new RealCluster(3, 3)
  await cluster.form()
  const former = cluster.activeId()!
  const witness = cluster.broker(former === 1 ? 2 : 1)
  await cluster.result(witness.node.request('createTopics', topics(5, 3), 5000))
  cluster.kill(former)
  const leaders = () => [...witness.image!.topics.values()].flatMap((topic) => topic.partitions.map((p) => p.leader))
  // A heartbeat, an election of 300 ms at most after the closed connection, and the commit.
  const failoverMs = await cluster.until('other leaders', () => leaders().every((id) => id !== former && id !== -1))
  expect(failoverMs).toBeLessThan(600)
  const living = [1, 2, 3].filter((id) => id !== former)
  for (const id of living) expect(witness.image!.brokers.get(id)!.fenced).toBe(false)

  const restarted = cluster.start(former)
  await cluster.result(restarted.register())
  await cluster.until('it serves again', () => witness.image!.brokers.get(former)!.fenced === false)
  expect(cluster.problems).toEqual([])
})

test('over the real quorum: snapshots, a broker without a vote, and equal images after restarts', async () => {
  const cluster = new RealCluster(3, 4)
  await cluster.form()
  const observer = cluster.broker(4)
  for (let round = 0; round < 4; round++) {
    const results = await cluster.result(observer.node.request('createTopics', topics(50, 4, `r${round}-`), 5000))
    expect(results.every(({ errorCode }) => errorCode === 0)).toBe(true)
  }
  await cluster.until('snapshots', () => [...cluster.stores.values()].every((store) => store.snapshot !== null))
  cluster.kill(4)
  await cluster.until('it is fenced', () => cluster.broker(1).image!.brokers.get(4)!.fenced)
  const back = cluster.start(4)
  await cluster.result(back.register())
  await cluster.until('it serves again', () => back.image?.brokers.get(4)?.fenced === false)
  const { offset } = back.image!
  await cluster.until('all are there', () => [1, 2, 3, 4].every((id) => cluster.broker(id).image!.offset >= offset))
  const barrier = await cluster.result(back.node.request('readBarrier', {}, 1000))
  expect(barrier.offset).toBeGreaterThanOrEqual(offset)
  const contents = (id: number) => {
    const { topics: byName, brokers } = cluster.broker(id).image!
    return [[...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1)), new Map(brokers)]
  }
  for (const id of [2, 3, 4]) expect(contents(id)).toEqual(contents(1))
  expect(cluster.broker(1).image!.topics.size).toBe(200)
  expect([...encodeSnapshot(back.image!)].length).toBeGreaterThan(2)
  expect(cluster.problems).toEqual([])
})
