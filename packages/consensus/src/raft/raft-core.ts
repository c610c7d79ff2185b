import { assert } from '@millrace/base'
import {
  Ballot,
  countsAsVote,
  ElectionTimer,
  hasUnappliedVoters,
  mayCampaign,
  mayGrant,
  requestVotes,
} from './election.ts'
import { answerStaleLeader, handleAppend, handleHeartbeat } from './following.ts'
import { LeaderSearch } from './leader-search.ts'
import { Leadership } from './leadership.ts'
import { isReachableTerm, isValidMessage, MAX_NUMBER } from './message-check.ts'
import type { RaftOptions, Refusal } from './raft-options.ts'
import { ReplicaState } from './replica-state.ts'
import { SnapshotReceiver } from './snapshot-receiver.ts'
import type {
  Entry,
  LogIndex,
  Message,
  MessageOf,
  RaftStatus,
  Ready,
  ReplicaKey,
  SnapshotPoint,
  Term,
  VoterSet,
} from './types.ts'
import { isVoterOf, sameReplica } from './voter-set.ts'

/**
 * One node's part in Raft, as a state machine without clock, disk, network or randomness of its own: equal inputs give equal outputs
 * (C20). The host feeds {@link step} and {@link tick}, and whenever {@link hasReady} takes a `Ready`, does what it says in its order, and
 * calls {@link advance}. Nothing a peer sends makes it throw; what throws is a broken invariant (`AssertionError`) or damage that the log
 * found (`DamagedLogError`), and after either the host must stop the node.
 *
 * Raft with pre-vote (thesis 9.6, KIP-996), check-quorum (thesis 6.2), leadership transfer (3.10), membership changes of one voter at a
 * time (4.1) with directory ids (KIP-853), observers, read index (6.4) and chunked snapshots (paper 7).
 */
export class RaftCore {
  readonly #state: ReplicaState
  readonly #timer: ElectionTimer
  readonly #receiver: SnapshotReceiver
  readonly #search: LeaderSearch
  #ballot: Ballot
  #leadership: Leadership | null
  /** What the last `Ready` held, until it is done. */
  #taken: Ready | null
  /** The term in which the leader asked this node to take over and it could not yet. */
  #takeOverTerm: Term | null

  constructor(options: RaftOptions) {
    const { log, appliedIndex } = options
    assert(appliedIndex >= (log.snapshot?.index ?? 0), 'the state machine has what the snapshot holds')
    assert(appliedIndex <= log.lastIndex, 'what was applied is in the log')
    this.#state = new ReplicaState(options)
    this.#timer = new ElectionTimer(this.#state)
    this.#receiver = new SnapshotReceiver(this.#state)
    this.#search = new LeaderSearch(this.#state)
    this.#ballot = new Ballot()
    this.#leadership = null
    this.#taken = null
    this.#takeOverTerm = null
  }

  get status(): RaftStatus {
    const { self, role, term, leader, vote, commitIndex, appliedIndex, log, voters, counters } = this.#state
    return {
      self,
      role: role === 'follower' && !this.#state.isVoter ? 'observer' : role,
      term,
      leaderId: leader?.id ?? null,
      vote,
      commitIndex,
      appliedIndex,
      lastIndex: log.lastIndex,
      firstIndex: log.firstIndex,
      voters,
      votersCommitted: this.#state.votersCommitted,
      peers: this.#leadership?.peers ?? [],
      contacts: this.#search.contacts,
      rejectedMessages: counters.rejectedMessages,
      chainMismatches: counters.chainMismatches,
      mendedDivergences: counters.mendedDivergences,
    }
  }

