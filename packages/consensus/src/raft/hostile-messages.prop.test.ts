import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chainOf } from './chain.ts'
import { MAX_NUMBER } from './message-check.ts'
import { arbitraryMessage } from './testing/arbitrary-message.ts'
import { directory, MemoryCluster, type MemoryNode } from './testing/memory-cluster.ts'
import type { Message, MessageOf } from './types.ts'

/** Near what the nodes know, so that messages get past the first check. */
const nearMessage = fc
  .record({
    message: arbitraryMessage,
    sender: fc.integer({ min: 2, max: 4 }),
    generation: fc.nat({ max: 1 }),
    isAddressed: fc.boolean(),
    term: fc.option(fc.nat({ max: 6 })),
    small: fc.nat({ max: 6 }),
  })
  .map(({ message, sender, generation, isAddressed, term, small }): Message => {
    const from = { id: sender, directoryId: directory(sender, generation) }
    const to = { id: 1, directoryId: isAddressed ? directory(1) : null }
    const near = { ...message, from, to, term: term ?? message.term }
    if (near.type === 'appendReply') return { ...near, index: small, hintIndex: small }
    if (near.type === 'heartbeat') return { ...near, commitIndex: small }
    if (near.type === 'snapshotReply') return { ...near, snapshotIndex: small }
    return near
  })

