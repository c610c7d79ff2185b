import type { SimulatedDisk, Uuid } from '@millrace/base'
import type { ControllerEvents, ControllerRequest, PartitionChangeRecord, PartitionRecord } from '@millrace/consensus'
import {
  alterReplicaLogDirsApi,
  createAlterReplicaLogDir,
  createAlterReplicaLogDirsRequest,
  createAlterReplicaLogDirTopic,
  ErrorCode,
} from '@millrace/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import { brokerRecord, idOf, partitionRecord, topicRecords } from '../handlers/testing/images.ts'
import { batchOf } from '../testing/batches.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { ScriptedController } from './testing/scripted-controller.ts'

/** A log that a start does not find is not begun anew as long as anything committed may rest on it (docs/adr/0007). */

const TOPIC = idOf(1)
const IDENTITY = '/data/t-0/partition.metadata'
const RECORDS = '00000000000000000000.log'
const REFUSED = { errorCode: ErrorCode.KAFKA_STORAGE_ERROR }
/** As one of two replicas, the only one in sync. */
const LAST = partitionRecord(TOPIC, 0, [1, 2], { isr: [1], leader: -1 })
/** What a registration makes of that where nobody has the records. */
const OUT = { isr: [], eligibleLeaderReplicas: [] }

/** Knows a partition from the start, and changes it with the registration. */
class Controller extends ScriptedController {
  readonly registrations: ControllerRequest<'registerBroker'>[] = []
  readonly #partition: PartitionRecord

  constructor(partition: PartitionRecord, withRegistration: Partial<PartitionChangeRecord> = {}) {
    super()
    this.#partition = partition
    const register = this.answers.get('registerBroker') as (request: unknown) => unknown
    this.answers.set('registerBroker', (request: ControllerRequest<'registerBroker'>) => {
      this.registrations.push(request)
      this.change(withRegistration)
      return register(request)
    })
  }

