import { whyNoDisks } from '../cluster/disks.ts'
import { between, pickOne } from '../random-choices.ts'
import type { Fault } from './fault.ts'
import { someLeader } from './kills.ts'

export const diskFaults: readonly Fault[] = [
  {
    name: 'disk-full',
    family: 'disk',
    leastNodes: 1,
    whyNot: whyNoDisks,
    inflict: async (target) => {
      const node = (await someLeader(target)) ?? pickOne(target.random, target.cluster.nodes)
      const disk = target.cluster.disks.get(node.id)
      if (disk === undefined) return null
      node.mayEnd = true
      disk.fill()
      return {
        detail: `disk of node ${node.id} full`,
        nodes: [node.id],
        holdMs: between(target.random, 2000, 10_000),
        mend: async () => {
          disk.drain()
          // A directory that failed stays offline until the node starts again, as in Kafka.
          await node.kill()
          node.mayEnd = false
          node.start()
        },
      }
    },
  },
  {
    name: 'disk-slow',
    family: 'disk',
    leastNodes: 1,
    whyNot: whyNoDisks,
    inflict: ({ cluster, random }) => {
      const node = pickOne(random, cluster.nodes)
      const disk = cluster.disks.get(node.id)
      if (disk === undefined) return Promise.resolve(null)
      const delayMs = Math.round(10 ** between(random, 1, 3))
      disk.setDelay(delayMs)
      return Promise.resolve({
        detail: `every sync of node ${node.id} takes ${delayMs} ms more`,
        nodes: [node.id],
        holdMs: between(random, 2000, 12_000),
        mend: () => {
          disk.setDelay(0)
          return Promise.resolve()
        },
      })
    },
  },
]
