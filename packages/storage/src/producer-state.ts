import { assert, type Offset, type ProducerId, type TimestampMs } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { EndedTransactions } from './ended-transactions.ts'
import { ProducerEntry } from './producer-entry.ts'

/** Who appends, which says how much is checked (replication-and-transactions.md, 1.1). */
export type AppendOrigin = 'client' | 'coordinator' | 'replication'

/** What {@link ProducerState.checkData} answers for a batch that is in the log already. */
export const DUPLICATE_BATCH = -1

/**
 * So many producers are remembered of which a partition has nothing but end markers. Anybody can have one written for each partition there
 * is without a single record, and for honest producers it is rare: they keep a late marker or batch out as all do, until others come.
 */
const MAX_WITHOUT_DATA = 100

/** A transaction whose marker was appended. Offsets are inclusive. */
export interface EndedTransaction {
  producerId: ProducerId
  firstOffset: Offset
  lastOffset: Offset
}

/**
 * Producers of one partition (replication-and-transactions.md, 8): sequence windows for idempotence, open transactions for the last
 * stable offset. State is a function of the log: replay gives the same as the leader had (R14).
 */
export class ProducerState {
  /** State covers the log up to here. */
  mapEndOffset: Offset
  readonly #producers: Map<ProducerId, ProducerEntry>
  /** Those of which only markers were seen, the oldest first. One that a snapshot brought counts as any other. */
  readonly #withoutData: Set<ProducerId>
  /** First offset to producer of the open transactions; insertion order is offset order. */
  readonly #ongoing: Map<Offset, ProducerId>
  /** Those whose marker is not below the high watermark yet. */
  readonly #unreplicated: EndedTransactions
  /** The entry that the last check looked at, so that the update after it need not look again. Null: a new producer. */
  #checked: ProducerEntry | null
  duplicateFirstOffset: Offset
  duplicateLastOffset: Offset
  duplicateTimestamp: TimestampMs

  constructor(mapEndOffset: Offset) {
    this.mapEndOffset = mapEndOffset
    this.#producers = new Map()
    this.#withoutData = new Set()
    this.#ongoing = new Map()
    this.#unreplicated = new EndedTransactions()
    this.#checked = null
    this.duplicateFirstOffset = -1
    this.duplicateLastOffset = -1
    this.duplicateTimestamp = -1
  }

  get count(): number {
    return this.#producers.size
  }

  /** Producers that have written something: of the others there are few, whatever clients do. */
  get writerCount(): number {
    return this.#producers.size - this.#withoutData.size
  }

  /** Whether the producer is one of {@link writerCount}. */
  isWriter(producerId: ProducerId): boolean {
    return this.#producers.has(producerId) && !this.#withoutData.has(producerId)
  }

  /** No producer, and no transaction that holds the last stable offset back. */
  get isEmpty(): boolean {
    return this.#producers.size === 0 && this.#unreplicated.isEmpty
  }

  producers(): Iterable<ProducerEntry> {
    return this.#producers.values()
  }

  entry(producerId: ProducerId): ProducerEntry | null {
    return this.#producers.get(producerId) ?? null
  }

  /** First offset of the oldest transaction that is open, or whose marker is not below the high watermark; -1 if none. */
  get firstUnstableOffset(): Offset {
    const undecided = this.firstUndecidedOffset
    const { firstOffset } = this.#unreplicated
    if (undecided < 0 || firstOffset < 0) return Math.max(undecided, firstOffset)
    return Math.min(undecided, firstOffset)
  }

