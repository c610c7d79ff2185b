import type { Uuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { Timeline } from '../../runtime/timeline.ts'
import { GroupUsage } from '../group-usage.ts'
import { type Assignment, EMPTY_ASSIGNMENT } from './assignment.ts'
import { ModernGroup } from './modern-group.ts'
import { type ModernMember, modernMemberBytes, subscriptionOf } from './modern-member.ts'

const TOPIC = 'topic-id' as Uuid
const some = (...partitions: number[]): Assignment => new Map([[TOPIC, partitions]])

class PlainGroup extends ModernGroup<ModernMember> {
  constructor(timeline: Timeline) {
    super('group', timeline, null, true)
  }
}

function member(memberId: string, memberEpoch: number, init: Partial<ModernMember> = {}): ModernMember {
  const fields = {
    memberId,
    instanceId: null,
    rackId: null,
    clientId: 'client',
    clientHost: '/127.0.0.1',
    subscribedTopics: ['topic'],
    memberEpoch,
    previousMemberEpoch: memberEpoch - 1,
    isStable: true,
    assigned: EMPTY_ASSIGNMENT,
    pendingRevocation: EMPTY_ASSIGNMENT,
    owner: null,
    ...init,
  }
  return { ...fields, keptBytes: modernMemberBytes(fields) }
}

test('the state follows epochs and members, is counted, and is taken back with them', () => {
  const timeline = new Timeline()
  const usage = new GroupUsage()
  const group = new PlainGroup(timeline)
  group.countIn(usage)
  const states = () => [
    group.state,
    group.committedState,
    ...Array.from(usage.states.keys(), (state) => state.replace('consumer ', '')),
  ]
  expect(states()).toEqual(['Empty', 'Empty', 'Empty'])

  timeline.begin()
  group.members.set('a', member('a', 0, { isStable: false }))
  group.epoch = { epoch: 1, metadataHash: 5n }
  expect(states()).toEqual(['Assigning', 'Empty', 'Assigning'])
  group.target = { epoch: 1, timestampMs: 7 }
  group.targets.set('a', some(0, 1))
  expect(states()).toEqual(['Reconciling', 'Empty', 'Reconciling'])
  const emptyBytes = usage.bytes
  timeline.rollbackFrom(1)
  expect(states()).toEqual(['Empty', 'Empty', 'Empty'])
  expect(usage.members).toBe(0)
  expect(usage.bytes).toBeLessThan(emptyBytes)

  const version = timeline.begin()
  group.members.set('a', member('a', 1, { assigned: some(0, 1) }))
  group.epoch = { epoch: 1, metadataHash: 5n }
  group.target = { epoch: 1, timestampMs: 7 }
  expect(states()).toEqual(['Stable', 'Empty', 'Stable'])
  timeline.commitThrough(version)
  expect(group.committedState).toBe('Stable')
  expect([group.committedEpoch.epoch, group.committedTarget.timestampMs]).toEqual([1, 7])
  group.countIn(null)
  expect([usage.groups, usage.members, usage.bytes, usage.states.size]).toEqual([0, 0, 0, 0])
})

test('a partition has the owner that took it last, also when changes are taken back', () => {
  const timeline = new Timeline()
  const group = new PlainGroup(timeline)
  group.members.set('a', member('a', 1, { assigned: some(0, 1) }))
  group.members.set('b', member('b', 1))
  const owners = () => [0, 1, 2].map((partition) => group.ownerOf(TOPIC, partition))
  expect(owners()).toEqual(['a', 'a', undefined])
  timeline.begin()
  group.members.set('a', member('a', 1, { assigned: some(0), pendingRevocation: some(1) }))
  expect(owners()).toEqual(['a', 'a', undefined])
  timeline.begin()
  group.members.set('a', member('a', 2, { assigned: some(0) }))
  group.members.set('b', member('b', 2, { assigned: some(1) }))
  expect(owners()).toEqual(['a', 'b', undefined])
  timeline.rollbackFrom(2)
  expect(owners()).toEqual(['a', 'a', undefined])
  timeline.rollbackFrom(1)
  group.members.delete('a')
  expect(owners()).toEqual([undefined, undefined, undefined])
})

test('instance ids and subscriptions follow the members', () => {
  const timeline = new Timeline()
  const group = new PlainGroup(timeline)
  const list = subscriptionOf(['y', 'x', 'y'])
  expect(list).toEqual(['x', 'y'])
  group.members.set('a', member('a', 1, { instanceId: 'i', subscribedTopics: list }))
  timeline.begin()
  group.members.set('b', member('b', 1, { instanceId: 'i', subscribedTopics: ['y', 'z'] }))
  group.members.delete('a')
  expect(group.staticMemberId('i')).toBe('b')
  expect([...group.subscribedTopics()].sort()).toEqual(['y', 'z'])
  timeline.rollbackFrom(1)
  expect(group.staticMemberId('i')).toBe('a')
  expect([...group.subscribedTopics()].sort()).toEqual(['x', 'y'])
  expect([group.isSubscribedTo('x'), group.isSubscribedTo('z')]).toEqual([true, false])
  expect(group.knownSubscription).toBe(list)
})

test('a heartbeat may come from the epoch before only when its answer was lost', () => {
  const group = new PlainGroup(new Timeline())
  const at = (epoch: number, ownsNoMore: boolean) => group.checkEpoch(member('a', 5), epoch, () => ownsNoMore)
  expect(at(5, false)).toBe(ErrorCode.NONE)
  expect(at(6, true)).toBe(ErrorCode.FENCED_MEMBER_EPOCH)
  expect(at(4, true)).toBe(ErrorCode.NONE)
  expect(at(4, false)).toBe(ErrorCode.FENCED_MEMBER_EPOCH)
  expect(at(3, true)).toBe(ErrorCode.FENCED_MEMBER_EPOCH)
})
