import { ErrorCode } from '@millrace/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { GROUP, GroupDriver, topicId } from '../testing/group-driver.ts'
import type { CommitInput } from './offset-operations.ts'

const { COORDINATOR_NOT_AVAILABLE, MEMBER_ID_REQUIRED } = ErrorCode

function errorOf(driver: GroupDriver, token: number): number | undefined {
  return driver.joinAnswer(token)?.errorCode
}

/** Commits one partition of `topic` and gives its error, or the request's. */
function commit(driver: GroupDriver, partition: number, metadata = '', groupId = GROUP): number {
  const partitions = [{ partition, committedOffset: 1, leaderEpoch: 0, metadata }]
  const topics: CommitInput['topics'] = [{ topic: 'topic', topicId: topicId('topic'), partitions }]
  const { errorCode, partitionErrors } = driver.commit({}, { groupId, topics })
  return errorCode || partitionErrors[0]![0]!
}

describe('at the most groups of a node', () => {
  test('no new one is made, by members or by offsets, and those that exist go on', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxGroups: 2 })
    const [leader] = driver.stabilize([{}])
    expect(commit(driver, 0, '', 'simple')).toBe(0)
    expect(errorOf(driver, driver.join({ groupId: 'third' }))).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(commit(driver, 0, '', 'third')).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(driver.machine.list().map(({ groupId }) => groupId)).toEqual([GROUP, 'simple'])
    expect(commit(driver, 1, '', 'simple')).toBe(0)
    expect(driver.heartbeat({ memberId: leader! })).toBe(0)
    expect(driver.counters.limitRefusals).toBe(2)
  })

  test('one that is deleted makes room', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxGroups: 1 })
    expect(commit(driver, 0, '', 'simple')).toBe(0)
    expect(commit(driver, 0, '', 'other')).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(driver.step((machine, step) => machine.deleteGroup('simple', step))).toBe(0)
    expect(commit(driver, 0, '', 'other')).toBe(0)
  })

  test('what a load finds is served, however much it is', () => {
    const driver = new GroupDriver()
    for (const groupId of ['a', 'b', 'c']) expect(commit(driver, 0, '', groupId)).toBe(0)
    const loaded = driver.reload({ groupCoordinatorMaxGroups: 1, groupCoordinatorMaxOffsets: 1 })
    expect(loaded.machine.list()).toHaveLength(3)
    expect(commit(loaded, 0, '', 'a')).toBe(0)
    expect(commit(loaded, 1, '', 'a')).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(commit(loaded, 0, '', 'd')).toBe(COORDINATOR_NOT_AVAILABLE)
  })
})