  /** First offset of the oldest open transaction, or -1. */
  get firstUndecidedOffset(): Offset {
    if (this.#ongoing.size === 0) return -1
    for (const offset of this.#ongoing.keys()) return offset
    return -1
  }

  openTransactions(): { producerId: ProducerId; firstOffset: Offset }[] {
    return Array.from(this.#ongoing, ([firstOffset, producerId]) => ({ producerId, firstOffset }))
  }

  /**
   * Whether a data batch may be appended: 0, an error code, or {@link DUPLICATE_BATCH} with the `duplicate` fields set. Changes
   * nothing else. Hot path.
   */
  checkData(
    origin: AppendOrigin,
    producerId: ProducerId,
    producerEpoch: number,
    baseSequence: number,
    lastOffsetDelta: number,
    transactional: boolean,
  ): number {
    const entry = this.#producers.get(producerId) ?? null
    this.#checked = entry
    if (origin === 'replication' || entry === null) return ErrorCode.NONE
    if (origin === 'client') {
      const slot = entry.findBatch(producerEpoch, baseSequence, lastSequenceOf(baseSequence, lastOffsetDelta))
      if (slot >= 0) {
        this.duplicateLastOffset = entry.lastOffsetAt(slot)
        this.duplicateFirstOffset = this.duplicateLastOffset - entry.offsetDeltaAt(slot)
        this.duplicateTimestamp = entry.timestampAt(slot)
        return DUPLICATE_BATCH
      }
    }
    if (producerEpoch < entry.producerEpoch) return ErrorCode.INVALID_PRODUCER_EPOCH
    if (origin === 'client' && !follows(entry, producerEpoch, baseSequence))
      return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    if (entry.currentTransactionFirstOffset >= 0 && !transactional) return ErrorCode.INVALID_TXN_STATE
    return ErrorCode.NONE
  }

  /** Notes an appended data batch that was checked just before. Hot path. */
  onData(
    producerId: ProducerId,
    producerEpoch: number,
    baseSequence: number,
    firstOffset: Offset,
    lastOffset: Offset,
    timestamp: TimestampMs,
    transactional: boolean,
  ): void {
    let entry = this.#checked
    if (entry === null || entry.producerId !== producerId) entry = this.#entryFor(producerId)
    this.#checked = null
    if (this.#withoutData.size > 0) this.#withoutData.delete(producerId)
    const delta = lastOffset - firstOffset
    entry.addBatch(producerEpoch, lastSequenceOf(baseSequence, delta), lastOffset, delta, timestamp)
    if (transactional && entry.currentTransactionFirstOffset < 0) {
      entry.currentTransactionFirstOffset = firstOffset
      this.#ongoing.set(firstOffset, producerId)
    }
  }

  /** Whether an end marker may be appended: 0 or an error code. `transactionVersion` 2 and above: the strict rule of KIP-890. */
  checkMarker(
    producerId: ProducerId,
    producerEpoch: number,
    coordinatorEpoch: number,
    transactionVersion: number,
  ): number {
    const entry = this.#producers.get(producerId) ?? null
    if (entry === null) return ErrorCode.NONE
    const known = entry.producerEpoch
    const refused = transactionVersion >= 2 ? producerEpoch <= known : producerEpoch < known
    // A repeated marker whose answer was lost; 32767 lets a producer out whose epochs ran over.
    const repeated =
      transactionVersion >= 2 &&
      producerEpoch === known &&
      (entry.currentTransactionFirstOffset < 0 || producerEpoch === 32767)
    if (refused && !repeated) return ErrorCode.INVALID_PRODUCER_EPOCH
    if (coordinatorEpoch < entry.coordinatorEpoch) return ErrorCode.TRANSACTION_COORDINATOR_FENCED
    return ErrorCode.NONE
  }

  /** Notes an appended end marker. Returns the transaction it ended if that has data, for {@link completeTransaction}. */
  onMarker(
    producerId: ProducerId,
    producerEpoch: number,
    coordinatorEpoch: number,
    offset: Offset,
    timestamp: TimestampMs,
  ): EndedTransaction | null {
    const isNew = !this.#producers.has(producerId)
    const entry = this.#entryFor(producerId)
    // A newer marker makes it the newest.
    if (isNew || this.#withoutData.delete(producerId)) this.#addWithoutData(producerId)
    const firstOffset = entry.currentTransactionFirstOffset
    entry.endTransaction(producerEpoch, coordinatorEpoch, timestamp)
    return firstOffset < 0 ? null : { producerId, firstOffset, lastOffset: offset }
  }

  /** What the transaction index records as last stable offset of an ended transaction. Before {@link completeTransaction}. */
  lastStableOffsetOf(ended: EndedTransaction): Offset {
    for (const [firstOffset, producerId] of this.#ongoing) if (producerId !== ended.producerId) return firstOffset
    return ended.lastOffset + 1
  }

  /** The transaction is decided; it holds the last stable offset back until its marker is below the high watermark. */
  completeTransaction(ended: EndedTransaction): void {
    const known = this.#ongoing.delete(ended.firstOffset)
    assert(known, 'ended transaction was open')
    this.#unreplicated.add(ended)
  }

  /** Forgets ended transactions whose marker is below the high watermark. True if one of them held the last stable offset back. */
  onHighWatermark(highWatermark: Offset): boolean {
    return this.#unreplicated.passTo(highWatermark)
  }

  /** Drops producers idle for `expirationMs` without an open transaction. */
  removeExpired(nowMs: TimestampMs, expirationMs: number): void {
    for (const entry of this.#producers.values()) {
      if (!isExpired(entry, nowMs, expirationMs)) continue
      this.#producers.delete(entry.producerId)
      this.#withoutData.delete(entry.producerId)
    }
  }

  /** Replaces everything by the entries of a snapshot at `mapEndOffset`, the expired ones left out. */
  load(entries: readonly ProducerEntry[], mapEndOffset: Offset, nowMs: TimestampMs, expirationMs: number): void {
    this.clear(mapEndOffset)
    const open: ProducerEntry[] = []
    for (const entry of entries) {
      if (isExpired(entry, nowMs, expirationMs)) continue
      this.#producers.set(entry.producerId, entry)
      if (entry.currentTransactionFirstOffset >= 0) open.push(entry)
    }
    open.sort((left, right) => left.currentTransactionFirstOffset - right.currentTransactionFirstOffset)
    for (const entry of open) this.#ongoing.set(entry.currentTransactionFirstOffset, entry.producerId)
  }

  clear(mapEndOffset: Offset): void {
    this.#producers.clear()
    this.#withoutData.clear()
    this.#ongoing.clear()
    this.#unreplicated.clear()
    this.#checked = null
    this.mapEndOffset = mapEndOffset
  }

  #addWithoutData(producerId: ProducerId): void {
    this.#withoutData.add(producerId)
    if (this.#withoutData.size <= MAX_WITHOUT_DATA) return
    for (const oldest of this.#withoutData) {
      this.#withoutData.delete(oldest)
      this.#producers.delete(oldest)
      return
    }
  }

  #entryFor(producerId: ProducerId): ProducerEntry {
    let entry = this.#producers.get(producerId)
    if (entry === undefined) {
      entry = new ProducerEntry(producerId)
      this.#producers.set(producerId, entry)
    }
    return entry
  }
}

/** Sequences wrap from 2^31 - 1 to 0; -1 means none and stays. */
function lastSequenceOf(baseSequence: number, lastOffsetDelta: number): number {
  if (baseSequence < 0) return -1
  return (baseSequence + lastOffsetDelta) % 2 ** 31
}

function follows(entry: ProducerEntry, producerEpoch: number, baseSequence: number): boolean {
  if (entry.producerEpoch === -1) return true
  if (producerEpoch !== entry.producerEpoch) return baseSequence === 0
  const last = entry.lastSequence
  return baseSequence === last + 1 || (baseSequence === 0 && last === 2 ** 31 - 1)
}

function isExpired(entry: ProducerEntry, nowMs: TimestampMs, expirationMs: number): boolean {
  return entry.currentTransactionFirstOffset < 0 && nowMs - entry.lastTimestamp >= expirationMs
}
