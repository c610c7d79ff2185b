import { ZERO_UUID } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { GROUP, GroupDriver, subscription, topicId } from '../testing/group-driver.ts'
import type { FetchTopic } from './offset-operations.ts'

const ask = (topic: string, ...partitions: number[]): FetchTopic => ({ topic, topicId: topicId(topic), partitions })
const offsetsOf = (driver: GroupDriver, requireStable: boolean, topics: FetchTopic[] | null) =>
  driver
    .step((machine) => machine.fetch(GROUP, topics, requireStable))
    .flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, committedOffset, errorCode }) => [topic, partition, committedOffset, errorCode]),
    )

describe('OffsetCommit', () => {
  test('without a generation makes a simple group, with the offset as its only record', () => {
    const driver = new GroupDriver()
    expect(driver.commit({ topic: 5 })).toEqual({ errorCode: 0, partitionErrors: [[0]] })
    expect(driver.records).toEqual([
      {
        type: 'offset-commit',
        owner: null,
        groupId: GROUP,
        topic: 'topic',
        partition: 0,
        value: {
          committedOffset: 5,
          leaderEpoch: 7,
          metadata: 'note',
          commitTimestampMs: driver.nowMs,
          expireTimestampMs: -1,
          topicId: topicId('topic'),
        },
      },
    ])
    expect(driver.group).toMatchObject({ state: 'Empty', protocolType: '', members: [] })
    expect(driver.offsetOf('topic')).toBe(5)
  })

  test('with a generation to an unknown group is GROUP_ID_NOT_FOUND from version 9 and ILLEGAL_GENERATION below', () => {
    const driver = new GroupDriver()
    expect(driver.commit({ topic: 5 }, { generationId: 0 }).errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    const older = driver.commit({ topic: 5 }, { generationId: 0, knowsGroupIdNotFound: false })
    expect(older.errorCode).toBe(ErrorCode.ILLEGAL_GENERATION)
    expect(driver.state).toBe('Dead')
  })

  test('without a generation is taken by an Empty group only', () => {
    const driver = new GroupDriver()
    const [memberId] = driver.stabilize([{}])
    expect(driver.commit({ topic: 5 }).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    driver.leave(memberId!)
    expect(driver.commit({ topic: 5 }).errorCode).toBe(0)
  })

  test('is checked against the members and the generation', () => {
    const driver = new GroupDriver()
    const [memberId] = driver.stabilize([{ groupInstanceId: 'a' }])
    const errorOf = (input: Parameters<GroupDriver['commit']>[1]) => driver.commit({ topic: 5 }, input).errorCode
    expect(errorOf({ memberId: 'stranger', generationId: 1 })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(errorOf({ memberId: 'stranger', groupInstanceId: 'a', generationId: 1 })).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(errorOf({ memberId: memberId!, generationId: 2 })).toBe(ErrorCode.ILLEGAL_GENERATION)
    expect(errorOf({ memberId: memberId!, generationId: -1 })).toBe(ErrorCode.ILLEGAL_GENERATION)
    expect(driver.offsetOf('topic')).toBe(-1)
    expect(errorOf({ memberId: memberId!, groupInstanceId: 'a', generationId: 1 })).toBe(0)
    expect(driver.offsetOf('topic')).toBe(5)
  })

  test('is REBALANCE_IN_PROGRESS in CompletingRebalance but taken in PreparingRebalance', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}])
    driver.join({ memberId: leader! })
    expect(driver.commit({ topic: 5 }, { memberId: follower!, generationId: 1 }).errorCode).toBe(0)
    driver.join({ memberId: follower! })
    expect(driver.state).toBe('CompletingRebalance')
    const late = driver.commit({ topic: 6 }, { memberId: follower!, generationId: 2 })
    expect(late.errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    expect(driver.offsetOf('topic')).toBe(5)
  })

  test('keeps the session of the member in Stable and PreparingRebalance', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([{}, { sessionTimeoutMs: 100_000 }])
    driver.advance(9000)
    driver.commit({ topic: 5 }, { memberId: leader!, generationId: 1 })
    driver.join()
    driver.advance(9000)
    driver.commit({ topic: 5 }, { memberId: leader!, generationId: 1 })
    driver.advance(9000)
    expect(driver.group.members.map((member) => member.memberId)).toContain(leader)
  })

  test('refuses only the partitions whose metadata is longer than the limit, counted in UTF-16 units', () => {
    const driver = new GroupDriver({ offsetMetadataMaxBytes: 3 })
    const partition = { partition: 0, committedOffset: 1, leaderEpoch: -1, metadata: '\u20ac\u20ac\u20ac' }
    const topics = [
      {
        topic: 'topic',
        topicId: topicId('topic'),
        partitions: [partition, { ...partition, partition: 1, metadata: '1234' }],
      },
    ]
    expect(driver.commit({}, { topics })).toEqual({
      errorCode: 0,
      partitionErrors: [[0, ErrorCode.OFFSET_METADATA_TOO_LARGE]],
    })
    expect(offsetsOf(driver, false, [ask('topic', 0, 1)])).toEqual([
      ['topic', 0, 1, 0],
      ['topic', 1, -1, 0],
    ])
  })

  test('leaves no group behind when none of its partitions is taken', () => {
    const driver = new GroupDriver({ offsetMetadataMaxBytes: 0 })
    driver.commit({ topic: 1 })
    expect(driver.state).toBe('Dead')
  })

  test('with a retention of its own gives the offset an expiry', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 1 }, { retentionTimeMs: 1000 })
    expect(driver.records[0]).toMatchObject({ value: { expireTimestampMs: driver.nowMs + 1000 } })
    driver.commit({ topic: 1 }, { retentionTimeMs: Number.MAX_SAFE_INTEGER })
    expect(driver.records[1]).toMatchObject({ value: { expireTimestampMs: Number.MAX_SAFE_INTEGER } })
  })

  test('that cannot be written changes nothing', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 1 })
    driver.holdsWrites = true
    driver.commit({ topic: 2, other: 3 })
    driver.settle(ErrorCode.NOT_ENOUGH_REPLICAS)
    expect([driver.offsetOf('topic'), driver.offsetOf('other')]).toEqual([1, -1])
  })
})

