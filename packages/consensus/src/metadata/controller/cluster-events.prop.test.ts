import { SeededRandom } from '@millrace/base'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { contextOf, directoryOf, idOf, imageOf, testConfigRules } from '../../testing/cluster.ts'
import { bootstrapRecords } from '../bootstrap.ts'
import { isActiveBroker, isDirectoryOnline, isLogLost, type MetadataImage, type PartitionImage } from '../image.ts'
import { decodeBatch, encodeBatch } from '../record-codec.ts'
import { isMetadataRecord } from '../record-shapes.ts'
import type { MetadataRecord } from '../records.ts'
import { applyRecord, applyRecords, emptyImage } from '../reducer.ts'
import { encodeSnapshot, readSnapshot } from '../snapshot-codec.ts'
import { incrementalAlterConfigs } from './alter-configs.ts'
import { alterPartitions } from './alter-partition.ts'
import { assignReplicasToDirs } from './assign-directories.ts'
import { fenceBroker, onEarlySignOfLoss, repairPartitions } from './broker-events.ts'
import { brokerHeartbeat } from './broker-heartbeat.ts'
import { registerInCluster } from './cluster-registration.ts'
import type { ControllerContext } from './context.ts'
import { createTopics } from './create-topics.ts'
import { electLeaders } from './elect-leaders.ts'
import { SUPPORTED_FEATURES } from './features.ts'
import { balanceLeaders, electUncleanly } from './leader-balance.ts'
import { alterPartitionReassignments } from './reassignments.ts'
import { unregisterBroker } from './unregister-broker.ts'
import { withdrawReplicas } from './withdraw-replicas.ts'

const TOPIC = 't'
const BROKERS = [1, 2, 3, 4]
type Event = (context: ControllerContext) => readonly MetadataRecord[]

const broker = fc.constantFrom(...BROKERS)
const partitionId = fc.integer({ min: 0, max: 2 })

let incarnations = 0

const lostLogs = fc.option(fc.subarray([0, 1, 2]), { nil: [] })

const register = fc
  .tuple(broker, fc.boolean(), fc.boolean(), lostLogs)
  .map(([brokerId, recoveredCleanly, isSameDisk, lost]) => {
    const incarnationId = idOf(5_000_000 + incarnations++)
    return (context: ControllerContext) => {
      const registration = {
        clusterId: 'cluster',
        brokerId,
        incarnationId,
        rack: null,
        endpoints: [],
        features: SUPPORTED_FEATURES,
        directories: isSameDisk ? [directoryOf(brokerId)] : [idOf(6_000_000 + brokerId), idOf(7_000_000 + brokerId)],
        recoveredCleanly,
        previousBrokerEpoch: -1,
        lostReplicas: lost.map((partition) => ({ topicId: context.image.topics.get(TOPIC)?.id ?? idOf(1), partition })),
      }
      const { records } = registerInCluster(context, registration, false)
      const after = applyRecords(context.image, records).image
      for (const partition of after.topics.get(TOPIC)?.partitions ?? []) {
        // R11: out of everything until it has caught up.
        if (!recoveredCleanly) expect(partition.elr).not.toContain(brokerId)
      }
      return records
    }
  })

const heartbeat = fc
  .tuple(broker, fc.boolean(), fc.constantFrom('serve', 'fence', 'stop') as fc.Arbitrary<string>)
  .map(([brokerId, hasFailedDirectory, wish]) => ({ image, ...context }: ControllerContext) => {
    const known = image.brokers.get(brokerId)
    if (known === undefined) return []
    const last = known.directories.length > 1 ? known.directories.slice(-1) : []
    return brokerHeartbeat(
      { image, ...context },
      {
        brokerId,
        brokerEpoch: known.epoch,
        incarnationId: known.incarnationId,
        appliedOffset: image.offset,
        wantFence: wish === 'fence',
        wantShutDown: wish === 'stop',
        offlineDirectories: hasFailedDirectory ? last : [],
      },
      { shutdownOffset: 0, lowestActiveOffset: 0 },
    ).records
  })

/** A broker has a log of a replica: it found a lost one again, or began another one, or put it into another directory. */
const assign = fc
  .tuple(broker, partitionId, fc.nat(2))
  .map(([brokerId, slot, choice]) => (context: ControllerContext) => {
    const topic = context.image.topics.get(TOPIC)
    const known = context.image.brokers.get(brokerId)
    if (topic === undefined || known === undefined || known.directories.length === 0) return []
    const directory = known.directories[choice % known.directories.length]!
    const partitions = [{ topicId: topic.id, partition: slot, directory }]
    return assignReplicasToDirs(context, { brokerId, brokerEpoch: known.epoch, partitions }).records
  })

