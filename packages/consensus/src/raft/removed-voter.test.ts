import { describe, expect, it } from 'vitest'
import { MemoryCluster, voters } from './testing/memory-cluster.ts'

describe('a voter that is removed', () => {
  it('campaigns while its removal is not committed, since nobody else has a log that gets a majority', () => {
    const cluster = new MemoryCluster([1, 2])
    cluster.elect(1)
    cluster.isolated.add(2)
    // Only the leader's own log has it: node 2 alone would have to vote for less than that.
    expect(cluster.core(1).proposeVoters(voters(2))).toBe(2)
    cluster.process()
    cluster.messages = []
    cluster.node(1).restart()
    cluster.isolated.clear()
    cluster.tickAll(100)
    expect(cluster.core(2).status).toMatchObject({ role: 'leader', voters: voters(2), votersCommitted: true })
    expect(cluster.core(1).status).toMatchObject({ role: 'observer', leaderId: 2 })
  })

  it('finds the leader by its contacts if none of the voters that it knows leads', () => {
    const contacts = [1, 2, 3, 4]
    const cluster = new MemoryCluster([1, 2, 3], { contacts })
    cluster.add(4, { bootstrapVoters: voters(1, 2, 3), contacts })
    cluster.elect(1)
    cluster.tickAll(20)
    cluster.isolated.add(3)
    for (const next of [voters(1, 2, 3, 4), voters(1, 2, 4), voters(2, 4), voters(4)]) {
      expect(proposeAtLeader(cluster, next)).toEqual(expect.any(Number))
      cluster.tickAll(60)
    }
    expect(cluster.core(4).status).toMatchObject({ role: 'leader', voters: voters(4) })
    cluster.isolated.clear()
    cluster.tickAll(100)
    expect(cluster.core(3).status).toMatchObject({ role: 'observer', leaderId: 4, voters: voters(4) })
  })

  it('is told where the voters are that it has never heard of', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.add(4, { bootstrapVoters: [], contacts: [1, 2, 3] })
    cluster.elect(1)
    cluster.tickAll(5)
    cluster.isolated.add(3)
    for (const next of [voters(1, 2, 3, 4), voters(1, 2, 4)]) {
      cluster.core(1).proposeVoters(next)
      cluster.settle()
    }
    cluster.core(1).transferLeadership(4)
    cluster.settle()
    expect(cluster.core(4).status.role).toBe('leader')
    cluster.isolated.clear()
    // The host has no connection to node 4 before it knows its address.
    const { core } = cluster.node(3)
    for (let tick = 0; tick < 100 && core.status.contacts.length === 0; tick++) {
      core.tick()
      cluster.process()
      cluster.messages = cluster.messages.filter(({ from, to }) => from.id + to.id !== 7)
      cluster.deliverAll()
    }
    expect(core.status).toMatchObject({ leaderId: null, contacts: voters(1, 2, 4) })
    cluster.tickAll(20)
    expect(core.status).toMatchObject({ role: 'observer', leaderId: 4, voters: voters(1, 2, 4), contacts: [] })
  })
})

/** Whoever leads takes the change; node 3 does not hear of it. */
function proposeAtLeader(cluster: MemoryCluster, next: ReturnType<typeof voters>) {
  const leader = [...cluster.nodes.values()].find(({ id, core }) => id !== 3 && core.status.role === 'leader')
  return leader?.core.proposeVoters(next)
}
