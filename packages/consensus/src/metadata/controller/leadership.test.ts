import { describe, expect, test } from 'vitest'
import {
  cluster,
  contextOf,
  idOf,
  imageOf,
  partition,
  registration,
  topic,
  topicConfig,
} from '../../testing/cluster.ts'
import type { MetadataImage, PartitionImage } from '../image.ts'
import type { MetadataRecord, PartitionRecord } from '../records.ts'
import { applyRecords } from '../reducer.ts'
import { MetadataErrorCode } from './api-error.ts'
import { ElectionType, electLeaders } from './elect-leaders.ts'
import { buildPartitionChange, type PartitionChange } from './partition-change.ts'
import { alterPartitionReassignments, listPartitionReassignments } from './reassignments.ts'

const t = idOf(1)
const elrOn: MetadataRecord = { type: 'FeatureLevelRecord', name: 'eligible.leader.replicas.version', featureLevel: 1 }

function withPartition(init: Partial<PartitionRecord> & { replicas: readonly number[] }, ...more: MetadataRecord[]) {
  return imageOf(...cluster(1, 2, 3, 4), topic('t', t), partition(t, 0, init.replicas, init), ...more)
}

function partitionOf(image: MetadataImage): PartitionImage {
  return image.topics.get('t')!.partitions[0]!
}

describe('elections on request', () => {
  function elect(
    image: MetadataImage,
    electionType: number,
    topicPartitions: Parameters<typeof electLeaders>[1]['topicPartitions'],
  ) {
    const { records, response } = electLeaders(contextOf(image), { electionType, topicPartitions })
    return { response, after: partitionOf(applyRecords(image, records).image) }
  }
  const asked = [{ topic: 't', partitions: [0] }]
  const errorOf = (image: MetadataImage, type: number) => {
    const { response } = elect(image, type, asked)
    return Array.isArray(response) ? response[0].partitionResult[0].errorCode : response
  }

  test('a partition that is named twice is elected once', () => {
    const twice = [
      { topic: 't', partitions: [0, 0] },
      { topic: 't', partitions: [0] },
    ]
    const image = withPartition({ replicas: [1, 2], isr: [2], leader: -1, leaderEpoch: 4 })
    const { response, after } = elect(image, ElectionType.UNCLEAN, twice)
    const { ELECTION_NOT_NEEDED } = MetadataErrorCode
    expect(response).toMatchObject([
      { partitionResult: [{ errorCode: 0 }, { errorCode: ELECTION_NOT_NEEDED }] },
      { partitionResult: [{ errorCode: ELECTION_NOT_NEEDED }] },
    ])
    expect(after).toMatchObject({ leader: 2, leaderEpoch: 5, partitionEpoch: 1 })
  })

  test('the preferred leader comes back', () => {
    const image = withPartition({ replicas: [1, 2], leader: 2 })
    const { response, after } = elect(image, ElectionType.PREFERRED, asked)
    expect(response).toEqual([{ topic: 't', partitionResult: [{ partitionId: 0, errorCode: 0, errorMessage: null }] }])
    expect(after).toMatchObject({ leader: 1, leaderEpoch: 1 })
  })

  test('nothing to do, and nobody to elect', () => {
    const led = withPartition({ replicas: [1, 2] })
    expect(errorOf(led, ElectionType.PREFERRED)).toBe(MetadataErrorCode.ELECTION_NOT_NEEDED)
    expect(errorOf(led, ElectionType.UNCLEAN)).toBe(MetadataErrorCode.ELECTION_NOT_NEEDED)
    const fenced = [registration(1, { fenced: true }), registration(2, { fenced: true })]
    const dead = withPartition({ replicas: [1, 2], isr: [1], leader: -1 }, ...fenced)
    expect(errorOf(dead, ElectionType.PREFERRED)).toBe(MetadataErrorCode.PREFERRED_LEADER_NOT_AVAILABLE)
    expect(errorOf(dead, ElectionType.UNCLEAN)).toBe(MetadataErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE)
  })

  test('an unclean election by hand needs no permission of the topic', () => {
    const image = withPartition({ replicas: [1, 2], isr: [1], leader: -1 }, registration(1, { fenced: true }))
    expect(elect(image, ElectionType.UNCLEAN, asked).after).toMatchObject({
      leader: 2,
      isr: [2],
      leaderRecoveryState: 1,
    })
  })

  test('all partitions: those that need nothing are left out, their topics are not', () => {
    const image = withPartition({ replicas: [1, 2] })
    expect(elect(image, ElectionType.PREFERRED, null).response).toEqual([{ topic: 't', partitionResult: [] }])
    expect(elect(image, ElectionType.PREFERRED, []).response).toEqual([])
  })

  test('unknown topics, partitions and types', () => {
    const image = withPartition({ replicas: [1, 2] })
    const { response } = elect(image, ElectionType.PREFERRED, [
      { topic: 'none', partitions: [0] },
      { topic: 't', partitions: [7] },
    ])
    const codes = Array.isArray(response) ? response.map((result) => result.partitionResult[0].errorCode) : []
    expect(codes).toEqual([3, 3])
    expect(elect(image, 2, asked).response).toMatchObject({ code: MetadataErrorCode.INVALID_REQUEST })
  })
})