/** A leader asks for a new in-sync set; sometimes with what it knew before the last change. */
const alter = fc
  .tuple(partitionId, fc.subarray(BROKERS), fc.integer({ min: 0, max: 1 }))
  .map(([slot, members, staleness]) => (context: ControllerContext) => {
    const topic = context.image.topics.get(TOPIC)
    const partition = topic?.partitions[slot]
    const leader = context.image.brokers.get(partition?.leader ?? -1)
    if (topic === undefined || partition === undefined || leader === undefined) return []
    const newIsr = [leader.id, ...members.filter((id) => id !== leader.id)].map((brokerId) => ({
      brokerId,
      brokerEpoch: context.image.brokers.get(brokerId)?.epoch ?? -1,
    }))
    const { records, response } = alterPartitions(context, {
      brokerId: leader.id,
      brokerEpoch: leader.epoch,
      partitions: [
        {
          topicId: topic.id,
          partition: slot,
          leaderEpoch: partition.leaderEpoch,
          partitionEpoch: partition.partitionEpoch - staleness,
          leaderRecoveryState: 0,
          newIsr,
        },
      ],
    })
    // R9: a compare-and-set.
    if (staleness > 0) expect([records, response]).toMatchObject([[], { partitions: [{ errorCode: 95 }] }])
    return records
  })

/** A replica is damaged: afterwards it counts for nothing, or everything is as it was. */
const withdraw = fc.tuple(broker, partitionId).map(([brokerId, slot]) => (context: ControllerContext) => {
  const topic = context.image.topics.get(TOPIC)
  const partition = topic?.partitions[slot]
  const known = context.image.brokers.get(brokerId)
  if (topic === undefined || partition === undefined || known === undefined) return []
  const { leaderEpoch } = partition
  const { records } = withdrawReplicas(context, {
    brokerId,
    brokerEpoch: known.epoch,
    partitions: [{ topicId: topic.id, partition: slot, leaderEpoch }],
  })
  if (records.length === 0) return records
  const after = applyRecords(context.image, records).image.topics.get(TOPIC)!.partitions[slot]!
  expect([...after.isr, ...after.elr, after.leader]).not.toContain(brokerId)
  expect(after.leaderEpoch).toBe(leaderEpoch + 1)
  expect(partition.isr).toContain(after.leader)
  return records
})

const create: Event = (context) =>
  createTopics(context, {
    validateOnly: false,
    topics: [{ name: TOPIC, numPartitions: 3, replicationFactor: 3, assignments: [], configs: [] }],
  }).records

const configure = fc
  .tuple(
    fc.constantFrom(['min.insync.replicas', '1'], ['min.insync.replicas', '2'], [
      'unclean.leader.election.enable',
      'true',
    ] as const),
    fc.integer({ min: 0, max: 1 }),
  )
  .map(([[name, value], configOperation]) => (context: ControllerContext) => {
    const configs = [{ name: name!, configOperation, value: configOperation === 0 ? value! : null }]
    return incrementalAlterConfigs(context, [{ resourceType: 2, resourceName: TOPIC, configs }], false).records
  })

const move = fc.tuple(partitionId, fc.option(fc.shuffledSubarray(BROKERS, { minLength: 3, maxLength: 3 }))).map(
  ([partitionIndex, replicas]) =>
    (context: ControllerContext) =>
      alterPartitionReassignments(context, {
        allowReplicationFactorChange: false,
        topics: [{ name: TOPIC, partitions: [{ partitionIndex, replicas }] }],
      }).records,
)

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 3, arbitrary: register },
  { weight: 8, arbitrary: heartbeat },
  { weight: 2, arbitrary: withdraw },
  { weight: 3, arbitrary: assign },
  { weight: 8, arbitrary: alter },
  { weight: 2, arbitrary: fc.constant(create) },
  { weight: 2, arbitrary: configure },
  { weight: 3, arbitrary: move },
  {
    weight: 3,
    arbitrary: broker.map(
      (id): Event =>
        (context) =>
          fenceBroker(context, id),
    ),
  },
  {
    weight: 3,
    arbitrary: broker.map(
      (id): Event =>
        (context) =>
          onEarlySignOfLoss(context, id),
    ),
  },
  {
    weight: 1,
    arbitrary: broker.map(
      (id): Event =>
        (context) =>
          unregisterBroker(context, id).records,
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom<Event>(balanceLeaders, electUncleanly) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.integer({ min: 0, max: 1 }), partitionId).map(
      ([electionType, slot]): Event =>
        (context) =>
          electLeaders(context, { electionType, topicPartitions: [{ topic: TOPIC, partitions: [slot] }] }).records,
    ),
  },
)

