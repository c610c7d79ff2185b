import { describe, expect, it } from 'vitest'
import { chainOf, FIRST_CHAIN } from './chain.ts'
import { directory, MemoryCluster, type MemoryNode, voters } from './testing/memory-cluster.ts'
import type { Entry, Message, MessageOf } from './types.ts'

/** The rules of "In Search of an Understandable Consensus Algorithm" (extended version) and of the thesis, by section. */
describe('Raft paper', () => {
  it('5.1: a server that sees a later term takes it over and becomes a follower, in any role', () => {
    for (const role of ['follower', 'preCandidate', 'candidate', 'leader'] as const) {
      const { node, cluster } = nodeIn(role)
      expect(node.core.status.role).toBe(role)
      node.core.step(heartbeat(cluster, 2, 1, 9))
      expect(node.core.status).toMatchObject({ role: 'follower', term: 9, vote: null, leaderId: 2 })
    }
  })

  it('5.1: a request with an earlier term is refused and told the current one', () => {
    const { node, cluster } = nodeIn('leader')
    cluster.settle()
    node.core.step(append(cluster, 2, 1, { term: 0 }))
    expect(node.process()).toMatchObject([{ type: 'appendReply', success: false, term: 1, to: { id: 2 } }])
    expect(node.core.status.role).toBe('leader')
  })

  it('5.2: servers start as followers and stay so while they hear a leader', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    expect([1, 2, 3].map((id) => cluster.core(id).status.role)).toEqual(['follower', 'follower', 'follower'])
    cluster.elect(1)
    cluster.tickAll(100)
    expect(cluster.core(1).status).toMatchObject({ role: 'leader', term: 1 })
    expect(cluster.core(2).status).toMatchObject({ role: 'follower', leaderId: 1 })
  })

  it('5.2: the leader sends heartbeats to all followers at their interval', () => {
    const cluster = new MemoryCluster([1, 2, 3], { heartbeatTicks: 3 })
    cluster.elect(1)
    const perTick: number[] = []
    for (let tick = 0; tick < 9; tick++) {
      cluster.core(1).tick()
      cluster.process()
      perTick.push(cluster.messages.filter(({ type }) => type === 'heartbeat').length)
      cluster.deliverAll()
      cluster.settle()
    }
    expect(perTick.filter((count) => count === 2)).toHaveLength(3)
    expect(perTick.filter((count) => count === 0)).toHaveLength(6)
  })

  it('5.2: to begin an election a follower increments its term, votes for itself and asks all others', () => {
    const { node } = nodeIn('preCandidate')
    node.process()
    grantPreVotes(node)
    const ready = node.core.takeReady()
    expect(ready.hardState).toEqual({ term: 1, vote: node.self })
    expect(ready.messages.map(({ type, term, to }) => [type, term, to.id])).toEqual([
      ['voteRequest', 1, 2],
      ['voteRequest', 1, 3],
    ])
    expect(ready.messagesBeforeWrite).toEqual([])
  })

  it('5.2: a candidate wins with the votes of a majority of all servers', () => {
    for (const [size, needed] of [
      [1, 0],
      [2, 1],
      [3, 1],
      [4, 2],
      [5, 2],
      [7, 3],
    ] as const) {
      const ids = Array.from({ length: size }, (_, slot) => slot + 1)
      const cluster = new MemoryCluster(ids)
      const node = cluster.node(1)
      while (node.core.status.role === 'follower') node.core.tick()
      for (const id of ids.slice(1)) node.core.step(voteReply(cluster, id, { preVote: true, term: 1 }))
      for (const id of ids.slice(1, needed + 1)) {
        expect(node.core.status.role).toBe('candidate')
        node.core.step(voteReply(cluster, id, { term: 1 }))
      }
      expect(node.core.status.role).toBe('leader')
    }
  })

  it('5.2: a server votes for at most one candidate in a term, first come first served', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    const node = cluster.node(1)
    node.core.step(voteRequest(cluster, 2, { term: 1 }))
    node.core.step(voteRequest(cluster, 3, { term: 1 }))
    expect(node.process()).toMatchObject([
      { type: 'voteReply', granted: true, to: { id: 2 } },
      { type: 'voteReply', granted: false, to: { id: 3 } },
    ])
    expect(node.log.hardState.vote).toEqual({ id: 2, directoryId: directory(2) })
  })

  it('5.2: a candidate that hears a leader of its own or a later term follows it', () => {
    for (const term of [1, 2]) {
      const { node, cluster } = nodeIn('candidate')
      node.core.step(heartbeat(cluster, 3, 1, term))
      expect(node.core.status).toMatchObject({ role: 'follower', leaderId: 3, term })
    }
  })

  it('5.2: election timeouts are drawn at random from [electionTicks, 2 * electionTicks), anew each time', () => {
    const seen = new Set<number>()
    for (let seed = 1; seed <= 60; seed++) {
      const cluster = new MemoryCluster([1, 2, 3], {}, seed)
      let ticks = 0
      while (cluster.core(1).status.role === 'follower') {
        cluster.core(1).tick()
        ticks++
      }
      seen.add(ticks)
    }
    expect(Math.min(...seen)).toBeGreaterThanOrEqual(10)
    expect(Math.max(...seen)).toBeLessThan(20)
    expect(seen.size).toBe(10)
  })

  it('5.3: a proposal goes to all followers and is applied when a majority has it', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.isolated.add(3)
    const index = cluster.core(1).propose(Buffer.from('a'))
    expect(index).toBe(2)
    cluster.process()
    expect(cluster.messages.map(({ type, to }) => [type, to.id])).toEqual([
      ['append', 2],
      ['append', 3],
    ])
    expect(cluster.core(1).status.commitIndex).toBe(1)
    cluster.settle()
    expect(cluster.core(1).status).toMatchObject({ commitIndex: 2, appliedIndex: 2 })
  })

  it('5.3: the leader tells followers what is committed, and they apply it in log order', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    for (const text of ['a', 'b', 'c']) cluster.core(1).propose(Buffer.from(text))
    cluster.settle()
    for (const id of [1, 2, 3]) expect(cluster.node(id).applied.map(({ index }) => index)).toEqual([1, 2, 3, 4])
  })

  it('5.3: a follower refuses entries whose predecessor it does not have, and names where the logs may agree', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(2)
    const node = cluster.node(1)
    const previousChain = Buffer.alloc(16, 7)
    node.core.step(append(cluster, 2, 1, { term: 1, previousIndex: 5, previousTerm: 1, previousChain }))
    expect(node.process()).toMatchObject([{ type: 'appendReply', success: false, index: 5, hintIndex: 1, hintTerm: 1 }])
  })

  it('5.3: a follower removes an entry that conflicts and all that follow it, and nothing else', () => {
    const { node, cluster } = followerWith([1, 1, 2, 2])
    const [one, two] = entriesOf([1, 1])
    const three = entry(3, 3, 'x', two!.chain)
    const fields = { previousIndex: 1, previousTerm: 1, previousChain: one!.chain, entries: [two!, three] }
    node.core.step(append(cluster, 2, 1, { term: 3, ...fields }))
    const ready = node.core.takeReady()
    expect(ready.truncateFrom).toBe(3)
    expect(ready.entries).toEqual([three])
  })

  it('5.3: entries that are there already are not touched by a late message', () => {
    const { node, cluster } = followerWith([1, 1, 1])
    const [one, two] = entriesOf([1, 1])
    const fields = { previousIndex: 1, previousTerm: 1, previousChain: one!.chain, entries: [two!] }
    node.core.step(append(cluster, 2, 1, { term: 1, ...fields }))
    const ready = node.core.takeReady()
    expect(ready).toMatchObject({ truncateFrom: null, entries: [] })
    expect(ready.messages).toMatchObject([{ type: 'appendReply', success: true, index: 2 }])
    expect(node.core.status.lastIndex).toBe(3)
  })

  it('5.3: the follower commits no further than the last entry that it knows to match', () => {
    const { node, cluster } = followerWith([1, 1, 1])
    const [one, two] = entriesOf([1, 1])
    const fields = { previousIndex: 1, previousTerm: 1, previousChain: one!.chain, entries: [two!], commitIndex: 3 }
    node.core.step(append(cluster, 2, 1, { term: 1, ...fields }))
    expect(node.core.status.commitIndex).toBe(2)
  })

  it('5.4.1: a vote is refused to a candidate whose log is less up to date', () => {
    for (const [lastTerm, lastIndex, granted] of [
      [1, 9, false],
      [2, 2, false],
      [2, 3, true],
      [2, 4, true],
      [3, 1, true],
    ] as const) {
      const { node, cluster } = followerWith([1, 1, 2])
      node.core.step(voteRequest(cluster, 2, { term: 5, lastTerm, lastIndex }))
      expect(node.process()).toMatchObject([{ type: 'voteReply', granted }])
    }
  })

  it('5.4.2: a leader commits entries of earlier terms only together with one of its own', () => {
    const { node, cluster } = followerWith([1, 1])
    while (node.core.status.role === 'follower') node.core.tick()
    node.core.step(voteReply(cluster, 2, { preVote: true, term: 2 }))
    node.core.step(voteReply(cluster, 2, { term: 2 }))
    node.process()
    const reply = { type: 'appendReply', success: true, hintIndex: 0, hintTerm: 0, readRound: 0 } as const
    const from = { id: 2, directoryId: directory(2) }
    node.core.step({ ...reply, from, to: node.self, term: 2, index: 2 })
    expect(node.core.status).toMatchObject({ lastIndex: 3, commitIndex: 0 })
    node.core.step({ ...reply, from, to: node.self, term: 2, index: 3 })
    expect(node.core.status.commitIndex).toBe(3)
  })

  it('5.5: messages that are repeated change nothing', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.core(1).propose(Buffer.from('a'))
    const seen: Message[] = []
    for (let round = 0; round < 20; round++) {
      cluster.process()
      seen.push(...cluster.messages)
      cluster.deliverAll()
    }
    const before = [1, 2, 3].map((id) => cluster.core(id).status)
    for (const message of seen) cluster.core(message.to.id).step(message)
    cluster.settle()
    expect([1, 2, 3].map((id) => cluster.core(id).status)).toEqual(before)
  })

  it('7: a snapshot replaces the log of a follower that is behind it', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.isolated.add(3)
    for (const text of ['a', 'b', 'c']) cluster.core(1).propose(Buffer.from(text))
    cluster.settle()
    cluster.node(1).compact(Buffer.alloc(50, 1))
    cluster.isolated.clear()
    cluster.tickAll(4)
    expect(cluster.node(3).log.snapshot).toMatchObject({ index: 4, term: 1, voters: voters(1, 2, 3), votersIndex: 0 })
    expect(cluster.core(3).status).toMatchObject({ firstIndex: 5, lastIndex: 4, commitIndex: 4, appliedIndex: 4 })
  })

  it('8: a leader begins its term with an empty entry', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    const [first] = cluster.node(1).log.entries(1, 2, 1000)
    expect(first).toMatchObject({ index: 1, term: 1, kind: 'empty' })
  })

  it('thesis 3.10: leadership is handed to a follower once it has everything', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.core(1).propose(Buffer.from('a'))
    cluster.core(1).transferLeadership(3)
    cluster.process()
    expect(cluster.messages.filter(({ type }) => type === 'timeoutNow')).toEqual([])
    cluster.settle()
    expect(cluster.core(3).status).toMatchObject({ role: 'leader', term: 2, lastIndex: 3 })
  })

  it('thesis 4.1: a new set of voters is in force as soon as it is in the log', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.core(1).proposeVoters(voters(1, 2))
    expect(cluster.core(1).status).toMatchObject({ voters: voters(1, 2), votersCommitted: false })
    cluster.isolated.add(3)
    cluster.settle()
    expect(cluster.core(1).status).toMatchObject({ voters: voters(1, 2), votersCommitted: true })
    expect(cluster.core(2).status.voters).toEqual(voters(1, 2))
  })

  it('thesis 4.2.3: a server that hears a leader answers no candidate with its vote and keeps its term', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.core(2).step(voteRequest(cluster, 3, { term: 9, lastIndex: 99, lastTerm: 8 }, 2))
    expect(cluster.core(2).status).toMatchObject({ term: 1, leaderId: 1, vote: { id: 1 } })
  })

  it('thesis 6.2: a leader that does not hear a majority for an election timeout steps down', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    cluster.tick(1, 9)
    expect(cluster.core(1).status.role).toBe('leader')
    cluster.tick(1)
    expect(cluster.core(1).status).toMatchObject({ role: 'follower', leaderId: null, term: 1 })
  })

  it('thesis 6.4: a read is answered after a round of heartbeats that began after it was asked for', () => {
    const cluster = new MemoryCluster([1, 2, 3])
    cluster.elect(1)
    const node = cluster.node(1)
    cluster.tick(1)
    cluster.process()
    const older = cluster.messages
    cluster.messages = []
    node.core.readIndex(5)
    for (const message of older) cluster.core(message.to.id).step(message)
    for (const id of [2, 3]) for (const message of cluster.node(id).process()) node.core.step(message)
    cluster.process()
    expect(node.answeredReads).toEqual([])
    cluster.settle()
    expect(node.answeredReads).toEqual([{ token: 5, index: 1 }])
  })

  it('thesis 9.6: a pre-vote changes neither term nor vote, of who asks and of who answers', () => {
    const { node, cluster } = nodeIn('preCandidate')
    expect(node.core.takeReady().hardState).toBe(null)
    cluster.core(2).step(voteRequest(cluster, 1, { term: 1, preVote: true }, 2))
    expect(cluster.core(2).takeReady().hardState).toBe(null)
    expect(cluster.core(2).status).toMatchObject({ term: 0, vote: null })
  })

  it('thesis 10.2.1: the leader sends entries before they are durable here, but does not count itself until they are', () => {
    const cluster = new MemoryCluster([1, 2])
    cluster.elect(1)
    const node = cluster.node(1)
    node.core.propose(Buffer.from('a'))
    const ready = node.core.takeReady()
    expect(ready.messagesBeforeWrite).toMatchObject([{ type: 'append', entries: [{ index: 2 }] }])
    cluster.core(2).step(ready.messagesBeforeWrite[0]!)
    for (const message of cluster.node(2).process()) node.core.step(message)
    expect(node.core.status.commitIndex).toBe(1)
    node.write(ready)
    node.finish(ready)
    expect(node.core.status.commitIndex).toBe(2)
  })
})

