import type { Refusal } from '../raft/raft-options.ts'
import type { EntryKind, LogIndex, RaftStatus, Term, Voter } from '../raft/types.ts'

export interface CommittedEntry {
  readonly index: LogIndex
  readonly term: Term
  readonly kind: EntryKind
  readonly data: Buffer
}

/** The state machine on top. Calls come in log order, never from inside a call into {@link Quorum}, and must not throw. */
export interface QuorumListener {
  onCommitted(entries: readonly CommittedEntry[]): void
  /** Replaces the state by a snapshot's (after a start, or when this node was too far behind). */
  onSnapshot(index: LogIndex, data: Buffer): void
  /** This node leads `term` and has applied all earlier terms' entries: it may propose. */
  onElected(term: Term): void
  /** It leads no more: what it proposed and did not see committed is unknown. */
  onDeposed(term: Term): void
  /** Null: not known. */
  onLeader(leaderId: number | null, term: Term): void
  /** The state machine should hand over a snapshot of what it has applied: `Quorum.saveSnapshot`. */
  onSnapshotDue(): void
}

/** One node's part in the quorum: core, durable log, transport and time put together. Voter or observer. */
export interface Quorum {
  readonly status: RaftStatus
  /** Index the entry will have if it is committed; a refusal if it was not proposed. */
  propose(data: Buffer): LogIndex | Refusal
  /** Resolves to an index at or above everything that was committed when it was called (C17); rejects with `NotLeaderError`. */
  readIndex(): Promise<LogIndex>
  addVoter(voter: Voter): Promise<Refusal | null>
  removeVoter(id: number, directoryId: string): Promise<Refusal | null>
  updateVoter(voter: Voter): Promise<Refusal | null>
  transferLeadership(to: number): void
  /** Stops leading, if it leads: something is wrong with the state machine above. */
  resign(): void
  saveSnapshot(index: LogIndex, data: Buffer): Promise<void>
  close(): Promise<void>
}
