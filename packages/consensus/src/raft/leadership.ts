import { chainOf } from './chain.ts'
import { agreementBound } from './following.ts'
import { weightOf } from './log-view.ts'
import { Progress, type SnapshotTransfer } from './progress.ts'
import type { Refusal } from './raft-options.ts'
import { ReadRounds } from './read-rounds.ts'
import type { ReplicaState } from './replica-state.ts'
import { sendAppends, sendHeartbeat, sendSnapshotChunk } from './replication.ts'
import type { Entry, EntryKind, LogIndex, MessageOf, PeerStatus, ReplicaKey, VoterSet } from './types.ts'
import { UncommittedBytes } from './uncommitted-bytes.ts'
import {
  encodeVoters,
  isValidVoterSet,
  isVoterOf,
  majorityOf,
  majorityValue,
  sameReplica,
  singleChange,
} from './voter-set.ts'

/** Most observers a leader serves; others are not answered. */
const MAX_OBSERVERS = 1024
/** An observer that was silent for so many election timeouts is forgotten; it asks again when it is back. */
const OBSERVER_SILENCE_TIMEOUTS = 10

/** What a leader knows and does: from its election to the end of its term or its fall. */
export class Leadership {
  readonly #state: ReplicaState
  readonly #peers: Map<string, Progress>
  readonly #reads: ReadRounds
  readonly #uncommitted: UncommittedBytes
  /** Index of the empty entry with which the term began. */
  readonly #firstOwnIndex: LogIndex
  #ticks: number
  #heartbeatDue: boolean
  /** There may be something to send that was not looked for yet. */
  #sendDue: boolean
  #transfer: { readonly target: Progress; ticks: number; sent: boolean } | null

  constructor(state: ReplicaState) {
    this.#state = state
    this.#peers = new Map()
    this.#reads = new ReadRounds()
    this.#uncommitted = new UncommittedBytes()
    this.#ticks = 0
    this.#heartbeatDue = false
    this.#sendDue = true
    this.#transfer = null
    this.#followVoters()
    // Only with an entry of its own term may a leader commit those of earlier ones (Raft 5.4.2, 8).
    this.#firstOwnIndex = this.#append('empty', Buffer.alloc(0))
  }

