import { until } from '../../harness/until.ts'
import { type Fault, nothingToMend } from './fault.ts'

/** Every node is stopped in order and started again, one after the other, as an upgrade does it. */
export const rolling: readonly Fault[] = [
  {
    name: 'rolling-restart',
    family: 'rolling',
    leastNodes: 1,
    inflict: async ({ cluster, topics, signal }) => {
      const names: string[] = []
      for (const node of cluster.nodes) {
        if (signal.aborted) break
        // As an operator would: also a node that was killed just before is up again.
        await until('every replica is in sync', () => signal.aborted || cluster.isWhole(topics), 60_000)
        if (signal.aborted) break
        await node.stop()
        node.start()
        names.push(node.name)
      }
      await until('every replica is in sync again', () => signal.aborted || cluster.isWhole(topics), 60_000)
      return { detail: `node ${names.join(', ')} restarted in order`, holdMs: 0, mend: nothingToMend }
    },
  },
]
