import { ApiKey, type HeartbeatRequest, RecordReader } from '@millrace/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Consumer } from '../../consumer/consumer.ts'
import type { GroupProtocol } from '../../consumer/consumer-options.ts'
import { FakeCluster } from '../../testing/fake-cluster.ts'
import { fill, numbered } from '../../testing/fake-records.ts'
import { SeverableTransport } from '../../testing/severable-transport.ts'
import { Producer } from '../producer.ts'

/**
 * Goal: read, process, write gives each input exactly one output, whoever crashes when. Method: two workers of one group, each with a
 * transactional id, against a cluster that loses requests and answers and moves its coordinator; workers crash, or are cut off and come
 * back, as zombies beside their successors or when others have got their partitions. In the end all is mended, and what read_committed shows is compared with the input.
 */

const RECORDS_PER_PARTITION = 30
const SESSION_MS = 600
const FAULTY_APIS = [
  ApiKey.PRODUCE,
  ApiKey.INIT_PRODUCER_ID,
  ApiKey.ADD_PARTITIONS_TO_TXN,
  ApiKey.ADD_OFFSETS_TO_TXN,
  ApiKey.TXN_OFFSET_COMMIT,
  ApiKey.END_TXN,
]

/** One incarnation of a worker. */
class Life {
  readonly transport: SeverableTransport
  isOver = false
  readonly #cluster: FakeCluster
  readonly #slot: number
  readonly #groupProtocol: GroupProtocol

  constructor(cluster: FakeCluster, slot: number, groupProtocol: GroupProtocol) {
    this.#groupProtocol = groupProtocol
    this.#cluster = cluster
    this.#slot = slot
    this.transport = new SeverableTransport(cluster.network)
  }

  /** Works until its end is asked for; what fails it begins anew with other clients. */
  async live(): Promise<void> {
    while (!this.isOver) await this.#work()
  }

  async #work(): Promise<void> {
    const options = {
      bootstrapServers: this.#cluster.clientOptions.bootstrapServers,
      ports: this.#cluster.world.ports(this.transport),
      requestTimeoutMs: 500,
      retryBackoffMs: 10,
      retryBackoffMaxMs: 100,
    }
    const consumer = new Consumer({
      ...options,
      groupId: 'g',
      enableAutoCommit: false,
      isolationLevel: 'read_committed',
      autoOffsetReset: 'earliest',
      groupProtocol: this.#groupProtocol,
      ...(this.#groupProtocol === 'classic' ? { heartbeatIntervalMs: 50 } : {}),
      fetchMaxWaitMs: 20,
    })
    const producer = new Producer({
      ...options,
      transactionalId: `worker-${this.#slot}`,
      deliveryTimeoutMs: 1000,
      maxBlockMs: 3000,
      batchSize: 200,
    })
    consumer.subscribe('in')
    try {
      // Offsets that its forerunner left open hold up whoever gets their partitions.
      await producer.initTransactions()
      while (!this.isOver) await this.#round(consumer, producer)
    } catch {
      // Whatever it was: nothing of what was not committed counts, and the next clients begin at what was.
    } finally {
      await Promise.all([consumer.close({ timeoutMs: 50 }), producer.close({ timeoutMs: 50 })])
    }
  }

  async #round(consumer: Consumer, producer: Producer): Promise<void> {
    const batches = await consumer.poll({ timeoutMs: 100, maxRecords: 4 })
    if (batches.length === 0) return
    const transaction = await producer.begin()
    for (const { records } of batches) {
      for (const { value } of records) transaction.send({ topic: 'out', value }).catch(() => undefined)
    }
    // Work takes time, in which the group may go on without this worker.
    const { timers, random } = this.#cluster.world
    const workMs = random.uint32() % 100 < 30 ? random.uint32() % 800 : 0
    await new Promise<void>((resolve) => {
      timers.setTimer(workMs, resolve)
    })
    const offsets = batches.map(({ topic, partition, nextOffset }) => ({ topic, partition, offset: nextOffset }))
    await transaction.sendOffsets(offsets, consumer.groupMetadata())
    await transaction.commit()
  }
}

/** Session timeouts, which the fake group lacks: without them what a dead member owns would be read by nobody. */
class Sessions {
  readonly #cluster: FakeCluster
  readonly #seenMs = new Map<string, number>()

  constructor(cluster: FakeCluster) {
    this.#cluster = cluster
    cluster.intercept(ApiKey.HEARTBEAT, ({ body }) => {
      this.#seenMs.set((body as HeartbeatRequest).memberId, cluster.world.clock.monotonicMs())
      return null
    })
  }

