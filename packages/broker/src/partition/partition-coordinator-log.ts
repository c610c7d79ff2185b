import type { Offset } from '@millrace/base'
import { ErrorCode, isControlBatch, producerEpochOf, producerIdOf } from '@millrace/protocol'
import { AppendResult, ReadResult } from '@millrace/storage'
import { type CoordinatorLog, LogDamageError, type TransactionalAppend } from '../coordinator/coordinator-log.ts'
import type { Partition } from './partition.ts'
import type { PartitionManager } from './partition-manager.ts'

/** Bytes per chunk when a coordinator replays its partition. */
const REPLAY_CHUNK_BYTES = 1024 * 1024

/** A led partition of an internal topic, as its coordinator sees it. */
export class PartitionCoordinatorLog implements CoordinatorLog {
  readonly #partition: Partition
  readonly #partitions: PartitionManager
  readonly #isVerificationRequired: () => boolean
  readonly #appended = new AppendResult()

  /** `isVerificationRequired`: `transaction.partition.verification.enable`, as it is now. */
  constructor(partition: Partition, partitions: PartitionManager, isVerificationRequired: () => boolean = () => true) {
    this.#partition = partition
    this.#partitions = partitions
    this.#isVerificationRequired = isVerificationRequired
  }

  get topic(): string {
    return this.#partition.topic
  }

  get partition(): number {
    return this.#partition.partition
  }

  get logStartOffset(): Offset {
    return this.#partition.log.logStartOffset
  }

  get logEndOffset(): Offset {
    return this.#partition.log.logEndOffset
  }

  get highWatermark(): Offset {
    return this.#partition.log.highWatermark
  }

  get acceptsLoss(): boolean {
    return this.#partition.config.acceptsLoss
  }

  append(batch: Buffer, transaction?: TransactionalAppend): number {
    const error = this.#partition.checkLeader(-1)
    if (error !== 0) return error
    // As for a producer with acks=all: it could not be committed soon.
    if (!this.#partition.hasEnoughReplicas()) return ErrorCode.NOT_ENOUGH_REPLICAS
    const { log, leaderEpoch } = this.#partition
    const refusal = transaction === undefined ? 0 : this.#refusal(batch, transaction)
    if (refusal !== 0) return refusal
    const version = transaction?.transactionVersion ?? 0
    const code = log.append(batch, 0, batch.length, 'coordinator', leaderEpoch, this.#appended, version)
    if (code !== 0) return code
    if (transaction !== undefined) this.#onTransaction(batch)
    this.#partitions.touched(this.#partition)
    return code
  }

  #refusal(batch: Buffer, { verification }: TransactionalAppend): number {
    if (isControlBatch(batch, 0)) return ErrorCode.NONE
    const { verifications, log } = this.#partition
    const [producerId, producerEpoch] = [producerIdOf(batch, 0), producerEpochOf(batch, 0)]
    return verifications.refusal(log, producerId, producerEpoch, -1, verification, this.#isVerificationRequired())
  }

  #onTransaction(batch: Buffer): void {
    const { verifications } = this.#partition
    const [producerId, producerEpoch] = [producerIdOf(batch, 0), producerEpochOf(batch, 0)]
    if (isControlBatch(batch, 0)) verifications.onMarker(producerId, producerEpoch)
    else verifications.onAppended(producerId, producerEpoch)
  }

  onHighWatermark(listener: (highWatermark: Offset) => void): void {
    this.#partition.setHighWatermarkListener(listener)
  }

  async *read(fromOffset: Offset, toOffset: Offset): AsyncIterable<Buffer> {
    const result = new ReadResult()
    let offset = fromOffset
    while (offset < toOffset) {
      // What came in this turn is only in memory until its end.
      if (this.#partition.log.writtenOffset < toOffset) await this.#partitions.whenFlushed()
      const { log } = this.#partition
      const ok = await log.read(offset, REPLAY_CHUNK_BYTES, toOffset, true, result)
      // It was moved meanwhile: the one in its place has the same.
      if (!ok && this.#partition.log !== log) continue
      if (!ok) throw this.#unreadable(offset, result.errorCode)
      if (result.sizeBytes === 0) {
        // A full disk, for example: it may be tried again.
        if (log.writtenOffset < toOffset) throw this.#unreadable(offset, ErrorCode.KAFKA_STORAGE_ERROR)
        return
      }
      const lastOffset = result.lastOffset
      // Copies: the chunk outlives the mapping's lease, and replaying may take a while.
      yield Buffer.concat(result.buffers)
      offset = lastOffset + 1
    }
  }

  #unreadable(offset: Offset, errorCode: number): Error {
    const message = `${this.topic}-${this.partition}: unreadable records at offset ${offset} (error ${errorCode})`
    const damaged = this.#partition.log.faultyRanges.find(
      ({ startOffset, endOffset }) => startOffset <= offset && offset < endOffset,
    )
    return damaged === undefined ? new Error(message) : new LogDamageError(message, offset, damaged.endOffset)
  }
}
