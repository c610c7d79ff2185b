import { BaseError } from '@millrace/base'
import {
  type AbortedTransaction,
  BatchCursor,
  isControlBatch,
  isTransactionalBatch,
  lastOffsetOf,
  partitionLeaderEpochOf,
  producerIdOf,
  RecordReader,
  timestampTypeOf,
} from '@millrace/protocol'
import { ConsumerRecord, type RecordOrigin } from './consumer-record.ts'

/** Stored bytes that cannot be read. `cause` says what is wrong; seeking beyond `offset` goes on. */
export class UnreadableRecordError extends BaseError {
  readonly topic: string
  readonly partition: number
  /** Offset at which reading stopped. */
  readonly offset: bigint
  readonly retriable = false

  constructor(topic: string, partition: number, offset: bigint, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super('RECORD_UNREADABLE', `${topic}-${partition}: cannot read at offset ${offset}: ${reason}`, { cause })
    this.topic = topic
    this.partition = partition
    this.offset = offset
  }
}

export interface ChunkOptions {
  topic: string
  partition: number
  records: Buffer
  /** Records before it are passed over: a broker answers whole batches. */
  startOffset: number
  /** Null: aborted transactions are not left out (read_uncommitted). */
  abortedTransactions: readonly AbortedTransaction[] | null
  checkCrcs: boolean
  /** A compressed batch that expands to more is not read. */
  maxExpandedBytes: number
}

const ABORT_MARKER = 0

/**
 * The bytes that one fetch brought for one partition, expanded and decoded batch by batch as records are taken, so that memory holds
 * what was received and not what it expands to.
 */
export class FetchedChunk {
  readonly sizeBytes: number
  /** Offset after the last complete batch: where the next fetch goes on. */
  readonly endOffset: number
  readonly #options: ChunkOptions
  readonly #cursor: BatchCursor
  readonly #reader = new RecordReader()
  readonly #aborts: readonly { producerId: number; firstOffset: number }[]
  #nextAbort = 0
  readonly #abortedProducers = new Set<number>()
  #origin: RecordOrigin | null = null
  #nextOffset: number
  #batchEndOffset = -1
  #leaderEpoch = -1
  #done = false
  #failure: UnreadableRecordError | null = null

  /** Throws `CorruptBatchError` if the batches cannot even be told apart. */
  constructor(options: ChunkOptions) {
    this.#options = options
    this.sizeBytes = options.records.length
    this.#cursor = new BatchCursor(options.records)
    this.#nextOffset = options.startOffset
    this.#aborts = (options.abortedTransactions ?? [])
      .map(({ producerId, firstOffset }) => ({ producerId: Number(producerId), firstOffset: Number(firstOffset) }))
      .sort((a, b) => a.firstOffset - b.firstOffset)
    this.endOffset = this.#scanEnd()
  }

  /** Offset of the next record that {@link read} could give. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  /** Where the batch that reading is at, or failed in, ends among the bytes. */
  get batchEndBytes(): number {
    return this.#cursor.position + this.#cursor.sizeInBytes
  }

  /** Leader epoch of the last batch that was read, -1 before the first. */
  get leaderEpoch(): number {
    return this.#leaderEpoch
  }

  /** Whether everything was read. */
  get isDone(): boolean {
    return this.#done
  }

  /** Appends at most `maxCount` records to `out`. Throws {@link UnreadableRecordError}; what was appended before it stays valid. */
  read(maxCount: number, out: ConsumerRecord[]): void {
    // The cursor is behind the damage already: reading on would pass over it in silence.
    if (this.#failure !== null) throw this.#failure
    const limit = out.length + maxCount
    const reader = this.#reader
    try {
      while (out.length < limit) {
        if (this.#origin === null && !this.#openBatch()) {
          this.#done = true
          return
        }
        const origin = this.#origin!
        while (out.length < limit) {
          if (!reader.next()) {
            this.#closeBatch()
            break
          }
          if (reader.offset < this.#nextOffset) continue
          out.push(new ConsumerRecord(origin, reader))
          this.#nextOffset = reader.offset + 1
        }
      }
    } catch (cause) {
      const { topic, partition } = this.#options
      this.#failure = new UnreadableRecordError(topic, partition, BigInt(this.#nextOffset), cause)
      throw this.#failure
    }
  }

  /** Opens the next batch with records for the application, passing over markers and aborted ones. False at the end. */
  #openBatch(): boolean {
    const cursor = this.#cursor
    const { buffer } = cursor
    while (cursor.next()) {
      const { position, magic } = cursor
      if (this.#options.checkCrcs) cursor.checkCrc()
      const isLegacy = magic < 2
      if (!isLegacy) {
        this.#batchEndOffset = lastOffsetOf(buffer, position) + 1
        this.#leaderEpoch = partitionLeaderEpochOf(buffer, position)
        if (this.#isHidden(buffer, position)) {
          this.#nextOffset = Math.max(this.#nextOffset, this.#batchEndOffset)
          continue
        }
      }
      const { topic, partition, maxExpandedBytes } = this.#options
      this.#reader.open(buffer, position, maxExpandedBytes)
      this.#origin = {
        topic,
        partition,
        leaderEpoch: isLegacy ? -1 : this.#leaderEpoch,
        timestampType: isLegacy ? 'CreateTime' : timestampTypeOf(buffer, position),
      }
      return true
    }
    return false
  }

  #closeBatch(): void {
    this.#origin = null
    // Compaction may have removed a batch's last records: go on behind where they were.
    if (this.#batchEndOffset > this.#nextOffset) this.#nextOffset = this.#batchEndOffset
  }

  /** Markers always; with read_committed also batches of transactions that were aborted. */
  #isHidden(buffer: Buffer, position: number): boolean {
    const producerId = producerIdOf(buffer, position)
    const lastOffset = lastOffsetOf(buffer, position)
    while (this.#nextAbort < this.#aborts.length && this.#aborts[this.#nextAbort]!.firstOffset <= lastOffset) {
      this.#abortedProducers.add(this.#aborts[this.#nextAbort]!.producerId)
      this.#nextAbort++
    }
    if (isControlBatch(buffer, position)) {
      if (this.#abortedProducers.has(producerId) && this.#isAbortMarker(buffer, position)) {
        this.#abortedProducers.delete(producerId)
      }
      return true
    }
    return isTransactionalBatch(buffer, position) && this.#abortedProducers.has(producerId)
  }

  #isAbortMarker(buffer: Buffer, position: number): boolean {
    this.#reader.open(buffer, position)
    if (!this.#reader.next()) return false
    const key = this.#reader.key()
    // Key of a control record: int16 version, int16 type.
    return key !== null && key.length >= 4 && key.readInt16BE(2) === ABORT_MARKER
  }

  #scanEnd(): number {
    const cursor = new BatchCursor(this.#options.records)
    let endOffset = this.#options.startOffset
    while (cursor.next()) {
      // In all formats the offset stands first; a compressed wrapper of an old format has its last record's.
      const last =
        cursor.magic < 2
          ? Number(cursor.buffer.readBigInt64BE(cursor.position))
          : lastOffsetOf(cursor.buffer, cursor.position)
      endOffset = Math.max(endOffset, last + 1)
    }
    return endOffset
  }
}
