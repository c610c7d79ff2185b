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
import { bootstrapRecords } from '../bootstrap.ts'
import { ConfigResourceType, configsOf, type FeatureRange, type MetadataImage } from '../image.ts'
import type { MetadataRecord } from '../records.ts'
import { applyRecords } from '../reducer.ts'
import { MetadataErrorCode } from './api-error.ts'
import { type BrokerRegistration, registerBroker } from './broker-registration.ts'
import { ElectionType, electLeaders } from './elect-leaders.ts'
import { SUPPORTED_FEATURES } from './features.ts'
import { allocateProducerIds } from './producer-ids.ts'
import { registerController } from './register-controller.ts'
import { UpgradeType, updateFeatures } from './update-features.ts'

const elr = (featureLevel: number): MetadataRecord => ({
  type: 'FeatureLevelRecord',
  name: 'eligible.leader.replicas.version',
  featureLevel,
})

describe('features', () => {
  const { UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE } = UpgradeType
  const image = imageOf(...cluster(1))

  function update(feature: string, maxVersionLevel: number, upgradeType: number, from: MetadataImage = image) {
    const { records, response } = updateFeatures(contextOf(from), [{ feature, maxVersionLevel, upgradeType }], false)
    if (response !== null) {
      expect(response.code).toBe(MetadataErrorCode.INVALID_UPDATE_VERSION)
      expect(records).toEqual([])
    }
    return { records, complaint: response?.message ?? null, after: applyRecords(from, records).image.features }
  }

  test('a level goes up with an upgrade, down only with a downgrade', () => {
    const on = imageOf(...cluster(1), elr(1))
    expect(update('eligible.leader.replicas.version', 1, UPGRADE).after.get('eligible.leader.replicas.version')).toBe(1)
    expect(update('eligible.leader.replicas.version', 1, SAFE_DOWNGRADE).complaint).toMatch(/newer version/)
    expect(update('eligible.leader.replicas.version', 0, UPGRADE, on).complaint).toMatch(/lower version/)
    const off = update('eligible.leader.replicas.version', 0, SAFE_DOWNGRADE, on).after
    expect(off.has('eligible.leader.replicas.version')).toBe(false)
    expect(update('eligible.leader.replicas.version', 1, UPGRADE, on).complaint).toBeNull()
  })

  test('unknown features, levels and types are refused with the reason', () => {
    expect(update('magic.version', 1, UPGRADE).complaint).toMatch(
      /magic\.version\. Local controller 1 does not support/,
    )
    expect(update('metadata.version', 99, UPGRADE).complaint).toMatch(/only supports versions 7-30/)
    expect(update('metadata.version', -1, UPGRADE).complaint).toMatch(/less than 0/)
    expect(update('metadata.version', 30, 0).complaint).toMatch(/upgrade type/)
    expect(update('metadata.version', 30, 4).complaint).toMatch(/upgrade type/)
  })

  test('every registered broker must know the level, fenced ones too', () => {
    const old = registration(2, { features: { 'metadata.version': { min: 7, max: 30 } }, fenced: true })
    const mixed = imageOf(...cluster(1), old)
    expect(update('eligible.leader.replicas.version', 1, UPGRADE, mixed).complaint).toMatch(/Broker 2 does not support/)
  })

  test('the metadata version does not go back over a change of records, even unsafely', () => {
    expect(update('metadata.version', 29, SAFE_DOWNGRADE).complaint).toMatch(/might delete metadata/)
    expect(update('metadata.version', 29, UNSAFE_DOWNGRADE).complaint).toMatch(/might delete metadata/)
    const older = imageOf({ type: 'FeatureLevelRecord', name: 'metadata.version', featureLevel: 29 })
    expect(update('metadata.version', 24, SAFE_DOWNGRADE, older).after.get('metadata.version')).toBe(24)
    expect(update('metadata.version', 30, UPGRADE, older).after.get('metadata.version')).toBe(30)
  })

  test('dependencies are checked against what is proposed', () => {
    const old = imageOf({ type: 'FeatureLevelRecord', name: 'metadata.version', featureLevel: 22 })
    expect(update('eligible.leader.replicas.version', 1, UPGRADE, old).complaint).toMatch(
      /depends on metadata\.version/,
    )
    const both = [
      { feature: 'eligible.leader.replicas.version', maxVersionLevel: 1, upgradeType: UPGRADE },
      { feature: 'metadata.version', maxVersionLevel: 30, upgradeType: UPGRADE },
    ]
    expect(updateFeatures(contextOf(old), both, false).response).toBeNull()
  })

  test('every other voter must be registered and know the level', () => {
    const feature = 'eligible.leader.replicas.version'
    const updates = [{ feature, maxVersionLevel: 1, upgradeType: UPGRADE }]
    const complaint = (from: MetadataImage) => {
      const { response } = updateFeatures({ ...contextOf(from), voterIds: [1, 2] }, updates, false)
      return response?.message ?? null
    }
    const registered = (features: ReadonlyMap<string, FeatureRange>) => {
      const registration = { controllerId: 2, incarnationId: idOf(2), endpoints: [], features }
      return applyRecords(image, registerController(contextOf(image), registration).records).image
    }
    expect(complaint(image)).toMatch(/Controller 2 votes and is not registered/)
    expect(complaint(registered(new Map()))).toMatch(/Controller 2 does not support this feature/)
    expect(complaint(registered(SUPPORTED_FEATURES))).toBeNull()
  })

  test('a controller registers once for each of its lives, from 3.7-IV0 on', () => {
    const registration = { controllerId: 2, incarnationId: idOf(2), endpoints: [], features: SUPPORTED_FEATURES }
    const { records } = registerController(contextOf(image), registration)
    const after = applyRecords(image, records).image
    expect(after.controllers.get(2)).toMatchObject({ id: 2, incarnationId: idOf(2), features: SUPPORTED_FEATURES })
    expect(registerController(contextOf(after), registration)).toEqual({ records: [], response: null })
    expect(registerController(contextOf(after), { ...registration, incarnationId: idOf(3) }).records).toHaveLength(1)
    const old = imageOf({ type: 'FeatureLevelRecord', name: 'metadata.version', featureLevel: 14 })
    const refused = registerController(contextOf(old), registration)
    expect(refused).toMatchObject({ records: [], response: { code: MetadataErrorCode.UNSUPPORTED_VERSION } })
  })

  test('one refusal refuses all, and a validation writes nothing', () => {
    const updates = [
      { feature: 'eligible.leader.replicas.version', maxVersionLevel: 1, upgradeType: UPGRADE },
      { feature: 'magic.version', maxVersionLevel: 1, upgradeType: UPGRADE },
    ]
    expect(updateFeatures(contextOf(image), updates, false).records).toEqual([])
    expect(updateFeatures(contextOf(image), updates.slice(0, 1), true)).toEqual({ records: [], response: null })
  })

  test('eligible replicas come with one min.insync.replicas for all', () => {
    const own = { type: 'ConfigRecord', resourceType: ConfigResourceType.BROKER, name: 'min.insync.replicas' } as const
    const before = imageOf(...cluster(1), { ...own, resourceName: '1', value: '2' })
    const { records } = update('eligible.leader.replicas.version', 1, UPGRADE, before)
    const after = applyRecords(before, records).image
    expect(configsOf(after, ConfigResourceType.BROKER, '1').size).toBe(0)
    expect(configsOf(after, ConfigResourceType.BROKER, '').get('min.insync.replicas')).toBe('1')
  })
})

