import type { DiskError, Offset, Uuid } from '@millrace/base'
import type { Syncable } from './group-commit.ts'
import type { LogConfig } from './log-config.ts'
import type { LogEpochs } from './log-epochs.ts'
import type { LogProducers } from './log-producers.ts'
import type { LogSegments } from './log-segments.ts'

/** A log as its own parts and its directory see it: what they share, without what callers of the package use. */
export interface LogCore extends Syncable {
  readonly topic: string
  readonly partition: number
  readonly topicId: Uuid
  /** The partition directory; changes when the log is set aside. */
  path: string
  /** See `Log.isFuture`. */
  readonly isFuture: boolean
  /** Its directory is offline, or it was closed or deleted. */
  readonly failed: boolean
  readonly config: LogConfig
  readonly logStartOffset: Offset
  readonly logEndOffset: Offset
  readonly writtenOffset: Offset
  readonly highWatermark: Offset
  durableOffset: Offset
  recoveryPoint: Offset
  /** Everything below was compacted; 0 if nothing was. Counts only within the log. */
  cleanedOffset: Offset
  /** Raised by truncation: what began before it says nothing any more. */
  readonly generation: number
  /** Used since the manager last looked for idle logs. */
  touched: boolean
  readonly segments: LogSegments
  readonly epochs: LogEpochs
  readonly producerStates: LogProducers
  readonly hasStaged: boolean
  /**
   * All that is derived from it, but for its epochs, can be derived again by one short read: indexes and producer snapshot get no files,
   * since thousands of such logs would cost thousands of writes and syncs at a stop or when they become idle. Only of logs that start at
   * 0: a snapshot may know of producers whose records are gone. Not of those with aborted transactions, whose index is only rebuilt by a
   * walk, nor of those whose derived files have just been changed: after a crash the old ones would be believed.
   */
  readonly isSmall: boolean
  /** Nothing is written, cut or synced any more, or needs to be, derived files included: its files end where their data do. */
  readonly isCheckpointed: boolean
  /**
   * A crash may leave other files than it has, although nothing is unsynced: they are as a killed process left them, or one was made for an
   * append that was then refused. Until they are settled, no mark may say that the log was closed with them.
   */
  readonly isUnsettled: boolean
  /** What a truncation has still to do to be durable was put off for want of a descriptor: nothing is appended before. */
  readonly isHalfCut: boolean
  /** Bytes written since the log was opened. */
  readonly totalBytes: number
  /** Writes staged appends to the file. Throws `DiskError`. */
  writeStaged(): void
  /** The same at the end of a turn; a sync follows. Errors go to the directory. */
  flushTurn(nowMs: number): void
  /** Has it flushed when the turn ends. */
  markDirty(): void
  /** What was put off for want of a descriptor is tried again. */
  retry(): void
  /** `durableOffset` rose. */
  onDurable(): void
  closeIdle(): Promise<void>
  /** Resolves when no checkpoint and no extension runs. */
  whenQuiet(): Promise<void>
  /** Before a sync of the whole file system, at the end: everything reaches its file. False if something runs or fails. */
  settle(): boolean
  /** That sync has succeeded: all of the log is durable, and needs no recovery. */
  onSyncedAll(): void
  /** Ends its life: files are closed, every call is refused. */
  fail(): void
}

/** The log directory as its logs see it. */
export interface LogHome {
  readonly path: string
  /** Appends are refused until there is space again. */
  readonly isFull: boolean
  /** What the log has written will be synced soon. */
  scheduleSync(log: LogCore): void
  /** A write or sync of the log found no descriptor: nothing of it counts, and it is tried again a little later. */
  onPutOff(log: LogCore, error: DiskError): void
  /** Resolves when no sync runs or waits. Of a directory that is written to, perhaps never. */
  whenSynced(): Promise<void>
  /** A sync of the log ended: everything below `offset`, which ends at `positionBytes` of a segment, is durable. */
  onSynced(log: LogCore, offset: Offset, segmentBaseOffset: Offset, positionBytes: number): void
  /** Before a truncation: neither mark nor recovery point may name what is about to go. Durable. Throws `DiskError`. */
  lowerMark(log: LogCore, offset: Offset, segmentBaseOffset: Offset, positionBytes: number): void
  /** A truncation took the log's start down: the checkpoint must not name the old one after a crash. Throws `DiskError`. */
  onLogStartLowered(): void
  /** After a full truncation: an empty log is as durable as its names, which have just been synced. */
  onEmptied(log: LogCore, offset: Offset): void
  /**
   * Before the files of old segments go that the log has given up: the mark must name what was synced and no longer count them, or
   * recovery would take the log for one that lost its head. Durable once it resolves. Rejects with `DiskError`.
   */
  beforeRemoval(log: LogCore): Promise<void>
  /** The same on this thread. Throws `DiskError`. */
  beforeRemovalNow(log: LogCore): void
  /** Raises the log's recovery point. Throws `DiskError`; it is what it was then. */
  onCheckpointed(log: LogCore, recoveryPoint: Offset): void
  /** The lowest recovery point that the mark may name after a crash: that of the last one that was synced. */
  syncedRecoveryPoint(log: LogCore): Offset
  /** A watermark, log start or recovery point changed. */
  onOffsetsChanged(): void
  /** A full disk refuses appends until there is space again; everything else takes the directory offline. */
  onDiskError(error: DiskError): void
  /** Takes the directory offline for good. */
  fail(error: DiskError): void
}

/** Offsets whose data recovery found damaged although it had been synced. Reads of them fail; appends go on after them. */
export interface FaultyRange {
  startOffset: Offset
  endOffset: Offset
}
