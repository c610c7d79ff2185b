import { BaseError, type Offset } from '@millrace/base'
import type { Verification } from '../partition/transaction-verifications.ts'

/** What a log cannot give any more though it was written: its disk lost `[startOffset, endOffset)`. */
export class LogDamageError extends BaseError {
  readonly startOffset: Offset
  readonly endOffset: Offset

  constructor(message: string, startOffset: Offset, endOffset: Offset) {
    super('LOG_DAMAGE', message)
    this.startOffset = startOffset
    this.endOffset = endOffset
  }
}

/** What the append of a producer's transaction is held against. */
export interface TransactionalAppend {
  /** That the producer may begin here; null for a marker, and where the transaction is open here already. */
  readonly verification: Verification | null
  /** Of a marker: the level of `transaction.version`, which says how strictly the producer's epoch is checked (KIP-890). */
  readonly transactionVersion: number
}

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
  /** Rather a coordinator that lacks what its log has lost than none: `unclean.leader.election.enable` of the topic. */
  readonly acceptsLoss: boolean
  /**
   * Appends one encoded record batch (base offset 0, CRC set, origin COORDINATOR) and returns the error code (0: appended).
   * After success `logEndOffset` has moved past the batch; the bytes were copied. `transaction`: the batch is part of one, or its marker.
   */
  append(batch: Buffer, transaction?: TransactionalAppend): number
  /** Called with the new high watermark each time it rises, outside any call into the log. One listener. */
  onHighWatermark(listener: (highWatermark: Offset) => void): void
  /**
   * All stored batches of `[fromOffset, toOffset)` in order, some per chunk, each chunk whole batches. Buffers are the caller's. Checksums
   * are not checked. Throws {@link LogDamageError} where it comes to what is known to be lost, other errors for what else cannot be read.
   */
  read(fromOffset: Offset, toOffset: Offset): AsyncIterable<Buffer>
}