describe('OffsetFetch', () => {
  test('answers -1 without an error for a group or partition without a commit', () => {
    const driver = new GroupDriver()
    expect(offsetsOf(driver, false, [ask('topic', 0, 1)])).toEqual([
      ['topic', 0, -1, 0],
      ['topic', 1, -1, 0],
    ])
    expect(offsetsOf(driver, false, null)).toEqual([])
    driver.commit({ topic: 3 })
    expect(offsetsOf(driver, false, [ask('topic', 0, 1), ask('other', 0)])).toEqual([
      ['topic', 0, 3, 0],
      ['topic', 1, -1, 0],
      ['other', 0, -1, 0],
    ])
  })

  test('gives metadata and leader epoch back', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 3 })
    const [fetched] = driver.machine.fetch(GROUP, [ask('topic', 0)], false)
    expect(fetched?.partitions).toEqual([
      { partition: 0, committedOffset: 3, leaderEpoch: 7, metadata: 'note', errorCode: 0 },
    ])
  })

  test('without topics gives all offsets of the group', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 3, other: 4 })
    driver.commit({ topic: 9 }, { groupId: 'other group' })
    expect(offsetsOf(driver, false, null).sort()).toEqual([
      ['other', 0, 4, 0],
      ['topic', 0, 3, 0],
    ])
  })

  test('answers from what is committed, and when stable from the newest', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 3 })
    driver.holdsWrites = true
    driver.commit({ topic: 4, other: 5 })
    expect(offsetsOf(driver, false, null)).toEqual([['topic', 0, 3, 0]])
    expect(offsetsOf(driver, true, null).sort()).toEqual([
      ['other', 0, 5, 0],
      ['topic', 0, 4, 0],
    ])
    driver.settle(0)
    expect(offsetsOf(driver, false, [ask('topic', 0), ask('other', 0)])).toEqual([
      ['topic', 0, 4, 0],
      ['other', 0, 5, 0],
    ])
  })

  test('does not take an offset of a deleted topic for one of its successor', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 3 })
    const askAs = (id: FetchTopic['topicId']) =>
      offsetsOf(driver, false, [{ topic: 'topic', topicId: id, partitions: [0] }])
    expect(askAs(topicId('successor'))).toEqual([['topic', 0, -1, 0]])
    expect(askAs(topicId('topic'))).toEqual([['topic', 0, 3, 0]])
    expect(askAs(ZERO_UUID)).toEqual([['topic', 0, 3, 0]])
  })
})

/** Applies an offset as part of a transaction, as the log brings it. */
function commitInTransaction(
  driver: GroupDriver,
  producerId: number,
  topic: string,
  committedOffset: number,
  offset: number,
): void {
  const value = {
    committedOffset,
    leaderEpoch: -1,
    metadata: '',
    commitTimestampMs: driver.nowMs,
    expireTimestampMs: -1,
    topicId: ZERO_UUID,
  }
  const record = { type: 'offset-commit', groupId: GROUP, topic, partition: 0, value } as const
  driver.step((machine) => machine.apply(record, { offset, producerId, producerEpoch: 0 }))
}

