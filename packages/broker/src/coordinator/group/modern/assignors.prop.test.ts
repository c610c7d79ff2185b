import type { Uuid } from '@millrace/base'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Assignment, EMPTY_ASSIGNMENT, partitionCountOf, toAssignment } from './assignment.ts'
import type { AssignorInput, AssignorMember, AssignorTopic, PartitionAssignor } from './assignor.ts'
import { rangeAssignor } from './range-assignor.ts'
import { uniformAssignor } from './uniform-assignor.ts'

const RACKS = ['a', 'b', 'c']
const topicId = (n: number): Uuid => `topic-${n}` as Uuid

interface World {
  readonly partitionCounts: readonly number[]
  /** For each member: which topics, its rack, and whether it is static. */
  readonly members: readonly { topics: readonly number[]; rack: string | null; isStatic: boolean }[]
  /** By topic and partition, the racks of its replicas; empty: no broker has a rack. */
  readonly racks: readonly string[]
}

const worlds = (sameTopics: boolean): fc.Arbitrary<World> =>
  fc
    .record({
      partitionCounts: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 6 }),
      racks: fc.oneof(fc.constant([]), fc.array(fc.constantFrom(...RACKS), { minLength: 1, maxLength: 5 })),
    })
    .chain(({ partitionCounts, racks }) => {
      const all = partitionCounts.map((_, n) => n)
      const topics = sameTopics ? fc.constant(all) : fc.subarray(all)
      return fc
        .array(fc.record({ topics, rack: fc.option(fc.constantFrom(...RACKS)), isStatic: fc.boolean() }), {
          minLength: 1,
          maxLength: 9,
        })
        .map((members) => ({ partitionCounts, members, racks }))
    })

function inputOf(world: World, previous: ReadonlyMap<string, Assignment>): AssignorInput {
  const topics = new Map<Uuid, AssignorTopic>()
  const subscribed = new Set(world.members.flatMap((member) => member.topics))
  for (const n of [...subscribed].sort()) {
    const partitionCount = world.partitionCounts[n]!
    const racks = Array.from({ length: partitionCount }, (_, p) => [world.racks[(n + p) % world.racks.length]!])
    topics.set(topicId(n), { id: topicId(n), partitionCount, racks: world.racks.length === 0 ? null : racks })
  }
  const members: AssignorMember[] = world.members.map((member, n) => ({
    memberId: `m${n}`,
    instanceId: member.isStatic ? `i${n}` : null,
    rackId: member.rack,
    topicIds: new Set(member.topics.map(topicId)),
    previous: previous.get(`m${n}`) ?? EMPTY_ASSIGNMENT,
  }))
  return { members, topics, isHomogeneous: members.every(({ topicIds }) => topicIds.size === topics.size) }
}

/** Every partition of a subscribed topic at exactly one member, which subscribes to it. */
function checkComplete(input: AssignorInput, assigned: ReadonlyMap<string, Assignment>): void {
  const seen = new Set<string>()
  for (const { memberId, topicIds } of input.members) {
    for (const [id, partitions] of assigned.get(memberId)!) {
      expect(topicIds.has(id)).toBe(true)
      expect(partitions).toEqual([...partitions].sort((left, right) => left - right))
      expect(partitions.length).toBeGreaterThan(0)
      for (const partition of partitions) {
        expect(partition).toBeGreaterThanOrEqual(0)
        expect(partition).toBeLessThan(input.topics.get(id)!.partitionCount)
        expect(seen.has(`${id}/${partition}`)).toBe(false)
        seen.add(`${id}/${partition}`)
      }
    }
  }
  let total = 0
  for (const { id, partitionCount } of input.topics.values()) {
    if (input.members.some(({ topicIds }) => topicIds.has(id))) total += partitionCount
  }
  expect(seen.size).toBe(total)
}

function sizes(assigned: ReadonlyMap<string, Assignment>): number[] {
  return [...assigned.values()].map(partitionCountOf)
}

function keptCount(before: ReadonlyMap<string, Assignment>, after: ReadonlyMap<string, Assignment>): number {
  let count = 0
  for (const [memberId, assignment] of after) {
    for (const [id, partitions] of assignment) {
      const former = new Set(before.get(memberId)?.get(id) ?? [])
      for (const partition of partitions) if (former.has(partition)) count++
    }
  }
  return count
}

/** What an assignor makes of one world after another, whose members may have come from the one before. */
const histories = (sameTopics: boolean) => fc.array(worlds(sameTopics), { minLength: 1, maxLength: 4 })

