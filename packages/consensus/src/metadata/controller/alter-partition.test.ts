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
import { applyRecords } from '../reducer.ts'
import { alterPartitions, type PartitionAlteration } from './alter-partition.ts'
import { MetadataErrorCode } from './api-error.ts'
import { assignReplicasToDirs } from './assign-directories.ts'
import { balanceLeaders, electUncleanly, MAX_CHANGES_PER_RUN } from './leader-balance.ts'
import { alterPartitionReassignments } from './reassignments.ts'

const t = idOf(1)
const base = imageOf(
  ...cluster(1, 2, 3),
  topic('t', t),
  partition(t, 0, [1, 2, 3], { isr: [1, 2], leaderEpoch: 5, partitionEpoch: 9 }),
)
const member = (brokerId: number, brokerEpoch = brokerId * 10) => ({ brokerId, brokerEpoch })

function alter(init: Partial<PartitionAlteration> = {}, image: MetadataImage = base, brokerId = 1) {
  const wish: PartitionAlteration = {
    topicId: t,
    partition: 0,
    leaderEpoch: 5,
    partitionEpoch: 9,
    leaderRecoveryState: 0,
    newIsr: [member(1), member(2), member(3)],
    ...init,
  }
  const { records, response } = alterPartitions(contextOf(image), {
    brokerId,
    brokerEpoch: brokerId * 10,
    partitions: [wish],
  })
  if ('code' in response) throw new Error(`refused as a whole: ${response.code}`)
  return { records, result: response.partitions[0]!, after: applyRecords(image, records).image }
}

