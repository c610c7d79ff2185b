import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { modelHistory } from '../testing/model-run.ts'
import { mutations, picker } from '../testing/mutations.ts'
import { type AnomalyKind, safeProfile } from './anomaly.ts'
import { checkHistory } from './check-history.ts'

/** Method: a model of a correct cluster gives random histories, which must pass; each is then spoiled in one way, which must be found. */

const seeds = fc.nat(2 ** 31)
/** Anomalies that the protocol never excludes are seen in good histories too. */
const kindsIn = (history: Parameters<typeof checkHistory>[0]) =>
  checkHistory(history, { ...safeProfile, isTransactional: false }).found.filter(({ isAllowed }) => !isAllowed)

describe('the checker of chaos histories', () => {
  it('finds nothing in what a correct cluster does', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 5, max: 300 }), (seed, operationCount) => {
        expect(kindsIn(modelHistory(seed, operationCount))).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  it.each(Object.keys(mutations) as AnomalyKind[])('finds %s wherever it is put', (kind) => {
    let spoiledCount = 0
    fc.assert(
      fc.property(seeds, (seed) => {
        const spoiled = mutations[kind]!(modelHistory(seed, 120), picker(seed))
        if (spoiled === null) return
        spoiledCount++
        expect(checkHistory(spoiled, safeProfile).found.map((entry) => entry.kind)).toContain(kind)
      }),
      { numRuns: 60 },
    )
    expect(spoiledCount).toBeGreaterThan(15)
  })
})