describe('offsets of open transactions', () => {
  test('are not served, and stable reads are told to wait for them', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 3, other: 1 })
    commitInTransaction(driver, 9, 'topic', 8, 100)
    expect(offsetsOf(driver, false, [ask('topic', 0)])).toEqual([['topic', 0, 3, 0]])
    expect(offsetsOf(driver, true, [ask('topic', 0), ask('other', 0)])).toEqual([
      ['topic', 0, -1, ErrorCode.UNSTABLE_OFFSET_COMMIT],
      ['other', 0, 1, 0],
    ])
    expect(offsetsOf(driver, true, null)).toContainEqual(['topic', 0, -1, ErrorCode.UNSTABLE_OFFSET_COMMIT])
  })

  test('count when the transaction commits and are dropped when it aborts', () => {
    const driver = new GroupDriver()
    commitInTransaction(driver, 9, 'topic', 8, 100)
    commitInTransaction(driver, 10, 'topic', 9, 101)
    driver.step((machine) => machine.endTransaction(9, false))
    expect(offsetsOf(driver, true, [ask('topic', 0)])).toEqual([['topic', 0, -1, ErrorCode.UNSTABLE_OFFSET_COMMIT]])
    driver.step((machine) => machine.endTransaction(10, true))
    driver.step((machine) => machine.endTransaction(11, true))
    expect(offsetsOf(driver, true, [ask('topic', 0)])).toEqual([['topic', 0, 9, 0]])
  })

  test('do not replace a later commit when their transaction commits', () => {
    const driver = new GroupDriver()
    commitInTransaction(driver, 9, 'topic', 8, -5)
    driver.commit({ topic: 20 })
    driver.step((machine) => machine.endTransaction(9, true))
    expect(driver.offsetOf('topic')).toBe(20)
  })

  test('are deleted with the offset', () => {
    const driver = new GroupDriver()
    commitInTransaction(driver, 9, 'topic', 8, 100)
    driver.step((machine, step) => machine.deleteOffsets(GROUP, [{ topic: 'topic', partitions: [0] }], step))
    expect(driver.records).toHaveLength(1)
    driver.step((machine) => machine.endTransaction(9, true))
    expect(driver.offsetOf('topic')).toBe(-1)
  })
})

describe('OffsetDelete', () => {
  const remove = (driver: GroupDriver, ...topics: string[]) =>
    driver.step((machine, step) =>
      machine.deleteOffsets(
        GROUP,
        topics.map((topic) => ({ topic, partitions: [0, 1] })),
        step,
      ),
    )

  test('is GROUP_ID_NOT_FOUND for an unknown group', () => {
    expect(remove(new GroupDriver(), 'topic').errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
  })

  test('is NON_EMPTY_GROUP for a group with members that are no consumers', () => {
    const driver = new GroupDriver()
    const [memberId] = driver.stabilize([{ protocolType: 'connect' }])
    expect(remove(driver, 'topic').errorCode).toBe(ErrorCode.NON_EMPTY_GROUP)
    driver.leave(memberId!)
    expect(remove(driver, 'topic')).toEqual({ errorCode: 0, topicErrors: [0] })
  })

  test('is GROUP_SUBSCRIBED_TO_TOPIC for topics that the members subscribe to', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 1, other: 2 })
    driver.stabilize([{}])
    expect(remove(driver, 'topic', 'other')).toEqual({
      errorCode: 0,
      topicErrors: [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, 0],
    })
    expect([driver.offsetOf('topic'), driver.offsetOf('other')]).toEqual([1, -1])
  })

  test('takes every topic as subscribed while the metadata of some consumer cannot be read', () => {
    const driver = new GroupDriver()
    driver.commit({ other: 2 })
    driver.stabilize([{ protocols: [{ name: 'range', metadata: Buffer.from([0]) }] }, {}])
    expect(remove(driver, 'other').topicErrors).toEqual([ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC])
  })

  test('writes a tombstone for each offset that there is', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 1 })
    remove(driver, 'topic', 'other')
    expect(driver.records.slice(1)).toEqual([
      { type: 'offset-commit', groupId: GROUP, topic: 'topic', partition: 0, value: null },
    ])
    expect(driver.offsetOf('topic')).toBe(-1)
    expect(driver.state).toBe('Empty')
  })
})

