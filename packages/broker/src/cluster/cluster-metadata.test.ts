import { SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import {
  applyRecords,
  ControllerRequestError,
  ControllerUnavailableError,
  emptyImage,
  type MetadataDelta,
  type MetadataRecord,
} from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import { ClusterMetadata } from './cluster-metadata.ts'
import { FakeControllerPort } from './testing/fake-controller-port.ts'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAZA' as Uuid
const OTHER_ID = 'AAAAAAAAAAAAAAAAAAAAZQ' as Uuid

const topicRecord = (name: string, topicId = TOPIC_ID): MetadataRecord => ({ type: 'TopicRecord', name, topicId })
const configRecord = (name: string, value: string): MetadataRecord => ({
  type: 'ConfigRecord',
  resourceType: 4,
  resourceName: '',
  name,
  value,
})
const noOp: MetadataRecord = { type: 'NoOpRecord' }

let clock: SimulatedClock
let timers: SimulatedTimers
let port: FakeControllerPort
let metadata: ClusterMetadata
let fatal: Error[]
let deltas: MetadataDelta[]
let activeControllers: (number | null)[]

beforeEach(() => {
  clock = new SimulatedClock()
  timers = new SimulatedTimers(clock)
  port = new FakeControllerPort()
  fatal = []
  deltas = []
  activeControllers = []
  metadata = new ClusterMetadata({
    port,
    clusterId: 'cluster',
    nodeId: 1,
    clock,
    timers,
    requestTimeoutMs: 30_000,
    onHeartbeatAnswer: () => undefined,
    onActiveController: (id) => activeControllers.push(id),
    onFatal: (error) => fatal.push(error),
  })
  metadata.subscribe((_, delta) => deltas.push(delta))
  metadata.start()
})

/** Lets promises that need nothing from outside go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

/** Whether the promise is settled once nothing else can happen. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const note = () => {
    settled = true
  }
  promise.then(note, note)
  await settle()
  return settled
}

test('tells of another active controller, and of none, once each', () => {
  for (const id of [null, 2, 2, null, 3]) port.events!.onActiveController(id)
  expect(activeControllers).toEqual([2, null, 3])
  expect(metadata.activeController).toBe(3)
})

test('tells for how long no active controller has been known', () => {
  clock.advance(700)
  expect(metadata.controllerUnknownMs).toBe(700)
  port.events!.onActiveController(2)
  clock.advance(300)
  expect(metadata.controllerUnknownMs).toBe(0)
  port.events!.onActiveController(null)
  clock.advance(200)
  port.events!.onActiveController(null)
  expect(metadata.controllerUnknownMs).toBe(200)
})

describe('the image', () => {
  test('follows committed records, and listeners are told of each step', () => {
    port.commit(topicRecord('a'), configRecord('log.retention.ms', '1'))
    port.commit(noOp)
    expect(metadata.image.offset).toBe(3)
    expect(metadata.image.topics.has('a')).toBe(true)
    expect(deltas.map((delta) => [...delta.changedTopics])).toEqual([['a'], []])
    expect([...deltas[0]!.changedConfigs]).toEqual(['4:'])
  })

  test('is replaced by a snapshot, and listeners are told what differs', () => {
    port.commit(topicRecord('gone'), configRecord('log.retention.ms', '1'))
    const { image } = applyRecords(emptyImage('cluster'), [topicRecord('new', OTHER_ID), noOp, noOp])
    port.events!.onImage(image)
    expect(metadata.image).toBe(image)
    const delta = deltas.at(-1)!
    expect([...delta.changedTopics]).toEqual(['new'])
    expect(delta.removedTopics.map(({ name }) => name)).toEqual(['gone'])
    expect([...delta.changedConfigs]).toEqual(['4:'])
  })

  test('never skips records: a gap ends the process', () => {
    port.events!.onRecords(5, [noOp])
    expect(fatal.map(String).join()).toContain('records from 5 came, but 0 is the next')
    expect(metadata.image.offset).toBe(0)
  })
})

describe('a change', () => {
  const request = { topics: [], validateOnly: false }

  test('is answered once this broker has applied it', async () => {
    const answer = metadata.createTopics(request)
    port.take('createTopics').answer([])
    await settle()
    port.take('readBarrier').answer({ offset: 2 })
    expect(await isSettled(answer)).toBe(false)
    port.commit(topicRecord('a'))
    expect(await isSettled(answer)).toBe(false)
    port.commit(noOp)
    expect(await isSettled(answer)).toBe(true)
  })

  test('is answered at the end of its time even where this broker lags', async () => {
    const answer = metadata.createTopics(request, 1000)
    expect(port.asked[0]!.timeoutMs).toBe(1000)
    port.take('createTopics').answer([])
    await settle()
    port.take('readBarrier').answer({ offset: 2 })
    await settle()
    timers.advance(999)
    expect(await isSettled(answer)).toBe(false)
    timers.advance(1)
    expect(await isSettled(answer)).toBe(true)
  })

  test('is answered though the controller that made it is gone', async () => {
    const answer = metadata.createTopics(request)
    port.take('createTopics').answer([])
    await settle()
    port.take('readBarrier').reject(new ControllerUnavailableError('gone', false))
    expect(await isSettled(answer)).toBe(true)
  })

  test('that only checks waits for nothing', async () => {
    const answer = metadata.createTopics({ topics: [], validateOnly: true })
    port.take('createTopics').answer([])
    expect(await isSettled(answer)).toBe(true)
    expect(port.asked).toEqual([])
  })

  test('never waits longer than this broker does for any request', () => {
    void metadata.createTopics(request, 1e9)
    expect(port.asked[0]!.timeoutMs).toBe(30_000)
  })
})

describe('without a controller every part of a request bears REQUEST_TIMED_OUT', () => {
  const timedOut = ErrorCode.REQUEST_TIMED_OUT
  const lose = (name: Parameters<FakeControllerPort['take']>[0]) =>
    port.take(name).reject(new ControllerUnavailableError('no controller', true))

  test('topics and partitions', async () => {
    const created = metadata.createTopics({
      topics: [{ name: 'a', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
      validateOnly: false,
    })
    lose('createTopics')
    expect(await created).toMatchObject([{ name: 'a', errorCode: timedOut, numPartitions: -1 }])
    const deleted = metadata.deleteTopics([{ name: 'a', topicId: TOPIC_ID }])
    lose('deleteTopics')
    expect(await deleted).toMatchObject([{ name: 'a', topicId: TOPIC_ID, errorCode: timedOut }])
    const grown = metadata.createPartitions({
      topics: [{ name: 'a', count: 2, assignments: null }],
      validateOnly: false,
    })
    lose('createPartitions')
    expect(await grown).toMatchObject([{ name: 'a', errorCode: timedOut }])
    const moved = metadata.alterPartitionReassignments({
      allowReplicationFactorChange: true,
      topics: [{ name: 'a', partitions: [{ partitionIndex: 3, replicas: [1] }] }],
    })
    lose('alterPartitionReassignments')
    expect(await moved).toMatchObject([{ name: 'a', partitions: [{ partitionIndex: 3, errorCode: timedOut }] }])
  })

  test('settings and the rest', async () => {
    const resource = { resourceType: 2, resourceName: 'a', configs: [] }
    const altered = metadata.incrementalAlterConfigs([resource], false)
    lose('incrementalAlterConfigs')
    expect(await altered).toMatchObject([{ resourceType: 2, resourceName: 'a', errorCode: timedOut }])
    const elected = metadata.electLeaders({ electionType: 0, topicPartitions: null })
    lose('electLeaders')
    expect(await elected).toMatchObject({ code: timedOut })
    const described = metadata.describeQuorum()
    lose('describeQuorum')
    expect(await described).toMatchObject({ code: timedOut })
  })

  test('ACLs, and the filters of those to delete', async () => {
    const acl = {
      resourceType: 2,
      resourceName: 'a',
      patternType: 3,
      principal: 'User:a',
      host: '*',
      operation: 3,
      permissionType: 3,
    }
    const decoded = { ...acl, unknownTaggedFields: null }
    const created = metadata.createAcls([decoded, decoded])
    // Only what controllers know is sent.
    expect(port.asked[0]!.request).toEqual({ creations: [acl, acl] })
    lose('createAcls')
    expect(await created).toMatchObject([{ errorCode: timedOut }, { errorCode: timedOut }])
    const deleted = metadata.deleteAcls([{ ...decoded, principal: null }])
    lose('deleteAcls')
    expect(await deleted).toMatchObject([{ errorCode: timedOut, deleted: [] }])
  })

  test('a refusal of the whole keeps its own error', async () => {
    const unregistered = metadata.unregisterBroker(3)
    port.take('unregisterBroker').reject(new ControllerRequestError(ErrorCode.POLICY_VIOLATION, 'too much'))
    expect(await unregistered).toEqual({ code: ErrorCode.POLICY_VIOLATION, message: 'too much' })
  })

  test('a fault of our own is no answer', async () => {
    const answer = metadata.unregisterBroker(3)
    port.take('unregisterBroker').reject(new TypeError('oops'))
    await expect(answer).rejects.toThrow('oops')
  })
})

test('producer ids are asked for by the epoch of the registration', () => {
  metadata.brokerEpoch = 17
  void metadata.allocateProducerIds()
  expect(port.asked[0]!.request).toEqual({ brokerId: 1, brokerEpoch: 17 })
})

test('closing ends every wait', async () => {
  const waiting = metadata.whenApplied(9, 1e6)
  await metadata.close()
  expect(await waiting).toBe(false)
  expect(port.isClosed).toBe(true)
})
