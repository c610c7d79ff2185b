import {
  alterReplicaLogDirsApi,
  createAlterReplicaLogDir,
  createAlterReplicaLogDirsRequest,
  createAlterReplicaLogDirTopic,
  createDescribeLogDirsRequest,
  describeLogDirsApi,
  ErrorCode,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { batchOf } from './batches.ts'
import { type DataClient, valuesIn } from './data-client.ts'
import { TestBroker, type TestBrokerOptions } from './test-broker.ts'

/** Replicas are moved between the log directories of a single node (AlterReplicaLogDirs, KIP-113). */

const DIRECTORIES = ['/a', '/b']
const SETTINGS = { 'log.dirs': DIRECTORIES.join(',') }
/** Slow enough for nothing to end by itself. */
const THROTTLED = { ...SETTINGS, 'replica.alter.log.dirs.io.max.bytes.per.second': '1' }

async function move(client: DataClient, path: string, topic = 't', partition = 0, version = 2): Promise<number> {
  const topics = [createAlterReplicaLogDirTopic({ name: topic, partitions: [partition] })]
  const request = createAlterReplicaLogDirsRequest({ dirs: [createAlterReplicaLogDir({ path, topics })] })
  const answer = await client.call(alterReplicaLogDirsApi, version, request)
  expect(answer.results.map(({ topicName }) => topicName)).toEqual([topic])
  return answer.results[0]!.partitions[0]!.errorCode
}

interface Replica {
  path: string
  isFuture: boolean
  lag: number
}

async function replicas(client: DataClient): Promise<Replica[]> {
  const answer = await client.call(describeLogDirsApi, 4, createDescribeLogDirsRequest({ topics: null }))
  return answer.results.flatMap(({ logDir: path, topics }) =>
    topics
      .filter(({ name }) => name === 't')
      .flatMap(({ partitions }) =>
        partitions.map(({ isFutureKey: isFuture, offsetLag }) => ({ path, isFuture, lag: Number(offsetLag) })),
      ),
  )
}

async function valuesOf(client: DataClient, from = 0): Promise<(string | null)[]> {
  const { records } = await client.fetchFrom('t', from)
  return valuesIn(records as Buffer)
}

/** The directory of the only replica, and the other one. */
async function placesOf(client: DataClient): Promise<[home: string, other: string]> {
  const [{ path: home } = { path: '' }] = await replicas(client)
  return [home, DIRECTORIES.find((path) => path !== home)!]
}

async function untilMoved(broker: TestBroker, client: DataClient, path: string): Promise<void> {
  for (let count = 0; count < 100; count++) {
    const [only, ...more] = await replicas(client)
    if (only?.path === path && more.length === 0) return
    await broker.advance(20)
  }
  throw new Error(`the replica does not come to ${path}`)
}

/** Lets time pass until the promise is settled: for a moment before the end of a move nothing is acknowledged. */
async function pumped<Result>(broker: TestBroker, promise: Promise<Result>): Promise<Result> {
  let isSettled = false
  const settled = promise.finally(() => {
    isSettled = true
  })
  for (let count = 0; count < 1_000 && !isSettled; count++) await broker.advance(1)
  return await settled
}

/** More than is copied at once, and so much that it cannot be moved but by copying more. */
async function produceMuch(client: DataClient): Promise<void> {
  for (let count = 0; count < 4; count++) await client.produce('t', batchOf([`${count}`.repeat(900_000)]))
}

function run(
  options: TestBrokerOptions,
  body: (client: DataClient, broker: TestBroker) => Promise<void>,
): Promise<void> {
  return TestBroker.run(options, async (client, broker) => {
    await client.createTopic('t')
    await body(client, broker)
  })
}

describe('a replica that is moved', () => {
  test.each([1, 2])('is in the other directory soon, with all that it held, in version %i', (version) =>
    run({ settings: SETTINGS }, async (client, broker) => {
      for (const value of ['a', 'b', 'c']) await client.produce('t', batchOf([value]))
      const [home, other] = await placesOf(client)
      expect(await move(client, other, 't', 0, version)).toBe(ErrorCode.NONE)
      await untilMoved(broker, client, other)
      expect(await valuesOf(client)).toEqual(['a', 'b', 'c'])
      await client.produce('t', batchOf(['d']))
      expect(await valuesOf(client, 3)).toEqual(['d'])
      expect(broker.disk.listDirectory(home).filter((name) => /^t-0($|.*future$)/.test(name))).toEqual([])
      await broker.advance(1_000)
      // What was noted of the move is forgotten, once a crash cannot undo it.
      expect(broker.disk.readFile(`${home}/moved-replicas`).toString()).toMatch(/^0\n0\n/)
    }),
  )

  test('takes records, and gives them, all the while', () =>
    run({ settings: SETTINGS }, async (client, broker) => {
      const wanted: string[] = []
      const [, other] = await placesOf(client)
      for (let count = 0; count < 30; count++) {
        if (count === 10) expect(await move(client, other)).toBe(ErrorCode.NONE)
        wanted.push(`value ${count}`)
        await pumped(broker, client.produce('t', batchOf([`value ${count}`])))
        expect(await valuesOf(client, count)).toEqual([`value ${count}`])
      }
      await untilMoved(broker, client, other)
      expect(await valuesOf(client)).toEqual(wanted)
    }))

  test('is where it was moved to after a restart', async () => {
    const first = await TestBroker.start({ settings: SETTINGS })
    const client = first.connect()
    await client.createTopic('t')
    await client.produce('t', batchOf(['kept']))
    const [, other] = await placesOf(client)
    await move(client, other)
    await untilMoved(first, client, other)
    const { topicIds } = first
    const killed = first.kill()
    const second = await TestBroker.start({ settings: SETTINGS, disk: killed })
    for (const [name, id] of topicIds) second.topicIds.set(name, id)
    const again = second.connect()
    expect(await replicas(again)).toEqual([{ path: other, isFuture: false, lag: 0 }])
    expect(await valuesOf(again)).toEqual(['kept'])
    await second.stop()
    second.assertSound()
  })

  test('can be moved on after a start that found the move before not settled', async () => {
    const first = await TestBroker.start({ settings: SETTINGS })
    const client = first.connect()
    await client.createTopic('t')
    await client.produce('t', batchOf(['kept']))
    const [home, other] = await placesOf(client)
    first.disk.fault = (operation, path) => (operation === 'rename' && path === `${home}/t-0` ? 'DISK_FULL' : null)
    await move(client, other)
    await untilMoved(first, client, other)
    const { topicIds } = first
    const killed = first.kill()
    expect(killed.readFile(`${home}/moved-replicas`).toString()).toMatch(/^0\n1\n/)
    const second = await TestBroker.start({ settings: SETTINGS, disk: killed })
    for (const [name, id] of topicIds) second.topicIds.set(name, id)
    const again = second.connect()
    await second.advance(1_000)
    expect(killed.readFile(`${home}/moved-replicas`).toString()).toMatch(/^0\n0\n/)
    expect(await move(again, home)).toBe(ErrorCode.NONE)
    await untilMoved(second, again, home)
    expect(await valuesOf(again)).toEqual(['kept'])
    await second.stop()
    second.assertSound()
  })
})

describe('a move under way', () => {
  test('is shown with its lag, ends with a request back, and goes elsewhere with another one', () =>
    run({ settings: THROTTLED }, async (client, broker) => {
      const [home, other] = await placesOf(client)
      await produceMuch(client)
      await move(client, other)
      await broker.advance(10)
      await client.produce('t', batchOf(['more']))
      // The first megabyte is copied at once, and then none for long.
      const under = await replicas(client)
      expect(under.filter(({ isFuture }) => isFuture)).toMatchObject([
        { path: other, lag: expect.toSatisfy((lag) => lag > 1) },
      ])
      expect(under.filter(({ isFuture }) => !isFuture)).toEqual([{ path: home, isFuture: false, lag: 0 }])
      const names = broker.disk.listDirectory(other).filter((name) => name.startsWith('t-0'))
      expect(names).toEqual([expect.stringMatching(/^t-0\.[0-9a-f]{32}-future$/)])
      expect(await move(client, home)).toBe(ErrorCode.NONE)
      expect(await replicas(client)).toEqual([{ path: home, isFuture: false, lag: 0 }])
      expect(await valuesOf(client, 4)).toEqual(['more'])
    }))

  test('goes on after a restart', async () => {
    const first = await TestBroker.start({ settings: THROTTLED })
    const client = first.connect()
    await client.createTopic('t')
    await produceMuch(client)
    const [, other] = await placesOf(client)
    await move(client, other)
    await first.advance(10)
    await client.produce('t', batchOf(['b']))
    expect(await replicas(client)).toHaveLength(2)
    await first.stop()
    const second = await TestBroker.start({ settings: SETTINGS, disk: first.disk })
    for (const [name, id] of first.topicIds) second.topicIds.set(name, id)
    const again = second.connect()
    await untilMoved(second, again, other)
    expect(await valuesOf(again, 4)).toEqual(['b'])
    await second.stop()
    second.assertSound()
  })

  test('ends with its topic', () =>
    run({ settings: THROTTLED }, async (client, broker) => {
      const [, other] = await placesOf(client)
      await produceMuch(client)
      await move(client, other)
      await broker.advance(10)
      expect(await replicas(client)).toHaveLength(2)
      await client.deleteTopic('t')
      await broker.advance(10)
      expect(await replicas(client)).toEqual([])
      const left = DIRECTORIES.flatMap((path) => broker.disk.listDirectory(path)).filter((name) => /future$/.test(name))
      expect(left).toEqual([])
    }))

  test('ends with the directory that it leads to, and the replica stays as it was', async () => {
    const broker = await TestBroker.start({ settings: THROTTLED })
    const client = broker.connect()
    await client.createTopic('t')
    const [home, other] = await placesOf(client)
    await produceMuch(client)
    broker.disk.fault = (operation, path) => (operation === 'sync' && path.startsWith(`${other}/`) ? 'DISK_IO' : null)
    await move(client, other)
    await broker.advance(50)
    const produced = client.produce('t', batchOf(['b']))
    await broker.advance(3_000)
    expect((await produced).errorCode).toBe(ErrorCode.NONE)
    expect(await valuesOf(client, 4)).toEqual(['b'])
    expect(await replicas(client)).toEqual([{ path: home, isFuture: false, lag: 0 }])
    expect(await move(client, other)).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    await broker.stop()
  })
})

describe('a move is refused', () => {
  test('to a path that is no log directory, of what is not here, and of too long a name', () =>
    run({ settings: SETTINGS }, async (client) => {
      expect(await move(client, '/c')).toBe(ErrorCode.LOG_DIR_NOT_FOUND)
      expect(await move(client, '/a', 'unknown')).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      expect(await move(client, '/a', 't', 7)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      expect(await move(client, '/a', 'n'.repeat(249))).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    }))

  test('by a full disk, and leaves nothing there', async () => {
    const broker = await TestBroker.start({ settings: SETTINGS })
    const client = broker.connect()
    await client.createTopic('t')
    const [, other] = await placesOf(client)
    broker.disk.options.capacityBytes = broker.disk.usedBytes
    expect(await move(client, other)).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    broker.disk.options.capacityBytes = Number.POSITIVE_INFINITY
    await broker.advance(10)
    expect(broker.disk.listDirectory(other).filter((name) => name.startsWith('t-0'))).toEqual([])
    expect(await move(client, other)).toBe(ErrorCode.NONE)
    await untilMoved(broker, client, other)
    await broker.stop()
  })

  test('and is remembered for a replica that is made later', () =>
    TestBroker.run({ settings: SETTINGS }, async (client) => {
      for (const path of DIRECTORIES) {
        expect(await move(client, path)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        await client.createTopic('t')
        expect(await placesOf(client)).toMatchObject({ 0: path })
        await client.deleteTopic('t')
      }
    }))
})
