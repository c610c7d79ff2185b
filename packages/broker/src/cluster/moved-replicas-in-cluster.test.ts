import type { SimulatedDisk, Uuid } from '@millrace/base'
import { DirectoryId } from '@millrace/consensus'
import {
  alterReplicaLogDirsApi,
  createAlterReplicaLogDir,
  createAlterReplicaLogDirsRequest,
  createAlterReplicaLogDirTopic,
  ErrorCode,
} from '@millrace/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import { idOf, partitionRecord, topicRecords } from '../handlers/testing/images.ts'
import { batchOf } from '../testing/batches.ts'
import type { DataClient } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { ScriptedController } from './testing/scripted-controller.ts'

/** The controller hears where a replica is once it has been moved, and nothing is forgotten of the move before (docs/adr/0009). */

const TOPIC = idOf(1)

let controller: ScriptedController

beforeEach(() => {
  controller = new ScriptedController()
})

function start(directories: string, disk?: SimulatedDisk): Promise<TestBroker> {
  return TestBroker.start({
    settings: { 'log.dirs': directories },
    cluster: { port: controller, clusterId: 'cluster-1' },
    ...(disk === undefined ? {} : { disk }),
  })
}

/** Says from the start that the replica is in this directory. */
function startedWith(directory: Uuid): ScriptedController {
  const scripted = new ScriptedController()
  const early = scripted.start.bind(scripted)
  scripted.start = (events) => {
    early(events)
    const [topic] = topicRecords('t', TOPIC, [1])
    scripted.commit(topic!, partitionRecord(TOPIC, 0, [1], { directories: [directory] }))
  }
  return scripted
}

function directoryId({ disk }: TestBroker, path: string): Uuid {
  return /directory\.id=(.{22})/.exec(disk.readFile(`${path}/meta.properties`).toString())![1] as Uuid
}

async function move(client: DataClient, path: string): Promise<number> {
  const topics = [createAlterReplicaLogDirTopic({ name: 't', partitions: [0] })]
  const request = createAlterReplicaLogDirsRequest({ dirs: [createAlterReplicaLogDir({ path, topics })] })
  return (await client.call(alterReplicaLogDirsApi, 2, request)).results[0]!.partitions[0]!.errorCode
}

/** The replica lies in `/a`, as the metadata says, with one record. */
async function broker(): Promise<{ broker: TestBroker; client: DataClient; ids: { a: Uuid; b: Uuid } }> {
  const started = await start('/a,/b')
  const ids = { a: directoryId(started, '/a'), b: directoryId(started, '/b') }
  const [topic] = topicRecords('t', TOPIC, [1])
  controller.commit(topic!, partitionRecord(TOPIC, 0, [1], { directories: [ids.a] }))
  const client = started.connect()
  expect((await client.produce('t', batchOf(['kept']))).errorCode).toBe(ErrorCode.NONE)
  expect(namesIn(started, '/a')).toEqual(['t-0'])
  return { broker: started, client, ids }
}

function namesIn({ disk }: TestBroker, path: string): string[] {
  return disk.listDirectory(path).filter((name) => name.startsWith('t-0') && !name.endsWith('-delete'))
}

async function untilMoved(started: TestBroker, path: string): Promise<void> {
  for (let count = 0; count < 200 && namesIn(started, path)[0] !== 't-0'; count++) await started.advance(10)
  expect(namesIn(started, path)).toEqual(['t-0'])
}

function assignments(): unknown[] {
  return controller.asked.filter(({ name }) => name === 'assignReplicasToDirs').map(({ request }) => request)
}

describe('a replica that was moved', () => {
  test('is told to the controller, again until it knows, and moved on only then', async () => {
    const { broker: started, client, ids } = await broker()
    expect(await move(client, '/b')).toBe(ErrorCode.NONE)
    await untilMoved(started, '/b')
    const assigned = { partitions: [{ topicId: TOPIC, partition: 0, directory: ids.b }] }
    expect(assignments()).toMatchObject([assigned])
    controller.take('assignReplicasToDirs').answer({ code: ErrorCode.NOT_CONTROLLER, message: null })
    await started.advance(600)
    expect(assignments()).toMatchObject([assigned])
    // The way back is begun, and not ended: where the log is now is only noted here.
    expect(await move(client, '/a')).toBe(ErrorCode.NONE)
    await started.advance(1_000)
    expect(namesIn(started, '/a')).toEqual([expect.stringMatching(/-future$/)])
    controller.take('assignReplicasToDirs').answer({ partitions: [{ topicId: TOPIC, partition: 0, errorCode: 0 }] })
    controller.commit(partitionRecord(TOPIC, 0, [1], { directories: [ids.b], partitionEpoch: 6 }))
    await untilMoved(started, '/a')
    expect((await client.listOffset('t', -1)).offset).toBe(1)
    await started.stop()
    started.assertSound()
  })

  test('is not begun anew where it was, if the disk that it was moved to is gone and the controller has not heard of it', async () => {
    const { broker: first, client, ids } = await broker()
    await move(client, '/b')
    await untilMoved(first, '/b')
    expect((await client.produce('t', batchOf(['more']))).errorCode).toBe(ErrorCode.NONE)
    const killed = first.kill()
    controller = startedWith(ids.a)
    const second = await start('/a', killed)
    await second.advance(1_000)
    expect(namesIn(second, '/a')).toEqual([])
    expect(assignments()).toMatchObject([{ partitions: [{ topicId: TOPIC, partition: 0, directory: ids.b }] }])
    const again = second.connect()
    expect((await again.produce('t', batchOf(['lost']))).errorCode).not.toBe(ErrorCode.NONE)
    await second.stop()
  })

  test('is begun anew once the controller has heard that its disk is gone, and has given it up', async () => {
    const { broker: first, client, ids } = await broker()
    await move(client, '/b')
    await untilMoved(first, '/b')
    controller = startedWith(ids.a)
    const second = await start('/a', first.kill())
    await second.advance(1_000)
    controller.take('assignReplicasToDirs').answer({ partitions: [{ topicId: TOPIC, partition: 0, errorCode: 0 }] })
    controller.commit(partitionRecord(TOPIC, 0, [1], { directories: [ids.b], partitionEpoch: 6 }))
    await second.advance(1_000)
    expect(namesIn(second, '/a')).toEqual([])
    const killed = second.kill()
    expect(killed.readFile('/a/moved-replicas').toString()).not.toContain(TOPIC)
    controller = startedWith(DirectoryId.UNASSIGNED)
    const third = await start('/a', killed)
    await third.advance(1_000)
    expect(namesIn(third, '/a')).toEqual(['t-0'])
    await third.stop()
  })
})
