import type { SimulatedDisk } from '@millrace/base'
import {
  alterReplicaLogDirsApi,
  createAlterReplicaLogDir,
  createAlterReplicaLogDirsRequest,
  createAlterReplicaLogDirTopic,
  createElectLeadersRequest,
  createMetadataRequest,
  createMetadataRequestTopic,
  ErrorCode,
  electLeadersApi,
  metadataApi,
} from '@millrace/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import { type DataClient, valuesIn } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'

/** A single node has the only copy of each log: one that a start does not find is not begun anew before the operator says so. */

const IDENTITY = '/data/t-0/partition.metadata'
const LOST = 'logs of partitions are lost: these are offline until you mend or give up their logs'
const LOSSES: [string, () => void][] = [
  ['its identity is damaged', () => disk.corrupt(IDENTITY, 3, 1)],
  // Another letter of the topic's id.
  ['its identity is that of another topic', () => disk.corrupt(IDENTITY, 30, 1)],
  ['its directory is gone', () => disk.takeAway('/data/t-0')],
  ['its directory is gone, and the mark that tells of it damaged', () => takeAwayWithMark()],
]

let disk: SimulatedDisk

/** A topic with a record in the first of its partitions, and nothing in the second. */
beforeEach(async () => {
  const broker = await TestBroker.start({ seed: 3 })
  const client = broker.connect()
  await client.createTopic('t', 2)
  expect(await client.produce('t', batchOf(['kept']))).toMatchObject({ errorCode: ErrorCode.NONE, baseOffset: 0 })
  await broker.stop()
  disk = broker.disk
})

/** A life of the node on that disk, which may tell of errors. */
async function run(seed: number, body: (client: DataClient, broker: TestBroker) => Promise<void>): Promise<void> {
  const broker = await TestBroker.start({ disk, seed })
  await body(broker.connect(), broker)
  await broker.stop()
  expect(broker.fatalErrors).toEqual([])
}

async function leaders(client: DataClient): Promise<number[]> {
  const request = createMetadataRequest({ topics: [createMetadataRequestTopic({ name: 't' })] })
  const { partitions } = (await client.call(metadataApi, 9, request)).topics[0]!
  return partitions.toSorted((a, b) => a.partitionIndex - b.partitionIndex).map(({ leaderId }) => leaderId)
}

async function electUnclean(client: DataClient): Promise<number> {
  const topicPartitions = [{ topic: 't', partitions: [0], unknownTaggedFields: [] }]
  const request = createElectLeadersRequest({ electionType: 1, topicPartitions, timeoutMs: 1_000 })
  return (await client.call(electLeadersApi, 2, request)).replicaElectionResults[0]!.partitionResult[0]!.errorCode
}

/** Nothing that the mark says can be read, so that only the metadata know that there was a log. */
function takeAwayWithMark(): void {
  disk.takeAway('/data/t-0')
  const { sizeBytes } = disk.stat('/data/durable-mark')!
  for (let position = 8; position < sizeBytes; position += 8) disk.corrupt('/data/durable-mark', position, 1)
}

/** What is left of the log, under whatever name. */
function filled(): string[] {
  const names = disk.listDirectory('/data').filter((name) => name.startsWith('t-0'))
  return names.filter((name) => (disk.stat(`/data/${name}/00000000000000000000.log`)?.sizeBytes ?? 0) > 0)
}