describe('AlterPartition', () => {
  test('sets the in-sync set and answers the new state', () => {
    const { result, after } = alter()
    expect(result).toMatchObject({ errorCode: 0, leader: 1, leaderEpoch: 5, partitionEpoch: 10, isr: [1, 2, 3] })
    expect(after.topics.get('t')!.partitions[0]).toMatchObject({ isr: [1, 2, 3], partitionEpoch: 10, leaderEpoch: 5 })
  })

  test('a request that changes nothing succeeds with the present state', () => {
    const { records, result } = alter({ newIsr: [member(1), member(2)] })
    expect(records).toEqual([])
    expect(result).toMatchObject({ errorCode: 0, partitionEpoch: 9, isr: [1, 2] })
  })

  test('a broker of another epoch is refused as a whole', () => {
    const { response } = alterPartitions(contextOf(base), { brokerId: 1, brokerEpoch: 11, partitions: [] })
    expect(response).toMatchObject({ code: MetadataErrorCode.STALE_BROKER_EPOCH })
  })

  const code = MetadataErrorCode
  test.each([
    ['unknown topic', { topicId: idOf(5) }, code.UNKNOWN_TOPIC_ID],
    ['unknown partition', { partition: 1 }, code.UNKNOWN_TOPIC_OR_PARTITION],
    ['a later leader epoch', { leaderEpoch: 6 }, code.NOT_CONTROLLER],
    ['a later partition epoch', { partitionEpoch: 10, leaderEpoch: 4 }, code.NOT_CONTROLLER],
    ['an earlier leader epoch', { leaderEpoch: 4 }, code.FENCED_LEADER_EPOCH],
    ['an earlier partition epoch', { partitionEpoch: 8 }, code.INVALID_UPDATE_VERSION],
    ['a member twice', { newIsr: [member(1), member(1)] }, code.INVALID_REQUEST],
    ['a member that is no replica', { newIsr: [member(1), member(4)] }, code.INVALID_REQUEST],
    ['without the leader', { newIsr: [member(2)] }, code.INVALID_REQUEST],
    ['nobody', { newIsr: [] }, code.INVALID_REQUEST],
    ['recovering with two', { leaderRecoveryState: 1, newIsr: [member(1), member(2)] }, code.INVALID_REQUEST],
    ['recovering after it had recovered', { leaderRecoveryState: 1, newIsr: [member(1)] }, code.INVALID_REQUEST],
    ['a member that restarted', { newIsr: [member(1), member(3, 29)] }, code.INELIGIBLE_REPLICA],
  ] as const)('%s', (_, init, expected) => {
    const { records, result } = alter(init)
    expect(records).toEqual([])
    expect(result.errorCode).toBe(expected)
  })

  test('only the leader may ask', () => {
    expect(alter({}, base, 2).result.errorCode).toBe(code.INVALID_REQUEST)
  })

  test('fenced, stopping and unknown members are not eligible, nor is their epoch asked for', () => {
    for (const record of [registration(3, { fenced: true }), registration(3, { inControlledShutdown: true })]) {
      const image = applyRecords(base, [record]).image
      expect(alter({ newIsr: [member(1), member(3, -1)] }, image).result.errorCode).toBe(code.INELIGIBLE_REPLICA)
    }
    expect(alter({ newIsr: [member(1), member(3, -1)] }).result.errorCode).toBe(0)
  })

  test('a follower whose directory is offline is not eligible', () => {
    const offline = registration(3, { logDirs: [idOf(70)] })
    const image = applyRecords(base, [offline]).image
    expect(alter({}, image).result.errorCode).toBe(MetadataErrorCode.INELIGIBLE_REPLICA)
    // One that was in sync before leaves by the broker's own word, not because its leader says again that it is.
    expect(alter({ newIsr: [member(1), member(2)] }, image).result.errorCode).toBe(0)
  })

  test('the second of two wishes for one partition did not know of the first', () => {
    const wish: PartitionAlteration = {
      topicId: t,
      partition: 0,
      leaderEpoch: 5,
      partitionEpoch: 9,
      leaderRecoveryState: 0,
      newIsr: [member(1)],
    }
    const { records, response } = alterPartitions(contextOf(base), {
      brokerId: 1,
      brokerEpoch: 10,
      partitions: [wish, { ...wish, newIsr: [member(1), member(3)] }],
    })
    expect(records.length).toBe(1)
    expect('partitions' in response && response.partitions.map(({ errorCode }) => errorCode)).toEqual([
      0,
      code.INVALID_UPDATE_VERSION,
    ])
  })

  test('a leader reports that it has recovered', () => {
    const recovering = partition(t, 0, [1, 2], { isr: [1], leaderRecoveryState: 1 })
    const image = imageOf(...cluster(1, 2), topic('t', t), recovering)
    const { result, after } = alter({ leaderEpoch: 0, partitionEpoch: 0, newIsr: [member(1)] }, image)
    expect(result).toMatchObject({ errorCode: 0, leaderRecoveryState: 0 })
    expect(after.topics.get('t')!.partitions[0]!.leaderRecoveryState).toBe(0)
  })

  test('the new replica in sync completes a move; the leader that leaves is told', () => {
    const moving = partition(t, 0, [2, 1], {
      isr: [1],
      leader: 1,
      addingReplicas: [2],
      removingReplicas: [1],
    })
    const image = imageOf(...cluster(1, 2), topic('t', t), moving)
    const wish = { leaderEpoch: 0, partitionEpoch: 0, newIsr: [member(1), member(2)] }
    const { result, after } = alter(wish, image)
    expect(result.errorCode).toBe(code.NEW_LEADER_ELECTED)
    expect(after.topics.get('t')!.partitions[0]).toMatchObject({
      replicas: [2],
      isr: [2],
      leader: 2,
      leaderEpoch: 1,
      addingReplicas: [],
      removingReplicas: [],
    })
  })
})

describe('a move that is called off while only new replicas are in sync', () => {
  const elrOn = { type: 'FeatureLevelRecord', name: 'eligible.leader.replicas.version', featureLevel: 1 } as const
  const permission = topicConfig('t', 'unclean.leader.election.enable', 'true')
  const moving = partition(t, 0, [3, 1, 2], { isr: [3], leader: 3, addingReplicas: [3], removingReplicas: [1, 2] })
  const fenced1 = registration(1, { fenced: true })
  const cancel = {
    allowReplicationFactorChange: true,
    topics: [{ name: 't', partitions: [{ partitionIndex: 0, replicas: null }] }],
  }
  const after = (image: MetadataImage) => {
    const { records } = alterPartitionReassignments(contextOf(image), cancel)
    return applyRecords(image, records).image.topics.get('t')!.partitions[0]!
  }

  test('goes to a replica that is alive, not to the first', () => {
    const image = imageOf(...cluster(1, 2, 3), elrOn, fenced1, permission, topic('t', t), moving)
    expect(after(image)).toMatchObject({ replicas: [1, 2], isr: [2], leader: 2, leaderRecoveryState: 1 })
  })

  test('with nobody alive it has no member, and who led is no replica to go back to', () => {
    const fenced2 = registration(2, { fenced: true })
    const image = imageOf(...cluster(1, 2, 3), elrOn, fenced1, fenced2, permission, topic('t', t), moving)
    const orphan = after(image)
    expect(orphan).toMatchObject({ replicas: [1, 2], isr: [], elr: [], leader: -1, lastKnownElr: [3] })
    const { records } = alterPartitionReassignments(contextOf(image), cancel)
    expect(electUncleanly(contextOf(applyRecords(image, records).image))).toEqual([])
  })
})

