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
import type { MetadataImage } from '../image.ts'
import type { PartitionRecord } from '../records.ts'
import { applyRecords } from '../reducer.ts'
import { alterPartitions } from './alter-partition.ts'
import { MetadataErrorCode } from './api-error.ts'
import { withdrawReplicas } from './withdraw-replicas.ts'

const t = idOf(1)
const elrLevel = { type: 'FeatureLevelRecord', name: 'eligible.leader.replicas.version', featureLevel: 1 } as const

function imageWith(init: Partial<PartitionRecord> = {}): MetadataImage {
  return imageOf(
    ...cluster(1, 2, 3),
    elrLevel,
    topic('t', t),
    topicConfig('t', 'min.insync.replicas', '2'),
    partition(t, 0, [1, 2, 3], { leaderEpoch: 5, partitionEpoch: 9, ...init }),
  )
}

function withdraw(image: MetadataImage, brokerId: number, leaderEpoch = 5) {
  const { records, response } = withdrawReplicas(contextOf(image), {
    brokerId,
    brokerEpoch: brokerId * 10,
    partitions: [{ topicId: t, partition: 0, leaderEpoch }],
  })
  if ('code' in response) throw new Error(`refused as a whole: ${response.code}`)
  const after = applyRecords(image, records).image
  return { after, partition: after.topics.get('t')!.partitions[0]!, errorCode: response.partitions[0]!.errorCode }
}

describe('a damaged replica', () => {
  test('leaves the in-sync set, and its leader goes on in a new epoch', () => {
    const { errorCode, partition: after } = withdraw(imageWith(), 2)
    expect(errorCode).toBe(0)
    expect(after).toMatchObject({ leader: 1, leaderEpoch: 6, isr: [1, 3], partitionEpoch: 10 })
  })

  test('that leads hands leadership to one that is in sync', () => {
    const { errorCode, partition: after } = withdraw(imageWith(), 1)
    expect(errorCode).toBe(0)
    expect(after).toMatchObject({ leader: 2, leaderEpoch: 6, isr: [2, 3] })
  })

  test('has no claim to lead either', () => {
    expect(withdraw(imageWith({ isr: [1, 2] }), 2).partition).toMatchObject({ isr: [1], elr: [] })
    const eligible = imageWith({ isr: [1], eligibleLeaderReplicas: [2, 3] })
    expect(withdraw(eligible, 2).partition).toMatchObject({ leader: 1, leaderEpoch: 6, isr: [1], elr: [3] })
  })

  test('out of the in-sync set gets a new epoch all the same: what it fetched before must not bring it in', () => {
    const image = imageWith({ isr: [1, 3] })
    const { after, partition: now } = withdraw(image, 2)
    expect(now).toMatchObject({ leader: 1, leaderEpoch: 6, isr: [1, 3] })
    const { response } = alterPartitions(contextOf(after), {
      brokerId: 1,
      brokerEpoch: 10,
      partitions: [
        {
          topicId: t,
          partition: 0,
          leaderEpoch: 5,
          partitionEpoch: now.partitionEpoch,
          leaderRecoveryState: 0,
          newIsr: [1, 2, 3].map((brokerId) => ({ brokerId, brokerEpoch: brokerId * 10 })),
        },
      ],
    })
    expect(response).toMatchObject({ partitions: [{ errorCode: MetadataErrorCode.FENCED_LEADER_EPOCH }] })
  })

  test('stays where no other one in sync can lead', () => {
    const refused = (image: MetadataImage, brokerId: number) => {
      const { errorCode, partition: after } = withdraw(image, brokerId)
      expect(after).toEqual(image.topics.get('t')!.partitions[0])
      return errorCode
    }
    const code = MetadataErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
    expect(refused(imageWith({ isr: [1] }), 1)).toBe(code)
    const alone = applyRecords(imageWith({ isr: [1, 2] }), [registration(2, { fenced: true })]).image
    expect(refused(alone, 1)).toBe(code)
    const offline = applyRecords(imageWith({ isr: [1, 2] }), [registration(2, { logDirs: [idOf(77)] })]).image
    expect(refused(offline, 1)).toBe(code)
  })

  test('is not replaced by one out of sync, where that would be allowed otherwise', () => {
    const unclean = topicConfig('t', 'unclean.leader.election.enable', 'true')
    const image = applyRecords(imageWith({ isr: [1] }), [unclean]).image
    expect(withdraw(image, 1).errorCode).toBe(MetadataErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE)
  })

  test('withdraws once for each epoch', () => {
    const { after } = withdraw(imageWith(), 2)
    const again = withdraw(after, 2)
    expect(again.errorCode).toBe(MetadataErrorCode.FENCED_LEADER_EPOCH)
    expect(again.partition.leaderEpoch).toBe(6)
    expect(withdraw(imageWith(), 2, 6).errorCode).toBe(MetadataErrorCode.NOT_CONTROLLER)
    const { response } = withdrawReplicas(contextOf(imageWith()), {
      brokerId: 2,
      brokerEpoch: 20,
      partitions: [5, 5].map((leaderEpoch) => ({ topicId: t, partition: 0, leaderEpoch })),
    })
    expect(response).toMatchObject({
      partitions: [{ errorCode: 0 }, { errorCode: MetadataErrorCode.FENCED_LEADER_EPOCH }],
    })
  })

  test('of an unknown topic or partition, of another broker or registration', () => {
    const image = imageWith({ replicas: [1, 2], directories: [idOf(1), idOf(2)], isr: [1, 2] })
    const ask = (brokerId: number, brokerEpoch: number, topicId = t, partitionId = 0) =>
      withdrawReplicas(contextOf(image), {
        brokerId,
        brokerEpoch,
        partitions: [{ topicId, partition: partitionId, leaderEpoch: 5 }],
      }).response
    expect(ask(2, 21)).toMatchObject({ code: MetadataErrorCode.STALE_BROKER_EPOCH })
    const codeOf = (response: ReturnType<typeof ask>) => ('code' in response ? -1 : response.partitions[0]!.errorCode)
    expect(codeOf(ask(2, 20, idOf(8)))).toBe(MetadataErrorCode.UNKNOWN_TOPIC_ID)
    expect(codeOf(ask(2, 20, t, 4))).toBe(MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(codeOf(ask(3, 30))).toBe(MetadataErrorCode.NOT_LEADER_OR_FOLLOWER)
  })
})
