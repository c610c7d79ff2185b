import type { LeaderEpoch, Offset, TimestampMs } from '@millrace/base'

/** What an append did. Reused by the caller from append to append. */
export class AppendResult {
  baseOffset: Offset
  lastOffset: Offset
  /** -1 unless the batch carries LogAppendTime. */
  logAppendTimeMs: TimestampMs
  /** The batch is in the log already, at these offsets; nothing was written. */
  duplicate: boolean

  constructor() {
    this.baseOffset = -1
    this.lastOffset = -1
    this.logAppendTimeMs = -1
    this.duplicate = false
  }

  set(baseOffset: Offset, lastOffset: Offset, logAppendTimeMs: TimestampMs, duplicate: boolean): void {
    this.baseOffset = baseOffset
    this.lastOffset = lastOffset
    this.logAppendTimeMs = logAppendTimeMs
    this.duplicate = duplicate
  }
}

/** What a read found. Reused by the caller, who may keep the buffers. */
export class ReadResult {
  /** Whole batches. Views into a mapped segment (valid as long as they are referenced) or buffers of the caller's own. */
  buffers: Buffer[]
  sizeBytes: number
  /** Last offset of the last batch, -1 if there is none. */
  lastOffset: Offset
  /** Kafka error code; 0 also for an empty result. */
  errorCode: number

  constructor() {
    this.buffers = []
    this.sizeBytes = 0
    this.lastOffset = -1
    this.errorCode = 0
  }

  clear(): void {
    this.buffers = []
    this.sizeBytes = 0
    this.lastOffset = -1
    this.errorCode = 0
  }

  /** Empties it and notes the error. Returns the code. */
  fail(errorCode: number): number {
    this.clear()
    this.errorCode = errorCode
    return errorCode
  }

  set(buffer: Buffer, lastOffset: Offset): void {
    this.buffers = [buffer]
    this.sizeBytes = buffer.length
    this.lastOffset = lastOffset
    this.errorCode = 0
  }
}

/** A record found by time. */
export interface FoundOffset {
  offset: Offset
  timestamp: TimestampMs
  /** -1 if unknown. */
  leaderEpoch: LeaderEpoch
}