  override start(events: ControllerEvents): void {
    super.start(events)
    const [topic] = topicRecords('t', TOPIC, [1])
    this.commit(topic!, this.#partition)
  }

  change(change: Partial<PartitionChangeRecord>): void {
    this.commit({ type: 'PartitionChangeRecord', topicId: TOPIC, partitionId: 0, ...change })
  }
}

function start(port: ScriptedController, disk?: SimulatedDisk): Promise<TestBroker> {
  return TestBroker.start({
    cluster: { port, clusterId: 'cluster-1' },
    ...(disk === undefined ? {} : { disk }),
  })
}

/** Directories of the partition with records in them. */
function filledOn({ disk }: TestBroker): string[] {
  const names = disk.listDirectory('/data').filter((name) => name.startsWith('t-0'))
  return names.filter((name) => (disk.stat(`/data/${name}/${RECORDS}`)?.sizeBytes ?? 0) > 0)
}

async function produce(broker: TestBroker): Promise<{ errorCode: number; offset: number }> {
  const { errorCode, baseOffset } = await broker.connect().produce('t', batchOf(['new']))
  return { errorCode, offset: Number(baseOffset) }
}

let disk: SimulatedDisk

/** A log with a record, of a process that has stopped. */
beforeEach(async () => {
  const controller = new ScriptedController()
  const broker = await start(controller)
  controller.commit(...topicRecords('t', TOPIC, [1]))
  expect(await produce(broker)).toEqual({ errorCode: ErrorCode.NONE, offset: 0 })
  await broker.stop()
  broker.assertSound()
  disk = broker.disk
})

describe('a replica whose log a start does not find', () => {
  test.each([
    ['its identity is damaged', () => disk.corrupt(IDENTITY, 3, 1)],
    // Another letter of the topic's id.
    ['its identity is that of another topic', () => disk.corrupt(IDENTITY, 30, 1)],
    ['its directory is gone', () => disk.takeAway('/data/t-0')],
  ])('since %s is told with the registration, and is not begun before it is out', async (_, harm) => {
    harm()
    const controller = new Controller(LAST)
    const broker = await start(controller, disk)
    expect(controller.registrations.map(({ lostReplicas }) => lostReplicas)).toEqual([
      [{ topicId: TOPIC, partition: 0 }],
    ])
    // By a controller that does not know what it was told.
    controller.change({ leader: 1 })
    await broker.advance(1_000)
    expect(await produce(broker)).toMatchObject(REFUSED)
    // Nothing empty has its name.
    expect(disk.stat('/data/t-0') !== null).toBe(filledOn(broker).includes('t-0'))
    expect(await broker.metrics()).toContain('millrace_damaged_replicas 1')
    await broker.stop()
  })

  test.each([
    ['that the broker has served from', true],
    ['that is new', false],
  ])('since all of a directory is gone but its id, %s', async (_, isRegistered) => {
    const properties = disk.peek('/data/meta.properties').toString()
    const id = properties.match(/directory\.id=(.*)/)![1] as Uuid
    for (const name of disk.listDirectory('/data')) if (name !== 'meta.properties') disk.takeAway(`/data/${name}`)
    const controller = new Controller(LAST)
    const early = controller.start.bind(controller)
    controller.start = (events) => {
      early(events)
      controller.commit(brokerRecord(1, { logDirs: [isRegistered ? id : idOf(9)], fenced: true }))
    }
    const broker = await start(controller, disk)
    const [{ lostReplicas } = {}] = controller.registrations
    expect(lostReplicas).toEqual(isRegistered ? [{ topicId: TOPIC, partition: 0 }] : [])
    expect(disk.stat('/data/t-0') === null).toBe(isRegistered)
    await broker.stop()
  })

  test('is refused by the next start, too', async () => {
    disk.corrupt(IDENTITY, 3, 1)
    for (let count = 0; count < 2; count++) {
      const controller = new Controller(LAST, OUT)
      const broker = await start(controller, disk)
      expect(controller.registrations[0]!.lostReplicas).toHaveLength(1)
      await broker.advance(1_000)
      expect(await produce(broker)).toMatchObject(REFUSED)
      expect(filledOn(broker)).toEqual(['t-0'])
      await broker.stop()
    }
  })

  test('is there again once the operator has mended what is damaged', async () => {
    const sound = disk.peek(IDENTITY)
    disk.corrupt(IDENTITY, 3, 1)
    const broker = await start(new Controller(LAST, OUT), disk)
    await broker.stop()
    const file = disk.openFile(IDENTITY, { create: false })
    file.write(sound, 0, sound.length, 0)
    file.close()
    const controller = new Controller(LAST)
    const again = await start(controller, disk)
    expect(controller.registrations[0]!.lostReplicas).toEqual([])
    controller.change({ leader: 1 })
    await again.advance(100)
    expect((await again.connect().listOffset('t', -1)).offset).toBe(1)
    await again.stop()
    again.assertSound()
  })

  test('is begun anew once another one leads, and what is left of its log set aside', async () => {
    disk.corrupt(IDENTITY, 3, 1)
    const controller = new Controller(LAST, OUT)
    const broker = await start(controller, disk)
    expect(filledOn(broker)).toEqual(['t-0'])
    controller.change({ leader: 2, isr: [2] })
    await broker.advance(100)
    expect(filledOn(broker)).toEqual([expect.stringMatching(/^t-0\..*-stray$/)])
    expect(disk.stat('/data/t-0')?.isDirectory).toBe(true)
    expect(await broker.metrics()).toContain('millrace_damaged_replicas 0')
    expect(broker.logger.messages('warn')).toContain('a lost log is begun anew, and fetched from its leader')
    await broker.stop()
  })

  test('is begun anew, empty, where it was elected all the same', async () => {
    disk.corrupt(IDENTITY, 3, 1)
    const controller = new Controller(LAST, OUT)
    const broker = await start(controller, disk)
    controller.change({ leader: 1, isr: [1], leaderRecoveryState: 1 })
    await broker.advance(100)
    expect(await produce(broker)).toEqual({ errorCode: ErrorCode.NONE, offset: 0 })
    expect(broker.logger.messages('error')).toContain('a lost log is begun anew, empty: it was elected to lead')
    await broker.stop()
  })

  test('is forgotten with its topic', async () => {
    disk.corrupt(IDENTITY, 3, 1)
    const controller = new Controller(LAST, OUT)
    const broker = await start(controller, disk)
    controller.commit({ type: 'RemoveTopicRecord', topicId: TOPIC })
    await broker.advance(100)
    expect(await broker.metrics()).toContain('millrace_damaged_replicas 0')
    await broker.stop()
  })
})

test('the copy that a move has made so far is kept where the replica is elected without its log', async () => {
  const settings = { 'log.dirs': '/a,/b', 'replica.alter.log.dirs.io.max.bytes.per.second': '1' }
  const port = new ScriptedController()
  const cluster = { port, clusterId: 'cluster-1' }
  const first = await TestBroker.start({ settings, cluster })
  port.commit(...topicRecords('t', TOPIC, [1]))
  const client = first.connect()
  for (let count = 0; count < 10; count++) await client.produce('t', batchOf(['x'.repeat(700_000)]))
  const [home, other] = first.disk.stat('/a/t-0') === null ? ['/b', '/a'] : ['/a', '/b']
  const topics = [createAlterReplicaLogDirTopic({ name: 't', partitions: [0] })]
  const request = createAlterReplicaLogDirsRequest({ dirs: [createAlterReplicaLogDir({ path: other!, topics })] })
  await client.call(alterReplicaLogDirsApi, 2, request)
  // What may be copied at once has been.
  await first.advance(100)
  await first.stop()
  const copies = () => first.disk.listDirectory(other!).filter((name) => name.startsWith('t-0.'))
  const copied = first.disk.peek(`${other}/${copies()[0]}/${RECORDS}`)
  expect(copied.length).toBeGreaterThan(300_000)
  first.disk.takeAway(`${home}/t-0`)
  const controller = new Controller(LAST, OUT)
  const again = await TestBroker.start({
    settings,
    disk: first.disk,
    seed: 5,
    cluster: { port: controller, clusterId: 'cluster-1' },
  })
  controller.change({ leader: 1, isr: [1], leaderRecoveryState: 1 })
  await again.advance(70_000)
  expect(await produce(again)).toEqual({ errorCode: ErrorCode.NONE, offset: 0 })
  expect(copies()).toEqual([expect.stringMatching(/-stray$/)])
  expect(first.disk.peek(`${other}/${copies()[0]}/${RECORDS}`)).toEqual(copied)
  await again.stop()
})

test('a replica that never held a record is begun at once', async () => {
  const controller = new Controller(partitionRecord(TOPIC, 0, [1]))
  const two = partitionRecord(TOPIC, 1, [1], { leader: -1 })
  const early = controller.start.bind(controller)
  controller.start = (events) => {
    early(events)
    controller.commit(two)
  }
  const broker = await start(controller, disk)
  expect(controller.registrations[0]!.lostReplicas).toEqual([])
  expect(disk.stat('/data/t-1')?.isDirectory).toBe(true)
  await broker.stop()
  broker.assertSound()
})
