import type { Uuid } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { GroupMember, type IdAssignment, type MemberWishes } from './group-member.ts'

const TOPIC = 'k9LnoV7S2x5H0BBiBb7MBw' as Uuid
const WISHES = { topics: ['t'], pattern: null, serverAssignor: null, rackId: '', rebalanceTimeoutMs: 1000 }

function partitions(...list: number[]): IdAssignment {
  return new Map([[TOPIC, list]])
}

/** A member that owns partition 0, of which the group has heard. */
function stableMember(): GroupMember {
  const member = new GroupMember()
  member.join()
  member.heartbeat(WISHES)
  member.onAnswer({ memberEpoch: 1, assignment: partitions(0) })
  member.acknowledge(partitions(0))
  member.heartbeat(WISHES)
  member.onAnswer({ memberEpoch: 1, assignment: null })
  expect([member.status, member.heartbeat(WISHES).owned]).toEqual(['stable', null])
  return member
}

// The group waited for it until the rebalance timed out, five minutes, and nobody read the partition.
test('a partition that was given and taken back before the member took it is acknowledged all the same', () => {
  const member = stableMember()
  member.onAnswer({ memberEpoch: 2, assignment: partitions(0, 1) })
  expect([member.status, member.heartbeat(WISHES).owned]).toEqual(['reconciling', null])
  member.onAnswer({ memberEpoch: 2, assignment: partitions(0) })
  expect(member.status).toBe('reconciling')
  member.acknowledge(partitions(0))
  expect(member.isHurried).toBe(true)
  expect(member.heartbeat(WISHES).owned).toEqual(partitions(0))
  expect(member.status).toBe('stable')
})

test('an assignment that comes again needs no acknowledgement', () => {
  const member = stableMember()
  member.onAnswer({ memberEpoch: 2, assignment: partitions(0) })
  expect([member.status, member.heartbeat(WISHES).owned]).toEqual(['stable', null])
})

test('what changes while an acknowledgement is on its way is acknowledged after it', () => {
  const member = stableMember()
  member.onAnswer({ memberEpoch: 2, assignment: partitions(0, 1) })
  member.acknowledge(partitions(0, 1))
  member.onAnswer({ memberEpoch: 2, assignment: partitions(0) })
  expect(member.heartbeat(WISHES).owned).toEqual(partitions(0, 1))
  expect(member.status).toBe('reconciling')
  member.acknowledge(partitions(0))
  expect(member.heartbeat(WISHES).owned).toEqual(partitions(0))
})

function wishes(topics: readonly string[], pattern: string | null): MemberWishes {
  return { topics, pattern, serverAssignor: null, rackId: '', rebalanceTimeoutMs: 300_000 }
}

describe('what a heartbeat says of a pattern', () => {
  test('is at a join that there is none: the member may take the place of a static one that had one', () => {
    const member = new GroupMember()
    member.join()
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBe('')
    member.onAnswer({ memberEpoch: 1, assignment: new Map() })
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBeNull()
  })

  test('is that it is gone, again and again while nobody knows whether that was heard', () => {
    const member = new GroupMember()
    member.join()
    expect(member.heartbeat(wishes([], 'a.*')).subscribedTopicRegex).toBe('a.*')
    member.onAnswer({ memberEpoch: 1, assignment: new Map() })
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBe('')
    member.onFailure()
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBe('')
    member.onAnswer({ memberEpoch: 1, assignment: null })
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBeNull()
  })

  test('is that it is gone where the member joins anew and the group may not have noticed that it was away', () => {
    const member = new GroupMember()
    member.join()
    member.heartbeat(wishes([], 'a.*'))
    member.onAnswer({ memberEpoch: 1, assignment: new Map() })
    member.leave()
    member.join()
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBe('')
  })
})