test('a new cluster has the newest features', () => {
  const image = imageOf()
  const after = applyRecords(image, bootstrapRecords(contextOf(image))).image
  expect(Object.fromEntries(after.features)).toEqual({
    'metadata.version': 30,
    'eligible.leader.replicas.version': 1,
    'transaction.version': 2,
    'share.version': 1,
    'group.version': 1,
  })
  expect(configsOf(after, ConfigResourceType.BROKER, '').get('min.insync.replicas')).toBe('1')
})

describe('producer ids', () => {
  test('blocks follow one another, also over brokers', () => {
    const image = imageOf(...cluster(1, 2))
    const first = allocateProducerIds(contextOf(image), 1, 10)
    expect(first.response).toEqual({ start: 0, end: 1000 })
    const after = applyRecords(image, first.records).image
    expect(allocateProducerIds(contextOf(after), 2, 20).response).toEqual({ start: 1000, end: 2000 })
  })

  test('an earlier life of a broker gets none', () => {
    const context = contextOf(imageOf(...cluster(1)))
    for (const [id, epoch] of [
      [1, 9],
      [2, 20],
    ] as const) {
      expect(allocateProducerIds(context, id, epoch)).toMatchObject({
        records: [],
        response: { code: MetadataErrorCode.STALE_BROKER_EPOCH },
      })
    }
  })
})

