import type { ChaosNode } from '../cluster/node.ts'
import { between, pickOne, shuffled } from '../random-choices.ts'
import type { Broken, Fault, Target } from './fault.ts'

/** Who leads a partition that is drawn, so that who leads more is hit more. */
export async function someLeader({ cluster, random, topics }: Target): Promise<ChaosNode | null> {
  const led = (await cluster.partitions(topics))?.filter(({ leader }) => cluster.node(leader)?.state === 'running')
  return led && led.length > 0 ? cluster.node(pickOne(random, led).leader) : null
}

export async function controllerNode({ cluster }: Target): Promise<ChaosNode | null> {
  const id = await cluster.activeController()
  const node = id === null ? null : cluster.node(id)
  return node?.state === 'running' ? node : null
}

function someRunning({ cluster, random }: Target): ChaosNode | null {
  return cluster.running.length > 0 ? pickOne(random, cluster.running) : null
}

async function kill(nodes: readonly ChaosNode[], what: string, holdMs: number): Promise<Broken> {
  await Promise.all(nodes.map((node) => node.kill()))
  return {
    detail: `${what}: node ${nodes.map(({ id }) => id).join(', ')}`,
    nodes: nodes.map(({ id }) => id),
    holdMs,
    mend: () => {
      for (const node of nodes) node.start()
      return Promise.resolve()
    },
  }
}

/** Mostly short, so that there are many; now and then as long as an operator takes. */
function downtimeMs({ random }: Target): number {
  return random.uint32() % 10 === 0 ? between(random, 5000, 30_000) : between(random, 0, 3000)
}

export const kills: readonly Fault[] = [
  {
    name: 'kill-leader',
    family: 'kill',
    leastNodes: 1,
    weight: 3,
    inflict: async (target) => {
      const leader = await someLeader(target)
      return leader && kill([leader], 'SIGKILL of a leader', downtimeMs(target))
    },
  },
  {
    name: 'kill-controller',
    family: 'kill',
    leastNodes: 2,
    weight: 2,
    inflict: async (target) => {
      const controller = await controllerNode(target)
      return controller && kill([controller], 'SIGKILL of the active controller', downtimeMs(target))
    },
  },
  {
    name: 'kill-one',
    family: 'kill',
    leastNodes: 1,
    inflict: async (target) => {
      const node = someRunning(target)
      return node && kill([node], 'SIGKILL', downtimeMs(target))
    },
  },
  {
    name: 'kill-majority',
    family: 'kill',
    leastNodes: 3,
    inflict: (target) => {
      const count = Math.floor(target.cluster.nodes.length / 2) + 1
      const nodes = shuffled(target.random, target.cluster.nodes).slice(0, count)
      return kill(nodes, 'SIGKILL of a majority', downtimeMs(target))
    },
  },
  {
    name: 'kill-all',
    family: 'kill',
    leastNodes: 1,
    inflict: (target) => kill(target.cluster.nodes, 'SIGKILL of all', between(target.random, 0, 3000)),
  },
]
