import { expect, it } from 'vitest'
import type { ReplicaGhost } from './replica-ghost.ts'
import { ReplicaGhosts } from './replica-ghosts.ts'

/** Says what it is told. */
function recording(name: string, told: string[]): ReplicaGhost {
  const note =
    (call: string) =>
    (...values: unknown[]) => {
      told.push(`${name} ${call} ${values.join(' ')}`.trim())
    }
  const ghost = { observe: note('observe'), beforeCut: note('cut'), forgetReplica: note('forget') }
  return ghost as unknown as ReplicaGhost
}

it('tells each ghost what concerns its topic, and all of them what concerns nodes', () => {
  const told: string[] = []
  const ghosts = new ReplicaGhosts()
  for (const topic of ['orders', 'stock-1']) ghosts.add(topic, recording(topic, told))
  ghosts.observe()
  ghosts.beforeCut(2, '/disk-0/stock-1-3/00000000000000000007.log')
  ghosts.beforeCut(2, '/disk-0/stock-1-3/00000000000000000007.log.deleted')
  ghosts.beforeCut(2, '/disk-0/others-0/00000000000000000007.log')
  ghosts.forgetReplica(1, 'orders', 0)
  ghosts.forgetReplica(1, 'others', 0)
  expect(told).toEqual(['orders observe', 'stock-1 observe', 'stock-1 cut 2 3', 'orders forget 1 0'])
})
