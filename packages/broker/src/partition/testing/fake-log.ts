import { ZERO_UUID } from '@millrace/base'
import type { AppendResult, Log, ReadResult } from '@millrace/storage'

/** Bytes of each batch of a fake log; one record per batch. */
export const FAKE_BATCH_BYTES = 100

/** What partitions and fetches use of a log, in memory, with knobs. One record per batch, no bytes worth reading. */
export class FakeLog {
  topic = 't'
  partition = 0
  topicId = ZERO_UUID
  directory = '/fake'
  failed = false
  logStartOffset = 0
  logEndOffset = 0
  writtenOffset = 0
  durableOffset = 0
  highWatermark = 0
  lastStableOffset = 0
  latestEpoch = 0
  /** Reads come as promises, as from a cold segment. */
  cold = false
  /** Reads fail with this code. */
  readError = 0
  /** Base offsets of the segments after the first. */
  laterSegments: number[] = []
  faultyRanges: { startOffset: number; endOffset: number }[] = []
  /** Offsets that were given again. */
  readonly distrusted: number[] = []
  readonly epochs: { epoch: number; startOffset: number }[] = []

  /** `count` records are appended, written and durable. */
  fill(count: number): void {
    this.logEndOffset += count
    this.writtenOffset = this.logEndOffset
    this.durableOffset = this.logEndOffset
  }

  append(_buffer: Buffer, _start: number, _end: number, _origin: string, _epoch: number, result: AppendResult): number {
    result.set(this.logEndOffset, this.logEndOffset, -1, false)
    this.logEndOffset++
    return 0
  }

  distrust(offset: number): void {
    this.distrusted.push(offset)
  }

  assignEpoch(epoch: number, startOffset: number): void {
    this.epochs.push({ epoch, startOffset })
    this.latestEpoch = epoch
  }

  truncateTo(offset: number): void {
    this.logEndOffset = Math.min(this.logEndOffset, offset)
  }

  endOffsetForEpoch(epoch: number): { epoch: number; endOffset: number } {
    if (epoch > this.latestEpoch) return { epoch: -1, endOffset: -1 }
    return { epoch, endOffset: this.logEndOffset }
  }

  epochOf(): number {
    return this.latestEpoch
  }

  setHighWatermark(offset: number): boolean {
    if (offset <= this.highWatermark) return false
    this.highWatermark = offset
    this.lastStableOffset = offset
    return true
  }

  bytesAvailable(fromOffset: number, upperOffset: number, maxBytes: number): number {
    return Math.min(maxBytes, Math.max(0, upperOffset - fromOffset) * FAKE_BATCH_BYTES)
  }

  endsInLaterSegment(fromOffset: number, upperOffset: number): boolean {
    return this.laterSegments.some((baseOffset) => fromOffset < baseOffset && baseOffset <= upperOffset)
  }

  abortedTransactions(): { producerId: number; firstOffset: number }[] {
    return []
  }

  read(
    from: number,
    maxBytes: number,
    upper: number,
    minOneBatch: boolean,
    out: ReadResult,
  ): boolean | Promise<boolean> {
    if (this.readError !== 0) return out.fail(this.readError) === 0
    const wanted = Math.min(upper - from, Math.floor(maxBytes / FAKE_BATCH_BYTES))
    const count = Math.max(wanted, minOneBatch ? 1 : 0)
    if (count <= 0) {
      out.clear()
      return this.cold ? Promise.resolve(true) : true
    }
    out.set(Buffer.alloc(count * FAKE_BATCH_BYTES), from + count - 1)
    return this.cold ? Promise.resolve(true) : true
  }

  asLog(): Log {
    return this as unknown as Log
  }
}
