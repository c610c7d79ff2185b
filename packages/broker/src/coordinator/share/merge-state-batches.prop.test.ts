import fc from 'fast-check'
import { expect, test } from 'vitest'
import { mergeStateBatches } from './merge-state-batches.ts'
import type { StateBatch } from './share-state.ts'

const batch = fc
  .record({
    firstOffset: fc.nat(40),
    length: fc.integer({ min: 1, max: 15 }),
    deliveryState: fc.constantFrom(0, 2, 4),
    deliveryCount: fc.integer({ min: 1, max: 3 }),
  })
  .map(
    ({ firstOffset, length, ...rest }): StateBatch => ({ firstOffset, lastOffset: firstOffset + length - 1, ...rest }),
  )

/** What is said of each single record: the higher count wins, then the higher state. */
function flatten(batches: readonly StateBatch[], startOffset: number): Map<number, number> {
  const best = new Map<number, number>()
  for (const { firstOffset, lastOffset, deliveryState, deliveryCount } of batches) {
    for (let offset = Math.max(firstOffset, startOffset); offset <= lastOffset; offset++) {
      best.set(offset, Math.max(best.get(offset) ?? -1, deliveryCount * 10 + deliveryState))
    }
  }
  return best
}

test('merged batches say of each record what is highest, in order, without overlaps and without needless cuts', () => {
  fc.assert(
    fc.property(fc.array(batch), fc.array(batch), fc.integer({ min: -1, max: 30 }), (first, second, startOffset) => {
      const old = mergeStateBatches([], first, -1)
      const merged = mergeStateBatches(old, second, startOffset)
      expect(flatten(merged, -1)).toEqual(flatten([...first, ...second], startOffset))
      for (const [slot, next] of merged.entries()) {
        const before = merged[slot - 1]
        if (before === undefined) continue
        expect(before.lastOffset).toBeLessThan(next.firstOffset)
        const isSame = before.deliveryCount === next.deliveryCount && before.deliveryState === next.deliveryState
        expect(isSame && before.lastOffset + 1 === next.firstOffset).toBe(false)
      }
    }),
  )
})