describe('a log that a start of a single node does not find', () => {
  test.each(LOSSES)('since %s is told, offline, and not begun anew by any start', async (_, harm) => {
    harm()
    const left = filled().length
    for (let start = 0; start < 3; start++) {
      await run(4 + start, async (client, broker) => {
        expect(await leaders(client)).toEqual([-1, 1])
        expect((await client.produce('t', batchOf(['new']))).errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
        expect((await client.listOffset('t', -1)).errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
        expect((await client.produce('t', batchOf(['new']), { partition: 1 })).errorCode).toBe(ErrorCode.NONE)
        expect(broker.logger.lines.filter(({ message }) => message === LOST)).toMatchObject([
          { level: 'error', fields: { count: 1, partitions: ['t-0'] } },
        ])
        const metrics = await broker.metrics()
        expect(metrics).toContain('millrace_damaged_replicas 1')
        expect(metrics).toContain('kafka_controller_kafkacontroller_offlinepartitionscount 1')
        expect(filled()).toHaveLength(left)
        expect(broker.logger.messages('warn').join()).not.toContain('may be removed')
        // Nothing empty has its name.
        expect(disk.stat('/data/t-0') !== null).toBe(filled().includes('t-0'))
      })
    }
  })

  test.each(['before the first start', 'after it'])('is served again once it is mended, %s', async (when) => {
    const sound = disk.peek(IDENTITY)
    disk.corrupt(IDENTITY, 3, 1)
    if (when === 'after it') await run(4, async (client) => expect(await leaders(client)).toEqual([-1, 1]))
    const file = disk.openFile(IDENTITY, { create: false })
    file.write(sound, 0, sound.length, 0)
    file.close()
    for (let start = 0; start < 2; start++) {
      await run(5 + start, async (client, broker) => {
        expect(await leaders(client)).toEqual([1, 1])
        expect(valuesIn((await client.fetchFrom('t', 0, 12)).records)[0]).toBe('kept')
        expect(await client.produce('t', batchOf(['new']))).toMatchObject({ baseOffset: 1 + start })
        expect(await broker.metrics()).toContain('millrace_damaged_replicas 0')
      })
    }
  })

  test.each(LOSSES.flatMap(([how, harm]) => [[how, 'first', harm] as const, [how, 'later', harm] as const]))(
    'since %s is begun anew once an unclean election gives it up in its %s life, and what is left is kept',
    async (_, life, harm) => {
      harm()
      const left = filled().length
      if (life === 'later') await run(6, async (client) => expect(await leaders(client)).toEqual([-1, 1]))
      await run(4, async (client, broker) => {
        expect(await electUnclean(client)).toBe(ErrorCode.NONE)
        expect(await leaders(client)).toEqual([1, 1])
        expect(filled()).toHaveLength(left)
        expect(filled()).not.toContain('t-0')
        expect(await client.produce('t', batchOf(['new']))).toMatchObject({ errorCode: ErrorCode.NONE, baseOffset: 0 })
        expect(broker.logger.messages('error')).toContain('a lost log is begun anew, empty: it was elected to lead')
        expect(await broker.metrics()).toContain('millrace_damaged_replicas 0')
      })
      await run(5, async (client) => {
        expect(valuesIn((await client.fetchFrom('t', 0, 12)).records)).toEqual(['new'])
      })
    },
  )

  test('has its partition offline also if the process ends between the election and the making of the log', async () => {
    disk.corrupt(IDENTITY, 3, 1)
    const broker = await TestBroker.start({ disk, seed: 4 })
    let killed: SimulatedDisk | null = null
    disk.onChange = (operation, path) => {
      if (operation === 'rename' && path.includes('/t-0')) killed ??= disk.fork()
    }
    expect(await electUnclean(broker.connect())).toBe(ErrorCode.NONE)
    disk.onChange = () => undefined
    await broker.stop()
    expect(killed).not.toBeNull()
    disk = killed!
    await run(5, async (client) => {
      expect(await leaders(client)).toEqual([-1, 1])
      expect(filled()).toHaveLength(1)
      expect(await electUnclean(client)).toBe(ErrorCode.NONE)
      expect(await leaders(client)).toEqual([1, 1])
    })
  })

  test('is forgotten with its topic', async () => {
    disk.takeAway('/data/t-0')
    await run(4, async (client, broker) => {
      await client.deleteTopic('t')
      expect(await broker.metrics()).toContain('millrace_damaged_replicas 0')
    })
  })
})

describe('of several log directories', () => {
  const settings = { 'log.dirs': '/a,/b', 'replica.alter.log.dirs.io.max.bytes.per.second': '1' }
  let home: string
  let other: string

  const namesIn = (directory: string) => disk.listDirectory(directory).filter((name) => name.startsWith('t-0'))

  async function live(seed: number, body: (client: DataClient, broker: TestBroker) => Promise<void>): Promise<void> {
    const broker = await TestBroker.start({ disk, seed, settings })
    await body(broker.connect(), broker)
    await broker.stop()
    expect(broker.fatalErrors).toEqual([])
  }

  async function moveTo(client: DataClient, path: string): Promise<void> {
    const topics = [createAlterReplicaLogDirTopic({ name: 't', partitions: [0] })]
    const request = createAlterReplicaLogDirsRequest({ dirs: [createAlterReplicaLogDir({ path, topics })] })
    const [answer] = (await client.call(alterReplicaLogDirsApi, 2, request)).results
    expect(answer!.partitions[0]!.errorCode).toBe(ErrorCode.NONE)
  }

  /** The directory that does not have the log has fewer, so that it is the one for a new log. */
  beforeEach(async () => {
    const broker = await TestBroker.start({ seed: 3, settings })
    const client = broker.connect()
    disk = broker.disk
    await client.createTopic('t')
    await client.produce('t', batchOf(['kept']))
    home = ['/a', '/b'].find((path) => namesIn(path).includes('t-0'))!
    other = home === '/a' ? '/b' : '/a'
    for (const name of ['u', 'v']) await client.createTopic(name)
    await client.deleteTopic('u')
    expect(disk.listDirectory(home).filter((name) => name.startsWith('v-'))).toHaveLength(1)
    await broker.stop()
  })

  test.each([
    ['given up', true],
    ['given up, and nothing is written', false],
    ['made anew with its topic', true],
    ['made anew with its topic, and nothing is written', false],
  ])('what is left of a log gets out of the way when it is %s', async (how, isWritten) => {
    disk.corrupt(`${home}/t-0/partition.metadata`, 3, 1)
    await live(4, async (client) => {
      expect(await leaders(client)).toEqual([-1])
      if (how.startsWith('given up')) {
        expect(await electUnclean(client)).toBe(ErrorCode.NONE)
      } else {
        await client.deleteTopic('t')
        await client.createTopic('t')
      }
      expect(namesIn(other)).toEqual(['t-0'])
      expect(namesIn(home)).toEqual([expect.stringMatching(/-stray$/)])
      if (isWritten) expect(await client.produce('t', batchOf(['new']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
    })
    for (let start = 0; start < 2; start++) {
      await live(5 + start, async (client, broker) => {
        expect(await leaders(client)).toEqual([1])
        expect(broker.logger.messages('error')).toEqual([])
        expect((await client.listOffset('t', -1)).offset).toBe(isWritten ? 1 : 0)
      })
    }
  })

  /** The log is gone in the midst of a move; gives what that has copied. */
  async function loseWhileMoving(): Promise<Buffer> {
    const large = 'x'.repeat(700_000)
    await live(4, async (client, broker) => {
      for (let count = 0; count < 10; count++) await client.produce('t', batchOf([large]))
      await moveTo(client, other)
      // What may be copied at once has been.
      await broker.advance(100)
    })
    const [future] = namesIn(other)
    expect(future).toMatch(/-future$/)
    const copied = disk.peek(`${other}/${future}/00000000000000000000.log`)
    expect(copied.length).toBeGreaterThan(300_000)
    disk.takeAway(`${home}/t-0`)
    return copied
  }

  test('the copy that a move has made so far is kept when its log is given up', async () => {
    const copied = await loseWhileMoving()
    await live(5, async (client, broker) => {
      expect(await leaders(client)).toEqual([-1])
      expect(await electUnclean(client)).toBe(ErrorCode.NONE)
      await broker.advance(70_000)
      expect(await client.produce('t', batchOf(['new']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
    })
    const stray = namesIn(other).find((name) => name.endsWith('-stray'))
    expect(disk.peek(`${other}/${stray}/00000000000000000000.log`)).toEqual(copied)
  })

  test('the copy that a move has made so far goes with the topic', async () => {
    await loseWhileMoving()
    await live(5, async (client, broker) => {
      await client.deleteTopic('t')
      await broker.advance(70_000)
      expect(namesIn(other)).toEqual([])
    })
  })

  test('one that is known to be lost keeps no start from being made without a directory that held nothing', async () => {
    disk.corrupt(`/a/t-0/partition.metadata`, 3, 1)
    expect(home).toBe('/a')
    await live(4, async (client) => expect(await leaders(client)).toEqual([-1]))
    const broker = await TestBroker.start({ disk, seed: 5, settings: { 'log.dirs': '/a' } })
    expect(await leaders(broker.connect())).toEqual([-1])
    await broker.stop()
  })
})

test('a log that never held a record is begun again without a word', async () => {
  disk.takeAway('/data/t-1')
  await run(4, async (client, broker) => {
    expect(await leaders(client)).toEqual([1, 1])
    expect(broker.logger.messages('error')).toEqual([])
  })
})

test('records that are damaged inside of a log count, too, until they are deleted', async () => {
  disk.corrupt('/data/t-0/00000000000000000000.log', 70, 1)
  await run(4, async (client, broker) => {
    expect((await client.fetchFrom('t', 0, 12)).errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    expect(await broker.metrics()).toContain('millrace_damaged_replicas 1')
    expect(await leaders(client)).toEqual([1, 1])
    await client.produce('t', batchOf(['behind it']))
    expect((await client.deleteRecords('t', 1)).errorCode).toBe(ErrorCode.NONE)
    expect(await broker.metrics()).toContain('millrace_damaged_replicas 0')
  })
})