  get peers(): PeerStatus[] {
    return [...this.#peers.values()].map((peer) => peer.status)
  }

  /** A removed leader leads until its removal is committed (Raft thesis 4.2.2). */
  get isRemoved(): boolean {
    return !this.#state.isVoter && this.#state.votersCommitted
  }

  /** Whether a majority was heard within an election timeout, by the leader's own count (check-quorum). */
  get hasQuorum(): boolean {
    const { voters, self, options } = this.#state
    const heard = voters.filter((voter) => {
      if (sameReplica(voter, self)) return true
      const peer = this.#peers.get(keyOf(voter))
      return peer !== undefined && peer.silentTicks < options.electionTicks
    })
    return heard.length >= majorityOf(voters.length)
  }

  get hasOutput(): boolean {
    return this.#sendDue || this.#heartbeatDue || (this.#reads.hasAsked && this.#hasCommittedOwn)
  }

  propose(data: Buffer): LogIndex | Refusal {
    if (this.#transfer !== null) return 'TRANSFERRING'
    const limit = this.#state.options.maxUncommittedBytes
    const { bytes } = this.#uncommitted
    // A single entry may be larger than the limit, or it could never be proposed.
    if (bytes > 0 && bytes + weightOf({ data }) > limit) return 'TOO_MUCH_UNCOMMITTED'
    return this.#append('command', data)
  }

  proposeVoters(next: VoterSet): LogIndex | Refusal {
    const state = this.#state
    if (this.#transfer !== null) return 'TRANSFERRING'
    // Without it a change of another term, unseen here, could be in force too: two sets without a common majority (C13).
    if (!this.#hasCommittedOwn) return 'NO_OWN_TERM_COMMIT'
    if (!state.votersCommitted) return 'CHANGE_IN_PROGRESS'
    if (!isValidVoterSet(next) || next.length === 0) return 'INVALID_CHANGE'
    const change = singleChange(state.voters, next)
    if (change === null) return 'INVALID_CHANGE'
    if (change.type === 'added' && !this.#hasCaughtUp(change.voter)) return 'NOT_CAUGHT_UP'
    return this.#append('voters', encodeVoters(next))
  }

  transferTo(id: number): void {
    const target = [...this.#peers.values()].find((peer) => peer.replica.id === id && peer.isVoter)
    if (target === undefined || this.#transfer?.target === target) return
    this.#transfer = { target, ticks: 0, sent: false }
    this.#continueTransfer()
  }

  readIndex(token: number): void {
    if (!this.#reads.ask(token)) this.#state.refuseRead(token)
  }

  tick(): void {
    const { electionTicks, heartbeatTicks } = this.#state.options
    for (const [key, peer] of this.#peers) {
      peer.silentTicks++
      if (!peer.isVoter && peer.silentTicks > OBSERVER_SILENCE_TIMEOUTS * electionTicks) this.#peers.delete(key)
    }
    if (this.#transfer !== null && ++this.#transfer.ticks >= electionTicks) this.#transfer = null
    this.#ticks++
    if (this.#ticks % heartbeatTicks !== 0) return
    for (const peer of this.#peers.values()) peer.onHeartbeatSent(this.#state.log.lastIndex)
    this.#heartbeatDue = true
  }

  onAppendReply(message: MessageOf<'appendReply'>): void {
    const peer = this.#heard(message.from)
    if (peer === null) return
    peer.readRound = Math.max(peer.readRound, Math.min(message.readRound, this.#reads.round))
    this.#confirmReads()
    if (message.success) this.#onMatch(peer, message.index)
    else this.#onRefusal(peer, message)
    this.#sendDue = true
  }

  onHeartbeatReply(message: MessageOf<'heartbeatReply'>): void {
    const peer = this.#heard(message.from) ?? this.#welcome(message.from)
    if (peer === null) return
    peer.readRound = Math.max(peer.readRound, Math.min(message.readRound, this.#reads.round))
    this.#confirmReads()
    const stuck = peer.seemsStuck()
    if (peer.state === 'probe') peer.probeSent = false
    else if (peer.snapshot !== null) {
      onSnapshotHeartbeat(peer.snapshot)
    } else if (stuck && peer.matchIndex + 1 < peer.nextIndex) {
      // What was sent ahead seems lost. An empty message behind it is refused if so, and that begins a probe.
      sendAppends(this.#state, peer, this.#reads.round, true)
    }
    this.#sendDue = true
  }

  onSnapshotReply(message: MessageOf<'snapshotReply'>): void {
    const peer = this.#heard(message.from)
    if (peer === null || peer.snapshot === null || peer.snapshot.point.index !== message.snapshotIndex) return
    const { snapshot } = peer
    if (message.nextOffset === snapshot.sizeBytes) {
      peer.onMatch(snapshot.point.index)
      peer.becomeReplicate()
      this.#advanceCommit()
      this.#continueTransfer()
    } else if (message.nextOffset === snapshot.expectedOffset) {
      snapshot.offset = message.nextOffset
      snapshot.waiting = false
    } else if (message.nextOffset < snapshot.sizeBytes) {
      // Late, or the peer has less than what was sent, or it refused. Which of them the next answered heartbeats tell: no hurry.
      snapshot.retryOffset = Math.max(message.nextOffset, 0)
    }
    this.#sendDue = true
  }

  /** A node of the lower term, or one that asks for votes and is no voter: it lacks word of this leader. */
  onStranger(replica: ReplicaKey): void {
    const peer = this.#peers.get(keyOf(replica)) ?? this.#welcome(replica)
    if (peer !== null) sendHeartbeat(this.#state, peer, this.#reads.round)
  }

  onUnreachable(id: number): void {
    for (const peer of this.#peers.values()) {
      if (peer.replica.id === id && peer.state === 'replicate') peer.becomeProbe(peer.matchIndex + 1, true)
    }
  }

  /** What this node wrote is durable: it counts too, if it votes. */
  onWritten(): void {
    this.#advanceCommit()
  }

  /** Makes the messages that are due. What was proposed and answered since the last time goes out together. */
  flush(): void {
    if (this.#reads.hasAsked && this.#hasCommittedOwn) {
      this.#reads.begin(this.#state.commitIndex)
      this.#confirmReads()
      this.#heartbeatDue = true
    }
    const round = this.#reads.round
    for (const peer of this.#peers.values()) {
      if (peer.state === 'snapshot') sendSnapshotChunk(this.#state, peer)
      else sendAppends(this.#state, peer, round, false)
      const commitIndex = Math.min(peer.matchIndex, this.#state.commitIndex)
      if (this.#heartbeatDue || (peer.state === 'replicate' && peer.toldCommitIndex < commitIndex)) {
        sendHeartbeat(this.#state, peer, round)
      }
    }
    this.#heartbeatDue = false
    this.#sendDue = false
  }

  /** Makes the heartbeats that are due, and nothing else: a write is under way. */
  beat(): void {
    if (!this.#heartbeatDue) return
    for (const peer of this.#peers.values()) sendHeartbeat(this.#state, peer, this.#reads.round)
    this.#heartbeatDue = false
  }

  /** Makes way: the voter that has most is asked to campaign at once, so that nobody waits for an election timeout. */
  abdicate(): void {
    const voters = [...this.#peers.values()].filter((peer) => peer.isVoter)
    const best = voters.sort((left, right) => right.matchIndex - left.matchIndex)[0]
    if (best !== undefined) this.#state.send(best.replica, { type: 'timeoutNow' })
  }

  /** It leads no more. */
  end(): void {
    for (const token of this.#reads.takeAll()) this.#state.refuseRead(token)
  }

  get #hasCommittedOwn(): boolean {
    return this.#state.commitIndex >= this.#firstOwnIndex
  }

  #hasCaughtUp(replica: ReplicaKey): boolean {
    const peer = this.#peers.get(keyOf(replica))
    if (peer === undefined || peer.silentTicks >= this.#state.options.electionTicks) return false
    return peer.caughtUp || peer.matchIndex === this.#state.log.lastIndex
  }

  #append(kind: EntryKind, data: Buffer): LogIndex {
    const { log, term } = this.#state
    const index = log.lastIndex + 1
    const chain = chainOf(log.lastPoint.chain, { index, term, kind, data })
    const entry: Entry = { index, term, kind, data, chain }
    log.append([entry])
    this.#uncommitted.add(index, weightOf(entry))
    if (kind === 'voters') this.#followVoters()
    this.#sendDue = true
    return index
  }

  /** A peer that votes no more is served on as an observer, or it would never learn of its removal. */
  #followVoters(): void {
    const { voters, self, log } = this.#state
    for (const peer of this.#peers.values()) peer.isVoter = isVoterOf(voters, peer.replica)
    for (const voter of voters) {
      if (sameReplica(voter, self) || this.#peers.has(keyOf(voter))) continue
      this.#peers.set(keyOf(voter), new Progress(voter, true, log.lastIndex + 1))
    }
    if (this.#transfer?.target.isVoter === false) this.#transfer = null
  }

  #heard(replica: ReplicaKey): Progress | null {
    const peer = this.#peers.get(keyOf(replica))
    if (peer === undefined) return null
    peer.silentTicks = 0
    return peer
  }

  /** A node that is no voter is served from now on. */
  #welcome(replica: ReplicaKey): Progress | null {
    if (isVoterOf(this.#state.voters, replica)) return null
    if (this.#peers.size >= this.#state.voters.length + MAX_OBSERVERS) return null
    const peer = new Progress(replica, false, this.#state.log.lastIndex + 1)
    this.#peers.set(keyOf(replica), peer)
    this.#sendDue = true
    return peer
  }

  #onMatch(peer: Progress, index: LogIndex): void {
    const { log, counters } = this.#state
    if (index > log.lastIndex) {
      counters.rejectedMessages++
      return
    }
    const grew = peer.onMatch(index)
    if (peer.state === 'probe') peer.becomeReplicate()
    // It got further by itself, or from an older snapshot: what follows is in the log.
    else if (peer.state === 'snapshot' && peer.matchIndex + 1 >= log.firstIndex) peer.becomeReplicate()
    if (grew) this.#advanceCommit()
    this.#continueTransfer()
  }

  #onRefusal(peer: Progress, message: MessageOf<'appendReply'>): void {
    // Late: what it refused was confirmed since, or is not what is being tried.
    const isTried = peer.state === 'probe' && peer.nextIndex - 1 === message.index
    if (isTried && message.index === peer.matchIndex) peer.onLost()
    else if (message.index <= peer.matchIndex) return
    if (peer.state === 'replicate') {
      peer.becomeProbe(peer.matchIndex + 1, false)
    } else if (peer.state === 'probe' && peer.nextIndex - 1 !== message.index) {
      return
    }
    if (peer.state !== 'probe') return
    const bound = agreementBound(this.#state, Math.min(message.hintIndex, message.index - 1), message.hintTerm)
    peer.becomeProbe(bound.index + 1, false)
  }

  /** Raft 5.3 and 5.4.2: what a majority holds durably, if it is of this term, is committed with everything before it. */
  #advanceCommit(): void {
    const state = this.#state
    const { log } = state
    const index = majorityValue(
      state.voters.map((voter) => {
        if (sameReplica(voter, state.self)) return log.stableIndex
        return this.#peers.get(keyOf(voter))?.matchIndex ?? 0
      }),
    )
    if (index <= state.commitIndex || log.pointAt(index)?.term !== state.term) return
    state.commitIndex = index
    this.#uncommitted.onCommitted(index)
    this.#sendDue = true
  }

  #confirmReads(): void {
    const state = this.#state
    const round = majorityValue(
      state.voters.map((voter) => {
        if (sameReplica(voter, state.self)) return this.#reads.round
        return this.#peers.get(keyOf(voter))?.readRound ?? 0
      }),
    )
    for (const { index, tokens } of this.#reads.takeConfirmed(round)) {
      for (const token of tokens) state.answerRead(token, index)
    }
  }

  #continueTransfer(): void {
    const transfer = this.#transfer
    if (transfer === null || transfer.sent || transfer.target.matchIndex !== this.#state.log.lastIndex) return
    transfer.sent = true
    this.#state.send(transfer.target.replica, { type: 'timeoutNow' })
  }
}

/** A chunk that was not answered before two heartbeats were is taken for lost. */
function onSnapshotHeartbeat(snapshot: SnapshotTransfer): void {
  if (!snapshot.waiting || ++snapshot.heartbeatsWaited < 2) return
  snapshot.waiting = false
  snapshot.offset = snapshot.retryOffset
}

function keyOf({ id, directoryId }: ReplicaKey): string {
  return `${id}:${directoryId}`
}