describe('registration', () => {
  const base: BrokerRegistration = {
    brokerId: 1,
    incarnationId: idOf(77),
    rack: 'r1',
    endpoints: [{ listener: 'PLAINTEXT', host: 'localhost', port: 19092, securityProtocol: 'PLAINTEXT' }],
    features: SUPPORTED_FEATURES,
    directories: [directoryOf(1)],
    recoveredCleanly: true,
  }

  function register(image: MetadataImage, init: Partial<BrokerRegistration> = {}) {
    const { records, response } = registerBroker(contextOf(image), { ...base, ...init })
    return { records, response, after: applyRecords(image, records).image }
  }

  test('the broker epoch is the offset of the registration, so it grows with each start', () => {
    const image = imageOf(...cluster(1))
    const first = register(image)
    expect(first.response).toEqual({ brokerEpoch: image.offset })
    expect(first.after.brokers.get(1)).toMatchObject({ epoch: image.offset, fenced: false, rack: 'r1' })
    expect(register(first.after).response).toEqual({ brokerEpoch: image.offset + 1 })
  })

  test('leaderless partitions get the broker back as their leader', () => {
    const t = idOf(1)
    const image = imageOf(...cluster(), topic('t', t), partition(t, 0, [1], { leader: -1, leaderEpoch: 4 }))
    expect(register(image).after.topics.get('t')?.partitions[0]).toMatchObject({ leader: 1, leaderEpoch: 5, isr: [1] })
  })

  test('after an unclean restart its leaderships take a new epoch, after a clean one they go on', () => {
    const t = idOf(1)
    const image = imageOf(...cluster(1), topic('t', t), partition(t, 0, [1], { leaderEpoch: 4 }))
    expect(register(image).records).toHaveLength(1)
    const unclean = register(image, { recoveredCleanly: false })
    expect(unclean.after.topics.get('t')?.partitions[0]).toMatchObject({ leader: 1, leaderEpoch: 5, isr: [1] })
  })

  test('a broker outside of the in-sync replicas takes over only if the topic allows it', () => {
    const t = idOf(1)
    const records = [...cluster(), topic('t', t), partition(t, 0, [1, 2], { isr: [2], leader: -1 })]
    expect(register(imageOf(...records)).after.topics.get('t')?.partitions[0]?.leader).toBe(-1)
    const allowed = imageOf(...records, topicConfig('t', 'unclean.leader.election.enable', 'true'))
    expect(register(allowed).after.topics.get('t')?.partitions[0]).toMatchObject({
      leader: 1,
      isr: [1],
      leaderRecoveryState: 1,
    })
  })

  test('a partition in a directory that is not there stays without a leader', () => {
    const t = idOf(1)
    const image = imageOf(...cluster(), topic('t', t), partition(t, 0, [1], { leader: -1, directories: [idOf(5)] }))
    expect(register(image).after.topics.get('t')?.partitions[0]?.leader).toBe(-1)
  })

  test.each([
    ['with', [elr(1)]],
    ['without', []],
  ])('%s eligible replicas: who lost a log does not lead it, until it has the log again', (_, features) => {
    const t = idOf(1)
    const records = [topic('t', t), partition(t, 0, [1], { leaderEpoch: 4 }), partition(t, 1, [1], { leaderEpoch: 4 })]
    const lostReplicas = [{ topicId: t, partition: 1 }]
    let image = imageOf(...cluster(1), ...features, ...records)
    // However often it starts, and whatever the topic allows.
    const allowed = [topicConfig('t', 'unclean.leader.election.enable', 'true')]
    for (const changes of [[], allowed]) {
      image = register(applyRecords(image, changes).image, { lostReplicas, recoveredCleanly: false }).after
      const [other, lost] = image.topics.get('t')!.partitions
      expect(other!.leader).toBe(1)
      expect(lost).toMatchObject({ leader: -1, isr: [], elr: [], lastKnownElr: [], leaderEpoch: 5 })
    }
    const back = register(image).after.topics.get('t')!.partitions[1]
    expect(back).toMatchObject({ leader: 1, isr: [1], leaderEpoch: 6, leaderRecoveryState: 0 })
  })

  test('who lost a log leads it once someone says that it is lost for good', () => {
    const t = idOf(1)
    const lostReplicas = [{ topicId: t, partition: 0 }]
    const { after } = register(imageOf(...cluster(1), topic('t', t), partition(t, 0, [1])), { lostReplicas })
    const topicPartitions = [{ topic: 't', partitions: [0] }]
    const elected = (electionType: number) => {
      const { records } = electLeaders(contextOf(after), { electionType, topicPartitions })
      return applyRecords(after, records).image.topics.get('t')!.partitions[0]
    }
    expect(elected(ElectionType.PREFERRED)).toMatchObject({ leader: -1 })
    expect(elected(ElectionType.UNCLEAN)).toMatchObject({ leader: 1, isr: [1] })
  })

  test('software that does not know a finalized level is turned away', () => {
    const image = imageOf(...cluster(), elr(1))
    const { response, records } = register(image, { features: new Map([['metadata.version', { min: 7, max: 30 }]]) })
    expect(records).toEqual([])
    expect(response).toMatchObject({ code: MetadataErrorCode.UNSUPPORTED_VERSION })
  })
})
