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
import { DirectoryId, type MetadataImage, type PartitionImage } from '../image.ts'
import { decodeBatch, encodeBatch } from '../record-codec.ts'
import type { MetadataRecord, PartitionRecord } from '../records.ts'
import { applyRecord, applyRecords } from '../reducer.ts'
import { encodeSnapshot, readSnapshot } from '../snapshot-codec.ts'
import { alterPartitions } from './alter-partition.ts'
import { MetadataErrorCode } from './api-error.ts'
import { assignReplicasToDirs } from './assign-directories.ts'
import { failDirectories, fenceBroker, repairPartitions, unfenceBroker } from './broker-events.ts'
import { type ClusterRegistration, registerInCluster } from './cluster-registration.ts'
import type { ControllerContext } from './context.ts'
import { deleteTopics } from './delete-topics.ts'
import { ElectionType, electLeaders } from './elect-leaders.ts'
import { SUPPORTED_FEATURES } from './features.ts'
import { electUncleanly } from './leader-balance.ts'
import { alterPartitionReassignments } from './reassignments.ts'
import { unregisterBroker } from './unregister-broker.ts'

/**
 * What becomes of partitions whose logs starts did not find, by all rules together: brokers die, come back with and without their logs, and
 * tell where these lie (docs/adr/0007).
 */

const t = idOf(1)
const { LOST_LOG, UNASSIGNED } = DirectoryId
const ELR: MetadataRecord = { type: 'FeatureLevelRecord', name: 'eligible.leader.replicas.version', featureLevel: 1 }
const MIN_ISR_2 = topicConfig('t', 'min.insync.replicas', '2')
const UNCLEAN = topicConfig('t', 'unclean.leader.election.enable', 'true')

/** Brokers 1 to 3, partitions of topic `t`, and what is asked of their controller. */
class Scene {
  image: MetadataImage
  /** All that was committed. */
  readonly records: MetadataRecord[] = []
  readonly #first: MetadataImage
  #incarnation = 9_000_000

  constructor(partitions: readonly PartitionRecord[], more: readonly MetadataRecord[] = [ELR]) {
    this.#first = imageOf(...cluster(1, 2, 3), ...more, topic('t', t), ...partitions)
    this.image = this.#first
  }

  commit(records: readonly MetadataRecord[]): this {
    this.records.push(...records)
    this.image = applyRecords(this.image, records).image
    return this
  }

