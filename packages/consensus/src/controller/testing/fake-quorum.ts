import { assert, SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import type { CommittedEntry, Quorum, QuorumListener } from '../../quorum/quorum.ts'
import type { Refusal } from '../../raft/raft-options.ts'
import type { EntryKind, LogIndex, RaftStatus, Voter } from '../../raft/types.ts'
import { PeerChannel, type PeerEvents, type PeerLoss, type PeerTransport } from '../../transport/peer-transport.ts'

/**
 * A quorum without Raft, for tests of what stands on top: one log that all nodes share, a leader that the test names, commits after a
 * delay of virtual time. What a deposed leader proposed and was not committed is lost, or kept, as the test says.
 */
export class FakeCluster {
  readonly clock = new SimulatedClock()
  readonly timers = new SimulatedTimers(this.clock)
  readonly quorums = new Map<number, FakeQuorum>()
  readonly transports = new Map<number, FakeTransport>()
  /** The committed log, from index 1. */
  readonly log: CommittedEntry[] = []
  readonly voters: Voter[]
  /** From a proposal to its commit, and from the leader to the others. */
  commitDelayMs = 2
  followDelayMs = 2
  linkDelayMs = 1
  /** Entries, in the leader's log only. */
  uncommitted: CommittedEntry[] = []
  leaderId: number | null = null
  term = 0
  /** Nodes that take no frames and no entries, as if their process stood still; their connections stand. */
  readonly frozen = new Set<number>()

  constructor(nodeIds: readonly number[]) {
    this.voters = nodeIds.map((id) => ({ id, directoryId: directoryIdOf(id), host: 'localhost', port: 1000 + id }))
  }

  /** Lets virtual time pass, and all promises settle between two timers. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + durationMs
    await settle()
    while (this.clock.monotonicMs() < endMs) {
      this.timers.advance(Math.min(1, endMs - this.clock.monotonicMs()))
      await settle()
    }
  }

  elect(id: number): void {
    this.depose()
    this.term++
    this.leaderId = id
    this.append('empty', Buffer.alloc(0))
    const { term } = this
    for (const quorum of this.quorums.values()) quorum.deliver((listener) => listener.onLeader(id, term))
    // It has applied all earlier terms' entries once its own first one is.
    const ownFirst = this.uncommitted.at(-1)!.index
    this.quorums.get(id)?.whenApplied(ownFirst, () => {
      if (this.leaderId === id && this.term === term) {
        const quorum = this.quorums.get(id)!
        quorum.mayPropose = true
        quorum.deliver((listener) => listener.onElected(term))
      }
    })
  }

  /** Ends the leadership. `keep`: what it had proposed is committed by the next leader. */
  depose(keep = false): void {
    const { leaderId: id, term } = this
    if (id === null) return
    const quorum = this.quorums.get(id)
    const wasElected = quorum?.mayPropose === true
    if (quorum !== undefined) quorum.mayPropose = false
    if (!keep) this.uncommitted = []
    this.leaderId = null
    for (const other of this.quorums.values()) other.deliver((listener) => listener.onLeader(null, term))
    if (wasElected) quorum?.deliver((listener) => listener.onDeposed(term))
  }

  append(kind: EntryKind, data: Buffer): LogIndex {
    const index = this.log.length + this.uncommitted.length + 1
    this.uncommitted.push({ index, term: this.term, kind, data })
    const { term } = this
    this.timers.setTimer(this.commitDelayMs, () => this.#commit(index, term))
    return index
  }

  #commit(index: LogIndex, term: number): void {
    if (term !== this.term) return
    while (this.uncommitted.length > 0 && this.uncommitted[0]!.index <= index) {
      this.log.push(this.uncommitted.shift()!)
    }
    for (const quorum of this.quorums.values()) {
      this.timers.setTimer(quorum.id === this.leaderId ? 0 : this.followDelayMs, () => quorum.follow())
    }
  }

  /** The process of a node ends: its connections close, it leads no more. */
  kill(id: number): void {
    const quorum = this.quorums.get(id)
    if (quorum !== undefined) quorum.mayPropose = false
    this.quorums.delete(id)
    const transport = this.transports.get(id)
    this.transports.delete(id)
    for (const peer of [...(transport?.connected ?? [])]) this.transports.get(peer)?.lose(id, 'closed')
    if (this.leaderId === id) this.depose()
  }
}

export class FakeQuorum implements Quorum {
  readonly id: number
  readonly #cluster: FakeCluster
  readonly #listener: QuorumListener
  #applied: LogIndex = 0
  #following = false
  #closed = false
  #whenApplied: { index: LogIndex; callback: () => void }[] = []
  mayPropose = false
  resignCount = 0
  snapshots: { index: LogIndex; data: Buffer }[] = []
  /** What `propose` answers instead of proposing. */
  refusal: Refusal | null = null

  constructor(cluster: FakeCluster, id: number, listener: QuorumListener) {
    this.#cluster = cluster
    this.id = id
    this.#listener = listener
    cluster.quorums.set(id, this)
    // After a snapshot, if it begins with one.
    cluster.timers.setTimer(1, () => this.follow())
  }

  /** Starts from a snapshot instead of from the whole log. */
  install(index: LogIndex, data: Buffer): void {
    this.#applied = index
    this.deliver((listener) => listener.onSnapshot(index, data))
  }

  get status(): RaftStatus {
    const { voters, term, leaderId, log, uncommitted } = this.#cluster
    const peers = voters.filter(({ id }) => id !== this.id)
    return {
      self: { id: this.id, directoryId: directoryIdOf(this.id) },
      role: leaderId === this.id ? 'leader' : 'follower',
      term,
      leaderId,
      vote: null,
      commitIndex: log.length,
      appliedIndex: this.#applied,
      lastIndex: log.length + uncommitted.length,
      firstIndex: 1,
      voters,
      votersCommitted: true,
      contacts: [],
      rejectedMessages: 0,
      chainMismatches: 0,
      mendedDivergences: 0,
      peers: peers.map(({ id, directoryId }) => ({
        id,
        directoryId,
        isVoter: true,
        matchIndex: this.#cluster.quorums.get(id)?.applied ?? 0,
        state: 'replicate',
        inFlightBytes: 0,
        silentTicks: 0,
      })),
    }
  }

  get applied(): LogIndex {
    return this.#applied
  }

  propose(data: Buffer): LogIndex | Refusal {
    if (this.refusal !== null) return this.refusal
    if (!this.mayPropose) return 'NOT_LEADER'
    return this.#cluster.append('command', data)
  }

  readIndex(): Promise<LogIndex> {
    if (!this.mayPropose) return Promise.reject(new Error('not the leader'))
    return Promise.resolve(this.#cluster.log.length)
  }

  addVoter(voter: Voter): Promise<Refusal | null> {
    this.#cluster.voters.push(voter)
    return Promise.resolve(null)
  }

  removeVoter(id: number): Promise<Refusal | null> {
    const { voters } = this.#cluster
    voters.splice(
      voters.findIndex((voter) => voter.id === id),
      1,
    )
    return Promise.resolve(null)
  }

  updateVoter(): Promise<Refusal | null> {
    return Promise.resolve('CHANGE_IN_PROGRESS')
  }

  transferLeadership(to: number): void {
    this.#cluster.elect(to)
  }

  resign(): void {
    this.resignCount++
    this.#cluster.timers.setTimer(0, () => {
      if (this.mayPropose) this.#cluster.depose()
    })
  }

  saveSnapshot(index: LogIndex, data: Buffer): Promise<void> {
    this.snapshots.push({ index, data })
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.#closed = true
    return Promise.resolve()
  }

  whenApplied(index: LogIndex, callback: () => void): void {
    this.#whenApplied.push({ index, callback })
  }

  deliver(tell: (listener: QuorumListener) => void): void {
    this.#cluster.timers.setTimer(0, () => {
      if (!this.#closed && this.#cluster.quorums.get(this.id) === this) tell(this.#listener)
    })
  }

  /** Takes what is committed. */
  follow(): void {
    if (this.#following || this.#closed || this.#cluster.frozen.has(this.id)) return
    this.#following = true
    const entries = this.#cluster.log.slice(this.#applied)
    if (entries.length > 0) {
      this.#applied = this.#cluster.log.length
      this.#listener.onCommitted(entries)
    }
    this.#following = false
    const due = this.#whenApplied.filter(({ index }) => index <= this.#applied)
    this.#whenApplied = this.#whenApplied.filter(({ index }) => index > this.#applied)
    for (const { callback } of due) callback()
  }
}

