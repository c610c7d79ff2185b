import type { Uuid } from '@millrace/base'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toAssignment } from './assignment.ts'

const TOPICS = ['a', 'b', 'c'] as Uuid[]

describe('an assignment of what somebody sent', () => {
  test('has each topic and each partition once, in order, however they were named', () => {
    const entries = fc.array(fc.record({ topicId: fc.constantFrom(...TOPICS), partitions: fc.array(fc.nat(20)) }))
    fc.assert(
      fc.property(entries, (topics) => {
        const assignment = toAssignment(topics)
        for (const topicId of TOPICS) {
          const named = topics.filter((topic) => topic.topicId === topicId).flatMap(({ partitions }) => partitions)
          const expected = [...new Set(named)].sort((left, right) => left - right)
          expect(assignment.get(topicId) ?? []).toEqual(expected)
          expect(assignment.has(topicId)).toBe(expected.length > 0)
        }
      }),
    )
  })

  test('of one topic that is named very often comes at once: it took a minute, before anybody asked who the member is', () => {
    const count = 48_000
    const topics = Array.from({ length: count }, (_, n) => ({ topicId: TOPICS[0]!, partitions: [count - n] }))
    expect(toAssignment(topics).get(TOPICS[0]!)).toHaveLength(count)
  })
})
