import type { Uuid } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import {
  cluster,
  contextOf,
  directoryOf,
  idOf,
  imageOf,
  partition,
  registration,
  topic,
  topicConfig,
} from '../../testing/cluster.ts'
import { DirectoryId, type MetadataImage } from '../image.ts'
import type { MetadataRecord } from '../records.ts'
import { applyRecords } from '../reducer.ts'
import { MetadataErrorCode } from './api-error.ts'
import { assignReplicasToDirs } from './assign-directories.ts'
import { fenceBroker, onEarlySignOfLoss, repairPartitions, unfenceBroker } from './broker-events.ts'
import { brokerHeartbeat, type HeartbeatRequest, type ShutdownProgress } from './broker-heartbeat.ts'
import { registerInCluster } from './cluster-registration.ts'
import { SUPPORTED_FEATURES } from './features.ts'
import { unregisterBroker } from './unregister-broker.ts'

const t = idOf(1)
const elrOn: MetadataRecord = { type: 'FeatureLevelRecord', name: 'eligible.leader.replicas.version', featureLevel: 1 }
const UNKNOWN_PROGRESS: ShutdownProgress = { shutdownOffset: null, lowestActiveOffset: 0 }

function beat(image: MetadataImage, init: Partial<HeartbeatRequest> = {}, progress = UNKNOWN_PROGRESS) {
  const broker = image.brokers.get(2)!
  const heartbeat: HeartbeatRequest = {
    brokerId: 2,
    brokerEpoch: broker.epoch,
    incarnationId: broker.incarnationId,
    appliedOffset: 1000,
    wantFence: false,
    wantShutDown: false,
    offlineDirectories: [],
    ...init,
  }
  const { records, response } = brokerHeartbeat(contextOf(image), heartbeat, progress)
  return { records, response, after: applyRecords(image, records).image }
}

const partitionsOf = (image: MetadataImage) => image.topics.get('t')!.partitions
const led = [topic('t', t), partition(t, 0, [2, 1]), partition(t, 1, [1, 2])]
const fenced2 = registration(2, { fenced: true })

describe('heartbeats', () => {
  test('of another registration are stale', () => {
    const image = imageOf(...cluster(1, 2))
    for (const init of [{ brokerEpoch: 21 }, { brokerId: 9 }, { incarnationId: idOf(5) }]) {
      expect(beat(image, init).response.errorCode).toBe(MetadataErrorCode.STALE_BROKER_EPOCH)
    }
  })

  test('a fenced broker comes into service once it has seen its own registration', () => {
    const leaderless = partition(t, 0, [2, 1], { isr: [2], leader: -1 })
    const image = imageOf(...cluster(1), fenced2, topic('t', t), leaderless)
    expect(beat(image, { appliedOffset: 20 })).toMatchObject({
      records: [],
      response: { isCaughtUp: false, isFenced: true },
    })
    expect(beat(image, { wantFence: true }).response).toMatchObject({ isCaughtUp: true, isFenced: true })
    const { response, after } = beat(image, { appliedOffset: 21 })
    expect(response).toEqual({ errorCode: 0, isCaughtUp: true, isFenced: false, shouldShutDown: false })
    expect(after.brokers.get(2)!.fenced).toBe(false)
    expect(partitionsOf(after)[0]).toMatchObject({ leader: 2, isr: [2] })
  })

  test('a fenced broker that wants to stop may at once', () => {
    const { records, response } = beat(imageOf(...cluster(1), fenced2), { wantShutDown: true })
    expect(records).toEqual([])
    expect(response).toMatchObject({ isFenced: true, shouldShutDown: true })
  })

  test('one that asks for it is fenced', () => {
    const { response, after } = beat(imageOf(...cluster(1, 2), ...led), { wantFence: true })
    expect(response).toMatchObject({ isFenced: true, shouldShutDown: false })
    expect(partitionsOf(after)[0]).toMatchObject({ leader: 1, isr: [1] })
  })

  test('a controlled shutdown moves what it leads, then waits until the others know', () => {
    const first = beat(imageOf(...cluster(1, 2), ...led), { wantShutDown: true })
    expect(first.response).toMatchObject({ isFenced: false, shouldShutDown: false })
    expect(first.after.brokers.get(2)).toMatchObject({ inControlledShutdown: true, fenced: false })
    expect(partitionsOf(first.after).map(({ leader, isr }) => [leader, isr])).toEqual([
      [1, [1]],
      [1, [1]],
    ])
    const waiting = beat(
      first.after,
      { wantShutDown: true },
      { shutdownOffset: first.after.offset, lowestActiveOffset: first.after.offset - 1 },
    )
    expect(waiting.response.shouldShutDown).toBe(false)
    expect(waiting.records).toEqual([])
    const known = beat(
      first.after,
      { wantShutDown: true },
      { shutdownOffset: first.after.offset, lowestActiveOffset: first.after.offset },
    )
    expect(known.response).toMatchObject({ shouldShutDown: true, isFenced: true })
    expect(known.after.brokers.get(2)!.fenced).toBe(true)
  })

  test('a broker that leads nothing stops at once, and leaves the in-sync sets', () => {
    const image = imageOf(...cluster(1, 2), topic('t', t), partition(t, 0, [1, 2]))
    const { response, after } = beat(image, { wantShutDown: true })
    expect(response).toMatchObject({ shouldShutDown: true, isFenced: true })
    expect(partitionsOf(after)[0]!.isr).toEqual([1])
  })

  test('a directory that failed takes its replicas out, and is told once', () => {
    const two = registration(2, { logDirs: [directoryOf(2), idOf(50)] })
    const other = partition(t, 1, [2, 1], { directories: [idOf(50), directoryOf(1)] })
    const image = imageOf(...cluster(1), two, topic('t', t), partition(t, 0, [2, 1]), other)
    const { after } = beat(image, { offlineDirectories: [idOf(50)] })
    expect(after.brokers.get(2)!.directories).toEqual([directoryOf(2)])
    expect(partitionsOf(after).map(({ leader, isr }) => [leader, isr])).toEqual([
      [2, [2, 1]],
      [1, [1]],
    ])
    expect(beat(after, { offlineDirectories: [idOf(50)] }).records).toEqual([])
  })
})

