import fc from 'fast-check'
import { expect, test } from 'vitest'
import { imageOf } from '../testing/coordinator-fixture.ts'
import { GroupSimulation } from '../testing/group-simulation.ts'
import { SIMULATED_PARTITIONS } from '../testing/simulated-member.ts'

const image = imageOf(['topic'], SIMULATED_PARTITIONS)

/**
 * Seeded worlds of consumers, a coordinator and a log, with faults. Held throughout: a partition has one owner per generation and
 * generations never go back (G1); what was acknowledged is there (G2); commits of old generations change nothing (G3); committed
 * state is a function of the committed log; nobody is told to give up. Held when the faults stop: the group comes to rest with every partition owned
 * (G6), and every request is answered.
 */
test('groups keep their promises through crashes, failed writes and lost members', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0 }), async (seed) => {
      const simulation = new GroupSimulation(seed, image)
      await simulation.run(400)
      expect(simulation.faults).toEqual([])
    }),
    // Seeds do not shrink: a smaller one is another world.
    { numRuns: 40, endOnFailure: true },
  )
})
