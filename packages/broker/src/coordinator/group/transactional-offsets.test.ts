import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { GROUP, GroupDriver, topicId } from '../testing/group-driver.ts'
import type { CommitInput } from './offset-operations.ts'

/** Goal: TxnOffsetCommit takes offsets of members only, keeps them aside until the transaction ends, and they take room meanwhile. */

const PRODUCER = 9
const { UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, FENCED_INSTANCE_ID, COORDINATOR_NOT_AVAILABLE } = ErrorCode

function errorOf(driver: GroupDriver, input: Partial<CommitInput> = {}, producerId = PRODUCER): number {
  const { errorCode, partitionErrors } = driver.commitIn(producerId, { topic: 5 }, input)
  return errorCode || partitionErrors[0]![0]!
}

function partition(number: number, metadata = ''): Partial<CommitInput> {
  const partitions = [{ partition: number, committedOffset: 1, leaderEpoch: 0, metadata }]
  return { topics: [{ topic: 'topic', topicId: topicId('topic'), partitions }] }
}

describe('who may commit in a transaction', () => {
  test('a producer that names no member, always: older ones know of none', () => {
    const driver = new GroupDriver()
    expect(errorOf(driver)).toBe(0)
    driver.stabilize([{}])
    expect(errorOf(driver)).toBe(0)
  })

  test('a member of the generation at hand, and nobody else', () => {
    const driver = new GroupDriver()
    const [memberId] = driver.stabilize([{ groupInstanceId: 'a' }])
    expect(errorOf(driver, { memberId: memberId!, generationId: 1 })).toBe(0)
    expect(errorOf(driver, { memberId: memberId!, groupInstanceId: 'a', generationId: 1 })).toBe(0)
    expect(errorOf(driver, { memberId: memberId!, generationId: 0 })).toBe(ILLEGAL_GENERATION)
    expect(errorOf(driver, { memberId: memberId! })).toBe(ILLEGAL_GENERATION)
    expect(errorOf(driver, { memberId: 'stranger', generationId: 1 })).toBe(UNKNOWN_MEMBER_ID)
    expect(errorOf(driver, { memberId: 'stranger', groupInstanceId: 'a', generationId: 1 })).toBe(FENCED_INSTANCE_ID)
    expect(errorOf(driver, { memberId: '', generationId: 1 })).toBe(UNKNOWN_MEMBER_ID)
  })

  test('no member of a group that is not there', () => {
    const driver = new GroupDriver()
    expect(errorOf(driver, { memberId: 'stranger', generationId: 3 })).toBe(ILLEGAL_GENERATION)
    expect(driver.records).toEqual([])
  })

  test('a member during a rebalance: its generation says whether it is too late', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    driver.join({ memberId: leader! })
    expect(errorOf(driver, { memberId: follower!, generationId: 1 })).toBe(0)
    driver.join({ memberId: follower! })
    expect(driver.state).toBe('CompletingRebalance')
    expect(errorOf(driver, { memberId: follower!, generationId: 1 })).toBe(ILLEGAL_GENERATION)
  })
})

describe('offsets of a transaction', () => {
  test('count when it is committed, the last of each partition, and are gone when it is aborted', () => {
    const driver = new GroupDriver()
    for (const commit of [false, true]) {
      driver.commitIn(PRODUCER, { topic: 3, other: 4 })
      driver.commitIn(PRODUCER, { topic: 5 })
      expect(driver.offsetOf('topic')).toBe(-1)
      driver.endTransaction(PRODUCER, commit)
    }
    expect([driver.offsetOf('topic'), driver.offsetOf('other')]).toEqual([5, 4])
  })

  test('take room as others do, from when they are sent, and give it back when the transaction is aborted', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxOffsets: 4 })
    const codes = Array.from({ length: 8 }, (_, number) => errorOf(driver, partition(number)))
    expect(codes.filter((code) => code === 0).length).toBeLessThanOrEqual(4)
    expect(codes.at(-1)).toBe(COORDINATOR_NOT_AVAILABLE)
    // Of another producer, too, and without a transaction.
    expect(errorOf(driver, partition(9), 10)).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(driver.commit({ other: 1 }).partitionErrors[0]![0]).toBe(COORDINATOR_NOT_AVAILABLE)
    // What it has it may send again.
    expect(errorOf(driver, partition(0))).toBe(0)
    driver.endTransaction(PRODUCER, false)
    expect(errorOf(driver, partition(9), 10)).toBe(0)
  })

  test('keep their room when they are committed', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxOffsets: 2 })
    for (let number = 0; number < 4; number++) errorOf(driver, partition(number))
    driver.endTransaction(PRODUCER, true)
    expect(errorOf(driver, partition(8))).toBe(COORDINATOR_NOT_AVAILABLE)
  })

  test('are held to the longest metadata', () => {
    const driver = new GroupDriver({ offsetMetadataMaxBytes: 4 })
    expect(errorOf(driver, partition(0, '12345'))).toBe(ErrorCode.OFFSET_METADATA_TOO_LARGE)
    expect(errorOf(driver, partition(0, '1234'))).toBe(0)
  })

  test('of a transaction that is open keep the group from expiry', () => {
    const driver = new GroupDriver()
    driver.commitIn(PRODUCER, { topic: 5 })
    driver.advance(30 * 24 * 3_600_000)
    expect(driver.machine.list().map(({ groupId }) => groupId)).toEqual([GROUP])
    driver.endTransaction(PRODUCER, true)
    expect(driver.offsetOf('topic')).toBe(5)
  })
})
