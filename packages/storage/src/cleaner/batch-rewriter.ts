import type { Offset, ProducerId } from '@millrace/base'
import {
  BATCH_HEADER_BYTES,
  BatchBuilder,
  baseOffsetOf,
  baseSequenceOf,
  baseTimestampOf,
  batchCodecOf,
  batchSizeOf,
  type CodecId,
  hasDeleteHorizon,
  hasLogAppendTime,
  isControlBatch,
  isTransactionalBatch,
  lastOffsetDeltaOf,
  lastOffsetOf,
  maxTimestampOf,
  partitionLeaderEpochOf,
  producerEpochOf,
  producerIdOf,
  RecordReader,
  timestampTypeOf,
} from '@millrace/protocol'
import type { CleanOrder } from './clean-orders.ts'
import type { CleanTransactions } from './clean-transactions.ts'
import type { KeyOffsets } from './key-offsets.ts'
import { OffsetOrder } from './offset-order.ts'

/** A batch that stays goes as it is, or anew in {@link BatchRewriter.rewritten}; one that goes leaves nothing. */
export type BatchFate = 'as it is' | 'rewritten' | 'gone'

/**
 * Decides what stays of each batch (replication-and-transactions.md, 4; KIP-534), and writes the batch anew where that is not all. What
 * is written anew keeps base offset, last offset, sequence, leader epoch and codec.
 */
export class BatchRewriter {
  /** The batch after 'rewritten'; valid until the next call. */
  rewritten: Buffer
  readRecordCount: number
  keptRecordCount: number
  keylessCount: number
  /** Batches that went, or were written anew. */
  changedCount: number
  /** When the first of the tombstones and markers that stay, and that nothing else keeps, may go; Infinity: there are none. */
  nextHorizonMs: number
  /** A batch that cannot be read was met, and stays: nobody knows which of its records the tombstones and markers behind it have deleted. */
  keepsTombstones: boolean
  readonly #order: CleanOrder
  readonly #keys: KeyOffsets
  readonly #transactions: CleanTransactions
  /** Of each known producer what it sent last, as far as that is told or was indexed. */
  readonly #lastDataOffsets: ReadonlyMap<ProducerId, Offset>
  readonly #laterProducers: ReadonlySet<ProducerId>
  readonly #markerEpochs: ReadonlyMap<ProducerId, number>
  readonly #reader: RecordReader
  readonly #builder: BatchBuilder
  /** Which records of the batch stay, one byte each. */
  #stays: Uint8Array

  /** `lastIndexed`: of each of the order's later producers, the last offset of its last data batch in the dirty part, if it has one. */
  constructor(
    order: CleanOrder,
    keys: KeyOffsets,
    transactions: CleanTransactions,
    lastIndexed: ReadonlyMap<ProducerId, Offset>,
  ) {
    this.rewritten = Buffer.alloc(0)
    this.readRecordCount = 0
    this.keptRecordCount = 0
    this.keylessCount = 0
    this.changedCount = 0
    this.nextHorizonMs = Number.POSITIVE_INFINITY
    this.keepsTombstones = false
    this.#order = order
    this.#keys = keys
    this.#transactions = transactions
    this.#lastDataOffsets = new Map([...order.lastDataOffsets, ...lastIndexed])
    this.#laterProducers = new Set(order.laterProducers)
    this.#markerEpochs = new Map(order.markerEpochs)
    this.#reader = new RecordReader()
    this.#builder = new BatchBuilder()
    this.#stays = new Uint8Array(1024)
  }

