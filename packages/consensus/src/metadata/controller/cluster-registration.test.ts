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
import { fenceBroker, unfenceBroker } from './broker-events.ts'
import { type ClusterRegistration, registerInCluster } from './cluster-registration.ts'
import { SUPPORTED_FEATURES } from './features.ts'

const t = idOf(1)
const elrOn: MetadataRecord = { type: 'FeatureLevelRecord', name: 'eligible.leader.replicas.version', featureLevel: 1 }
const minIsr2: MetadataRecord = {
  type: 'ConfigRecord',
  resourceType: 2,
  resourceName: 't',
  name: 'min.insync.replicas',
  value: '2',
}

function request(init: Partial<ClusterRegistration> = {}): ClusterRegistration {
  return {
    clusterId: 'cluster',
    brokerId: 2,
    incarnationId: idOf(99),
    rack: null,
    endpoints: [],
    features: SUPPORTED_FEATURES,
    directories: [directoryOf(2)],
    recoveredCleanly: true,
    previousBrokerEpoch: -1,
    ...init,
  }
}

function register(image: MetadataImage, init: Partial<ClusterRegistration> = {}, isLive = false) {
  const { records, response } = registerInCluster(contextOf(image), request(init), isLive)
  return { records, response, after: applyRecords(image, records).image }
}

describe('checks, in order', () => {
  const image = imageOf(...cluster(1, 2))
  const codeOf = (init: Partial<ClusterRegistration>, isLive = false) => {
    const { response, records } = register(image, init, isLive)
    expect(records).toEqual([])
    return 'code' in response ? response.code : response
  }

  test('another cluster comes before everything', () => {
    expect(codeOf({ clusterId: 'other', directories: [] }, true)).toBe(MetadataErrorCode.INCONSISTENT_CLUSTER_ID)
  })

  test('a living incarnation refuses another one, before directories are looked at', () => {
    expect(codeOf({ directories: [] }, true)).toBe(MetadataErrorCode.DUPLICATE_BROKER_REGISTRATION)
  })

  test('directories: some, each once, not reserved, not another broker’s', () => {
    for (const directories of [
      [],
      [directoryOf(2), directoryOf(2)],
      [DirectoryId.LOST],
      [directoryOf(2), directoryOf(1)],
    ]) {
      expect(codeOf({ directories, features: new Map() })).toBe(MetadataErrorCode.INVALID_REGISTRATION)
    }
  })

  test('features: ranges that hold the levels, the metadata version, and nothing finalized left out', () => {
    const features = (change: (map: Map<string, { min: number; max: number }>) => void) => {
      const map = new Map(SUPPORTED_FEATURES)
      change(map)
      return { features: map }
    }
    expect(codeOf(features((map) => map.set('metadata.version', { min: 7, max: 29 })))).toBe(
      MetadataErrorCode.UNSUPPORTED_VERSION,
    )
    expect(codeOf(features((map) => map.set('new.version', { min: 1, max: 2 })))).toBe(
      MetadataErrorCode.UNSUPPORTED_VERSION,
    )
    expect(codeOf(features((map) => map.delete('metadata.version')))).toBe(MetadataErrorCode.INVALID_REGISTRATION)
    const on = imageOf(...cluster(1, 2), elrOn)
    const without = features((map) => map.delete('eligible.leader.replicas.version'))
    expect(register(on, without).response).toMatchObject({ code: MetadataErrorCode.UNSUPPORTED_VERSION })
  })
})