describe('reassignment', () => {
  function move(image: MetadataImage, replicas: readonly number[] | null, allowReplicationFactorChange = true) {
    const { records, response } = alterPartitionReassignments(contextOf(image), {
      allowReplicationFactorChange,
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, replicas }] }],
    })
    return { error: response[0]?.partitions[0]?.errorCode, records, after: applyRecords(image, records).image }
  }

  test('a move to other brokers starts, shows in the list, and can be taken back', () => {
    const start = move(withPartition({ replicas: [1, 2] }), [3, 4])
    expect(start.error).toBe(0)
    expect(partitionOf(start.after)).toMatchObject({
      replicas: [3, 4, 1, 2],
      addingReplicas: [3, 4],
      removingReplicas: [1, 2],
      isr: [1, 2],
      leader: 1,
    })
    const listed = [{ partitionIndex: 0, replicas: [3, 4, 1, 2], addingReplicas: [3, 4], removingReplicas: [1, 2] }]
    expect(listPartitionReassignments(start.after, null)).toEqual([{ name: 't', partitions: listed }])
    expect(listPartitionReassignments(start.after, [{ name: 't', partitionIndexes: [1] }])).toEqual([])
    expect(listPartitionReassignments(start.after, [{ name: 'none', partitionIndexes: [0] }])).toEqual([])
    expect(partitionOf(move(start.after, null).after)).toMatchObject({
      replicas: [1, 2],
      addingReplicas: [],
      removingReplicas: [],
    })
  })

  test('a partition that is named twice gets the first move, and the second is refused', () => {
    const image = withPartition({ replicas: [1, 2] })
    const wishes = [[1, 3], [1]].map((replicas) => ({ partitionIndex: 0, replicas }))
    for (const topics of [
      [{ name: 't', partitions: wishes }],
      wishes.map((wish) => ({ name: 't', partitions: [wish] })),
    ]) {
      const request = { allowReplicationFactorChange: true, topics }
      const { records, response } = alterPartitionReassignments(contextOf(image), request)
      const codes = response.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode))
      expect(codes).toEqual([0, MetadataErrorCode.INVALID_REQUEST])
      const after = partitionOf(applyRecords(image, records).image)
      expect(after).toMatchObject({ replicas: [1, 3, 2], addingReplicas: [3], removingReplicas: [2] })
    }
  })

  test('a move back to where it came from ends, and so does one that keeps what was to be removed', () => {
    const started = move(withPartition({ replicas: [1] }), [3]).after
    expect(partitionOf(move(started, [1]).after)).toMatchObject({
      replicas: [1],
      addingReplicas: [],
      removingReplicas: [],
      leader: 1,
    })
    const both = move(started, [1, 3]).after
    expect(partitionOf(both)).toMatchObject({ replicas: [1, 3], addingReplicas: [3], removingReplicas: [] })
  })

  test('another order, and fewer replicas that are in sync, are done at once', () => {
    expect(partitionOf(move(withPartition({ replicas: [1, 2] }), [2, 1]).after)).toMatchObject({
      replicas: [2, 1],
      leader: 1,
      addingReplicas: [],
    })
    expect(partitionOf(move(withPartition({ replicas: [1, 2] }), [2]).after)).toMatchObject({
      replicas: [2],
      isr: [2],
      leader: 2,
      leaderEpoch: 1,
      removingReplicas: [],
    })
    expect(move(withPartition({ replicas: [1, 2] }), [1, 2]).records).toEqual([])
  })

  test('what cannot be', () => {
    const image = withPartition({ replicas: [1, 2] })
    expect(move(image, null).error).toBe(MetadataErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
    expect(move(image, []).error).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(move(image, [1, 1]).error).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(move(image, [9]).error).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(move(image, [1], false).error).toBe(MetadataErrorCode.INVALID_REPLICATION_FACTOR)
    expect(move(image, [3, 4], false).error).toBe(0)
    const unknown = alterPartitionReassignments(contextOf(image), {
      allowReplicationFactorChange: true,
      topics: [
        { name: 'none', partitions: [{ partitionIndex: 0, replicas: [1] }] },
        { name: 't', partitions: [{ partitionIndex: 5, replicas: [1] }] },
      ],
    })
    expect(unknown.response.map((result) => result.partitions[0]?.errorCode)).toEqual([3, 3])
  })

  test('taking back a move needs an old replica in sync, or permission', () => {
    const moving = { replicas: [3, 1], addingReplicas: [3], removingReplicas: [1], isr: [3], leader: 3 }
    expect(move(withPartition(moving), null).error).toBe(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT)
    const allowed = withPartition(moving, topicConfig('t', 'unclean.leader.election.enable', 'true'))
    expect(partitionOf(move(allowed, null).after)).toMatchObject({ replicas: [1], isr: [1], leader: 1 })
  })
})