describe('AssignReplicasToDirs', () => {
  const unassigned = partition(t, 0, [1, 2], { directories: [DirectoryId.UNASSIGNED, directoryOf(2)] })
  const image = imageOf(...cluster(1, 2), topic('t', t), unassigned)
  const assign = (directory: typeof DirectoryId.LOST, partitionId = 0, topicId = t, brokerId = 1) => {
    const { records, response } = assignReplicasToDirs(contextOf(image), {
      brokerId,
      brokerEpoch: brokerId * 10,
      partitions: [{ topicId, partition: partitionId, directory }],
    })
    const errorCode = 'code' in response ? response.code : response.partitions[0]!.errorCode
    return { errorCode, after: applyRecords(image, records).image.topics.get('t')!.partitions[0]! }
  }

  test('notes where the replica lies', () => {
    expect(assign(directoryOf(1) as typeof DirectoryId.LOST)).toMatchObject({
      errorCode: 0,
      after: { directories: [directoryOf(1), directoryOf(2)], isr: [1, 2], leader: 1 },
    })
  })

  test('in a directory that is lost it is in sync no more', () => {
    expect(assign(DirectoryId.LOST)).toMatchObject({ errorCode: 0, after: { isr: [2], leader: 2 } })
  })

  test('unknown topics and partitions, replicas of others, reserved directories, other registrations', () => {
    expect(assign(DirectoryId.LOST, 0, idOf(9)).errorCode).toBe(MetadataErrorCode.UNKNOWN_TOPIC_ID)
    expect(assign(DirectoryId.LOST, 3).errorCode).toBe(MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(assign(DirectoryId.UNASSIGNED as never).errorCode).toBe(MetadataErrorCode.INVALID_REQUEST)
    expect(assign(DirectoryId.LOST, 0, t, 7).errorCode).toBe(MetadataErrorCode.STALE_BROKER_EPOCH)
    const other = imageOf(...cluster(1, 2, 3), topic('t', t), unassigned)
    const { response } = assignReplicasToDirs(contextOf(other), {
      brokerId: 3,
      brokerEpoch: 30,
      partitions: [{ topicId: t, partition: 0, directory: directoryOf(3) }],
    })
    expect(response).toEqual({
      partitions: [{ topicId: t, partition: 0, errorCode: MetadataErrorCode.NOT_LEADER_OR_FOLLOWER }],
    })
  })
})

describe('periodic tasks', () => {
  test('leadership goes back to the first replica where it is in sync', () => {
    const image = imageOf(
      ...cluster(1, 2, 3),
      topic('t', t),
      partition(t, 0, [1, 2], { leader: 2 }),
      partition(t, 1, [3, 2], { isr: [2] }),
      partition(t, 2, [2, 1]),
    )
    const records = balanceLeaders(contextOf(image))
    expect(records).toEqual([{ type: 'PartitionChangeRecord', topicId: t, partitionId: 0, leader: 1 }])
    expect(balanceLeaders(contextOf(applyRecords(image, records).image))).toEqual([])
  })

  test('one run has its bound', () => {
    const many = Array.from({ length: MAX_CHANGES_PER_RUN + 5 }, (_, id) => partition(t, id, [1, 2], { leader: 2 }))
    const image = imageOf(...cluster(1, 2), topic('t', t), ...many)
    const records = balanceLeaders(contextOf(image))
    expect(records.length).toBe(MAX_CHANGES_PER_RUN)
    expect(balanceLeaders(contextOf(applyRecords(image, records).image)).length).toBe(5)
  })

  test('unclean elections only where nobody leads and the topic permits it', () => {
    const orphan = partition(t, 0, [2, 1], { isr: [2], leader: -1 })
    const image = imageOf(...cluster(1), registration(2, { fenced: true }), topic('t', t), orphan)
    expect(electUncleanly(contextOf(image))).toEqual([])
    const permitted = applyRecords(image, [topicConfig('t', 'unclean.leader.election.enable', 'true')]).image
    expect(electUncleanly(contextOf(permitted))).toMatchObject([{ leader: 1, isr: [1], leaderRecoveryState: 1 }])
  })
})
