import { describe, expect, it } from 'vitest'
import { chainOf, FIRST_CHAIN } from './chain.ts'
import { MemoryCluster, type MemoryNode } from './testing/memory-cluster.ts'
import type { Entry } from './types.ts'

/** Logs as terms: those of the leader to be, and of a follower. The divergence set of the reliability reference, section 3. */
const CASES: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ['behind, same epoch', [1, 1, 1, 1], [1, 1]],
  ['behind, newer epoch', [1, 1, 1, 1, 3], [1, 2]],
  ['longer, same epoch', [1, 1, 2], [1, 1, 1, 1, 1]],
  ['longer, newer epoch', [1, 1, 4], [1, 1, 3, 3, 3]],
  ['fork with two different epochs', [1, 1, 2, 2, 5], [1, 1, 3, 3, 3, 3]],
  ['fork where the leader has more of the older epoch', [1, 1, 1, 1, 5], [1, 1, 2, 2]],
  ['no common epoch', [2, 2, 5], [1, 1, 1, 3]],
  ['nothing at all', [1, 2, 3], []],
  ['several epochs on both sides', [1, 1, 3, 3, 6, 6], [1, 2, 2, 4, 4, 5, 5]],
]

describe('divergence', () => {
  it.each(CASES)('%s: ends in equal logs', (_name, leaderTerms, followerTerms) => {
    // The leader and a copy of it are the majority that has what the follower lacks.
    const cluster = new MemoryCluster([1, 2, 3])
    fill(cluster.node(1), leaderTerms)
    fill(cluster.node(2), leaderTerms)
    fill(cluster.node(3), followerTerms)
    cluster.isolated.add(3)
    cluster.elect(1)
    cluster.isolated.clear()
    let refusals = 0
    for (let round = 0; round < 20; round++) {
      cluster.core(1).tick()
      for (let pass = 0; pass < 30; pass++) {
        cluster.process()
        refusals += cluster.messages.filter((message) => message.type === 'appendReply' && !message.success).length
        cluster.deliverAll()
      }
    }
    const logs = [1, 2, 3].map((id) => chains(cluster.node(id)))
    expect(logs[1]).toEqual(logs[0])
    expect(logs[2]).toEqual(logs[0])
    expect(cluster.core(3).status.commitIndex).toBe(leaderTerms.length + 1)
    expect(cluster.core(3).status.chainMismatches).toBe(0)
    // A probe for each term, plus the empty message that found out that what was sent ahead was lost.
    expect(refusals).toBeLessThanOrEqual(new Set([...leaderTerms, ...followerTerms]).size + 1)
  })

  describe('of equal terms and other content, which only damage can make', () => {
    /** Node 3 differs from the second entry on; its log may be longer. */
    function diverged(otherTerms: readonly number[] = [1, 1]): MemoryCluster {
      const cluster = new MemoryCluster([1, 2, 3])
      for (const id of [1, 2]) fill(cluster.node(id), [1, 1, 1])
      fill(cluster.node(3), [1, ...otherTerms], 'entry', 'other')
      return cluster
    }

    it.each([[[1]], [[1, 1]], [[1, 1, 1, 1]]])('is replaced by what a majority has committed: %j', (otherTerms) => {
      const cluster = diverged(otherTerms)
      cluster.isolated.add(3)
      cluster.elect(1)
      cluster.isolated.clear()
      cluster.tickAll(20)
      expect(chains(cluster.node(3))).toEqual(chains(cluster.node(1)))
      expect(cluster.core(3).status).toMatchObject({ commitIndex: 4, chainMismatches: 1, mendedDivergences: 1 })
    })

    it('is replaced where the leader has only a snapshot of it', () => {
      const cluster = diverged()
      cluster.isolated.add(3)
      cluster.elect(1)
      const point = cluster.core(1).snapshotPoint(3)!
      const data = Buffer.from('state of three entries')
      const snapshot = { point, data }
      cluster.node(1).log.write({ hardState: null, truncateFrom: null, entries: [], snapshot })
      cluster.core(1).onSnapshotSaved()
      cluster.isolated.clear()
      cluster.tickAll(40)
      expect(cluster.core(3).status).toMatchObject({ commitIndex: 4, firstIndex: 4, mendedDivergences: 1 })
      expect(cluster.node(3).log.pointAt(4)!.chain).toEqual(cluster.node(1).log.pointAt(4)!.chain)
    })

    it('stays as it is while the leader has not committed its own: nobody can tell which is right', () => {
      const cluster = diverged()
      cluster.isolated.add(2)
      cluster.elect(1)
      const before = chains(cluster.node(3))
      cluster.tickAll(20)
      expect(chains(cluster.node(3))).toEqual(before)
      expect(cluster.core(3).status).toMatchObject({ commitIndex: 0, mendedDivergences: 0 })
      expect(cluster.core(3).status.chainMismatches).toBeGreaterThan(0)
      expect(cluster.core(1).status.commitIndex).toBe(0)
      // The third one decides.
      cluster.isolated.clear()
      cluster.tickAll(20)
      expect(chains(cluster.node(3))).toEqual(chains(cluster.node(1)))
    })
  })

  it('refuses entries whose own chain is wrong, and takes them when they come whole', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.core(1).propose(Buffer.from('value'))
    cluster.process()
    const message = cluster.messages.find(({ to }) => to.id === 2)!
    if (message.type !== 'append') throw new Error('the leader sends its entry')
    const [entry] = message.entries
    cluster.core(2).step({ ...message, entries: [{ ...entry!, data: Buffer.from('valve') }] })
    expect(cluster.core(2).status).toMatchObject({ lastIndex: 1, chainMismatches: 1 })
    expect(cluster.core(2).hasReady).toBe(false)
    cluster.settle()
    expect(cluster.core(2).status.lastIndex).toBe(2)
  })

  it('refuses to overwrite what is committed, whoever asks', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.core(1).propose(Buffer.from('committed'))
    cluster.settle()
    cluster.tickAll(1)
    const node = cluster.node(2)
    const [first] = node.log.entries(1, 2, 1000)
    const parts = { index: 2, term: 5, kind: 'command', data: Buffer.from('forged') } as const
    const forged: Entry = { ...parts, chain: chainOf(first!.chain, parts) }
    const point = { previousIndex: 1, previousTerm: 1, previousChain: first!.chain }
    const envelope = { from: cluster.node(3).self, to: node.self, term: 5 }
    const commitIndex = 2
    node.core.step({ type: 'append', ...envelope, ...point, entries: [forged], commitIndex, readRound: 0 })
    const messages = []
    while (node.core.hasReady) messages.push(...node.process())
    expect(node.log.entries(2, 3, 1000)[0]!.data.toString()).toBe('committed')
    expect(node.core.status.chainMismatches).toBe(1)
    expect(messages).toEqual([])
  })
})

/** `others`: of all entries but the first. */
function fill(node: MemoryNode, terms: readonly number[], first = 'entry', others = first): void {
  let chain = FIRST_CHAIN
  const entries = terms.map((term, slot): Entry => {
    const parts = {
      index: slot + 1,
      term,
      kind: 'command',
      data: Buffer.from(`${slot === 0 ? first : others} ${slot + 1}/${term}`),
    } as const
    chain = chainOf(chain, parts)
    return { ...parts, chain }
  })
  const hardState = { term: Math.max(0, ...terms), vote: null }
  node.log.write({ hardState, truncateFrom: null, entries, snapshot: null })
  node.restart()
}

function chains({ log }: MemoryNode): string[] {
  return log
    .entries(log.firstIndex, log.lastIndex + 1, Number.POSITIVE_INFINITY)
    .map(({ chain }) => chain.toString('hex'))
}
