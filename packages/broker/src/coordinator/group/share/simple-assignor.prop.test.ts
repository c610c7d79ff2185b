import fc from 'fast-check'
import { expect, test } from 'vitest'
import { topicId } from '../../testing/group-driver.ts'
import { EMPTY_ASSIGNMENT, partitionCountOf } from '../modern/assignment.ts'
import { assignSimply, type ShareAssignorMember } from './simple-assignor.ts'

const TOPICS = ['a', 'b', 'c'].map(topicId)
const counts = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 3, maxLength: 3 })

function assignableOf(partitionCounts: readonly number[]) {
  return new Map(TOPICS.map((id, slot) => [id, Array.from({ length: partitionCounts[slot]! }, (_, number) => number)]))
}

test('members that subscribe to the same: each partition has a member, each member as many as others, and nothing moves without need', () => {
  fc.assert(
    fc.property(counts, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), (sizes, before, after) => {
      const assignable = assignableOf(sizes)
      const partitionCount = sizes.reduce((sum, size) => sum + size, 0)
      const topicIds = new Set(TOPICS)
      let previous = new Map<string, ReturnType<typeof assignSimply> extends Map<string, infer A> ? A : never>()
      for (const memberCount of [before, after]) {
        const members: ShareAssignorMember[] = Array.from({ length: memberCount }, (_, slot) => {
          const memberId = `m${slot}`
          return { memberId, topicIds, previous: previous.get(memberId) ?? EMPTY_ASSIGNMENT }
        })
        const assigned = assignSimply(members, assignable)
        const all = [...assigned.values()]
        const sizesOf = all.map(partitionCountOf)
        for (const [id, partitions] of assignable) {
          for (const partition of partitions) {
            expect(all.some((assignment) => assignment.get(id)?.includes(partition))).toBe(true)
          }
        }
        if (partitionCount > 0) {
          expect(Math.min(...sizesOf)).toBeGreaterThan(0)
          expect(Math.max(...sizesOf) - Math.min(...sizesOf)).toBeLessThanOrEqual(2)
        }
        const again = assignSimply(
          members.map((member) => ({ ...member, previous: assigned.get(member.memberId)! })),
          assignable,
        )
        for (const [memberId, assignment] of assigned) expect(again.get(memberId)).toBe(assignment)
        previous = assigned
      }
    }),
  )
})

test('members get what they subscribe to and nothing else', () => {
  const subscription = fc.uniqueArray(fc.constantFrom(...TOPICS), { minLength: 1 })
  fc.assert(
    fc.property(counts, fc.array(subscription, { minLength: 1, maxLength: 8 }), (sizes, subscriptions) => {
      const assignable = assignableOf(sizes)
      const members = subscriptions.map((ids, slot) => ({
        memberId: `m${slot}`,
        topicIds: new Set(ids),
        previous: EMPTY_ASSIGNMENT,
      }))
      const assigned = assignSimply(members, assignable)
      for (const [slot, ids] of subscriptions.entries()) {
        for (const id of assigned.get(`m${slot}`)!.keys()) expect(ids).toContain(id)
      }
      for (const [id, partitions] of assignable) {
        const hasSubscriber = subscriptions.some((ids) => ids.includes(id))
        for (const partition of partitions) {
          const hasMember = [...assigned.values()].some((assignment) => assignment.get(id)?.includes(partition))
          expect(hasMember).toBe(hasSubscriber)
        }
      }
    }),
  )
})
