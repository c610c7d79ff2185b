import {
  type AbortedTransaction,
  baseSequenceOf,
  batchSizeOf,
  buildEndTxnMarker,
  ControlRecordType,
  createAbortedTransaction,
  ErrorCode,
  isControlBatch,
  isTransactionalBatch,
  lastOffsetDeltaOf,
  maxTimestampOf,
  producerEpochOf,
  producerIdOf,
  recordCountOf,
  setBaseOffset,
  setPartitionLeaderEpoch,
} from '@millrace/protocol'

interface StoredBatch {
  baseOffset: number
  lastOffset: number
  bytes: Buffer
}

interface ProducerState {
  epoch: number
  nextSequence: number
  /** The last five batches by `sequence/count`, with their base offsets. */
  recent: Map<string, number>
}

const REMEMBERED_BATCHES = 5

/** One partition's log with Kafka's rules for idempotent producers. */
export class FakePartition {
  leaderId: number
  leaderEpoch = 0
  logStartOffset = 0
  /** Refuses larger batches. */
  maxMessageBytes = 1_048_588
  /** What fetches say of aborted transactions, in place of what is known of them. */
  abortedTransactions: AbortedTransaction[] | null = null
  /** First offsets of transactions without a marker, by producer id. */
  readonly openTransactions = new Map<number, number>()
  readonly #aborted: { producerId: number; firstOffset: number; lastOffset: number }[] = []
  readonly batches: StoredBatch[] = []
  readonly #producers = new Map<number, ProducerState>()

  constructor(leaderId: number) {
    this.leaderId = leaderId
  }

  get endOffset(): number {
    return this.batches.at(-1) === undefined ? this.logStartOffset : this.batches.at(-1)!.lastOffset + 1
  }

  get lastStableOffset(): number {
    return Math.min(this.endOffset, ...this.openTransactions.values())
  }

  /** The aborted transactions that a read from `offset` on may meet. */
  abortedFrom(offset: number): AbortedTransaction[] | null {
    if (this.abortedTransactions !== null) return this.abortedTransactions
    return this.#aborted
      .filter(({ lastOffset }) => lastOffset >= offset)
      .map(({ producerId, firstOffset }) => createAbortedTransaction({ producerId, firstOffset }))
  }

  /** The batches that a reader with read_committed sees. */
  committedBatches(): StoredBatch[] {
    return this.batches.filter(({ baseOffset, bytes }) => {
      if (isControlBatch(bytes, 0) || baseOffset >= this.lastStableOffset) return false
      const producerId = producerIdOf(bytes, 0)
      return !this.#aborted.some(
        (one) => one.producerId === producerId && one.firstOffset <= baseOffset && baseOffset < one.lastOffset,
      )
    })
  }

  moveTo(leaderId: number): void {
    this.leaderId = leaderId
    this.leaderEpoch++
  }

  /** Moves to a leader that restored its state from a snapshot: it knows each producer's last batch only. */
  restoreAt(leaderId: number): void {
    this.moveTo(leaderId)
    for (const { recent } of this.#producers.values()) {
      for (const key of [...recent.keys()].slice(0, -1)) recent.delete(key)
    }
  }

  /** Stores one batch as a leader does. */
  append(batch: Buffer): { errorCode: number; baseOffset: number } {
    if (batchSizeOf(batch, 0) > this.maxMessageBytes) return { errorCode: ErrorCode.MESSAGE_TOO_LARGE, baseOffset: -1 }
    const producerId = producerIdOf(batch, 0)
    if (producerId >= 0) {
      const verdict = this.#checkSequence(producerId, batch)
      if (verdict !== null) return verdict
    }
    if (isTransactionalBatch(batch, 0) && !this.openTransactions.has(producerId)) {
      this.openTransactions.set(producerId, this.endOffset)
    }
    return { errorCode: ErrorCode.NONE, baseOffset: this.#store(batch) }
  }

  /** Stores what only a leader writes: a marker has no sequence number to check. */
  appendMarker(batch: Buffer): void {
    this.openTransactions.delete(producerIdOf(batch, 0))
    this.#store(batch)
  }

  /** Ends a producer's transaction by a marker. Batches of lower epochs are refused from now on. */
  endTransaction(producerId: number, producerEpoch: number, committed: boolean): void {
    const type = committed ? ControlRecordType.COMMIT : ControlRecordType.ABORT
    const firstOffset = this.openTransactions.get(producerId)
    if (firstOffset !== undefined && !committed) {
      this.#aborted.push({ producerId, firstOffset, lastOffset: this.endOffset })
    }
    this.appendMarker(buildEndTxnMarker({ type, producerId, producerEpoch, coordinatorEpoch: 0, timestamp: 0 }))
    const state = this.#producers.get(producerId)
    if (state === undefined || producerEpoch > state.epoch) {
      this.#producers.set(producerId, { epoch: producerEpoch, nextSequence: 0, recent: new Map() })
    }
  }

  #store(batch: Buffer): number {
    const bytes = Buffer.from(batch)
    const baseOffset = this.endOffset
    setBaseOffset(bytes, 0, baseOffset)
    setPartitionLeaderEpoch(bytes, 0, this.leaderEpoch)
    this.batches.push({ baseOffset, lastOffset: baseOffset + lastOffsetDeltaOf(bytes, 0), bytes })
    return baseOffset
  }

  /** Whole batches from the one with `offset` on, below `endOffset`, at most `maxBytes` but at least one. */
  read(offset: number, maxBytes: number, endOffset = Number.MAX_SAFE_INTEGER): Buffer {
    const found: Buffer[] = []
    let sizeBytes = 0
    for (const { lastOffset, bytes } of this.batches) {
      if (lastOffset < offset) continue
      if (lastOffset >= endOffset) break
      if (found.length > 0 && sizeBytes + bytes.length > maxBytes) break
      found.push(bytes)
      sizeBytes += bytes.length
    }
    return Buffer.concat(found)
  }

  /** Offset of the first batch with a record at or after the time; -1 if there is none. */
  offsetAt(timestamp: number): number {
    return this.batches.find(({ bytes }) => maxTimestampOf(bytes, 0) >= timestamp)?.baseOffset ?? -1
  }

  #checkSequence(producerId: number, batch: Buffer): { errorCode: number; baseOffset: number } | null {
    const epoch = producerEpochOf(batch, 0)
    const sequence = baseSequenceOf(batch, 0)
    const count = recordCountOf(batch, 0)
    let state = this.#producers.get(producerId)
    if (state === undefined || epoch > state.epoch) {
      if (sequence !== 0) return { errorCode: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, baseOffset: -1 }
      state = { epoch, nextSequence: 0, recent: new Map() }
      this.#producers.set(producerId, state)
    }
    if (epoch < state.epoch) return { errorCode: ErrorCode.INVALID_PRODUCER_EPOCH, baseOffset: -1 }
    const key = `${sequence}/${count}`
    const known = state.recent.get(key)
    if (known !== undefined) return { errorCode: ErrorCode.NONE, baseOffset: known }
    if (sequence !== state.nextSequence) return { errorCode: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, baseOffset: -1 }
    state.nextSequence += count
    state.recent.set(key, this.endOffset)
    if (state.recent.size > REMEMBERED_BATCHES) state.recent.delete(state.recent.keys().next().value!)
    return null
  }
}
