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

  test('a classic member takes over an empty consumer group, which needs no room that it has not', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxGroups: 1 })
    const { memberEpoch } = driver.consumer('a', 0)
    expect(driver.commit({ topic: 42 }, { memberId: 'a', generationId: memberEpoch }).errorCode).toBe(0)
    driver.consumer('a', -1)
    expect(driver.consumerGroup?.state).toBe('Empty')
    driver.stabilize([{}])
    expect([driver.state, driver.offsetOf('topic')]).toEqual(['Stable', 42])
    expect(driver.limits.usage.groups).toBe(1)
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

  test('one that leaves makes room at once', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxMembers: 2 })
    const members = driver.stabilize([{}, {}])
    expect(errorOf(driver, driver.join())).toBe(COORDINATOR_NOT_AVAILABLE)
    driver.leave(members[1]!)
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
    // The third would be more than a client's share of what the first two have left.
    expect(errors.filter((error) => error === 0)).toHaveLength(2)
    expect(errorOf(driver, driver.join({ clientId: 'x'.repeat(30_000) }))).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(errorOf(driver, driver.join({ requiresKnownMemberId: true }))).toBe(MEMBER_ID_REQUIRED)
  })

  test('protocols without names and metadata take memory all the same', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxBytes: 100_000 })
    const protocols = Array.from({ length: 10_000 }, () => ({ name: '', metadata: Buffer.alloc(0) }))
    expect(errorOf(driver, driver.join({ protocols }))).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(errorOf(driver, driver.join({ protocols: protocols.slice(0, 100) }))).not.toBe(COORDINATOR_NOT_AVAILABLE)
    expect(driver.machine.usage.bytes).toBeGreaterThan(100 * 150)
  })

  test('a type of protocol that no client has is refused: an empty group would keep it', () => {
    const driver = new GroupDriver()
    const error = errorOf(driver, driver.join({ protocolType: 'x'.repeat(30_000) }))
    expect(error).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
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
    driver.step((machine, step) => machine.deleteOffsets(GROUP, [{ topic: 'topic', partitions: [1] }], step))
    expect([commit(driver, 2), commit(driver, 1)]).toEqual([0, COORDINATOR_NOT_AVAILABLE])
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
          const { groups, offsets, bytes } = driver.machine.usage
          expect(offsets).toBe(stored.length)
          const textBytes = stored.reduce((sum, { metadata }) => sum + metadata.length, 0)
          expect(bytes).toBe(groups * GROUP.length + textBytes)
        }
      }),
    )
  })
})

describe('one client of a node', () => {
  const from = (clientHost: string, groupId: string) => ({ clientHost, groupId })
  const simple = (driver: GroupDriver, groupId: string, clientAddress: string): number => {
    const { errorCode, partitionErrors } = driver.commit({ topic: 1 }, { groupId, clientAddress })
    return errorCode || partitionErrors[0]![0]!
  }

  test('cannot keep others from making groups, neither at once nor over restarts', () => {
    let driver = new GroupDriver({ groupCoordinatorMaxGroups: 100 })
    for (let life = 0; life < 5; life++) {
      const errors = Array.from({ length: 100 }, (_, n) => simple(driver, `${life}-${n}`, '192.0.2.6'))
      expect(errors).toContain(COORDINATOR_NOT_AVAILABLE)
      expect(errorOf(driver, driver.join(from('/192.0.2.1', `honest-${life}`)))).not.toBe(COORDINATOR_NOT_AVAILABLE)
      driver = driver.reload()
    }
    // What it has it keeps, and may use.
    expect(simple(driver, '0-0', '192.0.2.6')).toBe(0)
  })

  test('cannot keep others from joining with ids that do not come back', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxMembers: 100 })
    const errors = Array.from({ length: 100 }, () =>
      errorOf(driver, driver.join({ clientHost: '/192.0.2.6', requiresKnownMemberId: true })),
    )
    expect(errors.filter((error) => error === MEMBER_ID_REQUIRED)).toHaveLength(61)
    expect(errorOf(driver, driver.join({ ...from('/192.0.2.1', 'o'), requiresKnownMemberId: true }))).toBe(
      MEMBER_ID_REQUIRED,
    )
    // Its share is its again when they have timed out.
    driver.advance(10_000)
    expect(driver.machine.usage.members).toBe(0)
    expect(errorOf(driver, driver.join({ clientHost: '/192.0.2.6', requiresKnownMemberId: true }))).toBe(
      MEMBER_ID_REQUIRED,
    )
  })

  test('cannot keep others from committing, and commits what it has again', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxOffsets: 100 })
    const errors = Array.from({ length: 100 }, (_, partition) => commit(driver, partition))
    expect(errors.filter((error) => error === 0)).toHaveLength(61)
    expect(simple(driver, 'honest', '192.0.2.1')).toBe(0)
    for (let partition = 0; partition < 61; partition++) expect(commit(driver, partition)).toBe(0)
    expect(commit(driver, 61)).toBe(COORDINATOR_NOT_AVAILABLE)
  })
})

