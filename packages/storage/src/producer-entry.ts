import type { Offset, ProducerId, TimestampMs } from '@millrace/base'

/** Retries of this many last batches are recognized: what a producer may have in flight (KIP-98). */
const BATCH_COUNT_MAX = 5
const FIELDS = 4
const NO_BATCHES = new Float64Array(0)

/** What a partition knows of one producer. */
export class ProducerEntry {
  readonly producerId: ProducerId
  /** -1 before the first batch. */
  producerEpoch: number
  /** Of the last marker, -1 if none. */
  coordinatorEpoch: number
  lastTimestamp: TimestampMs
  /** -1 if no transaction is open. */
  currentTransactionFirstOffset: Offset
  /** Ring of (last sequence, last offset, offset delta, timestamp). Made with the first batch. */
  #batches: Float64Array
  #firstBatch: number
  #batchCount: number

  constructor(producerId: ProducerId) {
    this.producerId = producerId
    this.producerEpoch = -1
    this.coordinatorEpoch = -1
    this.lastTimestamp = -1
    this.currentTransactionFirstOffset = -1
    this.#batches = NO_BATCHES
    this.#firstBatch = 0
    this.#batchCount = 0
  }

  get batchCount(): number {
    return this.#batchCount
  }

  /** Of the newest batch; -1 if none is kept. */
  get lastSequence(): number {
    return this.#batchCount === 0 ? -1 : this.#batches[this.#newest()]!
  }

  get lastDataOffset(): Offset {
    return this.#batchCount === 0 ? -1 : this.#batches[this.#newest() + 1]!
  }

  get lastOffsetDelta(): number {
    return this.#batchCount === 0 ? 0 : this.#batches[this.#newest() + 2]!
  }

  /** Slot of the kept batch with exactly these sequences, -1 if none or of another epoch. */
  findBatch(producerEpoch: number, firstSequence: number, lastSequence: number): number {
    if (producerEpoch !== this.producerEpoch) return -1
    for (let number = 0; number < this.#batchCount; number++) {
      const slot = ((this.#firstBatch + number) % BATCH_COUNT_MAX) * FIELDS
      if (this.#batches[slot] !== lastSequence) continue
      const first = (lastSequence - this.#batches[slot + 2]! + 2 ** 31) % 2 ** 31
      if (first === firstSequence) return slot
    }
    return -1
  }

  lastOffsetAt(slot: number): Offset {
    return this.#batches[slot + 1]!
  }

  offsetDeltaAt(slot: number): number {
    return this.#batches[slot + 2]!
  }

  timestampAt(slot: number): TimestampMs {
    return this.#batches[slot + 3]!
  }

  addBatch(
    producerEpoch: number,
    lastSequence: number,
    lastOffset: Offset,
    offsetDelta: number,
    timestamp: TimestampMs,
  ): void {
    this.#adoptEpoch(producerEpoch)
    if (this.#batchCount === BATCH_COUNT_MAX) this.#firstBatch = (this.#firstBatch + 1) % BATCH_COUNT_MAX
    else this.#batchCount++
    if (this.#batches === NO_BATCHES) this.#batches = new Float64Array(BATCH_COUNT_MAX * FIELDS)
    const slot = this.#newest()
    this.#batches[slot] = lastSequence
    this.#batches[slot + 1] = lastOffset
    this.#batches[slot + 2] = offsetDelta
    this.#batches[slot + 3] = timestamp
    this.lastTimestamp = timestamp
  }

  endTransaction(producerEpoch: number, coordinatorEpoch: number, timestamp: TimestampMs): void {
    this.#adoptEpoch(producerEpoch)
    this.currentTransactionFirstOffset = -1
    this.coordinatorEpoch = coordinatorEpoch
    this.lastTimestamp = timestamp
  }

  /** A new epoch starts its sequences anew. */
  #adoptEpoch(producerEpoch: number): void {
    if (producerEpoch === this.producerEpoch) return
    this.producerEpoch = producerEpoch
    this.#batchCount = 0
    this.#firstBatch = 0
  }

  #newest(): number {
    return ((this.#firstBatch + this.#batchCount - 1) % BATCH_COUNT_MAX) * FIELDS
  }
}
