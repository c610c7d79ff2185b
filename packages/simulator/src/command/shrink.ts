import { runCluster } from '../cluster/cluster-run.ts'
import { type ClusterScenario, clusterScenario } from '../cluster/cluster-scenario.ts'
import { runConsensus } from '../consensus/consensus-run.ts'
import { type ConsensusScenario, consensusScenario } from '../consensus/consensus-scenario.ts'
import type { Layer } from '../run-result.ts'
import { shrinkList } from '../shrink.ts'

const TRIES_MAX = 400

/** The smallest scenario found that breaks the same invariant as the seed's, as text. */
export async function shrinkSeed(layer: Layer, seed: number, invariant: string): Promise<string> {
  const shrunk =
    layer === 'cluster'
      ? await shrinkCluster(clusterScenario(seed), invariant)
      : await shrinkConsensus(consensusScenario(seed), invariant)
  return `shrunk: ${JSON.stringify(shrunk)}`
}

/** Fewer faults. What clients do is drawn as they go. */
async function shrinkCluster(scenario: ClusterScenario, invariant: string): Promise<ClusterScenario> {
  const fails = async (faults: ClusterScenario['faults']): Promise<boolean> =>
    (await runCluster({ ...scenario, faults })).failure?.invariant === invariant
  return { ...scenario, faults: await shrinkList(scenario.faults, fails, TRIES_MAX) }
}

/** Fewer faults, then fewer operations, then no losses on the way. */
export async function shrinkConsensus(scenario: ConsensusScenario, invariant: string): Promise<ConsensusScenario> {
  let kept = scenario
  const failsWith = (change: Partial<ConsensusScenario>): boolean =>
    runConsensus({ ...kept, ...change }).failure?.invariant === invariant
  const faults = await shrinkList(kept.faults, async (rest) => failsWith({ faults: rest }), TRIES_MAX)
  kept = { ...kept, faults }
  const operations = await shrinkList(kept.operations, async (rest) => failsWith({ operations: rest }), TRIES_MAX)
  kept = { ...kept, operations }
  for (const calm of [{ loss: 0 }, { duplication: 0 }, { reordering: 0 }, { drift: 0 }, { isEncoded: false }]) {
    const options = { ...kept.options, ...calm }
    if (failsWith({ options })) kept = { ...kept, options }
  }
  return kept
}
