import { ApiKey } from '@millrace/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FakeCluster } from '../../testing/fake-cluster.ts'
import { fill, numbered } from '../../testing/fake-records.ts'
import { SeverableTransport } from '../../testing/severable-transport.ts'
import { Consumer } from '../consumer.ts'

/**
 * Goal: a member never reads what the group has not given it, or has given to others, as far as it can know; and in the end all is read.
 * Method: members come, go, and are cut off for shorter or longer than their sessions; heartbeats and their answers are lost, the
 * coordinator moves. After every step what each member owns is compared with what the coordinator thinks.
 */

const PARTITIONS = 6

class Member {
  readonly transport: SeverableTransport
  readonly consumer: Consumer
  readonly values = new Set<string>()
  readonly errors: unknown[] = []
  readonly done: Promise<void>

  constructor(cluster: FakeCluster) {
    this.transport = new SeverableTransport(cluster.network)
    this.consumer = new Consumer({
      bootstrapServers: cluster.clientOptions.bootstrapServers,
      ports: cluster.world.ports(this.transport),
      groupId: 'g',
      groupProtocol: 'consumer',
      autoOffsetReset: 'earliest',
      autoCommitIntervalMs: 300,
      requestTimeoutMs: 500,
      retryBackoffMs: 10,
      retryBackoffMaxMs: 100,
      fetchMaxWaitMs: 50,
    })
    this.consumer.subscribe('t')
    this.done = this.#read()
  }

  async #read(): Promise<void> {
    try {
      for await (const { records } of this.consumer) for (const { value } of records) this.values.add(value!.toString())
    } catch (error) {
      this.errors.push(error)
    }
  }
}

/** Whatever a member of the group owns, the group holds for it. */
function checkOwned(cluster: FakeCluster, members: readonly Member[]): void {
  const { topicId } = cluster.topics.get('t')!
  for (const { consumer } of members) {
    const { memberId, generationId } = consumer.groupMetadata()
    const known = cluster.consumerGroup('g').members.get(memberId)
    // Thrown out, or let in anew, without having heard of it: its commits are refused.
    if (known === undefined || known.epoch < generationId || generationId <= 0) continue
    for (const { partition } of consumer.assignment()) {
      const key = `${topicId}/${partition}`
      expect(known.assigned.has(key) || known.pending.has(key)).toBe(true)
    }
  }
}

async function run(seed: number, percent: number): Promise<void> {
  const cluster = new FakeCluster({ brokers: 2, seed })
  const random = cluster.world.random.fork('chaos')
  const chance = (of: number) => random.uint32() % 100 < of
  for (const [slot, partition] of cluster.createTopic('t', PARTITIONS).partitions.entries()) {
    fill(partition, numbered(4, slot * 100), 2)
  }
  cluster.consumerGroup('g').sessionTimeoutMs = 800
  let isFaulty = true
  for (const apiKey of [ApiKey.CONSUMER_GROUP_HEARTBEAT, ApiKey.OFFSET_COMMIT, ApiKey.OFFSET_FETCH]) {
    cluster.intercept(apiKey, async (request) => {
      if (!isFaulty || !chance(percent)) return null
      if (chance(50)) await cluster.answer(request)
      return 'break'
    })
  }
  const all = [new Member(cluster), new Member(cluster)]
  let members = [...all]
  const pass = async (durationMs: number) => {
    for (let leftMs = durationMs; leftMs > 0; leftMs -= 50) {
      await cluster.world.pass(Math.min(50, leftMs))
      checkOwned(cluster, all)
    }
  }
  for (let step = 0; step < 10; step++) {
    await pass(random.uint32() % 600)
    const kind = random.uint32() % 5
    const chosen = members[random.uint32() % members.length]!
    if (kind === 0) cluster.moveCoordinator(1 + (random.uint32() % 2))
    if (kind === 1) chosen.transport.cut()
    if (kind === 2) chosen.transport.mend()
    if (kind === 3 && members.length < 4) {
      const member = new Member(cluster)
      all.push(member)
      members.push(member)
    }
    if (kind === 4 && members.length > 1) {
      members = members.filter((member) => member !== chosen)
      void chosen.consumer.close({ timeoutMs: 500 })
    }
  }
  isFaulty = false
  for (const { transport } of members) transport.mend()
  await pass(5000)
  const owned = members.flatMap(({ consumer }) => consumer.assignment().map(({ partition }) => partition))
  expect(owned.sort()).toEqual([...Array(PARTITIONS).keys()])
  const read = new Set(all.flatMap(({ values }) => [...values]))
  expect(read.size).toBe(PARTITIONS * 4)
  await cluster.world.run(Promise.all(members.map(({ consumer }) => consumer.close())))
  for (const { errors } of all) expect(errors).toEqual([])
  expect([...cluster.committed.get('g')!.values()]).toEqual(Array(PARTITIONS).fill(4))
}

test('members own what the group holds for them, and everything is read and committed', async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 30 }), fc.integer({ min: 0, max: 40 }), run), {
    numRuns: 15,
  })
}, 60_000)