  /** Any message, also a late, repeated or hostile one. */
  step(message: Message): void {
    const { self } = this.#state
    const { to, from } = message
    if (to.id !== self.id || (to.directoryId !== null && to.directoryId !== self.directoryId)) return
    if (sameReplica(from, self) || !isValidMessage(message) || !isReachableTerm(this.#state.term, message.term)) {
      this.#state.counters.rejectedMessages++
      return
    }
    if (message.type === 'leaderHint') {
      this.#search.onHint(message)
      return
    }
    if (message.term > this.#state.term) {
      if (!this.#enterTermOf(message)) return
    } else if (message.term < this.#state.term) {
      this.#onStale(message)
      return
    }
    this.#dispatch(message)
    this.#stepDownIfRemoved()
  }

  tick(): void {
    const state = this.#state
    if (this.#leadership !== null) {
      this.#leadership.tick()
      // A leader that cannot reach a majority must not go on as if it led (Raft thesis 6.2).
      if (!this.#leadership.hasQuorum) this.#becomeFollower(state.term, null)
      return
    }
    this.#timer.tick()
    this.#search.tick()
    if (!state.isVoter) this.#lookForLeader()
    if (this.#timer.hasExpired && mayCampaign(state)) this.#campaign(true, false)
  }

  /** Index the entry will have if it is committed. */
  propose(data: Buffer): LogIndex | Refusal {
    return this.#leadership?.propose(data) ?? 'NOT_LEADER'
  }

  /** Exactly one voter is added, removed, or has another endpoint. In force at once, before it is committed. */
  proposeVoters(next: VoterSet): LogIndex | Refusal {
    return this.#leadership?.proposeVoters(next) ?? 'NOT_LEADER'
  }

  /** To a voter; anything else is ignored. Given up after an election timeout; until then nothing is proposed. */
  transferLeadership(to: number): void {
    this.#leadership?.transferTo(to)
  }

  /** Answered by `Ready.reads` or `Ready.refusedReads`, under the same token. */
  readIndex(token: number): void {
    if (this.#leadership === null) this.#state.refuseRead(token)
    else this.#leadership.readIndex(token)
  }

  /** Stops leading and asks the voter that has most to take over. */
  resign(): void {
    if (this.#leadership === null) return
    this.#leadership.abdicate()
    this.#becomeFollower(this.#state.term, null)
  }

  /** The connection to a node was closed or refused: if it led, it is forgotten, and a pre-vote follows after a short random grace. */
  onPeerLost(id: number): void {
    const { leader, role } = this.#state
    this.#leadership?.onUnreachable(id)
    if (leader?.id !== id || role !== 'follower') return
    this.#state.leader = null
    this.#timer.hurry()
  }

  /** Messages to the node were dropped. */
  reportUnreachable(id: number): void {
    this.#leadership?.onUnreachable(id)
  }

  /** The host saved a snapshot of its own; the log may begin later now. */
  onSnapshotSaved(): void {
    this.#state.log.onSnapshotSaved()
  }

  /** What a snapshot of the state as of the entry at `index`, which is applied, must carry. Null if the log does not hold that entry. */
  snapshotPoint(index: LogIndex): SnapshotPoint | null {
    const { log, appliedIndex } = this.#state
    const point = index <= appliedIndex ? log.pointAt(index) : null
    const voters = log.votersAt(index)
    if (point === null || voters === null) return null
    return { index, term: point.term, chain: point.chain, voters: voters.voters, votersIndex: voters.index }
  }

  get hasReady(): boolean {
    if (this.#taken !== null) return false
    const state = this.#state
    return state.hasOutput || state.log.hasWrite || state.hasCommitted || this.#leadership?.hasOutput === true
  }

  takeReady(): Ready {
    assert(this.#taken === null, 'the last Ready is done')
    this.#leadership?.flush()
    const state = this.#state
    const write = state.log.takeWrite()
    // A received snapshot is loaded first; what follows it comes with the next Ready.
    const committed: readonly Entry[] = write.snapshot === null ? state.committedBatch() : []
    this.#taken = { ...state.takeOutput(), ...write, committed }
    return this.#taken
  }

  /**
   * While the last `Ready` is being written: heartbeats and the answers to heartbeats, which promise nothing of it. A disk that takes a
   * while would else cost the leadership, at the leader by its silence and at a majority of followers by theirs. None if the write is of
   * a term or vote, or one is to be written next.
   */
  takeSignsOfLife(): readonly Message[] {
    if (this.#taken === null || this.#taken.hardState !== null) return []
    this.#leadership?.beat()
    return this.#state.takeSignsOfLife()
  }

  /** All of the last `Ready` was done: durable, sent, applied. */
  advance(): void {
    const taken = this.#taken
    assert(taken !== null, 'a Ready was taken')
    this.#taken = null
    const state = this.#state
    state.log.finishWrite()
    const applied = taken.committed.at(-1)?.index ?? taken.snapshot?.point.index ?? 0
    state.appliedIndex = Math.max(state.appliedIndex, applied)
    this.#leadership?.onWritten()
    if (this.#takeOverTerm === state.term) this.#takeOver()
    this.#stepDownIfRemoved()
  }

  /** The sender's term is later (Raft 5.1). False: the message needs no further look. */
  #enterTermOf(message: Message): boolean {
    switch (message.type) {
      case 'voteRequest':
        if (this.#isLeaderAlive && !message.transfer) {
          // It does not hear the leader, others do: it must not disturb them (Raft thesis 4.2.3).
          this.#refuseVote(message)
          return false
        }
        if (!message.preVote) this.#becomeFollower(message.term, null)
        return true
      case 'voteReply':
        if (message.preVote && message.granted) return true
        this.#becomeFollower(message.term, null)
        return false
      case 'append':
      case 'heartbeat':
      case 'snapshotChunk':
        this.#becomeFollower(message.term, message.from)
        return true
      default:
        this.#becomeFollower(message.term, null)
        return message.type === 'timeoutNow' || message.type === 'heartbeatReply'
    }
  }

  #onStale(message: Message): void {
    switch (message.type) {
      case 'append':
      case 'heartbeat':
      case 'snapshotChunk':
        answerStaleLeader(this.#state, message)
        return
      case 'voteRequest':
        this.#refuseVote(message)
        return
      case 'voteReply':
        // A refusal of a pre-vote by a voter that is behind.
        if (message.preVote) this.#onVoteReply(message)
        return
      case 'heartbeatReply':
        if (!isVoterOf(this.#state.voters, message.from)) this.#onStranger(message.from)
        return
      default:
        return
    }
  }

  #dispatch(message: Message): void {
    switch (message.type) {
      case 'voteRequest':
        this.#onVoteRequest(message)
        return
      case 'voteReply':
        this.#onVoteReply(message)
        return
      case 'append':
        if (!this.#acceptLeader(message.from)) return
        handleAppend(this.#state, message)
        this.#receiver.onCommitted(this.#state.commitIndex)
        return
      case 'heartbeat':
        if (this.#acceptLeader(message.from)) handleHeartbeat(this.#state, message)
        return
      case 'snapshotChunk':
        if (this.#acceptLeader(message.from)) this.#receiver.onChunk(message)
        return
      case 'appendReply':
        this.#leadership?.onAppendReply(message)
        return
      case 'heartbeatReply':
        if (this.#leadership === null) this.#onStranger(message.from)
        else this.#leadership.onHeartbeatReply(message)
        return
      case 'snapshotReply':
        this.#leadership?.onSnapshotReply(message)
        return
      case 'timeoutNow':
        this.#takeOver()
        return
    }
  }

  /** Word from this term's leader. False if there is another one, which Raft rules out: somebody is broken. */
  #acceptLeader(from: ReplicaKey): boolean {
    const { leader, role, term } = this.#state
    if (role === 'leader' || (leader !== null && !sameReplica(leader, from))) {
      this.#state.counters.rejectedMessages++
      return false
    }
    if (role !== 'follower' || leader === null) this.#becomeFollower(term, from)
    this.#timer.reset()
    return true
  }

  /** A leader was heard within the shortest election timeout, or is this node. */
  get #isLeaderAlive(): boolean {
    if (this.#leadership !== null) return true
    return this.#state.leader !== null && this.#timer.elapsedTicks < this.#state.options.electionTicks
  }

  #onVoteRequest(message: MessageOf<'voteRequest'>): void {
    // A wiped disk makes another replica, which must not answer for the one that was asked (C15).
    if (message.to.directoryId === null) {
      this.#state.counters.rejectedMessages++
      return
    }
    if (!mayGrant(this.#state, message)) {
      this.#refuseVote(message)
      return
    }
    if (!message.preVote) {
      this.#state.voteFor(message.from)
      this.#timer.reset()
    }
    const reply = { type: 'voteReply', preVote: message.preVote, granted: true } as const
    this.#state.send(message.from, reply, message.term)
  }

  #refuseVote(message: MessageOf<'voteRequest'>): void {
    this.#state.send(message.from, { type: 'voteReply', preVote: message.preVote, granted: false })
    // It asks because it does not know that it was removed: served by the leader it learns so.
    if (!isVoterOf(this.#state.voters, message.from)) this.#onStranger(message.from)
  }

  /** A node that looks for the leader, or tries to be one, because it does not know better. */
  #onStranger(replica: ReplicaKey): void {
    const { leader, voters } = this.#state
    if (this.#leadership !== null) this.#leadership.onStranger(replica)
    else if (leader !== null && leader.id !== replica.id)
      this.#state.send(replica, { type: 'leaderHint', leader, voters })
  }

  #onVoteReply(message: MessageOf<'voteReply'>): void {
    if (!countsAsVote(this.#state, message)) return
    this.#ballot.record(message.from.id, message.granted)
    this.#countVotes()
  }

  /** The leader asks this node to lead (Raft thesis 3.10). If it learned of a change of voters just now, that is applied first. */
  #takeOver(): void {
    const state = this.#state
    this.#takeOverTerm = null
    if (this.#leadership !== null || !state.isVoter) return
    if (hasUnappliedVoters(state)) this.#takeOverTerm = state.term
    else this.#campaign(false, true)
  }

  /** Pre-vote first, which changes neither term nor vote (C18), unless the leader itself asked this node to take over. */
  #campaign(preVote: boolean, transfer: boolean): void {
    const state = this.#state
    if (preVote) this.#timer.restart()
    else this.#timer.reset()
    if (hasUnappliedVoters(state) || state.term >= MAX_NUMBER) return
    state.leader = null
    this.#ballot = new Ballot()
    if (state.isVoter) this.#ballot.record(state.self.id, true)
    if (preVote) {
      state.role = 'preCandidate'
    } else {
      state.role = 'candidate'
      this.#enterTerm(state.term + 1)
      state.voteFor(state.self)
    }
    requestVotes(state, preVote, transfer)
    if (preVote) this.#search.askOthers()
    this.#countVotes()
  }

  #countVotes(): void {
    const state = this.#state
    const result = this.#ballot.tally(state.voters.length)
    if (result === 'lost') this.#becomeFollower(state.term, null)
    else if (result === 'won' && state.role === 'preCandidate') this.#campaign(false, false)
    else if (result === 'won') this.#becomeLeader()
  }

  #becomeFollower(term: Term, leader: ReplicaKey | null): void {
    const state = this.#state
    this.#leadership?.end()
    this.#leadership = null
    if (term > state.term) this.#enterTerm(term)
    state.role = 'follower'
    state.leader = leader === null ? null : { id: leader.id, directoryId: leader.directoryId }
    if (leader === null) {
      this.#timer.restart()
    } else {
      this.#timer.reset()
      this.#search.onFound()
    }
  }

  #becomeLeader(): void {
    const state = this.#state
    state.role = 'leader'
    state.leader = state.self
    this.#leadership = new Leadership(state)
  }

  #enterTerm(term: Term): void {
    this.#state.enterTerm(term)
    this.#receiver.reset()
  }

  #stepDownIfRemoved(): void {
    if (this.#leadership?.isRemoved !== true) return
    // The others must learn that the removal is committed.
    this.#leadership.flush()
    this.#leadership.abdicate()
    this.#becomeFollower(this.#state.term, null)
  }

  #lookForLeader(): void {
    const state = this.#state
    if (this.#timer.elapsedTicks >= state.options.electionTicks) state.leader = null
    if (state.leader === null) this.#search.askRegularly()
  }
}