describe.each([
  ['uniform', uniformAssignor],
  ['range', rangeAssignor],
] as [string, PartitionAssignor][])('%s', (_, assignor) => {
  test.each([
    ['the same topics', true],
    ['different topics', false],
  ])('gives each partition to one subscriber, with %s', (_name, sameTopics) => {
    fc.assert(
      fc.property(histories(sameTopics), (history) => {
        let previous: ReadonlyMap<string, Assignment> = new Map()
        for (const world of history) {
          const input = inputOf(world, previous)
          previous = assignor.assign(input)
          checkComplete(input, previous)
        }
      }),
    )
  })

  test.each([
    ['the same topics', true],
    ['different topics', false],
  ])('assigns all there is whatever members claim that they had, with %s', (_name, sameTopics) => {
    const partition = fc.oneof(fc.integer({ min: -3, max: 15 }), fc.integer())
    const claims = fc.array(
      fc.dictionary(
        fc.integer({ min: 0, max: 7 }).map((n) => topicId(n)),
        fc.uniqueArray(partition, { minLength: 1, maxLength: 12 }),
      ),
      { maxLength: 9 },
    )
    fc.assert(
      fc.property(worlds(sameTopics), claims, (world, claimed) => {
        const previous = new Map(
          claimed.map((topics, n) => [
            `m${n}`,
            toAssignment(Object.entries(topics).map(([id, partitions]) => ({ topicId: id as Uuid, partitions }))),
          ]),
        )
        const input = inputOf(world, previous)
        checkComplete(input, assignor.assign(input))
      }),
    )
  })

  test('changes nothing when nothing changed', () => {
    fc.assert(
      fc.property(fc.boolean().chain(worlds), (world) => {
        const first = assignor.assign(inputOf(world, new Map()))
        const second = assignor.assign(inputOf(world, first))
        for (const [memberId, assignment] of second) expect(assignment).toBe(first.get(memberId))
      }),
    )
  })
})

describe('uniform', () => {
  test('differs by one at most among members with the same topics, whatever was before', () => {
    fc.assert(
      fc.property(histories(true), (history) => {
        let previous: ReadonlyMap<string, Assignment> = new Map()
        for (const world of history) {
          previous = uniformAssignor.assign(inputOf(world, previous))
          expect(Math.max(...sizes(previous)) - Math.min(...sizes(previous))).toBeLessThanOrEqual(1)
        }
      }),
    )
  })

  test('moves no more than it must when a member comes or goes', () => {
    fc.assert(
      fc.property(worlds(true), (world) => {
        const total = world.partitionCounts.reduce((sum, count) => sum + count, 0)
        const before = uniformAssignor.assign(inputOf(world, new Map()))
        const more = { ...world, members: [...world.members, world.members[0]!] }
        const after = uniformAssignor.assign(inputOf(more, before))
        // Only the newcomer's share moves.
        const share = partitionCountOf(after.get(`m${world.members.length}`)!)
        expect(keptCount(before, after)).toBe(total - share)
        if (world.members.length === 1) return
        const fewer = { ...world, members: world.members.slice(0, -1) }
        const gone = partitionCountOf(before.get(`m${world.members.length - 1}`)!)
        expect(keptCount(before, uniformAssignor.assign(inputOf(fewer, before)))).toBe(total - gone)
      }),
    )
  })

  test('is even over each topic when members subscribe to different ones', () => {
    const world = { partitionCounts: [10, 10, 10], racks: [], members: [] as World['members'] }
    const member = (...topics: number[]) => ({ topics, rack: null, isStatic: false })
    const input = inputOf({ ...world, members: [member(0), member(0, 1), member(1, 2), member(2)] }, new Map())
    const loads = sizes(uniformAssignor.assign(input))
    expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1)
  })

  test('brings partitions near their replicas where that costs no balance', () => {
    const members = RACKS.map((rack) => ({ topics: [0], rack, isStatic: false }))
    const input = inputOf({ partitionCounts: [9], racks: ['c', 'b', 'a'], members }, new Map())
    const assigned = uniformAssignor.assign(input)
    expect(assigned.get('m0')).toEqual(new Map([[topicId(0), [2, 5, 8]]]))
    expect(assigned.get('m2')).toEqual(new Map([[topicId(0), [0, 3, 6]]]))
  })
})

describe('range', () => {
  test('gives the same partitions of several topics to the same member, static members first', () => {
    const member = (isStatic: boolean) => ({ topics: [0, 1], rack: null, isStatic })
    const members = [member(false), member(false), member(true)]
    const assigned = rangeAssignor.assign(inputOf({ partitionCounts: [7, 7], racks: [], members }, new Map()))
    expect(assigned.get('m2')!.get(topicId(0))).toEqual([0, 1, 2])
    expect(assigned.get('m0')!.get(topicId(0))).toEqual([3, 4])
    for (const assignment of assigned.values()) {
      expect(assignment.get(topicId(0))).toEqual(assignment.get(topicId(1)))
    }
  })

  test('keeps the lengths of its ranges when it looks at racks', () => {
    fc.assert(
      fc.property(fc.boolean().chain(worlds), (world) => {
        const plain = rangeAssignor.assign(inputOf({ ...world, racks: [] }, new Map()))
        const near = rangeAssignor.assign(inputOf(world, new Map()))
        for (const [memberId, assignment] of near) {
          for (const [id, partitions] of assignment) {
            expect(partitions.length).toBe(plain.get(memberId)!.get(id)!.length)
          }
        }
      }),
    )
  })

  test('brings partitions near their replicas', () => {
    const members = RACKS.map((rack) => ({ topics: [0], rack, isStatic: false }))
    const assigned = rangeAssignor.assign(inputOf({ partitionCounts: [6], racks: ['c', 'b', 'a'], members }, new Map()))
    expect(assigned.get('m0')).toEqual(new Map([[topicId(0), [2, 5]]]))
  })
})