/** Frames between the nodes of a {@link FakeCluster}, in order, after a delay. */
export class FakeTransport implements PeerTransport {
  readonly #cluster: FakeCluster
  readonly #id: number
  readonly connected = new Set<number>()
  events: PeerEvents | null = null
  /** Peers whose queue is full. */
  readonly full = new Set<number>()

  constructor(cluster: FakeCluster, id: number) {
    this.#cluster = cluster
    this.#id = id
    for (const [peer, transport] of cluster.transports) {
      this.#connect(peer)
      transport.#connect(id)
    }
    cluster.transports.set(id, this)
  }

  setPeers(): void {
    assert(false, 'the fake quorum needs no peers')
  }

  send(peer: number, channel: PeerChannel, payload: Buffer): boolean {
    if (!this.connected.has(peer) || this.full.has(peer)) return false
    assert(channel === PeerChannel.CONTROLLER, 'only the controller speaks here')
    const target = this.#cluster.transports.get(peer)
    this.#cluster.timers.setTimer(this.#cluster.linkDelayMs, () => {
      const isOpen = this.#cluster.transports.get(peer) === target && target?.connected.has(this.#id) === true
      if (isOpen && !this.#cluster.frozen.has(peer)) target.events?.onMessage(this.#id, channel, Buffer.from(payload))
    })
    return true
  }

  lose(peer: number, why: PeerLoss): void {
    if (!this.connected.delete(peer)) return
    this.#cluster.timers.setTimer(0, () => this.events?.onLost(peer, why))
  }

  /** Cuts or joins the connection in both directions. */
  setLink(peer: number, stands: boolean): void {
    const other = this.#cluster.transports.get(peer)
    if (stands) {
      this.#connect(peer)
      if (other !== undefined) other.#connect(this.#id)
    } else {
      this.lose(peer, 'closed')
      other?.lose(this.#id, 'closed')
    }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #connect(peer: number): void {
    this.connected.add(peer)
    this.#cluster.timers.setTimer(0, () => this.events?.onConnected(peer))
  }
}

export function directoryIdOf(nodeId: number): Uuid {
  const bytes = Buffer.alloc(16, 0xd0)
  bytes.writeUInt32BE(nodeId, 12)
  return bytes.toString('base64url') as Uuid
}

/** All promises that are due, and those that they make due. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}
