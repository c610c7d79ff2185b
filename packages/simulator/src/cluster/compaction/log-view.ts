import type { StoredBatch, StoredRecord, StoredSegment } from './stored-batches.ts'

/** The records of one transaction, as far as they are still in the log. */
export interface StoredTransaction {
  readonly firstOffset: number
  readonly offsets: number[]
}

/** A log as its files have it, with what follows from that: which records count, and which are the newest of their keys. */
export class LogView {
  readonly segments: readonly StoredSegment[]
  /** Below it nothing can change: it is committed, and of no open transaction. */
  readonly stableOffset: number
  /** By the base offset of the marker that ended it. */
  readonly transactions = new Map<number, StoredTransaction>()
  /** Of each known producer the last batch of records, unless a marker of a later epoch came behind it. */
  readonly lastBatches = new Map<number, StoredBatch>()
  readonly #aborted = new Set<number>()

  /** `committedOffset`: what lies at or above says nothing yet. */
  constructor(segments: readonly StoredSegment[], committedOffset: number) {
    this.segments = segments
    const open = new Map<number, StoredTransaction>()
    for (const batch of batchesOf(segments)) {
      if (batch.producerId < 0) continue
      if (batch.isControl) this.#onControl(batch, open, committedOffset)
      else {
        this.lastBatches.set(batch.producerId, batch)
        if (batch.isTransactional) noteRecords(batch, open)
      }
    }
    const firstOpen = Math.min(...Array.from(open.values(), ({ firstOffset }) => firstOffset))
    this.stableOffset = Math.min(committedOffset, firstOpen)
  }

  /** Its transaction was aborted. */
  isAborted(offset: number): boolean {
    return this.#aborted.has(offset)
  }

  /** The newest offset of each key below `endOffset`, of records that are not younger than `youngestMs`. */
  newest(endOffset: number, youngestMs: number): Map<string, number> {
    const newest = new Map<string, number>()
    for (const { offset, key, timestamp } of this.records()) {
      if (offset >= endOffset) break
      if (key !== null && timestamp <= youngestMs) newest.set(key, offset)
    }
    return newest
  }

  /** All that count for readers, in order: markers and aborted records are none. */
  *records(): Iterable<StoredRecord> {
    for (const { isControl, records } of batchesOf(this.segments)) {
      if (isControl) continue
      for (const record of records) if (!this.isAborted(record.offset)) yield record
    }
  }

  #onControl(batch: StoredBatch, open: Map<number, StoredTransaction>, committedOffset: number): void {
    const { producerId, producerEpoch } = batch
    const last = this.lastBatches.get(producerId)
    if (last !== undefined && producerEpoch > last.producerEpoch) this.lastBatches.delete(producerId)
    if (batch.marker === null || batch.lastOffset >= committedOffset) return
    const transaction = open.get(producerId)
    if (transaction === undefined) return
    open.delete(producerId)
    this.transactions.set(batch.baseOffset, transaction)
    if (batch.marker === 'abort') for (const offset of transaction.offsets) this.#aborted.add(offset)
  }
}

export function* batchesOf(segments: readonly StoredSegment[]): Iterable<StoredBatch> {
  for (const { batches } of segments) yield* batches
}

function noteRecords({ producerId, baseOffset, records }: StoredBatch, open: Map<number, StoredTransaction>): void {
  let transaction = open.get(producerId)
  if (transaction === undefined) {
    transaction = { firstOffset: baseOffset, offsets: [] }
    open.set(producerId, transaction)
  }
  for (const { offset } of records) transaction.offsets.push(offset)
}
