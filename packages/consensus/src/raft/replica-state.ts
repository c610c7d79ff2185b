import { LogView } from './log-view.ts'
import type { RaftOptions } from './raft-options.ts'
import type { Entry, HardState, LogIndex, Message, MessageOf, ReplicaKey, Role, Term, VoterSet } from './types.ts'
import { isVoterOf, sameReplica } from './voter-set.ts'

/** What distinguishes a message of each type, without the envelope. */
export type MessageBody = { [T in Message['type']]: Omit<MessageOf<T>, 'from' | 'to' | 'term'> }[Message['type']]

/** What the leader sends may leave before its own write is done: it promises nothing about the leader's disk (Raft thesis 10.2.1). */
const BEFORE_WRITE: ReadonlySet<Message['type']> = new Set(['append', 'heartbeat', 'snapshotChunk'])

/** What may leave while a write is under way: signs of life, which promise nothing of what is being written. */
const SIGNS_OF_LIFE: ReadonlySet<Message['type']> = new Set(['heartbeat', 'heartbeatReply'])

/** What went wrong at peers or with what they sent. Counts since the start. */
export interface RaftCounters {
  /** Messages outside of their domain, or that contradict the protocol. */
  rejectedMessages: number
  /** Messages whose chain does not fit the log (C5): divergence or rot, here or there. */
  chainMismatches: number
  /** Of these, how often what was here was cut off in favour of what the leader has committed. */
  mendedDivergences: number
}

/** What all parts of the core share: term, vote, role, log, commit and apply positions, and what waits for the next `Ready`. */
export class ReplicaState {
  readonly options: RaftOptions
  readonly self: ReplicaKey
  readonly log: LogView
  readonly counters: RaftCounters
  /** Whether the role is `observer` follows from the voters: see {@link isVoter}. */
  role: Exclude<Role, 'observer'>
  leader: ReplicaKey | null
  commitIndex: LogIndex
  appliedIndex: LogIndex
  #term: Term
  #vote: ReplicaKey | null
  #hardStateChanged: boolean
  #messages: Message[]
  #reads: { token: number; index: LogIndex }[]
  #refusedReads: number[]

  constructor(options: RaftOptions) {
    this.options = options
    this.self = options.self
    this.log = new LogView(options.log, options.bootstrapVoters)
    this.counters = { rejectedMessages: 0, chainMismatches: 0, mendedDivergences: 0 }
    this.role = 'follower'
    this.leader = null
    // What a snapshot holds is committed; the rest is learned again from a leader (Raft 5.3).
    this.commitIndex = Math.max(options.log.snapshot?.index ?? 0, options.appliedIndex)
    this.appliedIndex = options.appliedIndex
    this.#term = options.log.hardState.term
    this.#vote = options.log.hardState.vote
    this.#hardStateChanged = false
    this.#messages = []
    this.#reads = []
    this.#refusedReads = []
  }

  get term(): Term {
    return this.#term
  }

  get vote(): ReplicaKey | null {
    return this.#vote
  }

  get voters(): VoterSet {
    return this.log.newestVoters.voters
  }

  get isVoter(): boolean {
    return isVoterOf(this.voters, this.self)
  }

  get votersCommitted(): boolean {
    return this.log.newestVoters.index <= this.commitIndex
  }

  /** Enters a later term without a vote. What was accepted for an earlier leader is not confirmed to it any more (C10). */
  enterTerm(term: Term): void {
    this.#term = term
    this.#vote = null
    this.#hardStateChanged = true
    this.#messages = this.#messages.filter(({ type }) => type !== 'appendReply' && type !== 'snapshotReply')
  }

  voteFor(candidate: ReplicaKey): void {
    if (this.#vote !== null && sameReplica(this.#vote, candidate)) return
    this.#vote = { id: candidate.id, directoryId: candidate.directoryId }
    this.#hardStateChanged = true
  }

  send(to: Message['to'], body: MessageBody, term: Term = this.#term): void {
    const envelope = { from: this.self, to: { id: to.id, directoryId: to.directoryId }, term }
    this.#messages.push({ ...body, ...envelope })
  }

  answerRead(token: number, index: LogIndex): void {
    this.#reads.push({ token, index })
  }

  refuseRead(token: number): void {
    this.#refusedReads.push(token)
  }

  get hasOutput(): boolean {
    return (
      this.#hardStateChanged || this.#messages.length > 0 || this.#reads.length > 0 || this.#refusedReads.length > 0
    )
  }

  get hasCommitted(): boolean {
    return this.appliedIndex < this.commitIndex
  }

  /** Hands over, and forgets, what collected. */
  takeOutput(): {
    readonly hardState: HardState | null
    readonly messagesBeforeWrite: readonly Message[]
    readonly messages: readonly Message[]
    readonly reads: readonly { readonly token: number; readonly index: LogIndex }[]
    readonly refusedReads: readonly number[]
  } {
    const hardState = this.#hardStateChanged ? { term: this.#term, vote: this.#vote } : null
    // No message of a term leaves before the term is durable (C3).
    const early = hardState === null ? this.#messages.filter(({ type }) => BEFORE_WRITE.has(type)) : []
    const late = hardState === null ? this.#messages.filter(({ type }) => !BEFORE_WRITE.has(type)) : this.#messages
    const output = {
      hardState,
      messagesBeforeWrite: early,
      messages: late,
      reads: this.#reads,
      refusedReads: this.#refusedReads,
    }
    this.#hardStateChanged = false
    this.#messages = []
    this.#reads = []
    this.#refusedReads = []
    return output
  }

  /** Hands over, and forgets, the signs of life among the messages; none of a term that is not durable (C3). */
  takeSignsOfLife(): readonly Message[] {
    if (this.#hardStateChanged) return []
    const signs = this.#messages.filter(({ type }) => SIGNS_OF_LIFE.has(type))
    if (signs.length > 0) this.#messages = this.#messages.filter(({ type }) => !SIGNS_OF_LIFE.has(type))
    return signs
  }

  /** The next committed entries to apply, limited in bytes. */
  committedBatch(): Entry[] {
    const end = this.commitIndex + 1
    const limit = this.options.maxCommittedBytes
    const first = this.log.entries(this.appliedIndex + 1, end, limit)
    const next = this.appliedIndex + 1 + first.length
    // Memory begins in the middle of the batch: what is in it comes along, but only if there is room, or it would grow past the limit.
    const used = first.reduce((bytes, entry) => bytes + entry.data.length, 0)
    if (first.length === 0 || next >= end || next <= this.log.stableIndex || used >= limit) return first
    return [...first, ...this.log.entries(next, end, limit - used)]
  }
}
