import { describe, expect, it } from 'vitest'
import { keptSeeds } from '../testing/kept-seeds.ts'
import { runCluster } from './cluster-run.ts'
import { type ClusterFault, type ClusterScenario, clusterScenario } from './cluster-scenario.ts'

/** A seed's scenario with everything in a sixth of its time. */
function shortened(seed: number): ClusterScenario {
  const scenario = clusterScenario(seed)
  const untilMs = scenario.untilMs / 6
  return {
    ...scenario,
    untilMs,
    share: 1 / 6,
    faults: scenario.faults.map((fault) => ({ ...fault, atMs: fault.atMs / 6 })),
  }
}

describe('whole clusters in the simulator', () => {
  it.each([1, 2])('keep all promises through the faults of seed %i', { timeout: 240_000 }, async (seed) => {
    const result = await runCluster(shortened(seed))
    expect(result.failure).toBeNull()
    expect(result.marks['send ok']).toBeGreaterThan(100)
    expect(result.judged.R4).toBeGreaterThanOrEqual(result.marks['send ok']!)
    expect(Object.keys(result.faults).length).toBeGreaterThan(0)
  })

  it('lose nothing where what tells whose a log is rots while all are down', { timeout: 240_000 }, async () => {
    const faults: ClusterFault[] = [0, 1, 2, 0, 1, 2].map((node, slot) => ({
      atMs: 3_000 + 1_500 * slot,
      kind: 'rot of identity',
      node,
      downMs: 1,
      othersDownMs: slot % 2 === 0 ? 1 : 1_000,
    }))
    const scenario = shortened(3)
    const options = { ...scenario.options, sides: [], moveEveryMs: 0, memberLifeMs: 0 }
    const result = await runCluster({ ...scenario, options, faults, untilMs: 14_000 })
    expect(result.failure).toBeNull()
    expect(result.marks['rot of what tells whose a log is']).toBeGreaterThan(2)
  })

  it('lose nothing where logs are lost to all nodes and put back', { timeout: 240_000 }, async () => {
    const faults: ClusterFault[] = [0, 1, 2, 3, 4, 5].map((slot) => ({
      atMs: 3_000 + 2_500 * slot,
      kind: 'logs lost',
      nodes: [0, 1, 2].map((node) => ({ node, downMs: 1, lostMs: 900 + 500 * ((node + slot) % 3) })),
      choice: slot,
    }))
    const scenario = shortened(3)
    const options = { ...scenario.options, sides: [], moveEveryMs: 0, memberLifeMs: 0 }
    const result = await runCluster({ ...scenario, options, faults, untilMs: 19_000 })
    expect(result.failure).toBeNull()
    expect(result.marks['all logs of a partition lost']).toBe(6)
    // Of three the first leads that comes back; others that do so later have begun new ones.
    expect(result.marks['lost log put back']).toBeGreaterThanOrEqual(6)
    expect(result.marks['lost log counts again']).toBeGreaterThanOrEqual(4)
  })

  it('do the same again from the same seed, to the last event', { timeout: 240_000 }, async () => {
    const calm = { ...shortened(3), faults: [], untilMs: 4_000 }
    const one = await runCluster(calm)
    expect(one.failure).toBeNull()
    expect(await runCluster(calm)).toEqual(one)
  })

  const kept = keptSeeds.filter(({ layer }) => layer === 'cluster')
  it.each(kept)('seed $seed, which found that $reason', { timeout: 240_000 }, async ({ seed }) => {
    expect((await runCluster(clusterScenario(seed))).failure).toBeNull()
  })
})