describe('what members keep', () => {
  const FIRST = { protocolType: 'x', protocols: [{ name: 'r', metadata: Buffer.alloc(4) }] }

  test('is counted with their assignments, from when these are written', () => {
    const driver = new GroupDriver({ groupCoordinatorMaxBytes: 10_000 })
    driver.holdsWrites = true
    const sync = (groupId: string, sizeBytes: number): number | undefined => {
      const joined = driver.join({ ...FIRST, groupId })
      driver.settle(0)
      driver.advance(3000)
      driver.settle(0)
      const { memberId } = driver.joinAnswer(joined)!
      const token = driver.sync({ groupId, memberId, assignments: new Map([[memberId, Buffer.alloc(sizeBytes)]]) })
      return driver.syncAnswer(token)?.errorCode
    }
    // The first is not written when the second comes.
    expect(sync('a', 9000)).toBeUndefined()
    expect(driver.machine.usage.bytes).toBeGreaterThan(9000)
    expect(sync('b', 9000)).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(driver.counters.limitRefusals).toBe(1)
    driver.settle(0)
    expect(driver.machine.usage.bytes).toBeGreaterThan(9000)
    expect(driver.machine.usage.bytes).toBeLessThan(10_000)
    expect(sync('c', 10)).toBeUndefined()
  })

  test('is counted after a load too', () => {
    const driver = new GroupDriver()
    const [first] = driver.stabilize([{}, {}, {}])
    const loaded = driver.reload({ groupCoordinatorMaxMembers: 3 })
    expect(loaded.machine.usage.members).toBe(3)
    // Of the protocols one is stored, and here there is no other.
    expect(loaded.machine.usage.bytes).toBe(driver.machine.usage.bytes)
    expect(errorOf(loaded, loaded.join({ groupId: 'other' }))).toBe(COORDINATOR_NOT_AVAILABLE)
    expect(loaded.leave(first!).errorCode).toBe(0)
    expect(loaded.machine.usage.members).toBe(2)
  })

  test('is counted by state, and nothing is left of a machine that was closed', () => {
    const driver = new GroupDriver()
    driver.stabilize([{}])
    commit(driver, 0, '', 'simple')
    expect(Object.fromEntries(driver.machine.usage.states)).toEqual({ Empty: 1, Stable: 1 })
    const { usage } = driver.limits
    expect([usage.groups, usage.members, usage.offsets]).toEqual([2, 1, 1])
    driver.machine.usage.close()
    expect([usage.groups, usage.members, usage.offsets, usage.bytes, usage.states.size]).toEqual([0, 0, 0, 0, 0])
    // What goes on in it counts nowhere.
    commit(driver, 1, '', 'simple')
    expect(usage.offsets).toBe(0)
  })
})
