import type { Entry, HardState, LogIndex, SnapshotPoint, Term } from './types.ts'

/**
 * What is durable, as the core reads it: synchronous, and only what was written by a finished `Ready`. Implemented by `log/` on LMDB and
 * by the simulator in memory. Damage that is found throws `DamagedLogError` of `log/`; the core does not catch it: the host stops the node.
 */
export interface RaftLog {
  readonly hardState: HardState
  /** Index after the snapshot's, where the log starts. */
  readonly firstIndex: LogIndex
  /** `firstIndex - 1` if empty. */
  readonly lastIndex: LogIndex
  /** Of the newest snapshot; null before the first. */
  readonly snapshot: SnapshotPoint | null
  /** Term and chain of `[firstIndex - 1, lastIndex]`; null outside. */
  pointAt(index: LogIndex): { readonly term: Term; readonly chain: Buffer } | null
  /** Entries `[from, to)`, at least one if there is one, then no more than `maxBytes` of data. Checksums verified. */
  entries(from: LogIndex, to: LogIndex, maxBytes: number): Entry[]
  /** Bytes `[offset, offset + maxBytes)` of the newest snapshot, and its size. Null if another one is newest by now. */
  readSnapshot(
    index: LogIndex,
    offset: number,
    maxBytes: number,
  ): { readonly data: Buffer; readonly sizeBytes: number } | null
}
