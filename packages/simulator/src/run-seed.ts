import { runCluster } from './cluster/cluster-run.ts'
import { clusterScenario } from './cluster/cluster-scenario.ts'
import { runConsensus } from './consensus/consensus-run.ts'
import { consensusScenario } from './consensus/consensus-scenario.ts'
import type { Layer, RunResult } from './run-result.ts'
import type { Trace } from './world/world.ts'

/** Draws the scenario of a seed and runs it. */
export async function runSeed(layer: Layer, seed: number, trace: Trace | null = null): Promise<RunResult> {
  switch (layer) {
    case 'consensus':
      return runConsensus(consensusScenario(seed), trace)
    case 'cluster':
      return runCluster(clusterScenario(seed), trace)
  }
}
