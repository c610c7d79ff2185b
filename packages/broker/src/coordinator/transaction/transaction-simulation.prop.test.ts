import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TransactionSimulation } from '../testing/transaction-simulation.ts'

/**
 * Seeded worlds of producers, coordinators and partitions, with faults. Held: a transaction ends one way in all partitions, the way that
 * its producer was told, and with all that was acknowledged (T1, T5); producer id and epoch name one producer, and one transaction where
 * clients go by KIP-890 (T3); nothing gets in that its coordinator does not know of, or it would hang in the end (T4); when the faults
 * stop, every transaction ends and every request is answered (T6).
 */
test.each([
  ['transaction.version 2', 2],
  ['transaction.version 0', 0],
])(
  'transactions keep their promises through crashes, zombies, lost markers and lost answers, with %s',
  async (_, version) => {
    const seen = { committed: 0, aborted: 0, unknown: 0 }
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0 }), async (seed) => {
        const simulation = new TransactionSimulation(seed, version)
        await simulation.run(1_500)
        const { committed, aborted, unknown } = simulation.checker.outcomes
        seen.committed += committed
        seen.aborted += aborted
        seen.unknown += unknown
      }),
      // Seeds do not shrink: a smaller one is another world.
      { numRuns: 60, endOnFailure: true },
    )
    // A world in which nothing happens keeps every promise.
    expect(Math.min(seen.committed, seen.aborted, seen.unknown)).toBeGreaterThan(40)
  },
)
