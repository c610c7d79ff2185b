import type { DiskFile, Offset, TimestampMs } from '@millrace/base'
import { maxTimestampOf } from '@millrace/protocol'
import { BatchScanner } from './batch-scanner.ts'

/** A damaged part of a log file: the offsets that are lost with it, and where the next sound batch starts. */
export interface Hole {
  startOffset: Offset
  endOffset: Offset
  endPosition: number
}

/**
 * Walks a log file from its start for what its offset and time index must hold, and for what is damaged in it. It goes on in pieces, so
 * that a large segment does not keep the event loop, and puts nothing into the indexes: what is appended meanwhile does.
 */
export class IndexRebuild {
  /** Entries to come, each as two numbers: last offset and position, timestamp and offset. */
  readonly offsetEntries: number[]
  readonly timeEntries: number[]
  readonly holes: Hole[]
  /** Largest batch timestamp, -1 if there is none, and the last offset of the batch where it first appeared. */
  maxTimestamp: TimestampMs
  maxTimestampOffset: Offset
  /** Of batches since the last entry of the offset index. */
  bytesSinceEntry: number
  readonly #scanner: BatchScanner
  readonly #indexIntervalBytes: number
  /** Batches end below. */
  #endOffset: Offset
  /** In a damaged place, whose end is searched for. */
  #isSearching: boolean
  /** At a batch whose checksum is not known yet. */
  #isChecking: boolean

  /** `sizeBytes`: how long the log is; `endOffset`: where it ends, or infinite. */
  constructor(file: DiskFile, sizeBytes: number, baseOffset: Offset, endOffset: Offset, indexIntervalBytes: number) {
    this.offsetEntries = []
    this.timeEntries = []
    this.holes = []
    this.maxTimestamp = -1
    this.maxTimestampOffset = baseOffset
    this.bytesSinceEntry = 0
    this.#scanner = new BatchScanner(file, 0, sizeBytes, baseOffset)
    this.#indexIntervalBytes = indexIntervalBytes
    this.#endOffset = endOffset
    this.#isSearching = false
    this.#isChecking = false
  }

  /** Where it reads next. */
  get position(): number {
    return this.#scanner.readPosition
  }

  /** First offset of the damaged place that the walk is in, -1 if it is in none. */
  get damagedFrom(): Offset {
    return this.#isSearching ? this.#scanner.expectedOffset : -1
  }

  /** The log may have grown, and its file have been opened anew. */
  goOn(file: DiskFile, sizeBytes: number, endOffset: Offset): void {
    this.#scanner.goOn(file, sizeBytes)
    this.#endOffset = endOffset
  }

  /** Walks about so many bytes further, also where that ends in the middle of a batch. True at the end. Throws `DiskError`. */
  walk(sizeBytes: number): boolean {
    const scanner = this.#scanner
    const limit = scanner.position + sizeBytes
    while (scanner.position < limit) {
      if (this.#isSearching) {
        const found = this.#search(limit - scanner.position)
        if (found !== 'batch') return found === 'end'
      } else {
        const found = this.#isChecking ? 'batch' : scanner.next()
        if (found === 'end') return true
        // What follows a base offset that is too high would look too low, were it believed.
        const isWhole = found === 'batch' && scanner.isWholeWithin(this.#endOffset, limit - scanner.position)
        this.#isChecking = isWhole === null
        if (this.#isChecking) return false
        this.#isSearching = isWhole === false
      }
      if (!this.#isSearching) this.#count()
    }
    return false
  }

  #search(sizeBytes: number): 'batch' | 'end' | 'more' {
    const { expectedOffset: startOffset } = this.#scanner
    const found = this.#scanner.resyncWithin(this.#endOffset, sizeBytes)
    if (found !== 'batch') return found
    const { baseOffset: endOffset, position: endPosition } = this.#scanner
    this.holes.push({ startOffset, endOffset, endPosition })
    this.#isSearching = false
    return found
  }

  /** Notes the entries that are due for the current batch: see `SegmentIndexes.onAppended`. */
  #count(): void {
    const { header, headerPosition, position, sizeBytes, lastOffset } = this.#scanner
    const maxTimestamp = maxTimestampOf(header, headerPosition)
    if (maxTimestamp > this.maxTimestamp) {
      this.maxTimestamp = maxTimestamp
      this.maxTimestampOffset = lastOffset
    }
    if (this.bytesSinceEntry > this.#indexIntervalBytes) {
      this.offsetEntries.push(lastOffset, position)
      this.timeEntries.push(this.maxTimestamp, this.maxTimestampOffset)
      this.bytesSinceEntry = 0
    }
    this.bytesSinceEntry += sizeBytes
  }
}
