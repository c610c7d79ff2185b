import { until } from '../../harness/until.ts'
import type { ChaosCluster } from '../cluster/chaos-cluster.ts'
import { between, pickOne, shuffled } from '../random-choices.ts'
import type { Fault } from './fault.ts'

const LIMIT_MS = 60_000

/** Partitions move, and voters leave and come back, while everything goes on. */
export const membership: readonly Fault[] = [
  {
    name: 'reassign',
    family: 'membership',
    leastNodes: 3,
    inflict: async ({ cluster, random, topics, signal }) => {
      const states = await cluster.partitions(topics)
      if (states === null) return null
      const { topic, partition, replicas: before } = pickOne(random, states)
      const ids = shuffled(
        random,
        cluster.nodes.map(({ id }) => id),
      )
      const replicas = ids.slice(0, Math.min(3, ids.length))
      const [outcome] = await cluster.admin.alterReassignments([{ topic, partition, replicas }], { timeoutMs: 10_000 })
      if (outcome?.error) return null
      const isDone = async () => signal.aborted || (await ongoing(cluster)) === 0
      await until(`${topic}/${partition} has moved`, isDone, LIMIT_MS)
      await cluster.admin.electLeaders('preferred', [{ topic, partition }], { timeoutMs: 10_000 })
      return {
        detail: `${topic}/${partition} moved from ${before.join(', ')} to ${replicas.join(', ')}`,
        holdMs: 0,
        mend: () => Promise.resolve(),
      }
    },
  },
  {
    name: 'voter',
    family: 'membership',
    leastNodes: 3,
    inflict: async ({ cluster, random }) => {
      const { voters } = await cluster.admin.describeQuorum({ timeoutMs: 5000 })
      const voter = pickOne(random, voters)
      const { nodeId, directoryId } = voter
      // Where it is reached is told only by versions that know it; nobody could add it again without.
      if (voter.listeners.length === 0 || voters.length < cluster.nodes.length) return null
      await cluster.admin.removeVoter({ nodeId, directoryId }, { timeoutMs: 15_000 })
      return {
        detail: `voter ${nodeId} removed, and added again`,
        holdMs: between(random, 500, 5000),
        mend: async () => {
          const add = () => cluster.admin.addVoter(voter, { timeoutMs: 15_000 })
          // The leader may have changed with the vote, and the node must have caught up.
          await until(
            `voter ${nodeId} is back`,
            () =>
              add().then(
                () => true,
                () => isVoter(cluster, nodeId),
              ),
            LIMIT_MS,
          )
        },
      }
    },
  },
]

async function ongoing(cluster: ChaosCluster): Promise<number> {
  const moves = await cluster.admin.listReassignments({ timeoutMs: 5000 }).catch(() => null)
  return moves?.length ?? -1
}

async function isVoter(cluster: ChaosCluster, id: number): Promise<boolean> {
  const { voters } = await cluster.admin.describeQuorum({ timeoutMs: 5000 }).catch(() => ({ voters: [] }))
  return voters.some(({ nodeId }) => nodeId === id)
}
