import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EndedTransactions } from './ended-transactions.ts'

test('whatever ends and is passed, the first offset is the smallest of those that are left', () => {
  const step = fc.oneof(
    fc.record({ count: fc.integer({ min: 1, max: 1_500 }), openedBefore: fc.integer({ min: 1, max: 3_000 }) }),
    fc.record({ pass: fc.double({ min: 0, max: 1, noNaN: true }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const ended = new EndedTransactions()
      let left: { firstOffset: number; lastOffset: number }[] = []
      let marker = 5_000
      for (const made of steps) {
        if ('pass' in made) {
          const oldest = left[0]?.lastOffset ?? marker
          const offset = oldest + Math.floor(made.pass * (marker + 2 - oldest))
          const before = ended.firstOffset
          expect(ended.passTo(offset)).toBe(ended.firstOffset !== before)
          left = left.filter(({ lastOffset }) => lastOffset >= offset)
        } else {
          for (let number = 0; number < made.count; number++) {
            marker += 2
            const age = number % 13 === 0 ? made.openedBefore : 1
            const end = { firstOffset: marker - age, lastOffset: marker }
            ended.add(end)
            left.push(end)
          }
        }
        const smallest = left.reduce((least, { firstOffset }) => Math.min(least, firstOffset), Number.POSITIVE_INFINITY)
        expect(ended.firstOffset).toBe(left.length === 0 ? -1 : smallest)
        expect(ended.isEmpty).toBe(left.length === 0)
      }
    }),
    { numRuns: 60 },
  )
})
