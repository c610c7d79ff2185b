import { BaseError, type Offset, type ProducerId, type TimestampMs } from '@millrace/base'
import type { AbortedTransaction } from '../transaction-index.ts'

/** A closed segment as a clean reads it. */
export interface SourceSegment {
  readonly path: string
  readonly baseOffset: Offset
  /** Behind its last record: the base of the segment behind it. */
  readonly endOffset: Offset
  readonly sizeBytes: number
}

/** What is cleaned, and how. Plain data: it crosses to another thread. */
export interface CleanOrder {
  /** Segments to be indexed, in order; the first may begin below `firstDirtyOffset`. */
  readonly dirty: readonly SourceSegment[]
  readonly firstDirtyOffset: Offset
  /** Nothing at or above is compacted: what is not stable, or too young. Where a segment begins. */
  readonly endOffset: Offset
  /** Aborted transactions that may have records in the segments, all of the log. */
  readonly aborted: readonly AbortedTransaction[]
  /** Producer id, offset of its last record, of those that are known and have it below the end. */
  readonly lastDataOffsets: readonly (readonly [ProducerId, Offset])[]
  /** Known producers that have been there since: a crash may take that, and what they sent last below the end is then their last. */
  readonly laterProducers: readonly ProducerId[]
  /** Producer id and epoch of those that are known by a marker only. */
  readonly markerEpochs: readonly (readonly [ProducerId, number])[]
  /** When the clean began; tombstones and markers whose horizon is not later may go. */
  readonly nowMs: TimestampMs
  /** How long they stay from the first time on that they are met. */
  readonly deleteRetentionMs: number
  readonly memoryBytes: number
  readonly loadFactor: number
  readonly ioBufferBytes: number
  readonly maxBytesPerSecond: number
  readonly indexIntervalBytes: number
}

/** Segments that become one. */
export interface RewriteOrder {
  readonly sources: readonly SourceSegment[]
  /** The partition directory, and the suffix of the files that are made in it. */
  readonly directory: string
  readonly suffix: string
}

/** What the index of keys covers. */
export interface IndexedKeys {
  readonly kind: 'indexed'
  /** Records below are compacted: the end of the dirty part, or where the memory ended. */
  readonly endOffset: Offset
  readonly keyCount: number
  readonly recordCount: number
  /** Of the memory for keys, 0 to 1. */
  readonly fill: number
  readonly readBytes: number
}

/** Files of a new segment were written and synced. */
export interface RewrittenSegment {
  readonly kind: 'rewritten'
  readonly sizeBytes: number
  /** Behind the last batch. */
  readonly nextOffset: Offset
  readonly hasTransactionIndex: boolean
  readonly readBytes: number
  readonly readRecordCount: number
  readonly keptRecordCount: number
  /** Records without a key: nobody can tell what they replace, and they go. */
  readonly keylessCount: number
  /** All batches are as they were. */
  readonly isUnchanged: boolean
  /** When the first of its tombstones and markers may go; Infinity: it has none that may. */
  readonly nextHorizonMs: number
  /** A batch that stays as it is since its records cannot be read, the first of them; null: there is none. */
  readonly unreadable: UnreadableBatch | null
}

/** A batch as somebody sent it, whose records cannot be read: what was sent while the topic was not compacted is not looked into. */
export interface UnreadableBatch {
  readonly segmentBaseOffset: Offset
  readonly position: number
  readonly reason: string
}

/** A batch cannot be what was written: nothing of the order counts. */
export interface FoundDamage {
  readonly kind: 'damaged'
  readonly segmentBaseOffset: Offset
  readonly position: number
}

/** A segment cannot be compacted, since it would be larger than one may be. */
export interface Uncleanable {
  readonly kind: 'uncleanable'
  readonly segmentBaseOffset: Offset
  readonly position: number
  readonly reason: string
}

/** It was given up, as asked for. */
export interface Aborted {
  readonly kind: 'aborted'
}

export type IndexOutcome = IndexedKeys | FoundDamage | Uncleanable | Aborted
export type RewriteOutcome = RewrittenSegment | FoundDamage | Uncleanable | Aborted

/**
 * Does the work of compaction: reading, hashing, writing. A port: a real broker has a thread for each. One clean at a time: {@link index},
 * then {@link rewrite} for each group of segments in order. Both reject with `DiskError`, and with {@link CleanEngineError} if the engine
 * is broken and of no use any more.
 */
export interface CleanEngine {
  index(order: CleanOrder): Promise<IndexOutcome>
  rewrite(order: RewriteOrder): Promise<RewriteOutcome>
  /** Gives up what is under way, soon: it ends with 'aborted'. */
  abort(): void
  /** Bytes of memory that keys take now. */
  readonly memoryBytes: number
  close(): void
}

/** An engine broke off, as a thread that ran out of memory does: another one may be tried. */
export class CleanEngineError extends BaseError {
  constructor(reason: string, options?: { cause?: unknown }) {
    super('STORAGE_CLEAN_ENGINE', reason, options)
  }
}
