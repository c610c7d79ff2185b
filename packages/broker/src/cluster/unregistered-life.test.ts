import type { SimulatedDisk } from '@millrace/base'
import type { ControllerEvents, ControllerRequest } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { idOf, topicRecords } from '../handlers/testing/images.ts'
import { batchOf } from '../testing/batches.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { ScriptedController } from './testing/scripted-controller.ts'

/** A life that the cluster never hears of, since no controller takes it in time, does not hide what the one before has lost. */

type Registration = ControllerRequest<'registerBroker'>
type Settings = Readonly<Record<string, string>>

/** Knows the topic from the start. */
class Controller extends ScriptedController {
  readonly registrations: Registration[] = []

  constructor() {
    super()
    const register = this.answers.get('registerBroker') as (request: unknown) => unknown
    this.answers.set('registerBroker', (request: Registration) => {
      this.registrations.push(request)
      return register(request)
    })
  }

  override start(events: ControllerEvents): void {
    super.start(events)
    this.commit(...topicRecords('t', idOf(1), [1]))
  }
}

function start(port: ScriptedController, disk: SimulatedDisk | null, settings: Settings): Promise<TestBroker> {
  const cluster = { port, clusterId: 'cluster-1' }
  return TestBroker.start({ cluster, settings, ...(disk === null ? {} : { disk }) })
}

/** A broker that was registered, with a log. */
async function filled(settings: Settings): Promise<TestBroker> {
  const controller = new Controller()
  const broker = await start(controller, null, settings)
  // Led in an epoch of this life.
  controller.commit({ type: 'PartitionChangeRecord', topicId: idOf(1), partitionId: 0, leader: 1 })
  expect((await broker.connect().produce('t', batchOf(['new']))).errorCode).toBe(ErrorCode.NONE)
  return broker
}

/** What a start tells the cluster of the life before. */
async function toldFrom(disk: SimulatedDisk, settings: Settings): Promise<Partial<Registration>> {
  const controller = new Controller()
  const broker = await start(controller, disk, settings)
  await broker.stop()
  broker.assertSound()
  const { previousBrokerEpoch, recoveredCleanly } = controller.registrations[0]!
  return { previousBrokerEpoch, recoveredCleanly }
}

/** A start that ends in good order before it is registered. */
async function refused(disk: SimulatedDisk, settings: Settings): Promise<SimulatedDisk> {
  const controller = new Controller()
  controller.answers.set('registerBroker', () => ({ code: ErrorCode.INVALID_REGISTRATION, message: 'not now' }))
  await expect(start(controller, disk, settings)).rejects.toThrow('not now')
  return disk
}

test('a crash stays one: with write caching it may have taken what was acknowledged', async () => {
  const settings = { 'write.caching': 'true' }
  const broker = await filled(settings)
  const disk = broker.kill()
  const told = { previousBrokerEpoch: -1, recoveredCleanly: false }
  expect(await toldFrom(disk.fork(), settings)).toEqual(told)
  expect(await toldFrom(await refused(disk, settings), settings)).toEqual(told)
})