describe('a directory that fails before the broker has told which replicas lie in it', () => {
  const minIsr2 = topicConfig('t', 'min.insync.replicas', '2')
  const two = registration(2, { logDirs: [directoryOf(2), idOf(50)] })
  const untold = (partitionId: number, replicas: readonly number[]) =>
    partition(t, partitionId, replicas, {
      directories: replicas.map((id) => (id === 2 ? DirectoryId.UNASSIGNED : directoryOf(id))),
    })
  const image = imageOf(...cluster(1), two, elrOn, minIsr2, topic('t', t), untold(0, [2, 1]), untold(1, [2]))
  const { after } = beat(image, { offlineDirectories: [idOf(50)] })
  const assigned = (directory: Uuid, before = after) => {
    const { epoch } = before.brokers.get(2)!
    const partitions = [0, 1].map((id) => ({ topicId: t, partition: id, directory }))
    const { records } = assignReplicasToDirs(contextOf(before), { brokerId: 2, brokerEpoch: epoch, partitions })
    return applyRecords(before, records).image
  }

  test('its replicas count as lost, and stay eligible', () => {
    expect(partitionsOf(after)).toMatchObject([
      { leader: 1, isr: [1], elr: [2], directories: [DirectoryId.LOST, directoryOf(1)] },
      { leader: -1, isr: [], elr: [2], directories: [DirectoryId.LOST] },
    ])
  })

  test('those that lie elsewhere lead again once the broker says so', () => {
    const told = assigned(directoryOf(2))
    expect(partitionsOf(told)[1]).toMatchObject({ leader: 2, isr: [2], elr: [], leaderRecoveryState: 0 })
    expect(partitionsOf(told)[0]).toMatchObject({ elr: [2], directories: [directoryOf(2), directoryOf(1)] })
    expect(partitionsOf(assigned(idOf(50)))[1]).toMatchObject({ leader: -1, isr: [] })
  })

  test('after a restart nobody can say so any more: they are eligible no longer', () => {
    const { records } = registerInCluster(
      contextOf(after),
      {
        clusterId: 'cluster',
        brokerId: 2,
        incarnationId: idOf(99),
        rack: null,
        endpoints: [],
        features: SUPPORTED_FEATURES,
        directories: [directoryOf(2)],
        recoveredCleanly: true,
        previousBrokerEpoch: -1,
      },
      false,
    )
    const restarted = applyRecords(after, records).image
    expect(partitionsOf(restarted)[0]).toMatchObject({ leader: 1, isr: [1], elr: [] })
  })
})

