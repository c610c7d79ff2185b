import type { Clock, Random, Timers } from '@millrace/base'
import type { RaftStore } from '../log/raft-store.ts'
import type { ReplicaKey, VoterSet } from '../raft/types.ts'
import type { PeerTransport } from '../transport/peer-transport.ts'
import type { QuorumListener } from './quorum.ts'

export interface QuorumNodeOptions {
  readonly self: ReplicaKey
  /** Open; the node's owner closes it after the node. */
  readonly store: RaftStore
  /** Open; its events of `PeerChannel.RAFT` go to the node (see `PeerRouter`). The owner closes it after the node. */
  readonly transport: PeerTransport
  /** Called for the first time after the constructor has returned. */
  readonly listener: QuorumListener
  /** The voters of a new cluster, equal on all of them; empty on a node that joins later. */
  readonly bootstrapVoters: VoterSet
  /** Where to ask for the leader while this node does not vote: nodes of the quorum by id. */
  readonly bootstrapEndpoints: ReadonlyMap<number, { readonly host: string; readonly port: number }>
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  /** The node cannot go on: a write failed, the log is damaged, an invariant broke. Told once; nothing is sent or applied after it. */
  readonly onFatal: (error: Error) => void
  /** Something that an operator should look at, and that the node lives with. At most once a minute. */
  readonly onProblem?: (error: Error) => void
  readonly timing?: Partial<QuorumTiming>
  readonly limits?: Partial<QuorumLimits>
}

export interface QuorumTiming {
  readonly tickMs: number
  /** Elections come after one to two times this without word of a leader. */
  readonly electionTicks: number
  readonly heartbeatTicks: number
  /** How long `addVoter` waits for the newcomer to catch up. */
  readonly catchUpTimeoutMs: number
  /**
   * For so long a write that is under way does not silence the node. Then it does: who leads with a disk that hangs keeps others from
   * doing better.
   */
  readonly slowWriteMs: number
  /** A write that is not done by then has failed: a disk that hangs must not leave a node that looks alive and does nothing. */
  readonly writeTimeoutMs: number
  /** How long `close` waits for a write that is under way. */
  readonly closeTimeoutMs: number
  /** A snapshot is due this long after the last one if anything was applied since. */
  readonly snapshotIntervalMs: number
}

/** Heartbeats every 75 ms, elections after 300 to 600 ms of silence; a closed connection to the leader is noticed at once. */
export const DEFAULT_QUORUM_TIMING: QuorumTiming = {
  tickMs: 25,
  electionTicks: 12,
  heartbeatTicks: 3,
  catchUpTimeoutMs: 30_000,
  slowWriteMs: 1_500,
  writeTimeoutMs: 120_000,
  closeTimeoutMs: 5_000,
  snapshotIntervalMs: 3_600_000,
}

export interface QuorumLimits {
  readonly maxAppendBytes: number
  readonly maxInFlightBytes: number
  readonly maxSnapshotChunkBytes: number
  readonly maxUncommittedBytes: number
  readonly maxCommittedBytes: number
  /** Bytes applied after which a snapshot is due (Kafka's `metadata.log.max.record.bytes.between.snapshots`). */
  readonly snapshotBytes: number
  /** Entries before a snapshot that stay in the log, so that a follower a little behind needs no snapshot. */
  readonly keptEntryCount: number
  readonly maxPendingReads: number
}

export const DEFAULT_QUORUM_LIMITS: QuorumLimits = {
  maxAppendBytes: 1024 * 1024,
  maxInFlightBytes: 8 * 1024 * 1024,
  maxSnapshotChunkBytes: 1024 * 1024,
  maxUncommittedBytes: 64 * 1024 * 1024,
  maxCommittedBytes: 4 * 1024 * 1024,
  snapshotBytes: 20 * 1024 * 1024,
  keptEntryCount: 1000,
  maxPendingReads: 10_000,
}
