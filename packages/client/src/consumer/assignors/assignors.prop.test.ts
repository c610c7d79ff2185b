import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { partitionKey } from '../../cluster/topic-partition.ts'
import type { Assignor, GroupAssignment, MemberSubscription } from './assignor.ts'
import { cooperativeStickyAssignor } from './cooperative-sticky-assignor.ts'
import { rangeAssignor } from './range-assignor.ts'
import { roundRobinAssignor } from './round-robin-assignor.ts'
import { assignSticky } from './sticky-assignment.ts'

const TOPICS = ['a', 'b', 'c', 'd']

const partitionCounts = fc
  .array(fc.nat({ max: 7 }), { minLength: 4, maxLength: 4 })
  .map((counts) => new Map(TOPICS.map((topic, slot) => [topic, counts[slot]!])))

const memberCount = fc.integer({ min: 1, max: 7 })

function subscriptions(topicsOf: (slot: number) => readonly string[], count: number): MemberSubscription[] {
  return Array.from({ length: count }, (_, slot) => ({
    memberId: `member-${slot}`,
    groupInstanceId: null,
    topics: topicsOf(slot),
    ownedPartitions: [],
    generationId: -1,
  }))
}

const mixedMembers = memberCount.chain((count) =>
  fc
    .array(fc.subarray(TOPICS), { minLength: count, maxLength: count })
    .map((topics) => subscriptions((slot) => topics[slot]!, count)),
)

function ownersOf(assignment: GroupAssignment): Map<string, string[]> {
  const owners = new Map<string, string[]>()
  for (const [memberId, partitions] of assignment) {
    for (const { topic, partition } of partitions) {
      const key = partitionKey(topic, partition)
      owners.set(key, [...(owners.get(key) ?? []), memberId])
    }
  }
  return owners
}

function expectCovers(
  assignment: GroupAssignment,
  members: readonly MemberSubscription[],
  counts: ReadonlyMap<string, number>,
): void {
  const owners = ownersOf(assignment)
  expect([...assignment.keys()].sort()).toEqual(members.map((member) => member.memberId).sort())
  for (const [topic, count] of counts) {
    const wanted = members.some((member) => member.topics.includes(topic))
    for (let partition = 0; partition < count; partition++) {
      expect(owners.get(partitionKey(topic, partition)) ?? []).toHaveLength(wanted ? 1 : 0)
      owners.delete(partitionKey(topic, partition))
    }
  }
  expect(owners.size).toBe(0)
  for (const member of members) {
    for (const { topic } of assignment.get(member.memberId)!) expect(member.topics).toContain(topic)
  }
}

function expectBalanced(assignment: GroupAssignment, members: readonly MemberSubscription[]): void {
  for (const rich of members) {
    for (const poor of members) {
      const richLoad = assignment.get(rich.memberId)!.length
      const poorLoad = assignment.get(poor.memberId)!.length
      if (richLoad - poorLoad < 2) continue
      for (const { topic } of assignment.get(rich.memberId)!) expect(poor.topics).not.toContain(topic)
    }
  }
}

function withOwned(members: readonly MemberSubscription[], assignment: GroupAssignment, generationId: number) {
  return members.map((member) => ({
    ...member,
    ownedPartitions: assignment.get(member.memberId) ?? [],
    generationId: assignment.has(member.memberId) ? generationId : -1,
  }))
}

describe('every assignor', () => {
  for (const assignor of [rangeAssignor, roundRobinAssignor, cooperativeStickyAssignor] as Assignor[]) {
    test(`${assignor.name} gives each wanted partition to exactly one member that wants it`, () => {
      fc.assert(
        fc.property(mixedMembers, partitionCounts, (members, counts) => {
          expectCovers(assignor.assign(members, counts), members, counts)
        }),
      )
    })

    test(`${assignor.name} does not depend on the order in which members are listed`, () => {
      fc.assert(
        fc.property(mixedMembers, partitionCounts, (members, counts) => {
          const forward = assignor.assign(members, counts)
          const backward = assignor.assign([...members].reverse(), counts)
          for (const [memberId, partitions] of forward) expect(backward.get(memberId)).toEqual(partitions)
        }),
      )
    })
  }
})