function checkPartition(image: MetadataImage, partition: PartitionImage, isElrOn: boolean): void {
  const { isr, elr, replicas, leader, directories } = partition
  const at = JSON.stringify(partition)
  const minIsr = Math.min(testConfigRules.minInsyncReplicas(image, TOPIC), 3)
  expect(new Set(replicas).size, at).toBe(replicas.length)
  expect(directories.length, at).toBe(replicas.length)
  expect(new Set([...isr, ...elr]).size, `ISR and ELR are disjoint: ${at}`).toBe(isr.length + elr.length)
  for (const member of [...isr, ...elr]) expect(replicas, at).toContain(member)
  if (isr.length >= minIsr || !isElrOn) expect(elr, at).toEqual([])
  if (!isElrOn) expect(isr.length, at).toBeGreaterThan(0)
  const isAcceptable = (id: number) =>
    isActiveBroker(image, id) && isDirectoryOnline(image.brokers.get(id)!, directories[replicas.indexOf(id)]!)
  // Without eligible replicas the last member stays although it is out.
  const mayBeOut = !isElrOn && leader === -1 && isr.length === 1
  if (!mayBeOut) for (const id of isr) expect(isActiveBroker(image, id), `${id} is in sync but out: ${at}`).toBe(true)
  const lost = replicas.filter((id) => isLogLost(partition, id))
  // Another log is begun as soon as somebody leads: it must count for nothing then.
  if (leader !== -1) for (const id of lost) expect([...isr, ...elr], `${id} lost its log: ${at}`).not.toContain(id)
  if (leader !== -1) expect(isr, at).toContain(leader)
  else for (const id of isr.length > 0 ? isr : elr) expect(isAcceptable(id), `nobody leads: ${at}`).toBe(false)
}

function contents(image: MetadataImage) {
  const topics = [...image.topics.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  const brokers = [...image.brokers.values()].sort((a, b) => a.id - b.id)
  return { offset: image.offset, topics, brokers, configs: new Map(image.configs), features: new Map(image.features) }
}

test.each([true, false])(
  'whatever happens, partitions stay valid (R9, R10, R11), eligible replicas on: %s',
  (isElrOn) => {
    fc.assert(
      fc.property(fc.array(event, { minLength: 20, maxLength: 80 }), fc.nat(), (events, seed) => {
        const random = new SeededRandom(seed)
        const settings = {
          supportedFeatures: isElrOn
            ? SUPPORTED_FEATURES
            : new Map([['metadata.version', SUPPORTED_FEATURES.get('metadata.version')!]]),
        }
        let image = imageOf(...bootstrapRecords(contextOf(emptyImage('cluster'), settings)))
        // Another controller, which knows only what was committed.
        let other = image
        const step = (work: Event) => {
          const records = work({ ...contextOf(image, settings), random })
          if (records.length === 0) return
          expect(records.every(isMetadataRecord)).toBe(true)
          const before = image
          const batch = decodeBatch(encodeBatch({ baseOffset: image.offset, records }))
          image = applyRecords(image, records).image
          other = batch.records.reduce(applyRecord, other)
          for (const [slot, partition] of (image.topics.get(TOPIC)?.partitions ?? []).entries()) {
            checkPartition(image, partition, isElrOn)
            const earlier = before.topics.get(TOPIC)?.partitions[slot]
            if (earlier === undefined) continue
            if (partition.leader !== earlier.leader) expect(partition.leaderEpoch).toBeGreaterThan(earlier.leaderEpoch)
            if (partition !== earlier) expect(partition.partitionEpoch).toBeGreaterThan(earlier.partitionEpoch)
          }
        }
        for (const brokerId of BROKERS) {
          step((context) => {
            const registration = {
              clusterId: 'cluster',
              brokerId,
              incarnationId: idOf(brokerId),
              rack: null,
              endpoints: [],
              features: SUPPORTED_FEATURES,
              directories: [directoryOf(brokerId)],
              recoveredCleanly: true,
              previousBrokerEpoch: -1,
            }
            return registerInCluster(context, registration, false).records
          })
          step((context) => {
            const { epoch, incarnationId } = context.image.brokers.get(brokerId)!
            const wishes = { wantFence: false, wantShutDown: false, offlineDirectories: [] }
            const beat = { brokerId, brokerEpoch: epoch, incarnationId, appliedOffset: context.image.offset, ...wishes }
            return brokerHeartbeat(context, beat, { shutdownOffset: null, lowestActiveOffset: 0 }).records
          })
        }
        step(create)
        for (const work of events) step(work)
        expect(contents(other)).toEqual(contents(image))
        expect(contents(readSnapshot(Buffer.concat([...encodeSnapshot(image)])))).toEqual(contents(image))
        expect(repairPartitions(contextOf(image, settings)), 'a good state needs no repair').toEqual([])
      }),
      { numRuns: 100 },
    )
  },
)