  /** Lets time pass and throws out who was silent for too long. */
  async pass(durationMs: number): Promise<void> {
    await this.#cluster.world.pass(durationMs, 20)
    const nowMs = this.#cluster.world.clock.monotonicMs()
    const group = this.#cluster.group('g')
    for (const { memberId, join, sync } of [...group.members.values()]) {
      if (join !== null || sync !== null || !this.#seenMs.has(memberId)) this.#seenMs.set(memberId, nowMs)
      if (nowMs - this.#seenMs.get(memberId)! > SESSION_MS) group.remove(memberId)
    }
  }
}

/** The values that a read_committed reader sees. */
function visible(cluster: FakeCluster): string[] {
  const values: string[] = []
  const reader = new RecordReader()
  for (const partition of cluster.topics.get('out')!.partitions) {
    for (const { bytes } of partition.committedBatches()) {
      reader.open(bytes, 0)
      while (reader.next()) values.push(reader.value()!.toString())
    }
  }
  return values
}

async function run(seed: number, level: number, groupProtocol: GroupProtocol, percent: number): Promise<void> {
  const cluster = new FakeCluster({ brokers: 3, seed })
  cluster.transactionVersion = level
  const random = cluster.world.random.fork('chaos')
  const chance = (of: number) => random.uint32() % 100 < of
  cluster.createTopic('out', 2)
  for (const [slot, partition] of cluster.createTopic('in', 2).partitions.entries()) {
    fill(partition, numbered(RECORDS_PER_PARTITION, slot * 100), 5)
  }
  let isFaulty = true
  for (const apiKey of FAULTY_APIS) {
    cluster.intercept(apiKey, async (request) => {
      if (!isFaulty || !chance(percent)) return null
      if (chance(50)) await cluster.answer(request)
      return 'break'
    })
  }
  const sessions = new Sessions(cluster)
  if (groupProtocol === 'consumer') cluster.consumerGroup('g').sessionTimeoutMs = SESSION_MS
  const lives: Life[] = []
  const ends: Promise<void>[] = []
  const start = (slot: number): Life => {
    const life = new Life(cluster, slot, groupProtocol)
    lives.push(life)
    ends.push(life.live())
    return life
  }
  const current = [start(0), start(1)]
  const zombies: Life[] = []
  for (let step = 0; step < 16; step++) {
    await sessions.pass(random.uint32() % 400)
    const slot = random.uint32() % 2
    const kind = random.uint32() % 8
    if (kind === 0) cluster.moveCoordinator(1 + (random.uint32() % 3))
    if (kind === 1) zombies.pop()?.transport.mend()
    // Cut off without a successor: others get its partitions, and then it is back in the middle of what it was doing.
    if (kind >= 4 && kind < 6) current[slot]!.transport.cut()
    if (kind >= 6) current[slot]!.transport.mend()
    if (kind === 2 || kind === 3) {
      current[slot]!.transport.cut()
      if (kind === 3) zombies.push(current[slot]!)
      else current[slot]!.isOver = true
      current[slot] = start(slot)
    }
  }
  isFaulty = false
  for (const { transport } of current) transport.mend()
  for (const life of lives) if (!current.includes(life)) life.isOver = true
  const isDone = () => [0, 1].every((slot) => cluster.committed.get('g')?.get(`in-${slot}`) === RECORDS_PER_PARTITION)
  for (let round = 0; round < 300 && !isDone(); round++) await sessions.pass(100)
  for (const life of lives) life.isOver = true
  expect(isDone()).toBe(true)
  await cluster.world.run(Promise.all(ends))
  // What a worker had begun and could not end, its coordinator aborts in time: until then nobody sees what stands behind it.
  await cluster.world.pass(61_000, 500)
  const input = [...numbered(RECORDS_PER_PARTITION), ...numbered(RECORDS_PER_PARTITION, 100)]
  expect(visible(cluster).sort()).toEqual(input.sort())
}

test.each([
  [1, 'classic'],
  [2, 'classic'],
  [2, 'consumer'],
] as const)(
  'each input has exactly one output with transaction version %i and a %s group',
  async (level, protocol) => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 30 }), fc.integer({ min: 0, max: 30 }), (seed, percent) =>
        run(seed, level, protocol, percent),
      ),
      { numRuns: 5 },
    )
  },
  60_000,
)
