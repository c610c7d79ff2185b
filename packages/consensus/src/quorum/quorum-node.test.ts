import { afterEach, describe, expect, it } from 'vitest'
import { DamagedLogError } from '../log/damaged-log-error.ts'
import { encodeMessage } from '../raft/message-codec.ts'
import type { Message } from '../raft/types.ts'
import { PeerChannel } from '../transport/peer-transport.ts'
import { NotLeaderError, QuorumStoppedError } from './quorum-errors.ts'
import { directoryOf, QuorumCluster, settle, voterOf } from './testing/quorum-cluster.ts'

/** Method: whole nodes over a network in memory, in virtual time; a crash loses what the store had not finished. */
describe('QuorumNode', () => {
  let cluster: QuorumCluster

  afterEach(async () => {
    await cluster.close()
  })

  const valuesOf = (count: number, from = 0) => Array.from({ length: count }, (_, slot) => `v${from + slot}`)

  async function proposeAll(values: readonly string[]): Promise<void> {
    const { node } = await cluster.leader()
    for (const value of values) expect(node!.propose(Buffer.from(value))).toBeTypeOf('number')
    await settle()
  }

  it('elects one leader, tells everybody, and applies what is proposed on all nodes', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    await cluster.propose('a')
    await cluster.propose('b')
    await cluster.converge(['a', 'b'])
    for (const { listener, node } of cluster.members.values()) {
      expect(node!.status.leaderId).toBe(leader.key.id)
      expect(listener.told.at(listener === leader.listener ? -2 : -1)).toBe(`leader ${leader.key.id}`)
    }
    expect(leader.listener.told.filter((text) => text === 'elected')).toHaveLength(1)
  })

  it('makes a quorum of one voter', async () => {
    cluster = new QuorumCluster(1)
    await cluster.propose('a')
    await cluster.converge(['a'])
    expect(await cluster.node(1).readIndex()).toBe(2)
  })

  it('refuses proposals and reads where it does not lead', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    const follower = [...cluster.members.values()].find((member) => member !== leader)!
    expect(follower.node!.propose(Buffer.from('x'))).toBe('NOT_LEADER')
    const read = follower.node!.readIndex()
    await settle()
    await expect(read).rejects.toMatchObject({ code: 'NOT_LEADER', leaderId: leader.key.id })
    expect(await follower.node!.addVoter(voterOf(9))).toBe('NOT_LEADER')
  })

  it('has a new controller within 300 ms of a kill of the leader, and loses nothing', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    const values = valuesOf(10)
    await proposeAll(values)
    await cluster.converge(values)
    cluster.crash(leader.key.id)
    const waited = await cluster.until('another leader', () =>
      [...cluster.members.values()].some(({ node, listener }) => node !== null && listener.electedTerm !== null),
    )
    expect(waited).toBeLessThan(300)
    await cluster.propose('after')
    cluster.start(leader.key.id)
    await cluster.converge([...values, 'after'])
  })

  it('keeps what was committed when all nodes are killed at once', async () => {
    cluster = new QuorumCluster(3)
    const values = valuesOf(20)
    await proposeAll(values)
    await cluster.converge(values)
    for (const id of [1, 2, 3]) cluster.crash(id)
    await cluster.advance(1000)
    for (const id of [1, 2, 3]) cluster.start(id)
    await cluster.propose('z')
    await cluster.converge([...values, 'z'])
  })

  it('asks for snapshots by bytes, starts from its own, and brings a node that is far behind up with one', async () => {
    cluster = new QuorumCluster(3, { limits: { snapshotBytes: 150, keptEntryCount: 5 } })
    const leader = await cluster.leader()
    const lost = leader.key.id === 3 ? 2 : 3
    cluster.crash(lost)
    const values = valuesOf(400)
    for (let from = 0; from < 400; from += 50) {
      await proposeAll(values.slice(from, from + 50))
      await cluster.converge(values.slice(0, from + 50))
      for (const { node, listener } of cluster.members.values()) {
        if (node === null || listener.snapshotsDue === 0) continue
        listener.snapshotsDue = 0
        const saved = node.saveSnapshot(listener.appliedIndex, listener.snapshotData())
        await cluster.advance(5)
        await saved
      }
    }
    expect(leader.store.snapshot!.index).toBeGreaterThan(300)
    expect(leader.store.firstIndex).toBe(leader.store.snapshot!.index - 4)
    cluster.start(lost)
    await cluster.converge(values)
    expect(cluster.member(lost).listener.snapshotsLoaded).toBe(1)
    await cluster.propose('more')
    await cluster.converge([...values, 'more'])
    cluster.crash(leader.key.id)
    await cluster.leader()
    cluster.start(leader.key.id)
    await cluster.converge([...values, 'more'])
    expect(cluster.member(leader.key.id).listener.snapshotsLoaded).toBe(1)
  })

  it('asks for a snapshot by age, if there is anything new', async () => {
    cluster = new QuorumCluster(1, { timing: { snapshotIntervalMs: 5000 } })
    await cluster.propose('a')
    const { listener } = cluster.member(1)
    await cluster.advance(4000)
    expect(listener.snapshotsDue).toBe(0)
    await cluster.advance(1500)
    expect(listener.snapshotsDue).toBe(1)
    await cluster.advance(6000)
    expect(listener.snapshotsDue).toBe(1)
  })

  it('answers a read with everything committed before it, also right after an election', async () => {
    cluster = new QuorumCluster(3)
    const first = await cluster.leader()
    await cluster.propose('a')
    await cluster.converge(['a'])
    cluster.crash(first.key.id)
    const second = await cluster.leader()
    const read = second.node!.readIndex()
    await cluster.advance(100)
    expect(await read).toBeGreaterThanOrEqual(2)
    expect(second.listener.appliedIndex).toBeGreaterThanOrEqual(await read)
  })

  it('fails the reads of a leader that is cut off, and deposes it', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    for (const id of [1, 2, 3]) if (id !== leader.key.id) cluster.network.cut(id, leader.key.id)
    const read = leader.node!.readIndex()
    const failed = expect(read).rejects.toThrow(NotLeaderError)
    const index = leader.node!.propose(Buffer.from('never'))
    expect(index).toBeTypeOf('number')
    await cluster.until('deposed', () => leader.listener.told.includes('deposed'))
    await failed
    await cluster.propose('now')
    for (const id of [1, 2, 3]) if (id !== leader.key.id) cluster.network.heal(id, leader.key.id)
    await cluster.converge(['now'])
  })

  it('adds a voter once it has caught up, moves it, and removes it', async () => {
    cluster = new QuorumCluster(3)
    const values = valuesOf(50)
    await proposeAll(values)
    const leader = await cluster.leader()
    cluster.add(4)
    const added = leader.node!.addVoter(voterOf(4))
    expect(await leader.node!.addVoter(voterOf(5))).toBe('CHANGE_IN_PROGRESS')
    await cluster.advance(2000)
    expect(await added).toBeNull()
    await cluster.converge(values)
    expect(cluster.node(4).status.role).toBe('follower')
    expect(cluster.node(4).status.voters.map(({ id }) => id)).toEqual([1, 2, 3, 4])
    expect(await leader.node!.addVoter(voterOf(4))).toBe('INVALID_CHANGE')

    const moved = leader.node!.updateVoter({ ...voterOf(4), port: 1234 })
    await cluster.advance(500)
    expect(await moved).toBeNull()
    expect(cluster.node(1).status.voters.at(-1)?.port).toBe(1234)

    expect(await leader.node!.removeVoter(4, directoryOf(5))).toBe('INVALID_CHANGE')
    const removed = leader.node!.removeVoter(4, directoryOf(4))
    await cluster.advance(500)
    expect(await removed).toBeNull()
    expect(cluster.node(1).status.voters).toHaveLength(3)
  })

  it('does not add a voter that does not catch up', async () => {
    cluster = new QuorumCluster(3, { timing: { catchUpTimeoutMs: 2000 } })
    const leader = await cluster.leader()
    const added = leader.node!.addVoter(voterOf(4))
    await cluster.advance(2500)
    expect(await added).toBe('NOT_CAUGHT_UP')
    expect(leader.node!.status.voters).toHaveLength(3)
  })

  it('resigns after it has removed itself', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    const { id, directoryId } = leader.key
    const removed = leader.node!.removeVoter(id, directoryId)
    await cluster.until('another leader', () =>
      [...cluster.members.values()].some((member) => member !== leader && member.listener.electedTerm !== null),
    )
    expect(await removed).toBeNull()
    expect(leader.listener.told).toContain('deposed')
    await cluster.propose('without it')
    await cluster.converge(['without it'])
    expect(leader.node!.status.role).toBe('observer')
  })

  it('hands leadership over when it is closed', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    await cluster.propose('a')
    await cluster.converge(['a'])
    const node = leader.node!
    const closed = node.close()
    leader.node = null
    leader.listener.electedTerm = null
    await cluster.advance(10)
    await closed
    expect(node.propose(Buffer.from('x'))).toBe('NOT_LEADER')
    await expect(node.readIndex()).rejects.toThrow(QuorumStoppedError)
    const waited = await cluster.until('another leader', () =>
      [...cluster.members.values()].some(({ listener }) => listener.electedTerm !== null),
    )
    expect(waited).toBeLessThan(100)
  })

  it('writes one batch at a time, and collects what comes meanwhile', async () => {
    cluster = new QuorumCluster(1)
    const { node, store } = await cluster.leader()
    store.writeMs = 200
    const before = node!.writeCount
    const values = valuesOf(100)
    for (const value of values) {
      node!.propose(Buffer.from(value))
      await cluster.advance(1)
    }
    await cluster.converge(values)
    expect(node!.writeCount - before).toBeLessThan(4)
  })

  it('goes on with one slow disk among three', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    const slow = [...cluster.members.values()].find((member) => member !== leader)!
    slow.store.writeMs = 2000
    await proposeAll(valuesOf(10))
    await cluster.until('committed', () => leader.listener.values.length === 10, 100)
    slow.store.writeMs = 1
    await cluster.converge(valuesOf(10))
  })

  it('keeps its leader while every disk takes longer than an election timeout', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    const { term } = leader.node!.status
    for (const { store } of cluster.members.values()) store.writeMs = 1000
    await proposeAll(valuesOf(3))
    await cluster.converge(valuesOf(3))
    for (const { node } of cluster.members.values())
      expect(node!.status).toMatchObject({ term, leaderId: leader.key.id })
  })

  it('has another leader soon where the disk of the one it has hangs', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    leader.store.writeMs = 60_000
    leader.node!.propose(Buffer.from('stuck'))
    const others = [...cluster.members.values()].filter((member) => member !== leader)
    await cluster.until('elected', () => others.some(({ listener }) => listener.electedTerm !== null), 2500)
  })

  it('stops at a write that fails: nothing is sent any more, and the others go on', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    const failure = new Error('no space')
    leader.store.failure = failure
    leader.node!.propose(Buffer.from('lost'))
    const read = leader.node!.readIndex()
    const stopped = expect(read).rejects.toThrow(QuorumStoppedError)
    await cluster.until('fatal', () => leader.fatal !== null)
    await stopped
    expect(leader.fatal).toBe(failure)
    const term = leader.node!.status.term
    cluster.network.leave(leader.key.id)
    leader.listener.electedTerm = null
    leader.node = null
    await cluster.propose('next')
    const next = await cluster.leader()
    expect(next.node!.status.term).toBeGreaterThan(term)
  })

  it('takes a write that does not end for failed', async () => {
    cluster = new QuorumCluster(3, { timing: { writeTimeoutMs: 3000 } })
    const leader = await cluster.leader()
    leader.store.writeMs = 60_000
    leader.node!.propose(Buffer.from('stuck'))
    await cluster.advance(2500)
    expect(leader.fatal).toBeNull()
    await cluster.until('fatal', () => leader.fatal !== null, 1500)
    expect(leader.fatal).toMatchObject({ code: 'LOG_DISK_IO' })
    // The others have long had another leader.
    expect([...cluster.members.values()].filter(({ listener }) => listener.electedTerm !== null)).toHaveLength(2)
    await leader.node!.close()
  })

  it('drops frames that are no messages or speak for another node', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    leader.node!.onMessage(2, PeerChannel.RAFT, Buffer.from('nonsense'))
    leader.node!.onMessage(2, PeerChannel.RAFT, Buffer.alloc(0))
    expect(leader.node!.badMessageCount).toBe(2)
    await cluster.propose('a')
    await cluster.converge(['a'])
  })

  it('does not campaign after a stall before it has read what came meanwhile', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    await cluster.advance(200)
    // The clock of all nodes jumps: each finds its tick late.
    cluster.clock.advance(5000)
    await cluster.advance(20)
    expect(leader.node!.stallCount).toBe(1)
    expect(leader.node!.isConfirmed).toBe(true)
    await cluster.advance(1000)
    expect((await cluster.leader()).key).toEqual(leader.key)
    expect(leader.listener.told.filter((text) => text === 'deposed')).toEqual([])
  })

  it('elects a leader although every tick comes late', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    cluster.crash(leader.key.id)
    const others = [...cluster.members.values()].filter(({ node }) => node !== null)
    for (const { listener } of others) listener.electedTerm = null
    for (let round = 0; round < 100; round++) {
      cluster.clock.advance(200)
      await cluster.advance(3)
    }
    expect(others.filter(({ listener }) => listener.electedTerm !== null)).toHaveLength(1)
  })

  it('is closed in bounded time although its disk hangs', async () => {
    cluster = new QuorumCluster(1)
    const { node, store } = await cluster.leader()
    store.writeMs = Number.MAX_SAFE_INTEGER
    node!.propose(Buffer.from('stuck'))
    await cluster.advance(10)
    const saved = node!.saveSnapshot(1, Buffer.from('[]'))
    saved.catch(() => undefined)
    let isClosed = false
    void node!.close().then(() => {
      isClosed = true
    })
    await cluster.advance(4000)
    expect(isClosed).toBe(false)
    await cluster.advance(2000)
    expect(isClosed).toBe(true)
  })

  it("tells of a log that does not fit the leader's, though not with every message", async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    await cluster.propose('a')
    await cluster.converge(['a'])
    const member = [...cluster.members.values()].find((other) => other !== leader)!
    const { term } = leader.node!.status
    const append: Message = {
      type: 'append',
      from: leader.key,
      to: member.key,
      term,
      previousIndex: 2,
      previousTerm: term,
      previousChain: Buffer.alloc(16, 7),
      entries: [],
      commitIndex: 0,
      readRound: 0,
    }
    for (let count = 0; count < 5; count++) {
      member.node!.onMessage(leader.key.id, PeerChannel.RAFT, encodeMessage(append))
      await cluster.advance(100)
    }
    expect(member.problems.map(({ message }) => message)).toEqual([expect.stringContaining('does not fit')])
    await cluster.advance(60_000)
    expect(member.problems).toHaveLength(2)
    await cluster.advance(120_000)
    expect(member.problems).toHaveLength(2)
  })

  it('is not confirmed between a stall and the answer of a quorum', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    await cluster.advance(200)
    for (const id of [1, 2, 3]) if (id !== leader.key.id) cluster.network.cut(id, leader.key.id)
    cluster.clock.advance(5000)
    await cluster.advance(20)
    expect(leader.node!.isConfirmed).toBe(false)
    await cluster.until('deposed', () => leader.listener.told.includes('deposed'))
  })

  it('neither votes nor campaigns while it lacks entries that it had acknowledged', async () => {
    cluster = new QuorumCluster(3)
    const leader = await cluster.leader()
    await cluster.propose('a')
    await cluster.converge(['a'])
    const ids = [1, 2, 3].filter((id) => id !== leader.key.id)
    cluster.crash(ids[0]!)
    cluster.member(ids[0]!).store.mayVote = false
    cluster.start(ids[0]!)
    await cluster.advance(500)
    cluster.crash(leader.key.id)
    await cluster.advance(5000)
    const elected = [...cluster.members.values()].filter(({ node, listener }) => node && listener.electedTerm !== null)
    expect(elected).toEqual([])
    cluster.member(ids[0]!).store.mayVote = true
    await cluster.leader()
  })

  it('that alone held what is damaged stops with an error', async () => {
    cluster = new QuorumCluster(1)
    await cluster.leader()
    cluster.crash(1)
    const member = cluster.member(1)
    member.store.mayVote = false
    cluster.start(1)
    await cluster.until('fatal', () => member.fatal !== null)
    expect(member.fatal).toBeInstanceOf(DamagedLogError)
    expect(member.listener.told).toEqual([])
  })
})