  /**
   * Looks at the sound batch at `position`. `isLast`: it ends its new segment, and stays at least as an empty batch, so that offsets go on
   * behind it without a gap. Throws `CorruptBatchError` and `CompressionError` if its records cannot be read.
   */
  rewrite(buffer: Buffer, position: number, isLast: boolean): BatchFate {
    const isControl = isControlBatch(buffer, position)
    const end = position + batchSizeOf(buffer, position)
    const isSpent = isControl
      ? this.#transactions.isSpent(buffer, position, end)
      : this.#transactions.isAborted(buffer, position)
    const mustStay = isLast || this.#isLastOfProducer(buffer, position)
    const isEmpty = end - position === BATCH_HEADER_BYTES
    if (isEmpty) return mustStay ? 'as it is' : 'gone'
    const horizonMs = hasDeleteHorizon(buffer, position) ? baseTimestampOf(buffer, position) : -1
    if (isControl) return this.#rewriteMarker(buffer, position, isSpent, horizonMs, mustStay)
    if (isSpent) {
      this.#reader.open(buffer, position)
      while (this.#reader.next()) this.readRecordCount++
      return mustStay ? this.#leaveEmpty(buffer, position) : 'gone'
    }
    return this.#rewriteData(buffer, position, horizonMs, mustStay)
  }

  /** Whether nothing else tells the last sequence of its producer, or its epoch. */
  #isLastOfProducer(buffer: Buffer, position: number): boolean {
    const producerId = producerIdOf(buffer, position)
    if (producerId < 0) return false
    if (isControlBatch(buffer, position))
      return this.#markerEpochs.get(producerId) === producerEpochOf(buffer, position)
    const lastOffset = this.#lastDataOffsets.get(producerId)
    // Of what lies in the clean part alone nobody knows which is the last: all of them stay, until the producer is met in a dirty one.
    // Nor of what was not indexed, since the memory for keys was full.
    const isUnknown = lastOffset === undefined || lastOffsetOf(buffer, position) > this.#keys.latestOffset
    if (isUnknown && this.#laterProducers.has(producerId)) return true
    return lastOffset === lastOffsetOf(buffer, position)
  }

  #rewriteMarker(buffer: Buffer, position: number, isSpent: boolean, horizonMs: number, mustStay: boolean): BatchFate {
    this.readRecordCount++
    if (isSpent && this.#isExpired(horizonMs)) {
      return mustStay ? this.#leaveEmpty(buffer, position) : 'gone'
    }
    this.keptRecordCount++
    if (isSpent) this.#noteHorizon(horizonMs)
    if (!isSpent || horizonMs >= 0) return 'as it is'
    this.#begin(buffer, position, this.#newHorizonMs())
    this.#reader.open(buffer, position)
    while (this.#reader.next()) this.#copyRecord()
    this.rewritten = this.#builder.build()
    return 'rewritten'
  }

  #rewriteData(buffer: Buffer, position: number, horizonMs: number, mustStay: boolean): BatchFate {
    const { keptCount, readCount, hasTombstones } = this.#chooseRecords(buffer, position, horizonMs)
    this.readRecordCount += readCount
    this.keptRecordCount += keptCount
    if (keptCount === 0) return mustStay ? this.#leaveEmpty(buffer, position) : 'gone'
    // What lies behind the keys that are known stays for other reasons.
    if (hasTombstones && lastOffsetOf(buffer, position) <= this.#keys.latestOffset) this.#noteHorizon(horizonMs)
    const needsHorizon = hasTombstones && horizonMs < 0
    if (keptCount === readCount && !needsHorizon) return 'as it is'
    this.#begin(buffer, position, needsHorizon ? this.#newHorizonMs() : horizonMs >= 0 ? horizonMs : null)
    // Of what was expanded for the choice nothing has to be expanded again.
    const { bytes } = this.#reader
    if (batchCodecOf(buffer, position) === 0) this.#reader.open(buffer, position)
    else this.#reader.openExpanded(buffer, position, bytes)
    for (let slot = 0; this.#reader.next(); slot++) if (this.#stays[slot] === 1) this.#copyRecord()
    this.rewritten = this.#builder.build()
    return 'rewritten'
  }

  #chooseRecords(
    buffer: Buffer,
    position: number,
    horizonMs: number,
  ): { keptCount: number; readCount: number; hasTombstones: boolean } {
    const reader = this.#reader
    const isExpired = this.#isExpired(horizonMs)
    let keptCount = 0
    let readCount = 0
    let hasTombstones = false
    const offsets = new OffsetOrder(buffer, position)
    reader.open(buffer, position)
    for (; reader.next(); readCount++) {
      offsets.check(reader.offsetDelta)
      const stays = this.#stayed(isExpired)
      if (stays) keptCount++
      if (stays && reader.valueLength < 0) hasTombstones = true
      if (readCount === this.#stays.length) this.#growStays()
      this.#stays[readCount] = stays ? 1 : 0
    }
    return { keptCount, readCount, hasTombstones }
  }

  /** Whether the reader's record stays. */
  #stayed(isExpired: boolean): boolean {
    const { bytes, offset, keyPosition, keyLength, valueLength } = this.#reader
    if (offset > this.#keys.latestOffset) return true
    if (keyLength < 0) {
      this.keylessCount++
      return false
    }
    if (valueLength < 0 && isExpired) return false
    return offset >= this.#keys.get(bytes, keyPosition, keyPosition + keyLength)
  }

  #growStays(): void {
    const grown = new Uint8Array(2 * this.#stays.length)
    grown.set(this.#stays)
    this.#stays = grown
  }

  #isExpired(horizonMs: number): boolean {
    return !this.keepsTombstones && horizonMs >= 0 && horizonMs <= this.#order.nowMs
  }

  #noteHorizon(horizonMs: number): void {
    if (this.keepsTombstones) return
    this.nextHorizonMs = Math.min(this.nextHorizonMs, horizonMs < 0 ? this.#newHorizonMs() : horizonMs)
  }

  #newHorizonMs(): number {
    return Math.min(this.#order.nowMs + this.#order.deleteRetentionMs, Number.MAX_SAFE_INTEGER)
  }

  #copyRecord(): void {
    const reader = this.#reader
    const timestamp = reader.exactTimestamp()
    this.#builder.appendEncoded(reader.offsetDelta, timestamp, reader.bytes, reader.bodyPosition, reader.recordEnd)
  }

  /** The timestamps of what stays say anew which is the largest, unless they are all the leader's own. */
  #begin(buffer: Buffer, position: number, deleteHorizonMs: number | null): void {
    this.#builder.reset({
      ...identityOf(buffer, position),
      codec: batchCodecOf(buffer, position) as CodecId,
      maxTimestamp: hasLogAppendTime(buffer, position) ? maxTimestampOf(buffer, position) : null,
      deleteHorizonMs,
    })
  }

  /** A header alone, with all that tells of the producer and the time. */
  #leaveEmpty(buffer: Buffer, position: number): BatchFate {
    this.#builder.reset({
      ...identityOf(buffer, position),
      maxTimestamp: maxTimestampOf(buffer, position),
      deleteHorizonMs: null,
    })
    this.rewritten = this.#builder.build()
    return 'rewritten'
  }
}

function identityOf(buffer: Buffer, position: number) {
  return {
    timestampType: timestampTypeOf(buffer, position),
    baseOffset: baseOffsetOf(buffer, position),
    lastOffsetDelta: lastOffsetDeltaOf(buffer, position),
    partitionLeaderEpoch: partitionLeaderEpochOf(buffer, position),
    producerId: producerIdOf(buffer, position),
    producerEpoch: producerEpochOf(buffer, position),
    baseSequence: baseSequenceOf(buffer, position),
    transactional: isTransactionalBatch(buffer, position),
    control: isControlBatch(buffer, position),
  }
}