describe('a new incarnation', () => {
  test('is fenced and has an epoch that grows with each start', () => {
    const first = register(imageOf(...cluster(1)))
    expect(first.after.brokers.get(2)).toMatchObject({ fenced: true, epoch: first.after.offset - 1 })
    expect(first.response).toEqual({ brokerEpoch: first.after.offset - 1 })
    const second = register(first.after, { incarnationId: idOf(98) })
    expect(second.after.brokers.get(2)!.epoch).toBeGreaterThan(first.after.brokers.get(2)!.epoch)
  })

  test('leaves the in-sync sets; clean-up stands before the registration, whose offset is the epoch', () => {
    const image = imageOf(...cluster(1, 2), topic('t', t), partition(t, 0, [2, 1]), partition(t, 1, [1]))
    const { records, after } = register(image)
    expect(records.map((record) => record.type)).toEqual(['PartitionChangeRecord', 'RegisterBrokerRecord'])
    expect(after.topics.get('t')!.partitions[0]).toMatchObject({ isr: [1], leader: 1 })
    expect(after.brokers.get(2)!.epoch).toBe(after.offset - 1)
  })

  test('that lost nothing stays eligible; one that may have lost records does not', () => {
    const image = imageOf(...cluster(1, 2), elrOn, minIsr2, topic('t', t), partition(t, 0, [2, 1]))
    const elrOf = (init: Partial<ClusterRegistration>) =>
      register(image, init).after.topics.get('t')!.partitions[0]!.elr
    expect(elrOf({})).toEqual([2])
    expect(elrOf({ previousBrokerEpoch: 20 })).toEqual([2])
    expect(elrOf({ recoveredCleanly: false })).toEqual([])
    // A disk that was set back to an earlier clean stop.
    expect(elrOf({ previousBrokerEpoch: 7 })).toEqual([])
    // A directory that was wiped has another id.
    expect(elrOf({ directories: [idOf(77)] })).toEqual([])
  })

  test('with a wiped disk it is no best guess either, unless it has the only replica; its new directory is known', () => {
    const only = partition(t, 1, [2])
    const image = imageOf(...cluster(1, 2), elrOn, topic('t', t), partition(t, 0, [2, 1], { isr: [2] }), only)
    const { after } = register(image, { directories: [idOf(77)] })
    const [first, second] = after.topics.get('t')!.partitions
    expect(first).toMatchObject({
      leader: -1,
      isr: [],
      elr: [],
      lastKnownElr: [],
      directories: [idOf(77), directoryOf(1)],
    })
    expect(second).toMatchObject({ leader: -1, isr: [], elr: [], lastKnownElr: [2], directories: [idOf(77)] })
  })

  test('that lacks one of its directories keeps no only replica in another one', () => {
    const two = registration(2, { logDirs: [directoryOf(2), idOf(50)] })
    const only = partition(t, 0, [2], { directories: [idOf(50)] })
    const shared = partition(t, 1, [2, 1], { directories: [idOf(50), directoryOf(1)] })
    const image = imageOf(...cluster(1), two, elrOn, topic('t', t), only, shared)
    const [first, second] = register(image).after.topics.get('t')!.partitions
    // The disk may come back; an empty log in its place would be all that is left.
    expect(first).toMatchObject({ leader: -1, directories: [idOf(50)] })
    expect(second).toMatchObject({ leader: 1, isr: [1], directories: [directoryOf(2), directoryOf(1)] })
  })

  test('that has another disk in place of one of several may put its replicas anywhere', () => {
    const two = registration(2, { logDirs: [directoryOf(2), idOf(50)] })
    const only = partition(t, 0, [2], { directories: [idOf(50)] })
    const shared = partition(t, 1, [2, 1], { directories: [idOf(50), directoryOf(1)] })
    const other = partition(t, 2, [2, 1])
    const image = imageOf(...cluster(1), two, elrOn, minIsr2, topic('t', t), only, shared, other)
    const { after } = register(image, { directories: [directoryOf(2), idOf(60)] })
    expect(after.topics.get('t')!.partitions).toMatchObject([
      { leader: -1, elr: [], lastKnownElr: [2], directories: [DirectoryId.UNASSIGNED] },
      { leader: 1, elr: [], directories: [DirectoryId.UNASSIGNED, directoryOf(1)] },
      { leader: 1, isr: [1], directories: [directoryOf(2), directoryOf(1)] },
    ])
  })

  test('with a wiped disk does not lead again as the last in-sync member, also without eligible replicas', () => {
    const image = imageOf(...cluster(1, 2), topic('t', t), partition(t, 0, [2, 1], { isr: [2] }))
    const { after } = register(image, { directories: [idOf(77)] })
    const unfenced = applyRecords(after, unfenceBroker(contextOf(after), 2)).image
    expect(unfenced.topics.get('t')!.partitions[0]).toMatchObject({ leader: -1 })
    const permitted = applyRecords(after, [topicConfig('t', 'unclean.leader.election.enable', 'true')]).image
    const elected = applyRecords(permitted, unfenceBroker(contextOf(permitted), 2)).image
    expect(elected.topics.get('t')!.partitions[0]).toMatchObject({ leader: 1, isr: [1], leaderRecoveryState: 1 })
  })

  test('that has lost the log of a replica has that one without a place; its others stay as they were', () => {
    const before = [partition(t, 0, [2, 1]), partition(t, 1, [2, 1]), partition(t, 2, [2, 1], { isr: [2] })]
    const image = imageOf(...cluster(1, 2), elrOn, minIsr2, topic('t', t), ...before)
    const { after } = register(image, { lostReplicas: [0, 2].map((id) => ({ topicId: t, partition: id })) })
    expect(after.topics.get('t')!.partitions).toMatchObject([
      { isr: [1], elr: [], leader: 1, directories: [DirectoryId.LOST_LOG, directoryOf(1)] },
      { isr: [1], elr: [2], leader: 1, directories: [directoryOf(2), directoryOf(1)] },
      { isr: [], elr: [2], leader: -1, directories: [DirectoryId.LOST_LOG, directoryOf(1)] },
    ])
  })

  describe('that has lost so many logs that it takes more than one request', () => {
    const lostReplicas = [{ topicId: t, partition: 0 }]
    const rest = [{ topicId: t, partition: 1 }]
    const three = [0, 1, 2].map((slot) => partition(t, slot, [2, 1], { isr: [2] }))
    const registered = (...records: MetadataRecord[]) => {
      const { after } = register(imageOf(...cluster(1, 2), topic('t', t), ...records), { lostReplicas })
      return { after, unfenced: applyRecords(after, unfenceBroker(contextOf(after), 2)).image }
    }
    const partitionsOf = (image: MetadataImage) => image.topics.get('t')!.partitions

    test.each([
      ['with', [elrOn]],
      ['without', []],
    ])('leads none of them once it is let in, %s eligible replicas', (_, features) => {
      const { after } = registered(...features, ...three)
      const amended = register(after, { lostReplicas: rest })
      expect(amended.response).toEqual({ brokerEpoch: after.brokers.get(2)!.epoch })
      const unfenced = applyRecords(amended.after, unfenceBroker(contextOf(amended.after), 2)).image
      expect(partitionsOf(unfenced).map(({ leader }) => leader)).toEqual([-1, -1, 2])
      // Each may be sent again, of those that were answered by nobody.
      for (const again of [rest, lostReplicas]) {
        const { records } = register(amended.after, { lostReplicas: again })
        expect(records.map(({ type }) => type)).toEqual(['RegisterBrokerRecord'])
      }
    })

    test('keeps the claims to all of them, also where it names the epoch of the life before again', () => {
      const image = imageOf(...cluster(1, 2), elrOn, topic('t', t), ...three)
      const previousBrokerEpoch = image.brokers.get(2)!.epoch
      const { after } = register(image, { lostReplicas, previousBrokerEpoch })
      const amended = register(after, { lostReplicas: rest, previousBrokerEpoch })
      expect(partitionsOf(amended.after).map(({ elr }) => elr)).toEqual([[2], [2], [2]])
    })

    test('says nothing of its others: those were judged with the first request', () => {
      const { unfenced } = registered(elrOn, ...three)
      const fenced = applyRecords(unfenced, fenceBroker(contextOf(unfenced), 2)).image
      const { after } = register(fenced, { lostReplicas: rest, recoveredCleanly: false })
      expect(partitionsOf(after)[2]).toMatchObject({ isr: [], elr: [2] })
    })

    test('keeps what it holds again, when the request comes after it was let in', () => {
      const { unfenced } = registered(elrOn, ...three)
      const { after } = register(unfenced, { lostReplicas: rest })
      expect(partitionsOf(after)[1]).toMatchObject({ isr: [2], leader: 2 })
    })
  })

  test('an unassigned replica is taken for lost only if a directory is missing', () => {
    const unassigned = partition(t, 0, [2, 1], { directories: [DirectoryId.UNASSIGNED, directoryOf(1)] })
    const two = registration(2, { logDirs: [directoryOf(2), idOf(50)] })
    const image = imageOf(...cluster(1), two, elrOn, minIsr2, topic('t', t), unassigned)
    const elrOf = (directories: ClusterRegistration['directories']) =>
      register(image, { directories }).after.topics.get('t')!.partitions[0]!.elr
    expect(elrOf([idOf(50), directoryOf(2)])).toEqual([2])
    expect(elrOf([directoryOf(2)])).toEqual([])
  })

  test('that may have lost records also leaves the eligible replicas it was in before', () => {
    const before = partition(t, 0, [2, 1], { isr: [1], eligibleLeaderReplicas: [2] })
    const image = imageOf(...cluster(1, 2), elrOn, minIsr2, topic('t', t), before)
    const { after } = register(image, { recoveredCleanly: false })
    expect(after.topics.get('t')!.partitions[0]).toMatchObject({ isr: [1], elr: [], partitionEpoch: 1 })
  })

  test('without eligible replicas the last in-sync member stays, leaderless', () => {
    const image = imageOf(...cluster(1, 2), topic('t', t), partition(t, 0, [2, 1], { isr: [2] }))
    const { after } = register(image, { recoveredCleanly: false })
    expect(after.topics.get('t')!.partitions[0]).toMatchObject({ isr: [2], leader: -1 })
  })
})

