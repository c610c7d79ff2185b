import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RealClock, RealDisk, RealRandom, RealTimers } from '@millrace/base'
import { Configuration, type Logger } from '@millrace/broker'
import { type ControllerEvents, SUPPORTED_FEATURES } from '@millrace/consensus'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ControllerRuntime } from './controller-runtime.ts'
import { lockQuorumDirectory, quorumIdentity } from './quorum-directory.ts'

const IDS = [1, 2, 3]
const QUIET: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

let root: string
let ports: number[]
const running = new Map<number, Controller>()

interface Controller {
  readonly runtime: ControllerRuntime
  readonly errors: string[]
  /** Resolves once it knows an active controller. */
  readonly led: Promise<number>
  /** Resolves once its image holds the registrations of all controllers. */
  readonly registered: Promise<void>
  stop(): Promise<void>
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'millrace-controllers-'))
  ports = await freePorts(IDS.length)
})

afterEach(async () => {
  for (const id of [...running.keys()]) await stop(id)
  rmSync(root, { recursive: true, force: true })
})

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(servers.map((server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', done))))
  const found = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  return found
}

function addresses(): string {
  return IDS.map((id) => `${id}@127.0.0.1:${ports[id - 1]}`).join(',')
}

async function start(id: number, other: Readonly<Record<string, string>> = {}): Promise<Controller> {
  const settings: Record<string, string> = {
    'process.roles': 'controller',
    'node.id': String(id),
    'cluster.id': 'q1Sh-9_ISia_zwGINzRvyQ',
    'log.dirs': join(root, String(id)),
    'controller.quorum.voters': addresses(),
    'controller.listener.names': 'CONTROLLER',
    'controller.peer.secret': 'at least sixteen characters',
    listeners: `CONTROLLER://127.0.0.1:${ports[id - 1]}`,
    ...other,
  }
  const configuration = new Configuration(new Map(Object.entries(settings).filter(([, text]) => text !== '')), {
    warn: () => undefined,
  })
  const { broker: config } = configuration
  const disk = new RealDisk()
  const lock = lockQuorumDirectory(disk, config)
  const random = new RealRandom()
  const errors: string[] = []
  const led = Promise.withResolvers<number>()
  const registered = Promise.withResolvers<void>()
  const runtime = await ControllerRuntime.open({
    configuration,
    cluster: config.cluster!,
    identity: quorumIdentity(disk, config, config.cluster!, random),
    disk,
    clock: new RealClock(),
    timers: new RealTimers(),
    random,
    logger: { ...QUIET, error: (message) => errors.push(message) },
  })
  const events: ControllerEvents = {
    onRecords: () => {
      if (runtime.image.controllers.size === IDS.length) registered.resolve()
    },
    onImage: () => undefined,
    onActiveController: (leader) => {
      if (leader !== null) led.resolve(leader)
    },
    onHeartbeatAnswer: () => undefined,
    onFatal: (error) => led.reject(error),
  }
  runtime.start(events)
  const controller: Controller = {
    runtime,
    errors,
    led: led.promise,
    registered: registered.promise,
    async stop() {
      await runtime.close()
      lock.release()
    },
  }
  running.set(id, controller)
  return controller
}

async function stop(id: number): Promise<void> {
  await running.get(id)?.stop()
  running.delete(id)
}

test('a quorum begins when all first voters were up; one that lost its disks has no vote after that', async () => {
  const first = [await start(1), await start(2)]
  expect(first.map(({ runtime }) => runtime.status)).toEqual([null, null])
  first.push(await start(3))
  await Promise.all(first.map(({ led }) => led))
  expect(first.map(({ runtime }) => runtime.status?.voterCount)).toEqual([3, 3, 3])
  expect(first.map(({ runtime }) => runtime.status?.role).sort()).toEqual(['follower', 'follower', 'leader'])
  for (const id of IDS) await stop(id)

  // A majority of those who remember is enough, and the third is no part of it.
  rmSync(join(root, '1'), { recursive: true })
  const wiped = await start(1)
  const two = await start(2)
  const three = await start(3)
  const leader = await two.led
  expect(leader).not.toBe(1)
  await Promise.all([wiped.led, three.led])
  expect(wiped.runtime.status).toMatchObject({ role: 'observer', voterCount: 3, leaderId: leader })
  expect(wiped.errors).toEqual([expect.stringContaining('it has no vote until it is added')])
  expect([...two.errors, ...three.errors]).toEqual([])
})

test('each controller registers what it supports, so that features can be changed', async () => {
  const controllers = [await start(1), await start(2), await start(3)]
  await Promise.all(controllers.map(({ registered }) => registered))
  const { image } = controllers[0]!.runtime
  expect([...image.controllers.keys()].sort()).toEqual(IDS)
  expect(image.controllers.get(2)).toMatchObject({
    endpoints: [{ listener: 'CONTROLLER', host: '127.0.0.1', port: ports[1] }],
    features: SUPPORTED_FEATURES,
  })
  const updates = [{ feature: 'eligible.leader.replicas.version', maxVersionLevel: 1, upgradeType: 1 }]
  const request = { updates, validateOnly: true }
  expect(await controllers[1]!.runtime.node.request('updateFeatures', request, 5_000)).toBeNull()
})

test('two controllers cannot have one log', async () => {
  await start(1)
  await expect(start(1)).rejects.toThrow(/lock/)
})

test('settings that name the voters no more leave them what they are', async () => {
  const first = [await start(1), await start(2), await start(3)]
  await Promise.all(first.map(({ led }) => led))
  for (const id of IDS) await stop(id)
  const settings = { 'controller.quorum.voters': '', 'controller.quorum.bootstrap.servers': addresses() }
  const again = [await start(1, settings), await start(2, settings)]
  await Promise.all(again.map(({ led }) => led))
  expect(again.map(({ runtime }) => runtime.status?.role).sort()).toEqual(['follower', 'leader'])
})

test('a node tells what its quorum lacks: all of the first voters, later a majority, and nothing once there is a leader', async () => {
  const { runtime } = await start(1)
  expect(runtime.wait).toEqual({ isFirst: true, voters: IDS, missing: [2, 3], disagreeing: [] })
  const all = [running.get(1)!, await start(2), await start(3)]
  await Promise.all(all.map(({ led }) => led))
  expect(all.map((controller) => controller.runtime.wait)).toEqual([null, null, null])
  for (const id of IDS) await stop(id)

  const { runtime: again } = await start(1)
  expect(again.status).toMatchObject({ leaderId: null })
  expect(again.wait).toEqual({ isFirst: false, voters: IDS, missing: [2, 3], disagreeing: [] })
})
