import type { ChaosNode } from '../cluster/node.ts'
import { between, shuffled } from '../random-choices.ts'
import type { Broken, Fault, Target } from './fault.ts'
import { controllerNode, someLeader } from './kills.ts'

function pause(nodes: readonly ChaosNode[], what: string, holdMs: number): Broken {
  for (const node of nodes) node.pause()
  return {
    detail: `${what}: node ${nodes.map(({ id }) => id).join(', ')}`,
    nodes: nodes.map(({ id }) => id),
    holdMs,
    mend: () => {
      for (const node of nodes) node.resume()
      return Promise.resolve()
    },
  }
}

/** From less than any time-out to longer than a session. */
function lengthMs({ random }: Target): number {
  return random.uint32() % 8 === 0 ? between(random, 8000, 25_000) : between(random, 500, 6000)
}

export const pauses: readonly Fault[] = [
  {
    name: 'pause-leader',
    family: 'pause',
    leastNodes: 1,
    inflict: async (target) => {
      const leader = await someLeader(target)
      return leader && pause([leader], 'SIGSTOP of a leader', lengthMs(target))
    },
  },
  {
    name: 'pause-controller',
    family: 'pause',
    leastNodes: 2,
    inflict: async (target) => {
      const controller = await controllerNode(target)
      return controller && pause([controller], 'SIGSTOP of the active controller', lengthMs(target))
    },
  },
  {
    // The first quorum after it is another than the last before it.
    name: 'pause-majorities',
    family: 'pause',
    leastNodes: 3,
    inflict: (target) => {
      const nodes = shuffled(target.random, target.cluster.nodes)
      const count = Math.floor(nodes.length / 2) + 1
      const first = nodes.slice(0, count)
      const second = nodes.slice(nodes.length - count)
      const broken = pause(first, 'SIGSTOP of a majority, then of another', between(target.random, 1000, 5000))
      const mend = async () => {
        await broken.mend()
        const again = pause(second, '', 0)
        await new Promise((resolve) => setTimeout(resolve, between(target.random, 1000, 4000)))
        await again.mend()
      }
      return Promise.resolve({ ...broken, mend })
    },
  },
]