describe('a leader that restarts leads under a new epoch only', () => {
  // What it had written and not synced, followers may have fetched: other records take those offsets now.
  const elr = [elrOn, minIsr2]
  test.each([
    ['clean', {}, []],
    ['clean, with eligible replicas', {}, elr],
    ['after a crash', { recoveredCleanly: false }, []],
    ['after a crash, with eligible replicas', { recoveredCleanly: false }, elr],
  ])('%s', (_, init, more) => {
    for (const [replicas, isr] of [
      [[2], [2]],
      [[2, 1], [2]],
      [
        [2, 1],
        [2, 1],
      ],
    ] as const) {
      const before = partition(t, 0, replicas, { isr, leaderEpoch: 7 })
      const image = imageOf(...cluster(1, 2), ...more, topic('t', t), before)
      const { after } = register(image, init)
      expect(after.topics.get('t')!.partitions[0]!.leader).not.toBe(2)
      const unfenced = applyRecords(after, unfenceBroker(contextOf(after), 2)).image
      expect(unfenced.topics.get('t')!.partitions[0]!.leader).toBe(isr.length === 1 ? 2 : 1)
      expect(unfenced.topics.get('t')!.partitions[0]!.leaderEpoch).toBeGreaterThan(7)
    }
  })
})

test('the same incarnation amends its registration and keeps epoch and state', () => {
  const image = imageOf(...cluster(1, 2), topic('t', t), partition(t, 0, [2, 1]))
  const { incarnationId } = image.brokers.get(2)!
  const { response, after } = register(image, { incarnationId, rack: 'new' }, true)
  expect(response).toEqual({ brokerEpoch: 20 })
  expect(after.brokers.get(2)).toMatchObject({ rack: 'new', epoch: 20, fenced: false })
  expect(after.topics.get('t')!.partitions[0]!.isr).toEqual([2, 1])
})

test('a directory that the same incarnation names no more has failed: its replicas are in sync with nothing', () => {
  const two = registration(2, { logDirs: [directoryOf(2), idOf(50)] })
  const lost = partition(t, 0, [2, 1], { directories: [idOf(50), directoryOf(1)] })
  const image = imageOf(...cluster(1), two, topic('t', t), lost, partition(t, 1, [2, 1]))
  const { after } = register(image, { incarnationId: two.incarnationId }, true)
  const [first, second] = after.topics.get('t')!.partitions
  expect(first).toMatchObject({ leader: 1, isr: [1] })
  expect(second).toMatchObject({ leader: 2, isr: [2, 1] })
  expect(after.brokers.get(2)).toMatchObject({ directories: [directoryOf(2)], epoch: 20 })
})
