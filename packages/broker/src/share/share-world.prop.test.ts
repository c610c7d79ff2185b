import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ShareWorld } from './testing/share-world.ts'

test('members, leaders and coordinators keep their promises through failed writes, crashes and fenced leaders', async () => {
  let deliveredCount = 0
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 30 }), async (seed) => {
      const world = new ShareWorld(seed)
      await world.run(250)
      deliveredCount += world.deliveredCount
    }),
    { numRuns: 60 },
  )
  expect(deliveredCount).toBeGreaterThan(1000)
})