describe('DeleteGroups', () => {
  const remove = (driver: GroupDriver, ...groupIds: string[]) =>
    groupIds.map((groupId) => driver.step((machine, step) => machine.deleteGroup(groupId, step)))

  test('is GROUP_ID_NOT_FOUND for an unknown group and NON_EMPTY_GROUP for one with members', () => {
    const driver = new GroupDriver()
    driver.stabilize([{}])
    expect(remove(driver, 'unknown', GROUP)).toEqual([ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.NON_EMPTY_GROUP])
  })

  test('writes tombstones for all offsets, pending ones too, and then for the group', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 1, other: 2 })
    commitInTransaction(driver, 9, 'third', 8, 100)
    commitInTransaction(driver, 9, 'topic', 8, 101)
    const before = driver.records.length
    expect(remove(driver, GROUP)).toEqual([0])
    expect(driver.records.slice(before)).toEqual([
      ...['topic', 'other', 'third'].map((topic) => ({
        type: 'offset-commit',
        groupId: GROUP,
        topic,
        partition: 0,
        value: null,
      })),
      { type: 'group-metadata', groupId: GROUP, value: null },
    ])
    expect(driver.state).toBe('Dead')
    expect(driver.machine.list()).toEqual([])
  })

  test('that cannot be written leaves group and offsets as they were', () => {
    const driver = new GroupDriver()
    const [memberId] = driver.stabilize([{}])
    driver.leave(memberId!)
    driver.commit({ topic: 1, other: 2 })
    driver.holdsWrites = true
    remove(driver, GROUP)
    expect(driver.step((machine) => machine.fetch(GROUP, null, true))).toEqual([])
    expect(driver.offsetOf('topic')).toBe(1)
    driver.settle(ErrorCode.KAFKA_STORAGE_ERROR)
    expect([driver.offsetOf('topic'), driver.offsetOf('other')]).toEqual([1, 2])
    expect(driver.group).toMatchObject({ state: 'Empty', protocolType: 'consumer' })
  })
})

describe('the deletion of a topic', () => {
  test('deletes the offsets with its id and those without one, in all groups', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 1, other: 2 })
    driver.commit({ topic: 3 }, { groupId: 'second' })
    const partitions = [{ partition: 0, committedOffset: 4, leaderEpoch: -1, metadata: '' }]
    driver.commit({}, { groupId: 'without id', topics: [{ topic: 'topic', topicId: ZERO_UUID, partitions }] })
    driver.commit({}, { groupId: 'successor', topics: [{ topic: 'topic', topicId: topicId('x'), partitions }] })
    const before = driver.records.length
    driver.step((machine, step) => machine.onTopicsDeleted([{ name: 'topic', id: topicId('topic') }], step))
    expect(driver.records.slice(before).map((record) => record.groupId)).toEqual([GROUP, 'second', 'without id'])
    expect([driver.offsetOf('topic'), driver.offsetOf('other')]).toEqual([-1, 2])
  })

  test('deletes what open transactions hold for it', () => {
    const driver = new GroupDriver()
    commitInTransaction(driver, 9, 'topic', 8, 100)
    driver.step((machine, step) => machine.onTopicsDeleted([{ name: 'topic', id: topicId('topic') }], step))
    driver.step((machine) => machine.endTransaction(9, true))
    expect(driver.offsetOf('topic')).toBe(-1)
  })
})

describe('the counters', () => {
  test('tell commits, deletions and expirations, one per partition, and rebalances', () => {
    const driver = new GroupDriver()
    driver.commit({ topic: 1, other: 2, third: 3 }, { retentionTimeMs: 5 })
    driver.step((machine, step) => machine.deleteOffsets(GROUP, [{ topic: 'topic', partitions: [0, 1] }], step))
    driver.step((machine, step) => machine.onTopicsDeleted([{ name: 'other', id: topicId('other') }], step))
    driver.stabilize([{}])
    driver.advance(20_000)
    driver.step((machine, step) => machine.onTimer({ type: 'offsets-expiry-due' }, step))
    expect(driver.counters).toEqual({
      offsetCommits: 3,
      offsetDeletions: 2,
      offsetExpirations: 1,
      completedRebalances: 1,
      consumerGroupRebalances: 0,
      limitRefusals: 0,
    })
    driver.commit({ topic: 1 }, { groupId: 'second' })
    driver.step((machine, step) => machine.deleteGroup('second', step))
    expect(driver.counters.offsetDeletions).toBe(3)
  })
})

describe('the names of subscribed topics', () => {
  test('are those of the chosen protocol of all members', () => {
    const driver = new GroupDriver()
    driver.commit({ a: 1, b: 2, c: 3 })
    driver.stabilize([
      { protocols: [{ name: 'range', metadata: subscription('a') }] },
      { protocols: [{ name: 'range', metadata: subscription('b') }] },
    ])
    const { topicErrors } = driver.step((machine, step) =>
      machine.deleteOffsets(
        GROUP,
        ['a', 'b', 'c'].map((topic) => ({ topic, partitions: [0] })),
        step,
      ),
    )
    expect(topicErrors).toEqual([86, 86, 0])
  })
})