describe('at the most members of a node', () => {
  test('nobody else joins, ids that were given out included, and members come back to a rebalance', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxMembers: 3 })
    const members = driver.stabilize([{}, {}])
    expect(errorOf(driver, driver.join({ groupId: 'other', requiresKnownMemberId: true }))).toBe(MEMBER_ID_REQUIRED)
    expect(errorOf(driver, driver.join())).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(errorOf(driver, driver.join({ groupId: 'third' }))).toBe(COORDINATOR_NOT_AVAILABLE)
    // Refused joins leave nothing behind.
    expect(driver.machine.list().map(({ groupId }) => groupId)).toEqual([GROUP, 'other'])
    const tokens = members.map((memberId) => driver.join({ memberId }))
    expect(tokens.map((token) => errorOf(driver, token))).toEqual([0, 0])
  })

  test('one that leaves makes room, a second later at most', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxMembers: 2 })
    const members = driver.stabilize([{}, {}])
    expect(errorOf(driver, driver.join())).toBe(COORDINATOR_NOT_AVAILABLE)
    driver.leave(members[1]!)
    driver.advance(1000)
    expect(errorOf(driver, driver.join({ requiresKnownMemberId: true }))).toBe(MEMBER_ID_REQUIRED)
  })

  test('a static member takes its former self’s place', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxMembers: 1 })
    driver.stabilize([{ groupInstanceId: 'i' }])
    expect(errorOf(driver, driver.join({ groupInstanceId: 'i' }))).toBe(0)
    expect(errorOf(driver, driver.join({ groupInstanceId: 'j' }))).toBe(COORDINATOR_NOT_AVAILABLE)
  })

  test('long names count by their bytes', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxBytes: 100_000 })
    const errors = Array.from({ length: 10 }, (_, n) => commit(driver, 0, '', `${n}`.repeat(30_000)))
    expect(errors.filter((error) => error === 0)).toHaveLength(3)
    expect(errorOf(driver, driver.join({ clientId: 'x'.repeat(30_000) }))).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(errorOf(driver, driver.join({ requiresKnownMemberId: true }))).toBe(MEMBER_ID_REQUIRED)
  })

  test('metadata counts by its bytes, and only more of it is refused', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxBytes: 10_000 })
    const protocols = (sizeBytes: number) => [{ name: 'range', metadata: Buffer.alloc(sizeBytes) }]
    const [leader] = driver.stabilize([{ protocolType: 'other', protocols: protocols(9000) }])
    const other = { groupId: 'other', protocolType: 'other' }
    expect(errorOf(driver, driver.join({ ...other, protocols: protocols(2000) }))).toBe(COORDINATOR_NOT_AVAILABLE)
    const mine = { memberId: leader!, protocolType: 'other' }
    expect(errorOf(driver, driver.join({ ...mine, protocols: protocols(11_000) }))).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(errorOf(driver, driver.join({ ...mine, protocols: protocols(9000) }))).toBe(0)
    expect(commit(driver, 0, 'x'.repeat(2000), 'simple')).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(commit(driver, 0, 'x', 'simple')).toBe(0)
  })
})

describe('at the most offsets of a node', () => {
  test('those that exist are committed anew, and deleted ones make room', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxOffsets: 2 })
    expect([commit(driver, 0), commit(driver, 1), commit(driver, 2)]).toEqual([0, 0, COORDINATOR_NOT_AVAILABLE])
    expect([commit(driver, 0), commit(driver, 1)]).toEqual([0, 0])
    driver.step((machine, step) => machine.deleteOffsets(GROUP, [{ topic: 'topic', partitions: [0] }], step))
    expect([commit(driver, 2), commit(driver, 0)]).toEqual([0, COORDINATOR_NOT_AVAILABLE])
  })

  test('of one request as many are committed as there is room for', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxOffsets: 3 })
    commit(driver, 1)
    const partitions = [0, 1, 2, 3].map((partition) => ({
      partition,
      committedOffset: 1,
      leaderEpoch: 0,
      metadata: '',
    }))
    const { partitionErrors } = driver.commit(
      {},
      { topics: [{ topic: 'topic', topicId: topicId('topic'), partitions }] },
    )
    expect(partitionErrors).toEqual([[0, 0, 0, COORDINATOR_NOT_AVAILABLE]])
  })

  test('are counted rightly, whatever is committed, deleted and taken back', () => {
    const operation = fc.record({
      kind: fc.constantFrom('commit', 'commit', 'delete', 'fail', 'settle'),
      partition: fc.nat(4),
      length: fc.nat(5),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const driver = new GroupDriver()
        driver.holdsWrites = true
        for (const { kind, partition, length } of operations) {
          if (kind === 'commit') commit(driver, partition, 'x'.repeat(length))
          else if (kind === 'delete')
            driver.step((machine, step) =>
              machine.deleteOffsets(GROUP, [{ topic: 'topic', partitions: [partition] }], step),
            )
          else driver.settle(kind === 'fail' ? ErrorCode.KAFKA_STORAGE_ERROR : 0)
          const [fetched] = driver.machine.fetch(
            GROUP,
            [{ topic: 'topic', topicId: topicId('topic'), partitions: [0, 1, 2, 3, 4] }],
            true,
          )
          const stored = fetched!.partitions.filter(({ committedOffset }) => committedOffset >= 0)
          const { offsetCount, offsetBytes } = driver.machine
          expect(offsetCount).toBe(stored.length)
          expect(offsetBytes).toBe(stored.reduce((sum, { metadata }) => sum + metadata.length, 0))
        }
      }),
    )
  })
})