function nodeIn(role: 'follower' | 'preCandidate' | 'candidate' | 'leader'): {
  node: MemoryNode
  cluster: MemoryCluster
} {
  const cluster = new MemoryCluster([1, 2, 3])
  const node = cluster.node(1)
  if (role === 'follower') return { node, cluster }
  while (node.core.status.role === 'follower') node.core.tick()
  if (role === 'preCandidate') return { node, cluster }
  grantPreVotes(node)
  if (role === 'leader') node.core.step(voteReply(cluster, 2, { term: 1 }))
  return { node, cluster }
}

function grantPreVotes({ core, self }: MemoryNode): void {
  const from = { id: 2, directoryId: directory(2) }
  core.step({ type: 'voteReply', preVote: true, granted: true, from, to: self, term: core.status.term + 1 })
}

/** A voter of three with entries of these terms, all durable, at the last of them. */
function followerWith(terms: readonly number[]): { node: MemoryNode; cluster: MemoryCluster } {
  const cluster = new MemoryCluster([1, 2, 3])
  const node = cluster.node(1)
  const entries = entriesOf(terms)
  node.log.write({ hardState: { term: terms.at(-1)!, vote: null }, truncateFrom: null, entries, snapshot: null })
  node.restart()
  return { node, cluster }
}

function entriesOf(terms: readonly number[]): Entry[] {
  let chain = FIRST_CHAIN
  return terms.map((term, slot) => {
    const made = entry(slot + 1, term, `${slot + 1}`, chain)
    chain = made.chain
    return made
  })
}

