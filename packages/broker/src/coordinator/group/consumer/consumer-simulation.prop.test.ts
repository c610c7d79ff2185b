import fc from 'fast-check'
import { test } from 'vitest'
import { ConsumerWorld } from '../../testing/consumer-world.ts'

/**
 * Seeded worlds of consumers of both protocols, with faults. Held throughout: nobody works on a partition that is another's (G1), also
 * while the group changes from one protocol to the other; memory is what the log says. Held when the faults stop: the group comes to rest
 * with every partition worked on (G6).
 */
test('consumer groups keep their promises through failed writes, failovers and changes of protocol', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0 }), (seed) => {
      new ConsumerWorld(seed).run(200)
    }),
    // Seeds do not shrink: a smaller one is another world.
    { numRuns: 20, endOnFailure: true },
  )
})
