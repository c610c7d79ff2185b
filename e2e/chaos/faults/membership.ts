import type { QuorumReplica } from '@millrace/client'
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
      const asked = cluster.admin.alterReassignments([{ topic, partition, replicas }], { timeoutMs: 10_000 })
      const [outcome] = await asked.catch(() => [null])
      if (outcome === null || outcome?.error) return null
      const isDone = async () => signal.aborted || (await ongoing(cluster)) === 0
      await until(`${topic}/${partition} has moved`, isDone, LIMIT_MS)
      // The first of them leads by now, or will when the next one dies: nothing depends on the answer.
      await cluster.admin
        .electLeaders('preferred', [{ topic, partition }], { timeoutMs: 10_000 })
        .catch(() => undefined)
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
      const voters = await votersOf(cluster)
      if (voters === null) return null
      const voter = pickOne(random, voters)
      const { nodeId, directoryId } = voter
      // Where it is reached is told only by versions that know it; nobody could add it again without.
      if (voter.listeners.length === 0 || voters.length < cluster.nodes.length) return null
      // An answer that was lost on its way leaves open whether it votes.
      const removal = cluster.admin.removeVoter({ nodeId, directoryId }, { timeoutMs: 15_000 })
      const refusal = await removal.then(
        () => '',
        (error: unknown) => `, with the answer ${String(error)}`,
      )
      return {
        detail: `voter ${nodeId} removed, and added again${refusal}`,
        holdMs: between(random, 500, 5000),
        mend: () => until(`voter ${nodeId} is back`, () => isBack(cluster, voter), LIMIT_MS).then(() => undefined),
      }
    },
  },
]

async function ongoing(cluster: ChaosCluster): Promise<number> {
  const moves = await cluster.admin.listReassignments({ timeoutMs: 5000 }).catch(() => null)
  return moves?.length ?? -1
}

/** Null: nobody could tell just now. */
async function votersOf(cluster: ChaosCluster): Promise<readonly QuorumReplica[] | null> {
  const quorum = await cluster.admin.describeQuorum({ timeoutMs: 5000 }).catch(() => null)
  return quorum?.voters ?? null
}

/** Adds it if it is no voter. The leader may have changed with the vote, and the node must have caught up: what fails is tried again. */
async function isBack(cluster: ChaosCluster, voter: QuorumReplica): Promise<boolean> {
  const voters = await votersOf(cluster)
  if (voters?.some(({ nodeId }) => nodeId === voter.nodeId)) return true
  if (voters !== null) await cluster.admin.addVoter(voter, { timeoutMs: 15_000 }).catch(() => undefined)
  return false
}
