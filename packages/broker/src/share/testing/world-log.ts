import { DiskError, type Offset } from '@millrace/base'
import {
  baseOffsetOf,
  buildEndTxnMarker,
  ControlRecordType,
  ErrorCode,
  isControlBatch,
  isTransactionalBatch,
  lastOffsetOf,
  setBaseOffset,
} from '@millrace/protocol'
import type { ReadResult } from '@millrace/storage'
import { batchOf } from '../../testing/batches.ts'

const PRODUCER = { producerId: 7, producerEpoch: 0 } as const

/**
 * The log of a partition as far as share partitions look at it: batches, transactions of one producer, deletion from its start, compaction
 * that takes whole batches. Reads give what a real log gives: no batch that reaches past the limit, and a first one of any size.
 */
export class WorldLog {
  logStartOffset: Offset = 0
  readonly faultyRanges: readonly never[] = []
  /** Reads take until {@link finishReads}. */
  isCold = false
  /** The disk fails reads. */
  isBroken = false
  #batches: Buffer[] = []
  #endOffset: Offset = 0
  /** In order; only the last one may be open, without an offset of its marker. */
  #transactions: { readonly firstOffset: Offset; lastOffset: Offset | null; isAborted: boolean }[] = []
  #reads: (() => void)[] = []

  get logEndOffset(): Offset {
    return this.#endOffset
  }

  get highWatermark(): Offset {
    return this.#endOffset
  }

  get lastStableOffset(): Offset {
    return this.openOffset ?? this.#endOffset
  }

  /** Where the transaction begins that is open, null: none is. */
  get openOffset(): Offset | null {
    const last = this.#transactions.at(-1)
    return last?.lastOffset === null ? last.firstOffset : null
  }

  append(count: number, isTransactional: boolean): void {
    const values = new Array<string>(count).fill('x')
    if (isTransactional && this.openOffset === null) {
      this.#transactions.push({ firstOffset: this.#endOffset, lastOffset: null, isAborted: false })
    }
    this.#store(batchOf(values, isTransactional ? { ...PRODUCER, baseSequence: 0, transactional: true } : {}))
  }

  /** Appends the marker of the open transaction. */
  endTransaction(commits: boolean): void {
    const open = this.#transactions.at(-1)!
    open.lastOffset = this.#endOffset
    open.isAborted = !commits
    const type = commits ? ControlRecordType.COMMIT : ControlRecordType.ABORT
    this.#store(buildEndTxnMarker({ ...PRODUCER, type, coordinatorEpoch: 0, timestamp: 0 }))
  }

  /** Offsets in the log from `startOffset` on that are of the producer of transactions. */
  producedOffsets(startOffset: Offset): Offset[] {
    const offsets: Offset[] = []
    for (const batch of this.#batches) {
      if (baseOffsetOf(batch, 0) < startOffset || !isTransactionalBatch(batch, 0) || isControlBatch(batch, 0)) continue
      for (let offset = baseOffsetOf(batch, 0); offset <= lastOffsetOf(batch, 0); offset++) offsets.push(offset)
    }
    return offsets
  }

  /** Takes the batches that lie in `[startOffset, endOffset)`, but for markers, the last one of all, and what is not stable. Gives their offsets. */
  compact(startOffset: Offset, endOffset: Offset): Offset[] {
    const taken: Offset[] = []
    const end = Math.min(endOffset, this.lastStableOffset)
    this.#batches = this.#batches.filter((batch, slot) => {
      const [first, last] = [baseOffsetOf(batch, 0), lastOffsetOf(batch, 0)]
      const isKept = isControlBatch(batch, 0) || slot === this.#batches.length - 1
      if (isKept || first < startOffset || last >= end) return true
      for (let offset = first; offset <= last; offset++) taken.push(offset)
      return false
    })
    return taken
  }

  /** Another replica leads, which has only the batches before `endOffset`. */
  truncate(endOffset: Offset): void {
    this.#batches = this.#batches.filter((batch) => lastOffsetOf(batch, 0) < endOffset)
    const last = this.#batches.at(-1)
    this.#endOffset = Math.max(this.logStartOffset, last === undefined ? 0 : lastOffsetOf(last, 0) + 1)
    this.#transactions = this.#transactions.filter(({ firstOffset }) => firstOffset < this.#endOffset)
    const open = this.#transactions.at(-1)
    if (open !== undefined && (open.lastOffset ?? this.#endOffset) >= this.#endOffset) open.lastOffset = null
  }

  read(fromOffset: Offset, maxBytes: number, upperOffset: Offset, _minOneBatch: boolean, out: ReadResult) {
    if (this.isBroken) return Promise.reject(new DiskError('DISK_IO', 'read', 'log', 'EIO'))
    const isRead = this.#read(fromOffset, maxBytes, upperOffset, out)
    if (!this.isCold) return isRead
    return new Promise<boolean>((resolve) => {
      this.#reads.push(() => resolve(isRead))
    })
  }

  finishReads(): void {
    for (const finish of this.#reads.splice(0)) finish()
  }

  bytesAvailable(fromOffset: Offset, upperOffset: Offset): number {
    return fromOffset < upperOffset ? upperOffset - fromOffset : 0
  }

  endsInLaterSegment(): boolean {
    return false
  }

  abortedTransactions(fromOffset: Offset, upperOffset: Offset) {
    return this.#transactions.flatMap(({ firstOffset, lastOffset, isAborted }) => {
      const isThere = isAborted && lastOffset !== null && lastOffset >= fromOffset && firstOffset < upperOffset
      return isThere ? { producerId: PRODUCER.producerId, firstOffset } : []
    })
  }

  #store(batch: Buffer): void {
    setBaseOffset(batch, 0, this.#endOffset)
    this.#batches.push(batch)
    this.#endOffset = lastOffsetOf(batch, 0) + 1
  }

  #read(fromOffset: Offset, maxBytes: number, upperOffset: Offset, out: ReadResult): boolean {
    out.clear()
    if (fromOffset < this.logStartOffset || fromOffset > this.#endOffset) {
      out.fail(ErrorCode.OFFSET_OUT_OF_RANGE)
      return false
    }
    const taken: Buffer[] = []
    let sizeBytes = 0
    for (const batch of this.#batches) {
      const lastOffset = lastOffsetOf(batch, 0)
      if (lastOffset < fromOffset) continue
      if (lastOffset >= upperOffset || (taken.length > 0 && sizeBytes + batch.length > maxBytes)) break
      taken.push(batch)
      sizeBytes += batch.length
    }
    if (taken.length > 0) out.set(Buffer.concat(taken), lastOffsetOf(taken.at(-1)!, 0))
    return true
  }
}
