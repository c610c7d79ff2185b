import type { Offset } from '@millrace/base'

/**
 * One partition of an internal topic that this node leads, as a coordinator shard sees it. The partition layer implements it.
 */
export interface CoordinatorLog {
  readonly topic: string
  readonly partition: number
  /** First and next offset now. */
  readonly logStartOffset: Offset
  readonly logEndOffset: Offset
  /** Everything below is committed. */
  readonly highWatermark: Offset
  /**
   * Appends one encoded record batch (base offset 0, CRC set, origin COORDINATOR) and returns the error code (0: appended).
   * After success `logEndOffset` has moved past the batch; the bytes were copied.
   */
  append(batch: Buffer): number
  /** Called with the new high watermark each time it rises, outside any call into the log. One listener. */
  onHighWatermark(listener: (highWatermark: Offset) => void): void
  /** All stored batches of `[fromOffset, toOffset)` in order, some per chunk, each chunk whole batches. Buffers are the caller's. */
  read(fromOffset: Offset, toOffset: Offset): AsyncIterable<Buffer>
}
