import { DiskError, type Offset } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { LogCompaction } from './cleaner/log-compaction.ts'
import type { LogCheckpointer } from './log-checkpointer.ts'
import type { FaultyRange, LogCore, LogHome } from './log-core.ts'
import type { LogWriter } from './log-writer.ts'
import type { ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'

/** A log as those of its parts see it that append to it, read, cut and close it: they move its offsets. */
export interface LogState extends LogCore {
  logStartOffset: Offset
  logEndOffset: Offset
  writtenOffset: Offset
  highWatermark: Offset
  generation: number
  readonly sizeBytes: number
  readonly writer: LogWriter
  readonly checkpointer: LogCheckpointer
  readonly compaction: LogCompaction
  /** Offsets that are lost as a whole: the files end before them. */
  readonly lostRanges: FaultyRange[]
  /** Records appended since the last sync began. */
  unflushedRecordCount: number
  /** Reads that come from the disk in steps: files stay open for them. */
  pendingReadCount: number
  /** Builds the state if that was not needed yet. Throws `DiskError`. */
  currentProducers(): ProducerState
  /** Starts a new segment. Throws `DiskError`. */
  roll(baseOffset: Offset): void
  raiseLogStart(offset: Offset): void
  truncateFullyAndStartAt(offset: Offset): void
  /** Files may be opened or indexes loaded now: the manager looks when that has not been needed for a while. */
  use(): void
  /** Takes the files of segments out of use that are not in the list any more. Throws `DiskError`. */
  remove(segments: readonly Segment[]): void
}

/** Tells the directory of a failed write or sync; the code for whoever asked. Throws what is no `DiskError`. */
export function reportError(home: LogHome, error: unknown): number {
  if (!(error instanceof DiskError)) throw error
  home.onDiskError(error)
  return ErrorCode.KAFKA_STORAGE_ERROR
}