function entry(index: number, term: number, text: string, previousChain: Buffer): Entry {
  const parts = { index, term, kind: 'command', data: Buffer.from(text) } as const
  return { ...parts, chain: chainOf(previousChain, parts) }
}

function envelope(cluster: MemoryCluster, from: number, to: number) {
  return { from: cluster.node(from).self, to: cluster.node(to).self }
}

function heartbeat(cluster: MemoryCluster, from: number, to: number, term: number): Message {
  return { type: 'heartbeat', ...envelope(cluster, from, to), term, commitIndex: 0, readRound: 0 }
}

function append(cluster: MemoryCluster, from: number, to: number, fields: Partial<MessageOf<'append'>>): Message {
  const defaults = { term: 1, previousIndex: 0, previousTerm: 0, previousChain: FIRST_CHAIN, entries: [] }
  return { type: 'append', ...envelope(cluster, from, to), ...defaults, commitIndex: 0, readRound: 0, ...fields }
}

function voteRequest(cluster: MemoryCluster, from: number, fields: Partial<MessageOf<'voteRequest'>>, to = 1): Message {
  const defaults = { term: 1, preVote: false, lastIndex: 0, lastTerm: 0, transfer: false }
  return { type: 'voteRequest', ...envelope(cluster, from, to), ...defaults, ...fields }
}

function voteReply(cluster: MemoryCluster, from: number, fields: Partial<MessageOf<'voteReply'>>): Message {
  return { type: 'voteReply', ...envelope(cluster, from, 1), term: 1, preVote: false, granted: true, ...fields }
}