describe('hostile messages', () => {
  it('never make a node throw, and never take back what is committed, whatever its role', () => {
    const role = fc.constantFrom('follower', 'candidate', 'leader', 'observer')
    fc.assert(
      fc.property(role, fc.array(fc.tuple(nearMessage, fc.nat({ max: 3 })), { maxLength: 30 }), (role, steps) => {
        const node = nodeAs(role)
        const committed = node.core.status.commitIndex
        const before = node.log.pointAt(committed)
        for (const [message, action] of steps) {
          node.core.step(message)
          if (action === 0) node.core.tick()
          if (action === 1 && node.core.hasReady) node.process()
        }
        while (node.core.hasReady) node.process()
        const { status } = node.core
        expect(status.commitIndex).toBeGreaterThanOrEqual(committed)
        expect(status.commitIndex).toBeLessThanOrEqual(status.lastIndex)
        if (node.log.firstIndex <= committed) expect(node.log.pointAt(committed)).toEqual(before)
      }),
      { numRuns: 400 },
    )
  })

  it('outside of their domain are counted and change nothing', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.tickAll(1)
    const node = cluster.node(2)
    const envelope = { from: cluster.node(1).self, to: node.self, term: 1 }
    const chain = node.log.pointAt(1)!.chain
    const parts = { index: 2, term: 1, kind: 'voters', data: Buffer.from('no voters') } as const
    const point = { previousIndex: 1, previousTerm: 1, previousChain: chain }
    const append: MessageOf<'append'> = {
      type: 'append',
      ...envelope,
      ...point,
      entries: [],
      commitIndex: 1,
      readRound: 0,
    }
    const entry = { ...parts, kind: 'command', chain: chainOf(chain, parts) } as const
    const hostile: Message[] = [
      { ...append, term: Number.NaN },
      { ...append, term: MAX_NUMBER + 1 },
      { ...append, term: -1 },
      { ...append, term: 1.5 },
      { ...append, previousIndex: -1 },
      { ...append, previousTerm: 2 },
      { ...append, previousIndex: 0 },
      { ...append, previousChain: Buffer.alloc(4) },
      { ...append, entries: [{ ...parts, chain: chainOf(chain, parts) }] },
      { ...append, entries: [{ ...entry, index: 3 }] },
      { ...append, entries: [{ ...entry, term: 0 }] },
      { ...append, entries: [{ ...entry, term: 2 }] },
      { ...append, entries: [entry, entry] },
      { type: 'heartbeat', ...envelope, commitIndex: Number.POSITIVE_INFINITY, readRound: 0 },
      { type: 'heartbeat', ...envelope, commitIndex: 2, readRound: 0 },
      { type: 'timeoutNow', ...envelope, from: node.self },
    ]
    const { rejectedMessages, ...before } = node.core.status
    for (const message of hostile) node.core.step(message)
    const { rejectedMessages: after, ...status } = node.core.status
    expect(status).toEqual(before)
    expect(after - rejectedMessages).toBe(hostile.length)
  })

  it('cannot use up the terms: a leap is refused, and elections go on', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    const { self } = cluster.node(3)
    for (const id of [1, 2]) {
      const to = cluster.node(id).self
      const envelope = { from: self, to, term: MAX_NUMBER }
      const before = cluster.core(id).status
      cluster.core(id).step({ type: 'voteReply', ...envelope, preVote: false, granted: false })
      cluster.core(id).step({ type: 'heartbeat', ...envelope, commitIndex: 0, readRound: 0 })
      cluster
        .core(id)
        .step({ type: 'voteRequest', ...envelope, preVote: false, transfer: true, lastIndex: 9, lastTerm: 9 })
      expect(cluster.core(id).status).toEqual({ ...before, rejectedMessages: before.rejectedMessages + 3 })
    }
    cluster.core(1).transferLeadership(2)
    cluster.settle()
    expect(cluster.core(2).status).toMatchObject({ role: 'leader', term: 2 })
  })

  it('take no more than half of the terms from a node that has none yet, and its cluster goes on from there', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    const to = cluster.node(1).self
    const envelope = { from: cluster.node(3).self, to }
    cluster.core(1).step({ type: 'voteReply', ...envelope, term: MAX_NUMBER, preVote: false, granted: false })
    expect(cluster.core(1).status.term).toBe(0)
    const term = MAX_NUMBER / 2 - 1
    cluster.core(1).step({ type: 'voteReply', ...envelope, term, preVote: false, granted: false })
    expect(cluster.core(1).status.term).toBe(term)
    cluster.elect(1)
    cluster.tickAll(1)
    expect(cluster.core(2).status).toMatchObject({ leaderId: 1, term: term + 1 })
  })

  it('for another node or directory are ignored', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    const { core } = cluster.node(2)
    const from = cluster.node(1).self
    core.step({ type: 'timeoutNow', from, to: { id: 3, directoryId: null }, term: 4 })
    core.step({ type: 'timeoutNow', from, to: { id: 2, directoryId: directory(2, 1) }, term: 4 })
    expect(core.status.term).toBe(0)
    expect(core.hasReady).toBe(false)
  })

  it('that claim to come from a second leader of the term are refused', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    const to = cluster.node(2).self
    const from = cluster.node(3).self
    cluster.core(2).step({ type: 'heartbeat', from, to, term: 1, commitIndex: 0, readRound: 0 })
    expect(cluster.core(2).status).toMatchObject({ leaderId: 1, rejectedMessages: 1 })
    cluster.core(1).step({ type: 'heartbeat', from, to: cluster.node(1).self, term: 1, commitIndex: 0, readRound: 0 })
    expect(cluster.core(1).status).toMatchObject({ role: 'leader', rejectedMessages: 1 })
  })

  it('cannot fill the memory of a follower with entries that are not written', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    const node = cluster.node(2)
    const limit = 2 * 2048 + 1024
    for (let count = 0; count < 100; count++) {
      cluster.core(1).propose(Buffer.alloc(100))
      for (const message of cluster.node(1).process()) if (message.to.id === 2) node.core.step(message)
      // The follower's disk is slow, the leader thinks it has all.
      cluster.core(1).step({
        type: 'appendReply',
        from: node.self,
        to: cluster.node(1).self,
        term: 1,
        success: true,
        index: cluster.core(1).status.lastIndex,
        hintIndex: 0,
        hintTerm: 0,
        readRound: 0,
      })
    }
    const bytes = node.core.takeReady().entries.reduce((sum, { data }) => sum + data.length, 0)
    expect(bytes).toBeLessThanOrEqual(limit)
    expect(bytes).toBeGreaterThan(1024)
  })
})

function nodeAs(role: 'follower' | 'candidate' | 'leader' | 'observer'): MemoryNode {
  const cluster = new MemoryCluster([1, 2, 3])
  if (role === 'observer') return cluster.add(1, { bootstrapVoters: [], contacts: [2, 3] })
  cluster.elect(role === 'leader' ? 1 : 2)
  cluster.core(role === 'leader' ? 1 : 2).propose(Buffer.from('a'))
  cluster.settle()
  if (role === 'candidate') {
    cluster.core(1).step({ type: 'timeoutNow', from: cluster.node(2).self, to: cluster.node(1).self, term: 1 })
  }
  return cluster.node(1)
}
