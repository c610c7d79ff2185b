import { expect, it } from 'vitest'
import { runCluster } from '../cluster-run.ts'
import { type ClusterFault, type ClusterScenario, clusterScenario } from '../cluster-scenario.ts'
import { CLEAN_STEPS } from './clean-steps.ts'

/** Nothing but compaction, and a death of each node at each of its steps, the third time it is reached. */
function deadlyScenario(): ClusterScenario {
  const scenario = clusterScenario(2)
  const faults = CLEAN_STEPS.flatMap((step, slot) =>
    [0, 1, 2].map((node): ClusterFault => {
      const atMs = 6_000 + 600 * (3 * slot + node)
      return { atMs, kind: 'kill amid compaction', node, step, afterCount: 2, downMs: 200, losesPower: node !== 0 }
    }),
  )
  const options = { ...scenario.options, sides: ['compaction'] as const, moveEveryMs: 0, writeBackShare: 0.05 }
  return { ...scenario, options, faults, untilMs: 18_000, share: 0.25 }
}

it('compacts through deaths at all of its steps, and nobody misses anything', { timeout: 240_000 }, async () => {
  const { failure, marks, judged } = await runCluster(deadlyScenario())
  expect(failure).toBeNull()
  for (const step of CLEAN_STEPS) expect(marks[`death at the ${step} of a compaction`]).toBeGreaterThan(0)
  expect(marks['log compacted']).toBeGreaterThan(20)
  expect(marks['compacted topic read']).toBeGreaterThan(5)
  for (const invariant of ['K1', 'K2', 'K3', 'K6', 'K7', 'S1', 'T2']) expect(judged[invariant]).toBeGreaterThan(50)
})