describe('changes of one partition', () => {
  function change(image: MetadataImage, wish: Partial<PartitionChange>) {
    const part = partitionOf(image)
    const record = buildPartitionChange({ image, topicId: t, partition: part, minIsr: 1, election: 'ONLINE', ...wish })
    return record === null ? part : partitionOf(applyRecords(image, [record]).image)
  }

  test('members that leave below the minimum stay eligible, and lead again', () => {
    const image = withPartition({ replicas: [1, 2, 3] }, elrOn)
    const shrunk = change(image, { targetIsr: [1], minIsr: 2 })
    expect(shrunk).toMatchObject({ isr: [1], elr: [2, 3], leader: 1, leaderEpoch: 0 })
    const gone = withPartition(
      { replicas: [1, 2, 3], isr: [1], eligibleLeaderReplicas: [2, 3] },
      elrOn,
      registration(1, { fenced: true }),
    )
    expect(change(gone, { targetIsr: [], minIsr: 2 })).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 0 })
    expect([...change(gone, { targetIsr: [], minIsr: 2 }).elr].sort()).toEqual([1, 3])
  })

  test('at the minimum again nobody else is eligible', () => {
    const image = withPartition({ replicas: [1, 2, 3], isr: [1], eligibleLeaderReplicas: [2, 3] }, elrOn)
    expect(change(image, { targetIsr: [1, 2], minIsr: 2 })).toMatchObject({ isr: [1, 2], elr: [] })
  })

  test('the last leader is remembered, and elected if it alone is left', () => {
    const allFenced = [1, 2, 3].map((id) => registration(id, { fenced: true }))
    const image = withPartition({ replicas: [1, 2, 3], isr: [1] }, elrOn, ...allFenced)
    const leaderless = change(image, { targetIsr: [], minIsr: 1 })
    expect(leaderless).toMatchObject({ leader: -1, isr: [], elr: [1], lastKnownElr: [1] })
    const forgotten = withPartition({ replicas: [1, 2, 3], isr: [], leader: -1, lastKnownElr: [1] }, elrOn)
    expect(change(forgotten, {})).toMatchObject({ leader: 1, isr: [1], leaderRecoveryState: 1, lastKnownElr: [] })
  })

  test('without the feature the last member stays in sync and nobody leads', () => {
    const image = withPartition({ replicas: [1, 2], isr: [1] }, registration(1, { fenced: true }))
    expect(change(image, { targetIsr: [] })).toMatchObject({ leader: -1, isr: [1], elr: [] })
  })

  test('a move ends when all new replicas are in sync, and not before', () => {
    const moving = { replicas: [3, 4, 1, 2], addingReplicas: [3, 4], removingReplicas: [1, 2], isr: [1, 2], leader: 1 }
    const image = withPartition(moving)
    expect(change(image, { targetIsr: [1, 2, 3] })).toMatchObject({ replicas: [3, 4, 1, 2], isr: [1, 2, 3] })
    expect(change(image, { targetIsr: [1, 2, 3, 4] })).toMatchObject({
      replicas: [3, 4],
      isr: [3, 4],
      leader: 3,
      leaderEpoch: 1,
      addingReplicas: [],
      removingReplicas: [],
    })
  })

  test('nothing changed is no record', () => {
    const image = withPartition({ replicas: [1, 2] })
    const part = partitionOf(image)
    expect(buildPartitionChange({ image, topicId: t, partition: part, minIsr: 1, election: 'ONLINE' })).toBeNull()
  })
})
