import type { RaftLog } from '../raft/raft-log-port.ts'
import type { Entry, HardState, LogIndex, SnapshotPoint } from '../raft/types.ts'

/** What one `Ready` makes durable, in this order and all or nothing. */
export interface StoreBatch {
  readonly hardState: HardState | null
  readonly truncateFrom: LogIndex | null
  readonly entries: readonly Entry[]
  /** A received snapshot that replaces everything up to its point; entries that go on from it stay. */
  readonly snapshot: { readonly point: SnapshotPoint; readonly data: Buffer } | null
}

/**
 * The durable log: LMDB (`lmdb-store.ts`), in memory with crashes (`packages/simulator`). A write that fails is final: nothing may be
 * sent or acknowledged any more, the node stops (S7).
 */
export interface RaftStore extends RaftLog {
  /**
   * False: entries that this node had acknowledged were found damaged and are fetched again. Until the log is as new as it was, the node
   * must neither vote nor campaign (`reliability.md`, 5.2). Absent: true.
   */
  readonly mayVote?: boolean
  /** One at a time. Resolves when all of it is durable; what the port reads changes in the same step. */
  write(batch: StoreBatch): Promise<void>
  /** May overlap a `write`. A snapshot of the own state machine at an applied index. Once it is durable, entries up to `keepFrom - 1` may go. */
  saveSnapshot(point: SnapshotPoint, data: Buffer, keepFrom: LogIndex): Promise<void>
  close(): Promise<void>
}