  get #context(): ControllerContext {
    return contextOf(this.image)
  }

  die(...brokerIds: readonly number[]): this {
    for (const brokerId of brokerIds) this.commit(fenceBroker(this.#context, brokerId))
    return this
  }

  /** A new life of the broker; `lost`: partitions whose logs it did not find. It is not let in yet. */
  register(brokerId: number, lost: readonly number[], init: Partial<ClusterRegistration> = {}): this {
    const request: ClusterRegistration = {
      clusterId: 'cluster',
      brokerId,
      incarnationId: idOf(this.#incarnation++),
      rack: null,
      endpoints: [],
      features: SUPPORTED_FEATURES,
      directories: [directoryOf(brokerId)],
      recoveredCleanly: true,
      previousBrokerEpoch: -1,
      lostReplicas: lost.map((id) => ({ topicId: t, partition: id })),
      ...init,
    }
    const { records, response } = registerInCluster(this.#context, request, false)
    expect(response).toMatchObject({ brokerEpoch: expect.any(Number) })
    return this.commit(records)
  }

  unfence(brokerId: number): this {
    return this.commit(unfenceBroker(this.#context, brokerId))
  }

  start(brokerId: number, lost: readonly number[] = [], init: Partial<ClusterRegistration> = {}): this {
    return this.register(brokerId, lost, init).unfence(brokerId)
  }

  /** As a broker that has the log does where the metadata has it elsewhere. */
  assign(brokerId: number, id = 0, directory = directoryOf(brokerId)): this {
    const { epoch: brokerEpoch } = this.image.brokers.get(brokerId)!
    const request = { brokerId, brokerEpoch, partitions: [{ topicId: t, partition: id, directory }] }
    const { records, response } = assignReplicasToDirs(this.#context, request)
    expect(response).toMatchObject({ partitions: [{ errorCode: MetadataErrorCode.NONE }] })
    return this.commit(records)
  }

  /** The leader takes it into the in-sync set. Gives the error code. */
  join(brokerId: number, id = 0): number {
    const { leader, leaderEpoch, partitionEpoch, isr } = this.partition(id)
    const { epoch: brokerEpoch } = this.image.brokers.get(leader)!
    const newIsr = [...isr, brokerId].map((member) => ({ brokerId: member, brokerEpoch: -1 }))
    const partitions = [
      { topicId: t, partition: id, leaderEpoch, partitionEpoch, leaderRecoveryState: 0, newIsr } as const,
    ]
    const { records, response } = alterPartitions(this.#context, { brokerId: leader, brokerEpoch, partitions })
    this.commit(records)
    return 'partitions' in response ? response.partitions[0]!.errorCode : response.code
  }

  /** Gives the error code. */
  elect(electionType: number, id = 0): number {
    const topicPartitions = [{ topic: 't', partitions: [id] }]
    const { records, response } = electLeaders(this.#context, { electionType, topicPartitions })
    this.commit(records)
    return 'code' in response ? response.code : response[0]!.partitionResult[0]!.errorCode
  }

  reassign(replicas: readonly number[] | null): number {
    const topics = [{ name: 't', partitions: [{ partitionIndex: 0, replicas }] }]
    const request = { allowReplicationFactorChange: true, topics }
    const { records, response } = alterPartitionReassignments(this.#context, request)
    this.commit(records)
    return response[0]!.partitions[0]!.errorCode
  }

  perform(rule: (context: ControllerContext) => readonly MetadataRecord[]): this {
    return this.commit(rule(this.#context))
  }

  partition(id = 0): PartitionImage {
    return this.image.topics.get('t')!.partitions[id]!
  }

  /** By its bytes, and one by one, another controller comes to the same; it has nothing to repair. */
  check(): void {
    const { records } = decodeBatch(encodeBatch({ baseOffset: this.#first.offset, records: this.records }))
    const other = records.reduce(applyRecord, this.#first)
    expect(other.topics.get('t')).toEqual(this.image.topics.get('t'))
    const copy = readSnapshot(Buffer.concat([...encodeSnapshot(this.image)]))
    expect(copy.topics.get('t')).toEqual(this.image.topics.get('t'))
    expect(repairPartitions(this.#context)).toEqual([])
  }
}

const both = [
  ['with eligible replicas', [ELR]],
  ['without', []],
] as const

describe('the last replica that is eligible', () => {
  test.each(both)('leads again, cleanly, once its log is back: %s', (_, more) => {
    for (const replicas of [[2], [2, 1], [1, 2, 3]]) {
      const scene = new Scene([partition(t, 0, replicas, { isr: [2], leaderEpoch: 4 })], more)
      const hasElr = more.length > 0
      // However often it starts without it.
      for (let count = 0; count < 2; count++) {
        scene.start(2, [0])
        expect(scene.partition()).toMatchObject({ leader: -1, isr: hasElr ? [] : [2], elr: hasElr ? [2] : [] })
        expect(scene.partition().directories[replicas.indexOf(2)]).toBe(LOST_LOG)
      }
      // That nothing is said of it proves nothing: what came with this disk may be empty.
      scene.start(2, [])
      expect(scene.partition()).toMatchObject({ leader: -1 })
      scene.assign(2)
      expect(scene.partition()).toMatchObject({
        leader: 2,
        isr: [2],
        elr: [],
        lastKnownElr: [],
        leaderRecoveryState: 0,
      })
      expect(scene.partition().directories).toEqual(replicas.map(directoryOf))
      scene.check()
    }
  })

  test.each(both)('that tells where its log is before it is let in leads as soon as it is: %s', (_, more) => {
    const scene = new Scene([partition(t, 0, [2, 1], { isr: [2] })], more).start(2, [0]).register(2, []).assign(2)
    expect(scene.partition()).toMatchObject({ leader: -1, directories: [directoryOf(2), directoryOf(1)] })
    expect(scene.unfence(2).partition()).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 0 })
    scene.check()
  })

  test.each(both)('that loses its log again after that waits again: %s', (_, more) => {
    const scene = new Scene([partition(t, 0, [2, 1], { isr: [2] })], more)
    for (let count = 0; count < 3; count++) {
      scene.start(2, [0])
      expect(scene.partition()).toMatchObject({ leader: -1, directories: [LOST_LOG, directoryOf(1)] })
      scene.start(2).assign(2)
      expect(scene.partition()).toMatchObject({ leader: 2, isr: [2] })
    }
    scene.check()
  })

  test('is not led for by one that was out of sync, however that comes and goes', () => {
    const scene = new Scene([partition(t, 0, [2, 1, 3], { isr: [2] })]).start(2, [0])
    scene.die(1, 3).start(1).start(3).perform(electUncleanly)
    expect(scene.elect(ElectionType.PREFERRED)).toBe(MetadataErrorCode.PREFERRED_LEADER_NOT_AVAILABLE)
    expect(scene.partition()).toMatchObject({ leader: -1, isr: [], elr: [2] })
    scene.check()
  })

  test('that may have lost other records, too, is the last known leader and no more; by its own word that is enough', () => {
    const scene = new Scene([partition(t, 0, [2, 1], { isr: [2] })])
    scene.start(2, [0], { recoveredCleanly: false })
    expect(scene.partition()).toMatchObject({ leader: -1, isr: [], elr: [], lastKnownElr: [2] })
    scene.start(2).assign(2)
    expect(scene.partition()).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 1 })
    scene.check()
  })

  test('that was the last known leader already stays it', () => {
    const known = partition(t, 0, [2, 1], { isr: [], leader: -1, lastKnownElr: [2] })
    const scene = new Scene([known]).start(2, [0])
    expect(scene.partition()).toMatchObject({ leader: -1, lastKnownElr: [2] })
    expect(scene.start(2).assign(2).partition()).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 1 })
    scene.check()
  })

  test('is judged partition by partition', () => {
    const isr = [2]
    const all = [0, 1, 2].map((id) => partition(t, id, [2, 1], { isr }))
    const scene = new Scene([...all, partition(t, 3, [1, 2]), partition(t, 4, [1, 3])]).start(2, [0, 2, 3])
    const leaders = () => [0, 1, 2, 3, 4].map((id) => scene.partition(id).leader)
    expect(leaders()).toEqual([-1, 2, -1, 1, 1])
    expect(scene.start(2, [2]).assign(2, 0).partition(0)).toMatchObject({ leader: 2, isr: [2] })
    expect(leaders()).toEqual([2, 2, -1, 1, 1])
    expect(scene.start(2, []).assign(2, 2).partition(2)).toMatchObject({ leader: 2, isr: [2] })
    scene.check()
  })
})

describe('one of several that are eligible', () => {
  test.each(both)(
    'is out if another one leads, joins again when it has fetched all, and counts for nothing before: %s',
    (_, more) => {
      for (const minIsr of [[], [MIN_ISR_2]]) {
        const scene = new Scene([partition(t, 0, [2, 1])], [...more, ...minIsr]).start(2, [0])
        expect(scene.partition()).toMatchObject({
          leader: 1,
          isr: [1],
          elr: [],
          directories: [LOST_LOG, directoryOf(1)],
        })
        // It may have heard of the leader, and have begun another log.
        expect(scene.join(2)).toBe(MetadataErrorCode.INELIGIBLE_REPLICA)
        scene.assign(2)
        expect(scene.partition()).toMatchObject({ leader: 1, isr: [1], elr: [], directories: [2, 1].map(directoryOf) })
        scene.die(1)
        expect(scene.partition().leader).toBe(-1)
        scene.start(1)
        expect(scene.join(2)).toBe(MetadataErrorCode.NONE)
        expect(scene.partition()).toMatchObject({ leader: 1, isr: [1, 2], elr: [] })
        scene.check()
      }
    },
  )

  test('is out as soon as another one leads: from then on it has another log', () => {
    const scene = new Scene([partition(t, 0, [2, 1])], [ELR, MIN_ISR_2]).die(1, 2).start(2, [0])
    expect(scene.partition()).toMatchObject({ leader: -1, elr: [1, 2], directories: [LOST_LOG, directoryOf(1)] })
    scene.start(1)
    expect(scene.partition()).toMatchObject({ leader: 1, isr: [1], elr: [] })
    // Amid what it fetches.
    scene.start(2).die(1)
    expect(scene.partition()).toMatchObject({ leader: -1, isr: [], elr: [1] })
    scene.assign(2)
    expect(scene.partition()).toMatchObject({ leader: -1, isr: [], elr: [1] })
    scene.check()
  })

  test('leads if its log is back before another one is', () => {
    const scene = new Scene([partition(t, 0, [2, 1])], [ELR, MIN_ISR_2]).die(1, 2).start(2, [0]).start(2).assign(2)
    expect(scene.partition()).toMatchObject({ leader: 2, isr: [2], elr: [1], leaderRecoveryState: 0 })
    scene.check()
  })

  test('leads if all of them lost theirs, and its log is the one that comes back', () => {
    const scene = new Scene([partition(t, 0, [1, 2, 3])], [ELR, MIN_ISR_2]).die(1, 2, 3)
    for (const id of [1, 2, 3]) scene.start(id, [0])
    expect(scene.partition()).toMatchObject({ leader: -1, isr: [], directories: [LOST_LOG, LOST_LOG, LOST_LOG] })
    const { elr } = scene.partition()
    expect([...elr].sort()).toEqual([2, 3])
    scene.start(1).assign(1)
    // Others had acknowledged records after it was gone.
    expect(scene.partition()).toMatchObject({ leader: -1, directories: [directoryOf(1), LOST_LOG, LOST_LOG] })
    scene.start(2).assign(2)
    expect(scene.partition()).toMatchObject({ leader: 2, isr: [2], elr: [], leaderRecoveryState: 0 })
    scene.check()
  })

  test('gives way to the one of three that has its log', () => {
    const eligible = { isr: [], leader: -1, eligibleLeaderReplicas: [1, 2, 3] }
    const scene = new Scene([partition(t, 0, [1, 2, 3], eligible)], [ELR, MIN_ISR_2]).die(1, 2, 3)
    scene.start(1, [0]).start(2, [0])
    expect(scene.partition()).toMatchObject({ leader: -1, elr: [1, 2, 3] })
    scene.start(3)
    expect(scene.partition()).toMatchObject({ leader: 3, isr: [3], elr: [], leaderRecoveryState: 0 })
    scene.check()
  })
})

describe('an unclean election that is asked for', () => {
  test('takes whom it finds but those that have nothing, and of those who led last', () => {
    const nobody = { isr: [], leader: -1, eligibleLeaderReplicas: [1], lastKnownElr: [3] }
    const scene = new Scene([partition(t, 0, [1, 2, 3], nobody)]).start(1, [0])
    expect(scene.elect(ElectionType.UNCLEAN)).toBe(MetadataErrorCode.NONE)
    expect(scene.partition()).toMatchObject({ leader: 3, isr: [3], elr: [], lastKnownElr: [], leaderRecoveryState: 1 })
    expect(scene.partition().directories).toEqual([LOST_LOG, directoryOf(2), directoryOf(3)])
    scene.check()

    const other = new Scene([partition(t, 0, [1, 2, 3], { isr: [1] })]).start(1, [0])
    other.elect(ElectionType.UNCLEAN)
    expect(other.partition()).toMatchObject({ leader: 2, isr: [2], elr: [], leaderRecoveryState: 1 })
    other.check()
  })

  test('knows that one without a log has nothing also if it was not eligible', () => {
    const scene = new Scene([partition(t, 0, [1, 2, 3], { isr: [3] })]).start(1, [0]).die(3)
    expect(scene.partition()).toMatchObject({ leader: -1, elr: [3] })
    scene.elect(ElectionType.UNCLEAN)
    expect(scene.partition()).toMatchObject({ leader: 2, isr: [2] })
    scene.check()
  })

  test.each(both)('takes one that has nothing if nobody else is alive, with a directory to begin in: %s', (_, more) => {
    const scene = new Scene([partition(t, 0, [1, 2], { isr: [2] })], more).die(1).start(2, [0])
    expect(scene.elect(ElectionType.UNCLEAN)).toBe(MetadataErrorCode.NONE)
    expect(scene.partition()).toMatchObject({ leader: 2, isr: [2], elr: [], leaderRecoveryState: 1 })
    expect(scene.partition().directories).toEqual([1, 2].map(directoryOf))
    scene.start(1)
    expect(scene.join(1)).toBe(MetadataErrorCode.NONE)
    scene.check()
  })

  test('lets the broker choose among several directories', () => {
    const two = registration(2, { logDirs: [directoryOf(2), idOf(50)] })
    const scene = new Scene([partition(t, 0, [2])], [ELR, two])
    scene.start(2, [0], { directories: two.logDirs })
    scene.elect(ElectionType.UNCLEAN)
    expect(scene.partition()).toMatchObject({ leader: 2, directories: [UNASSIGNED] })
    scene.assign(2, 0, idOf(50))
    expect(scene.partition()).toMatchObject({ leader: 2, isr: [2], directories: [idOf(50)] })
    scene.check()
  })

  test.each(both)('is what a topic may permit, but not that all is given up that others may have: %s', (_, more) => {
    const fuller = new Scene([partition(t, 0, [2, 1], { isr: [2] })], [...more, UNCLEAN]).start(2, [0])
    expect(fuller.partition()).toMatchObject({ leader: 1, isr: [1], leaderRecoveryState: 1 })
    fuller.check()
    const scene = new Scene([partition(t, 0, [2, 1], { isr: [2] })], [...more, UNCLEAN]).die(1).start(2, [0])
    scene.perform(electUncleanly)
    expect(scene.partition()).toMatchObject({ leader: -1 })
    scene.start(1)
    expect(scene.partition()).toMatchObject({ leader: 1, isr: [1], leaderRecoveryState: 1 })
    scene.check()
    const nothing = new Scene([partition(t, 0, [2, 1], { isr: [2] })], [...more, UNCLEAN]).die(1).start(2, [0])
    nothing.start(1, [0])
    expect(nothing.partition()).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 1 })
    nothing.check()
  })

  test('finds nobody where none is alive', () => {
    const scene = new Scene([partition(t, 0, [1, 2], { isr: [2] })]).start(2, [0]).die(1, 2)
    expect(scene.elect(ElectionType.UNCLEAN)).toBe(MetadataErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE)
    expect(scene.partition()).toMatchObject({ leader: -1, elr: [2] })
    scene.check()
  })
})

describe('where the log may be when it comes back', () => {
  test('an empty disk in the place of the former one does not lead', () => {
    for (const replicas of [[2], [2, 1]]) {
      const scene = new Scene([partition(t, 0, replicas, { isr: [2] })]).start(2, [0])
      scene.start(2, [], { directories: [idOf(77)] })
      expect(scene.partition()).toMatchObject({ leader: -1, elr: [2] })
      expect(scene.partition().directories[0]).toBe(LOST_LOG)
      scene.check()
    }
  })

  test('another directory of the broker will do', () => {
    const scene = new Scene([partition(t, 0, [2, 1], { isr: [2] })]).start(2, [0])
    scene.start(2, [], { directories: [idOf(77)] }).assign(2, 0, idOf(77))
    expect(scene.partition()).toMatchObject({ leader: 2, isr: [2], directories: [idOf(77), directoryOf(1)] })
    scene.check()
  })

  test('a directory that fails meanwhile, or is not there, changes nothing', () => {
    const two = registration(2, { logDirs: [directoryOf(2), idOf(50)] })
    const scene = new Scene([partition(t, 0, [2, 1], { isr: [2] })], [ELR, two])
    scene.start(2, [0], { directories: two.logDirs })
    scene.perform((context) => failDirectories(context, 2, [idOf(50)]))
    expect(scene.partition()).toMatchObject({ leader: -1, elr: [2], directories: [LOST_LOG, directoryOf(1)] })
    scene.assign(2, 0, idOf(50))
    expect(scene.partition()).toMatchObject({ leader: -1, elr: [2], directories: [idOf(50), directoryOf(1)] })
    scene.check()
  })

  test('a directory that is missing at a start may come back with the claim of the last that was eligible', () => {
    const two = registration(2, { logDirs: [directoryOf(2), idOf(50)] })
    const lacking = { directories: [idOf(50)] }
    const last = () => new Scene([partition(t, 0, [2, 1], { isr: [2] })], [ELR, two]).start(2, [], lacking)
    const scene = last()
    expect(scene.partition()).toMatchObject({ leader: -1, elr: [2], directories: [LOST_LOG, directoryOf(1)] })
    scene.start(2, [], { directories: two.logDirs }).assign(2)
    expect(scene.partition()).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 0 })
    scene.check()
    // Another one leads meanwhile: it is begun anew in the directory that is there.
    const given = last()
    given.elect(ElectionType.UNCLEAN)
    expect(given.partition()).toMatchObject({ leader: 1, isr: [1], elr: [] })
    given.assign(2, 0, idOf(50))
    expect(given.join(2)).toBe(MetadataErrorCode.NONE)
    given.check()
    // Another disk in its place: then it is gone.
    const replaced = new Scene([partition(t, 0, [2, 1], { isr: [2] })], [ELR, two])
    replaced.start(2, [], { directories: [idOf(50), idOf(51)] })
    expect(replaced.partition()).toMatchObject({ leader: -1, elr: [], lastKnownElr: [] })
    expect(replaced.partition().directories).toEqual([UNASSIGNED, directoryOf(1)])
    // With one that leads, it is begun anew at once.
    const led = new Scene([partition(t, 0, [2, 1])], [ELR, MIN_ISR_2, two]).start(2, [], lacking)
    expect(led.partition()).toMatchObject({ leader: 1, isr: [1], elr: [], directories: [idOf(50), directoryOf(1)] })
    led.check()
  })

  test('a broker does not say itself that its log is lost', () => {
    const { image } = new Scene([partition(t, 0, [2, 1])])
    const partitions = [{ topicId: t, partition: 0, directory: LOST_LOG }]
    const { records, response } = assignReplicasToDirs(contextOf(image), { brokerId: 2, brokerEpoch: 20, partitions })
    expect(records).toEqual([])
    expect(response).toMatchObject({ partitions: [{ errorCode: MetadataErrorCode.INVALID_REQUEST }] })
    const directories = [LOST_LOG]
    const request = {
      clusterId: 'cluster',
      brokerId: 2,
      incarnationId: idOf(3),
      rack: null,
      endpoints: [],
      directories,
    }
    const more = { features: SUPPORTED_FEATURES, recoveredCleanly: true, previousBrokerEpoch: -1 }
    const refused = registerInCluster(contextOf(image), { ...request, ...more }, false)
    expect(refused).toMatchObject({ records: [], response: { code: MetadataErrorCode.INVALID_REGISTRATION } })
  })
})

describe('meanwhile', () => {
  test('a broker that was unregistered comes back with its log', () => {
    const scene = new Scene([partition(t, 0, [2, 1], { isr: [2] })]).start(2, [0])
    scene.perform((context) => unregisterBroker(context, 2).records)
    expect(scene.partition()).toMatchObject({ leader: -1, elr: [2] })
    expect(scene.elect(ElectionType.PREFERRED)).toBe(MetadataErrorCode.PREFERRED_LEADER_NOT_AVAILABLE)
    scene.start(2, [0])
    expect(scene.partition()).toMatchObject({ leader: -1, elr: [2] })
    expect(scene.start(2).assign(2).partition()).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 0 })
    scene.check()
  })

  test('the topic is deleted', () => {
    const scene = new Scene([partition(t, 0, [2, 1], { isr: [2] })]).start(2, [0])
    scene.perform((context) => deleteTopics(context, [{ name: null, topicId: t }]).records)
    expect(scene.image.topics.size).toBe(0)
    scene.start(2, [0]).start(2)
    expect(scene.image.brokers.get(2)!.fenced).toBe(false)
  })

  test('a move begins, which nobody can end, and is called off', () => {
    const scene = new Scene([partition(t, 0, [2, 1], { isr: [2] })]).start(2, [0])
    expect(scene.reassign([3, 1])).toBe(MetadataErrorCode.NONE)
    expect(scene.partition()).toMatchObject({ leader: -1, elr: [2], replicas: [3, 1, 2], addingReplicas: [3] })
    expect(scene.partition().directories).toEqual([directoryOf(3), directoryOf(1), LOST_LOG])
    scene.start(2, [0])
    expect(scene.reassign(null)).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
    scene.start(2).assign(2)
    expect(scene.partition()).toMatchObject({ leader: 2, isr: [2], replicas: [3, 1, 2] })
    expect(scene.join(3)).toBe(MetadataErrorCode.NEW_LEADER_ELECTED)
    expect(scene.partition()).toMatchObject({ leader: 3, isr: [3], replicas: [3, 1], elr: [] })
    scene.check()
  })

  test('a move whose new replicas alone have something is not called off', () => {
    const init = { isr: [3], addingReplicas: [3, 4], removingReplicas: [1, 2] }
    const scene = new Scene([partition(t, 0, [3, 4, 2, 1], init)], [ELR, UNCLEAN]).start(1, [0]).start(2, [0])
    expect(scene.reassign(null)).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(scene.partition()).toMatchObject({ leader: 3, isr: [3], replicas: [3, 4, 2, 1] })
    expect(scene.assign(2).reassign(null)).toBe(MetadataErrorCode.NONE)
    expect(scene.partition()).toMatchObject({ leader: 2, isr: [2], replicas: [2, 1], leaderRecoveryState: 1 })
    scene.check()
  })

  test('one that is just about to get a replica is a worse guess than one that had it', () => {
    const scene = new Scene([partition(t, 0, [2, 1], { isr: [2] })]).start(2, [0])
    scene.reassign([3, 2, 1])
    scene.elect(ElectionType.UNCLEAN)
    expect(scene.partition()).toMatchObject({ leader: 1, isr: [1], elr: [] })
    const alone = new Scene([partition(t, 0, [2, 1], { isr: [2] })]).start(2, [0]).die(1)
    alone.reassign([3, 2, 1])
    alone.elect(ElectionType.UNCLEAN)
    expect(alone.partition()).toMatchObject({ leader: 3, isr: [3], elr: [] })
    alone.check()
  })

  test('its replica is moved away, and back: then it is a new one', () => {
    const scene = new Scene([partition(t, 0, [2, 1])]).start(2, [0])
    expect(scene.partition()).toMatchObject({ leader: 1, isr: [1] })
    scene.reassign([1])
    expect(scene.partition()).toMatchObject({ replicas: [1], directories: [directoryOf(1)] })
    scene.reassign([1, 2])
    expect(scene.partition()).toMatchObject({ replicas: [1, 2], isr: [1], directories: [1, 2].map(directoryOf) })
    scene.check()
  })
})

test('what the former code noted of lost logs means what it meant', () => {
  const out = partition(t, 0, [2, 1], { isr: [], leader: -1 })
  const last = partition(t, 1, [2], { isr: [2], leader: -1, directories: [DirectoryId.LOST] })
  for (const more of [[ELR], []]) {
    const scene = new Scene([out, last], more).start(2)
    expect(scene.partition(0)).toMatchObject({ leader: -1, isr: [], directories: [2, 1].map(directoryOf) })
    expect(scene.partition(1)).toMatchObject({ leader: -1, directories: [DirectoryId.LOST] })
    expect(scene.elect(ElectionType.UNCLEAN, 1)).toBe(MetadataErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE)
    scene.elect(ElectionType.UNCLEAN, 0)
    expect(scene.partition(0)).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 1 })
  }
})
