import { SeededRandom, SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import type { LogIndex, ReplicaKey, Term, Voter, VoterSet } from '../../raft/types.ts'
import { PeerRouter } from '../../transport/peer-router.ts'
import { PeerChannel, type PeerTransport } from '../../transport/peer-transport.ts'
import { MemoryNetwork } from '../../transport/testing/memory-network.ts'
import type { CommittedEntry, QuorumListener } from '../quorum.ts'
import { QuorumNode } from '../quorum-node.ts'
import type { QuorumLimits, QuorumTiming } from '../quorum-options.ts'
import { MemoryStore } from './memory-store.ts'

/** A state machine that keeps every command, and what it was told in words. */
export class RecordingListener implements QuorumListener {
  values: string[] = []
  readonly told: string[] = []
  appliedIndex: LogIndex = 0
  snapshotsDue = 0
  snapshotsLoaded = 0
  electedTerm: Term | null = null

  onCommitted(entries: readonly CommittedEntry[]): void {
    for (const entry of entries) {
      if (entry.index !== this.appliedIndex + 1) throw new Error(`applied ${entry.index} after ${this.appliedIndex}`)
      this.appliedIndex = entry.index
      if (entry.kind === 'command') this.values.push(entry.data.toString())
    }
  }

  onSnapshot(index: LogIndex, data: Buffer): void {
    this.snapshotsLoaded++
    this.appliedIndex = index
    this.values = JSON.parse(data.toString()) as string[]
  }

  onElected(term: Term): void {
    this.electedTerm = term
    this.told.push('elected')
  }

  onDeposed(): void {
    this.electedTerm = null
    this.told.push('deposed')
  }

  onLeader(leaderId: number | null): void {
    this.told.push(`leader ${leaderId}`)
  }

  onSnapshotDue(): void {
    this.snapshotsDue++
  }

  /** What `onSnapshot` of another one takes. */
  snapshotData(): Buffer {
    return Buffer.from(JSON.stringify(this.values))
  }
}

/** One node's process: what is gone after a crash, and the store that is not. */
export interface Member {
  readonly key: ReplicaKey
  readonly store: MemoryStore
  listener: RecordingListener
  node: QuorumNode | null
  transport: PeerTransport | null
  fatal: Error | null
  readonly problems: Error[]
}

/** Nodes of a quorum over a network in memory, in virtual time. */
export class QuorumCluster {
  readonly clock = new SimulatedClock()
  readonly timers = new SimulatedTimers(this.clock)
  readonly network = new MemoryNetwork(this.timers)
  readonly members = new Map<number, Member>()
  readonly #random = new SeededRandom(7)
  readonly #bootstrap: VoterSet
  readonly #timing: Partial<QuorumTiming>
  readonly #limits: Partial<QuorumLimits>

  constructor(
    voterCount: number,
    options: { readonly timing?: Partial<QuorumTiming>; readonly limits?: Partial<QuorumLimits> } = {},
  ) {
    this.#timing = options.timing ?? {}
    this.#limits = options.limits ?? {}
    this.#bootstrap = Array.from({ length: voterCount }, (_, slot) => voterOf(slot + 1))
    for (const { id } of this.#bootstrap) this.add(id)
  }

  /** A new node; it votes if it is one of the first. */
  add(id: number, directoryId: Uuid = directoryOf(id)): Member {
    const member: Member = {
      key: { id, directoryId },
      store: new MemoryStore(this.timers),
      listener: new RecordingListener(),
      node: null,
      transport: null,
      fatal: null,
      problems: [],
    }
    this.members.set(id, member)
    this.start(id)
    return member
  }

  start(id: number): void {
    const member = this.member(id)
    const router = new PeerRouter()
    const transport = this.network.join(id, router)
    const isVoter = this.#bootstrap.some((voter) => voter.id === id)
    member.listener = new RecordingListener()
    member.transport = transport
    member.node = new QuorumNode({
      self: member.key,
      store: member.store,
      transport,
      listener: member.listener,
      bootstrapVoters: isVoter ? this.#bootstrap : [],
      bootstrapEndpoints: new Map(this.#bootstrap.map(({ id: other, host, port }) => [other, { host, port }])),
      clock: this.clock,
      timers: this.timers,
      random: this.#random.fork(`node ${id}`),
      onFatal: (error) => {
        member.fatal = error
      },
      onProblem: (error) => member.problems.push(error),
      timing: this.#timing,
      limits: this.#limits,
    })
    router.attach(PeerChannel.RAFT, member.node)
  }

  /** The process is gone at once; its store stays as it is durable. */
  crash(id: number): void {
    const member = this.member(id)
    member.store.crash()
    this.network.leave(id)
    // A dead process does nothing more; this one has timers in the simulated clock.
    void member.node?.close()
    member.node = null
  }

  member(id: number): Member {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`no node ${id}`)
    return member
  }

  node(id: number): QuorumNode {
    const { node } = this.member(id)
    if (node === null) throw new Error(`node ${id} is down`)
    return node
  }

  /** Lets time pass, with all that follows at each moment. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + durationMs
    while (this.clock.monotonicMs() < endMs) {
      this.timers.advance(1)
      await settle()
    }
  }

  /** Time until the condition holds; fails after `limitMs`. */
  async until(what: string, holds: () => boolean, limitMs = 10_000): Promise<number> {
    const startMs = this.clock.monotonicMs()
    while (!holds()) {
      if (this.clock.monotonicMs() - startMs > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`)
      await this.advance(1)
    }
    return this.clock.monotonicMs() - startMs
  }

  /** The one node that was told that it leads and may propose. */
  async leader(): Promise<Member> {
    const leaders = () => this.#up().filter(({ listener }) => listener.electedTerm !== null)
    await this.until('a leader', () => leaders().length === 1)
    return leaders()[0]!
  }

  async propose(value: string): Promise<LogIndex> {
    const { node } = await this.leader()
    const index = node!.propose(Buffer.from(value))
    if (typeof index !== 'number') throw new Error(`refused: ${index}`)
    return index
  }

  /** All nodes that are up have applied these values. */
  async converge(values: readonly string[]): Promise<void> {
    await this.until(`all have ${values.join()}`, () =>
      this.#up().every(({ listener }) => listener.values.join() === values.join()),
    )
  }

  async close(): Promise<void> {
    for (const { key } of this.#up()) this.crash(key.id)
    await settle()
  }

  #up(): Member[] {
    return [...this.members.values()].filter(({ node }) => node !== null)
  }
}

export function directoryOf(id: number): Uuid {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32BE(id, 12)
  return bytes.toString('base64url') as Uuid
}

export function voterOf(id: number): Voter {
  return { id, directoryId: directoryOf(id), host: `node-${id}`, port: 9093 }
}

/** Promises that are ready run their course. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 20; round++) await Promise.resolve()
}
