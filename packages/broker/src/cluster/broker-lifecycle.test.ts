import { SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import { type ControllerRequest, emptyImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import { BrokerLifecycle, BrokerState } from './broker-lifecycle.ts'
import { ClusterMetadata } from './cluster-metadata.ts'
import { FakeControllerPort } from './testing/fake-controller-port.ts'

const DIRECTORY = 'AAAAAAAAAAAAAAAAAAAAZA' as Uuid
const INCARNATION = 'AAAAAAAAAAAAAAAAAAAAZg' as Uuid

let timers: SimulatedTimers
let port: FakeControllerPort
let metadata: ClusterMetadata
let lifecycle: BrokerLifecycle
let fatal: Error[]
let epochs: number[]
let offline: Uuid[]
let lost: { topicId: Uuid; partition: number }[]
let logger: RecordingLogger

beforeEach(() => {
  const clock = new SimulatedClock()
  timers = new SimulatedTimers(clock)
  port = new FakeControllerPort()
  port.answers.set('readBarrier', () => ({ offset: 0 }))
  fatal = []
  epochs = []
  offline = []
  lost = []
  logger = new RecordingLogger()
  metadata = new ClusterMetadata({
    port,
    clusterId: 'cluster',
    nodeId: 7,
    clock,
    timers,
    requestTimeoutMs: 1000,
    onHeartbeatAnswer: (answer) => lifecycle.onHeartbeatAnswer(answer),
    onActiveController: () => undefined,
    onFatal: (error) => fatal.push(error),
  })
  lifecycle = new BrokerLifecycle({
    metadata,
    timers,
    logger,
    heartbeatIntervalMs: 500,
    registrationTimeoutMs: 60_000,
    previousBrokerEpoch: 3,
    registration: () => ({
      clusterId: 'cluster',
      brokerId: 7,
      incarnationId: INCARNATION,
      rack: null,
      endpoints: [],
      features: [],
      directories: [DIRECTORY],
      recoveredCleanly: true,
      lostReplicas: lost,
    }),
    offlineDirectories: () => offline,
    onBrokerEpoch(epoch) {
      epochs.push(epoch)
      metadata.brokerEpoch = epoch
    },
    onFatal: (error) => fatal.push(error),
  })
  metadata.start()
  port.events!.onImage(emptyImage('cluster'))
})

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

async function registered(brokerEpoch = 12): Promise<void> {
  const done = lifecycle.register()
  port.take('registerBroker').answer({ brokerEpoch })
  await done
}

async function running(): Promise<void> {
  await registered()
  const done = lifecycle.unfence()
  port.answerHeartbeat()
  await done
}

describe('registration', () => {
  test('names the epoch of the life before, then goes by its own', async () => {
    const done = lifecycle.register()
    const asked = port.take('registerBroker')
    expect(asked.request).toMatchObject({ brokerId: 7, previousBrokerEpoch: 3, directories: [DIRECTORY] })
    expect(port.heartbeats).toEqual([])
    asked.answer({ brokerEpoch: 12 })
    await done
    expect(lifecycle.state).toBe(BrokerState.RECOVERY)
    expect(epochs).toEqual([12])
    expect(port.heartbeats).toMatchObject([{ brokerEpoch: 12, wantFence: true, wantShutDown: false }])
  })

  test('is tried again while the session of the life before lasts', async () => {
    const done = lifecycle.register()
    port.take('registerBroker').answer({ code: ErrorCode.DUPLICATE_BROKER_REGISTRATION, message: null })
    await settle()
    timers.advance(100)
    await settle()
    port.take('registerBroker').answer({ brokerEpoch: 12 })
    await done
  })

  test('of more lost replicas than one request takes is not over before all are told', async () => {
    const topicId = 'AAAAAAAAAAAAAAAAAAAAaA' as Uuid
    lost = Array.from({ length: 200_001 }, (_, partition) => ({ topicId, partition }))
    const done = lifecycle.register()
    const told: number[] = []
    const tell = async (answer: unknown, previousBrokerEpoch: number): Promise<void> => {
      const asked = port.take('registerBroker')
      expect(asked.request).toMatchObject({ incarnationId: INCARNATION, previousBrokerEpoch })
      const { lostReplicas } = asked.request as ControllerRequest<'registerBroker'>
      // No request of a peer may have more (`MAX_PEER_FRAME_BYTES`).
      expect(JSON.stringify(asked.request).length).toBeLessThan(14 * 1024 * 1024)
      told.push(lostReplicas!.length)
      asked.answer(answer)
      await settle()
    }
    await tell({ brokerEpoch: 12 }, 3)
    // Half told is as if nothing was: all of it is told again.
    await tell({ code: ErrorCode.NOT_CONTROLLER, message: null }, 12)
    timers.advance(100)
    await settle()
    for (let count = 0; count < 3; count++) {
      expect(epochs).toEqual([])
      expect(port.heartbeats).toEqual([])
      await tell({ brokerEpoch: 12 }, 12)
    }
    await done
    expect(told).toEqual([100_000, 100_000, 100_000, 100_000, 1])
    expect(epochs).toEqual([12])
    expect(port.heartbeats).toMatchObject([{ brokerEpoch: 12, wantFence: true }])
  })

  test('a refusal that does not pass says why', async () => {
    const done = lifecycle.register()
    port.take('registerBroker').answer({ code: ErrorCode.INCONSISTENT_CLUSTER_ID, message: 'cluster x, not y' })
    await expect(done).rejects.toThrow('this broker was not accepted: cluster x, not y')
  })

  test('gives up when the time for it is over', async () => {
    const done = lifecycle.register()
    timers.advance(60_000)
    port.take('registerBroker').answer({ code: ErrorCode.DUPLICATE_BROKER_REGISTRATION, message: 'still there' })
    await expect(done).rejects.toThrow('within 60000 ms (initial.broker.registration.timeout.ms): still there')
  })
})

describe('heartbeats', () => {
  test('a broker that can serve asks eagerly until it is let in, then now and then', async () => {
    await registered()
    const done = lifecycle.unfence()
    expect(port.heartbeats.at(-1)).toMatchObject({ wantFence: false })
    port.answerHeartbeat({ isFenced: true })
    timers.advance(20)
    port.answerHeartbeat({ isFenced: false })
    await done
    expect(lifecycle.state).toBe(BrokerState.RUNNING)
    timers.advance(20)
    const count = port.heartbeats.length
    timers.advance(480)
    expect(port.heartbeats).toHaveLength(count)
    timers.advance(20)
    expect(port.heartbeats).toHaveLength(count + 1)
  })

  test('tell of a failed directory at once', async () => {
    await running()
    const count = port.heartbeats.length
    offline.push(DIRECTORY)
    lifecycle.tellNow()
    expect(port.heartbeats).toHaveLength(count + 1)
    expect(port.heartbeats.at(-1)?.offlineDirectories).toEqual([DIRECTORY])
  })

  test('end with the life', async () => {
    await running()
    lifecycle.close()
    const count = port.heartbeats.length
    timers.advance(10_000)
    expect(port.heartbeats).toHaveLength(count)
  })

  test('a broker that the cluster does not know any more registers again, once', async () => {
    await running()
    port.answerHeartbeat({ errorCode: ErrorCode.STALE_BROKER_EPOCH })
    port.answerHeartbeat({ errorCode: ErrorCode.STALE_BROKER_EPOCH })
    const asked = port.take('registerBroker')
    expect(asked.request).toMatchObject({ previousBrokerEpoch: 12 })
    expect(port.asked).toEqual([])
    asked.answer({ brokerEpoch: 40 })
    await settle()
    expect(epochs).toEqual([12, 40])
    expect(port.heartbeats.at(-1)).toMatchObject({ brokerEpoch: 40, wantFence: false })
    expect(fatal).toEqual([])
  })

  test('a broker whose place another one took ends', async () => {
    await running()
    port.answerHeartbeat({ errorCode: ErrorCode.STALE_BROKER_EPOCH })
    port.take('registerBroker').answer({ code: ErrorCode.INVALID_REGISTRATION, message: 'directory of broker 8' })
    await settle()
    expect(fatal.map(String).join()).toContain('directory of broker 8')
  })
})

test('a broker that is taken for dead says so, and when it serves again', async () => {
  await running()
  lifecycle.onRegistration({ epoch: 12, fenced: true })
  expect(lifecycle.isFenced).toBe(true)
  lifecycle.onRegistration({ epoch: 12, fenced: true })
  lifecycle.onRegistration({ epoch: 11, fenced: false })
  expect(lifecycle.isFenced).toBe(true)
  lifecycle.onRegistration({ epoch: 12, fenced: false })
  expect(logger.lines.map(({ message }) => message)).toEqual([
    'the controller took this broker for dead: its leaderships go to others',
    'this broker serves again',
  ])
})

describe('controlled shutdown', () => {
  test('waits until the cluster lets the broker go', async () => {
    await running()
    const done = lifecycle.controlledShutdown(10_000)
    expect(port.heartbeats.at(-1)).toMatchObject({ wantShutDown: true })
    port.answerHeartbeat()
    timers.advance(20)
    port.answerHeartbeat({ isFenced: true, shouldShutDown: true })
    expect(await done).toBe(true)
  })

  test('does not wait for ever', async () => {
    await running()
    const done = lifecycle.controlledShutdown(10_000)
    for (let elapsedMs = 0; elapsedMs < 10_000; elapsedMs += 500) {
      port.answerHeartbeat()
      timers.advance(500)
    }
    expect(await done).toBe(false)
  })

  test('waits for a moment only where no controller answers', async () => {
    await running()
    const done = lifecycle.controlledShutdown(10_000)
    timers.advance(3000)
    expect(await done).toBe(false)
  })

  test('is nothing for a broker that never served', async () => {
    await registered()
    expect(await lifecycle.controlledShutdown(10_000)).toBe(false)
  })
})