describe('sticky assignment', () => {
  test('no member could take a partition of another that holds two more', () => {
    fc.assert(
      fc.property(mixedMembers, partitionCounts, (members, counts) => {
        expectBalanced(assignSticky(members, counts), members)
      }),
    )
  })

  test('the same members keep exactly what they have', () => {
    fc.assert(
      fc.property(mixedMembers, partitionCounts, (members, counts) => {
        const first = assignSticky(members, counts)
        expect(assignSticky(withOwned(members, first, 3), counts)).toEqual(first)
      }),
    )
  })

  test('when a member leaves, the others keep all they had', () => {
    fc.assert(
      fc.property(memberCount, partitionCounts, fc.nat(), (count, counts, leaver) => {
        const members = subscriptions(() => TOPICS, count + 1)
        const first = assignSticky(members, counts)
        const rest = members.filter((_, slot) => slot !== leaver % (count + 1))
        const second = assignSticky(withOwned(rest, first, 1), counts)
        expectCovers(second, rest, counts)
        expectBalanced(second, rest)
        for (const { memberId } of rest) {
          const now = new Set(second.get(memberId)!.map((place) => partitionKey(place.topic, place.partition)))
          for (const { topic, partition } of first.get(memberId)!) expect(now).toContain(partitionKey(topic, partition))
        }
      }),
    )
  })

  test('when a member joins, partitions move only to it', () => {
    fc.assert(
      fc.property(memberCount, partitionCounts, (count, counts) => {
        const members = subscriptions(() => TOPICS, count)
        const first = assignSticky(members, counts)
        const grown = [...withOwned(members, first, 1), subscriptions(() => TOPICS, count + 1)[count]!]
        const second = assignSticky(grown, counts)
        expectBalanced(second, grown)
        const before = ownersOf(first)
        for (const [key, [owner]] of ownersOf(second)) {
          if (owner !== `member-${count}`) expect(before.get(key)).toEqual([owner])
        }
      }),
    )
  })

  test('a newer generation wins a partition that two members claim, equal generations lose it', () => {
    const owned = [{ topic: 'a', partition: 0 }]
    const claim = (memberId: string, generationId: number): MemberSubscription => ({
      memberId,
      groupInstanceId: null,
      topics: ['a'],
      ownedPartitions: owned,
      generationId,
    })
    const counts = new Map([['a', 1]])
    expect(assignSticky([claim('x', 4), claim('y', 5)], counts).get('y')).toEqual(owned)
    expect(assignSticky([claim('x', 5), claim('y', 4)], counts).get('x')).toEqual(owned)
    expect(assignSticky([claim('x', 5), claim('y', 5)], counts).get('x')).toEqual(owned)
  })
})

describe('cooperative sticky', () => {
  test('never gives a partition away while another member owns it, and settles after a few rounds', () => {
    fc.assert(
      fc.property(mixedMembers, mixedMembers, partitionCounts, (before, after, counts) => {
        let held = assignSticky(before, counts)
        for (let round = 1; ; round++) {
          const members = withOwned(after, held, round)
          const next = cooperativeStickyAssignor.assign(members, counts)
          const present = new Set(members.map((member) => member.memberId))
          const owners = ownersOf(held)
          for (const [key, [owner]] of ownersOf(next)) {
            const holder = owners.get(key)?.[0]
            if (holder !== undefined && present.has(holder)) expect(owner).toBe(holder)
          }
          if (round > 1 && JSON.stringify([...next]) === JSON.stringify([...held])) break
          expect(round).toBeLessThan(6)
          held = next
        }
        expectCovers(held, after, counts)
        expectBalanced(held, after)
      }),
    )
  })

  test('with equal subscriptions one more round is enough', () => {
    fc.assert(
      fc.property(memberCount, memberCount, partitionCounts, (countBefore, countAfter, counts) => {
        const old = assignSticky(
          subscriptions(() => TOPICS, countBefore),
          counts,
        )
        const after = subscriptions(() => TOPICS, countAfter)
        const first = cooperativeStickyAssignor.assign(withOwned(after, old, 1), counts)
        const second = cooperativeStickyAssignor.assign(withOwned(after, first, 2), counts)
        expectCovers(second, after, counts)
        expectBalanced(second, after)
      }),
    )
  })
})

describe('the Java client’s layouts', () => {
  const members = subscriptions(() => ['a', 'b'], 2)
  const counts = new Map([
    ['a', 3],
    ['b', 3],
  ])
  const layout = (assignment: GroupAssignment) =>
    [...assignment.values()].map((partitions) =>
      partitions.map(({ topic, partition }) => `${topic}${partition}`).join(' '),
    )

  test('range gives the first member the larger part of each topic', () => {
    expect(layout(rangeAssignor.assign(members, counts))).toEqual(['a0 a1 b0 b1', 'a2 b2'])
  })

  test('round robin deals partitions out in turn', () => {
    expect(layout(roundRobinAssignor.assign(members, counts))).toEqual(['a0 a2 b1', 'a1 b0 b2'])
  })

  test('round robin passes over a member that does not want the topic', () => {
    const mixed = subscriptions((slot) => [['a'], ['a', 'b'], ['a', 'b', 'c']][slot]!, 3)
    const mixedCounts = new Map([
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ])
    expect(layout(roundRobinAssignor.assign(mixed, mixedCounts))).toEqual(['a0', 'b0', 'b1 c0 c1 c2'])
  })

  test('range orders static members by instance id before dynamic ones', () => {
    const named = members.map((member, slot) => ({ ...member, groupInstanceId: slot === 1 ? 'z' : null }))
    expect(layout(rangeAssignor.assign(named, counts))).toEqual(['a2 b2', 'a0 a1 b0 b1'])
  })
})
