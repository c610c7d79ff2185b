import { describe, expect, it } from 'vitest'
import { MemoryCluster } from './testing/memory-cluster.ts'

describe('RaftCore', () => {
  it('elects a leader, replicates and commits', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    expect(cluster.core(1).propose(Buffer.from('a'))).toBe(2)
    cluster.settle()
    for (const id of [1, 2, 3]) {
      expect(cluster.core(id).status).toMatchObject({ leaderId: 1, term: 1, commitIndex: 2, appliedIndex: 2 })
      expect(cluster.node(id).applied.map(({ kind, data }) => [kind, data.toString()])).toEqual([
        ['empty', ''],
        ['command', 'a'],
      ])
    }
  })

  it('sends a snapshot to a node that is too far behind', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.isolated.add(3)
    for (let count = 0; count < 20; count++) {
      cluster.core(1).propose(Buffer.from(`value ${count}`))
      cluster.settle()
    }
    cluster.node(1).compact(Buffer.from('a snapshot of several chunks of sixteen bytes'))
    cluster.isolated.clear()
    cluster.tickAll(5)
    expect(cluster.node(3).log.snapshotData?.toString()).toBe('a snapshot of several chunks of sixteen bytes')
    cluster.core(1).propose(Buffer.from('next'))
    cluster.settle()
    expect(cluster.node(3).applied.map(({ data }) => data.toString())).toEqual(['next'])
    expect(cluster.core(1).status.peers.map(({ state }) => state)).toEqual(['replicate', 'replicate'])
  })
})