describe('loss of a broker', () => {
  test('fencing takes it out of all in-sync sets, before the record that says so', () => {
    const image = imageOf(...cluster(1, 2), ...led)
    const records = fenceBroker(contextOf(image), 2)
    expect(records.at(-1)).toMatchObject({ type: 'BrokerRegistrationChangeRecord', fenced: true })
    const after = applyRecords(image, records).image
    expect(partitionsOf(after).map(({ isr }) => isr)).toEqual([[1], [1]])
    expect(fenceBroker(contextOf(after), 2)).toEqual([])
    expect(fenceBroker(contextOf(after), 9)).toEqual([])
  })

  test('on the early sign a partition without another live in-sync replica keeps its leader', () => {
    const image = imageOf(...cluster(1, 2), ...led, partition(t, 2, [2, 1], { isr: [2] }))
    const after = applyRecords(image, onEarlySignOfLoss(contextOf(image), 2)).image
    expect(after.brokers.get(2)!.fenced).toBe(false)
    expect(partitionsOf(after).map(({ leader, isr }) => [leader, isr])).toEqual([
      [1, [1]],
      [1, [1]],
      [2, [2]],
    ])
    const late = applyRecords(after, fenceBroker(contextOf(after), 2)).image
    expect(late.brokers.get(2)!.fenced).toBe(true)
    expect(partitionsOf(late)[2]!.leader).toBe(-1)
  })

  test('on the early sign a broker that nothing depends on is fenced', () => {
    const image = imageOf(...cluster(1, 2), ...led)
    const after = applyRecords(image, onEarlySignOfLoss(contextOf(image), 2)).image
    expect(after.brokers.get(2)!.fenced).toBe(true)
  })

  test('coming back, it takes what only it can lead', () => {
    const orphan = partition(t, 0, [2, 1], { isr: [], leader: -1, eligibleLeaderReplicas: [2] })
    const image = imageOf(...cluster(1), fenced2, elrOn, topic('t', t), orphan)
    const after = applyRecords(image, unfenceBroker(contextOf(image), 2)).image
    expect(partitionsOf(after)[0]).toMatchObject({ leader: 2, isr: [2], elr: [] })
    expect(unfenceBroker(contextOf(after), 2)).toEqual([])
  })

  test('unregistering a living broker takes it out; its id stays among the replicas', () => {
    const image = imageOf(...cluster(1, 2), ...led)
    const { records, response } = unregisterBroker(contextOf(image), 2)
    const after = applyRecords(image, records).image
    expect(response).toBe(null)
    expect(after.brokers.has(2)).toBe(false)
    expect(partitionsOf(after)[0]).toMatchObject({ leader: 1, isr: [1], replicas: [2, 1] })
    expect(unregisterBroker(contextOf(after), 2).response).toMatchObject({
      code: MetadataErrorCode.BROKER_ID_NOT_REGISTERED,
    })
  })
})

describe('repair after a split operation', () => {
  test('finishes what another controller began, and finds nothing in good state', () => {
    const image = imageOf(...cluster(1), fenced2, ...led, partition(t, 2, [1, 2], { isr: [1], leader: -1 }))
    const after = applyRecords(image, repairPartitions(contextOf(image))).image
    expect(partitionsOf(after).map(({ leader, isr }) => [leader, isr])).toEqual([
      [1, [1]],
      [1, [1]],
      [1, [1]],
    ])
    expect(repairPartitions(contextOf(after))).toEqual([])
  })

  test('elects nobody uncleanly, even where the topic permits it', () => {
    const lost = partition(t, 0, [2, 1], { isr: [2], leader: -1 })
    const permission = topicConfig('t', 'unclean.leader.election.enable', 'true')
    const image = imageOf(...cluster(1), fenced2, topic('t', t), lost, permission)
    expect(repairPartitions(contextOf(image))).toEqual([])
  })

  test('does not end a move in the name of a member that is shutting down', () => {
    const moving = partition(t, 0, [1, 2, 3], { isr: [1], leader: -1, addingReplicas: [1], removingReplicas: [3] })
    const stopping = registration(1, { inControlledShutdown: true })
    const image = imageOf(...cluster(2, 3), stopping, topic('t', t), moving)
    expect(repairPartitions(contextOf(image))).toEqual([])
  })
})
