import { describe, expect, it } from 'vitest'
import { keptSeeds } from '../testing/kept-seeds.ts'
import { runConsensus } from './consensus-run.ts'
import { consensusScenario } from './consensus-scenario.ts'

const SEED_COUNT = 40
/** Other seeds on other days would make a failure here hard to see again: `npm run sim` runs new ones. */
const FIRST_SEED = 50_000

describe('the consensus core in the simulator', () => {
  it('keeps all invariants and comes to rest, seed after seed', { timeout: 120_000 }, () => {
    let electionCount = 0
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEED_COUNT; seed++) {
      const result = runConsensus(consensusScenario(seed))
      expect(result.failure, `seed ${seed}`).toBeNull()
      expect(result.eventCount).toBeGreaterThanOrEqual(5_000)
      electionCount += result.marks.election ?? 0
    }
    expect(electionCount).toBeGreaterThan(SEED_COUNT)
  })

  it.each(keptSeeds.filter(({ layer }) => layer === 'consensus'))(
    'seed $seed, which found that $reason',
    ({ seed }) => {
      expect(runConsensus(consensusScenario(seed)).failure).toBeNull()
    },
  )

  it('does the same again from the same seed, to the last event', () => {
    for (const seed of [2, 14, 31]) {
      const one = runConsensus(consensusScenario(seed))
      expect(runConsensus(consensusScenario(seed))).toEqual(one)
      expect(runConsensus(consensusScenario(seed + 1)).digest).not.toBe(one.digest)
    }
  })
})
