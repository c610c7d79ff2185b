import type { Random } from '@millrace/base'
import type { RaftLog } from './raft-log-port.ts'
import type { LogIndex, ReplicaKey, VoterSet } from './types.ts'

export interface RaftOptions {
  readonly self: ReplicaKey
  readonly log: RaftLog
  /** Voters where neither log nor snapshot names any. Empty: wait to be told by a leader. */
  readonly bootstrapVoters: VoterSet
  /** The state machine has applied up to here (a snapshot that was loaded); 0: nothing. */
  readonly appliedIndex: LogIndex
  readonly random: Random
  /** Ticks without word of a leader after which a voter campaigns: drawn anew from `[electionTicks, 2 * electionTicks)`. */
  readonly electionTicks: number
  readonly heartbeatTicks: number
  /** Most bytes of entries in one append message, in flight to one peer, in snapshot chunks, not yet committed at a leader, and in one `Ready`. */
  readonly maxAppendBytes: number
  readonly maxInFlightBytes: number
  readonly maxSnapshotChunkBytes: number
  readonly maxUncommittedBytes: number
  readonly maxCommittedBytes: number
  /** Most bytes of a snapshot taken from a leader; it is collected in memory. Default 512 MiB. */
  readonly maxSnapshotBytes?: number
  /** Ids to ask for the leader where no voters are known, or none of them answers. */
  readonly contacts?: readonly number[]
}

/** Why something was not proposed. */
export type Refusal =
  | 'NOT_LEADER'
  | 'TRANSFERRING'
  | 'TOO_MUCH_UNCOMMITTED'
  | 'CHANGE_IN_PROGRESS'
  | 'NO_OWN_TERM_COMMIT'
  | 'INVALID_CHANGE'
  | 'NOT_CAUGHT_UP'
