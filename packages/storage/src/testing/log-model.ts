import type { LeaderEpoch, Offset } from '@millrace/base'

/** A batch as it must be stored. Offsets inclusive. */
export interface ModelBatch {
  baseOffset: Offset
  lastOffset: Offset
  epoch: LeaderEpoch
  bytes: Buffer
}

/** A log as one would write it without thinking: a list of batches. */
export class LogModel {
  batches: ModelBatch[]
  logStartOffset: Offset
  logEndOffset: Offset

  constructor() {
    this.batches = []
    this.logStartOffset = 0
    this.logEndOffset = 0
  }

  copy(): LogModel {
    const copy = new LogModel()
    copy.batches = [...this.batches]
    copy.logStartOffset = this.logStartOffset
    copy.logEndOffset = this.logEndOffset
    return copy
  }

  append(batch: ModelBatch): void {
    this.batches = [...this.batches, batch]
    this.logEndOffset = batch.lastOffset + 1
  }

  truncateTo(offset: Offset): void {
    this.batches = this.batches.filter(({ lastOffset }) => lastOffset < offset)
    this.logEndOffset = Math.min(this.logEndOffset, offset)
    this.logStartOffset = Math.min(this.logStartOffset, offset)
  }

  startAt(offset: Offset): void {
    this.batches = []
    this.logStartOffset = offset
    this.logEndOffset = offset
  }

  /** The batch that holds `offset`, or the first one after it. */
  find(offset: Offset): ModelBatch | null {
    return this.batches.find(({ lastOffset }) => lastOffset >= offset) ?? null
  }

  /** What a read of `[fromOffset, upperOffset)` gives. */
  read(fromOffset: Offset, maxBytes: number, upperOffset: Offset, minOneBatch: boolean): Buffer {
    const taken: Buffer[] = []
    let sizeBytes = 0
    for (const batch of this.batches) {
      if (batch.lastOffset < fromOffset) continue
      if (batch.lastOffset >= upperOffset) break
      if (sizeBytes + batch.bytes.length > maxBytes && !(minOneBatch && taken.length === 0)) break
      taken.push(batch.bytes)
      sizeBytes += batch.bytes.length
    }
    return Buffer.concat(taken)
  }
}
