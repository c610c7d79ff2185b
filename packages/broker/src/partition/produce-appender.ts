import type { Clock, Offset } from '@millrace/base'
import {
  ErrorCode,
  needsExpanding,
  type ProduceRules,
  ProduceValidation,
  type RecordError,
  validateProduceBatch,
} from '@millrace/protocol'
import { AppendResult } from '@millrace/storage'
import type { TopicMetrics } from '../metrics/topic-metrics.ts'
import type { Partition } from './partition.ts'
import type { PartitionManager } from './partition-manager.ts'
import type { ProducerLimit } from './producer-limit.ts'
import { RefusedProducers } from './refused-producers.ts'
import type { Verification } from './transaction-verifications.ts'

export type { RecordError } from '@millrace/protocol'

/** What a producer is told about one partition. */
export interface ProduceOutcome {
  baseOffset: Offset
  /** -1 unless the topic stamps arrival times. */
  logAppendTimeMs: number
  logStartOffset: Offset
  /** The high watermark at which the records are committed. */
  requiredOffset: Offset
  recordErrors: readonly RecordError[] | null
  errorMessage: string | null
  /** That the producer's transaction may begin in the partition was asked for; null: it was not, or need not be. */
  readonly verification: Verification | null
}

/** Entries of RecordErrors in one answer: enough to find the fault, too few to make a large answer of a small request. */
const MAX_RECORD_ERRORS = 100

/** Appends what producers send, by the rules of `replication-and-transactions.md`, 1.2, steps 3 to 10. */
export class ProduceAppender {
  readonly #partitions: PartitionManager
  readonly #clock: Clock
  readonly #metrics: TopicMetrics
  readonly #producers: ProducerLimit
  readonly #isVerificationRequired: () => boolean
  readonly #refusedProducers = new RefusedProducers()
  /** Filled anew for each append: the object would otherwise be garbage half a million times a second. */
  readonly #rules: ProduceRules = {
    apiVersion: 0,
    nowMs: 0,
    maxMessageBytes: 0,
    compactedTopic: false,
    timestampType: 'CreateTime',
    timestampBeforeMaxMs: 0,
    timestampAfterMaxMs: 0,
    targetCodec: null,
    level: null,
    deep: false,
    maxRecordErrorCount: MAX_RECORD_ERRORS,
  }
  readonly #validation = new ProduceValidation()
  readonly #appended = new AppendResult()

  /** `isVerificationRequired`: `transaction.partition.verification.enable`, as it is now. */
  constructor(
    partitions: PartitionManager,
    clock: Clock,
    metrics: TopicMetrics,
    producers: ProducerLimit,
    isVerificationRequired: () => boolean = () => true,
  ) {
    this.#isVerificationRequired = isVerificationRequired
    this.#partitions = partitions
    this.#clock = clock
    this.#metrics = metrics
    this.#producers = producers
  }

  /**
   * How many bytes of `buffer[start, end)` must be expanded or compressed before they can be appended: all or none. Expanding may give a
   * hundred times as many. Hot path.
   */
  heavyBytes(partition: Partition, buffer: Buffer, start: number, end: number): number {
    // The codec is in the low byte of the attributes, at 22.
    if (end - start < 61 || ((buffer[start + 22]! & 7) === 0 && partition.config.targetCodec === null)) return 0
    return needsExpanding(buffer, start, end, this.#rulesOf(partition, 0)) ? end - start : 0
  }

  /** The rules of a partition as they are now, to be kept. */
  rulesOf(partition: Partition, apiVersion: number): ProduceRules {
    return { ...this.#rulesOf(partition, apiVersion) }
  }

  /** Appends `buffer[start, end)` (start -1: null), which may be changed in place. Returns the error code; 0: `outcome` has the offsets. */
  append(
    partition: Partition,
    buffer: Buffer,
    start: number,
    end: number,
    apiVersion: number,
    acksAll: boolean,
    clientAddress: string,
    outcome: ProduceOutcome,
  ): number {
    const refusal = this.refusal(partition, buffer, start, end, acksAll)
    if (refusal !== ErrorCode.NONE) return refusal
    validateProduceBatch(buffer, start, end, this.#rulesOf(partition, apiVersion), this.#validation)
    return this.#appendChecked(partition, this.#validation, end - start, clientAddress, outcome)
  }

  /** As `append` for a batch of `sizeBytes` that was checked before, elsewhere. The partition may have changed since. */
  appendChecked(
    partition: Partition,
    validation: ProduceValidation,
    sizeBytes: number,
    acksAll: boolean,
    clientAddress: string,
    outcome: ProduceOutcome,
  ): number {
    const { batch, start, end } = validation
    const refusal = this.refusal(partition, batch, start, end, acksAll)
    if (refusal !== ErrorCode.NONE) return refusal
    return this.#appendChecked(partition, validation, sizeBytes, clientAddress, outcome)
  }

  /** Why `buffer[start, end)` cannot be appended whatever the bytes are, or 0. `start` -1: there are none. */
  refusal(partition: Partition, buffer: Buffer, start: number, end: number, acksAll: boolean): number {
    const leaderError = partition.checkLeader(-1)
    const isRefused = leaderError !== ErrorCode.NONE || (acksAll && !partition.hasEnoughReplicas())
    if (!isRefused) return start < 0 ? ErrorCode.INVALID_RECORD : ErrorCode.NONE
    this.#refusedProducers.note(partition, buffer, start, end)
    return leaderError === ErrorCode.NONE ? ErrorCode.NOT_ENOUGH_REPLICAS : leaderError
  }

  #appendChecked(
    partition: Partition,
    validation: ProduceValidation,
    sizeBytes: number,
    clientAddress: string,
    outcome: ProduceOutcome,
  ): number {
    if (validation.errorCode !== ErrorCode.NONE) {
      this.#metrics.total.bytesRejected += sizeBytes
      return this.#refused(partition, validation, outcome)
    }
    const { log } = partition
    const { producerId, producerEpoch, baseSequence, transactional } = validation
    const refusal = transactional ? this.#transactionRefusal(partition, validation, outcome.verification) : 0
    if (refusal !== ErrorCode.NONE) return refusal
    if (producerId >= 0 && !this.#refusedProducers.admits(partition, producerId, producerEpoch, baseSequence))
      return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    if (producerId >= 0 && !this.#producers.admits(log, producerId, clientAddress)) {
      this.#refusedProducers.note(partition, validation.batch, validation.start, validation.end)
      // Of the errors that producers know it is the one after which all of them send the same batch again, as not stored.
      outcome.errorMessage = 'the broker remembers as many producers as it may (producer.id.max.count)'
      return ErrorCode.NOT_ENOUGH_REPLICAS
    }
    const appended = this.#appended
    const size = validation.end - validation.start
    const error = log.append(
      validation.batch,
      validation.start,
      validation.end,
      'client',
      partition.leaderEpoch,
      appended,
    )
    if (error !== ErrorCode.NONE) return error
    outcome.baseOffset = appended.baseOffset
    outcome.logAppendTimeMs = appended.logAppendTimeMs
    outcome.logStartOffset = log.logStartOffset
    outcome.requiredOffset = appended.lastOffset + 1
    if (!appended.duplicate) {
      if (transactional) partition.verifications.onAppended(producerId, producerEpoch)
      this.#count(partition, size, validation.recordCount)
      this.#partitions.touched(partition)
    }
    return ErrorCode.NONE
  }

  /** Of a batch that comes again the answer is known, whatever became of its transaction since. */
  #transactionRefusal(
    partition: Partition,
    { producerId, producerEpoch, baseSequence, lastSequence }: ProduceValidation,
    verification: Verification | null,
  ): number {
    const { log, verifications } = partition
    if (producerId < 0) return ErrorCode.INVALID_TXN_STATE
    const entry = log.currentProducers().entry(producerId)
    if (entry !== null && entry.findBatch(producerEpoch, baseSequence, lastSequence) >= 0) return ErrorCode.NONE
    const isRequired = this.#isVerificationRequired()
    return verifications.refusal(log, producerId, producerEpoch, baseSequence, verification, isRequired)
  }

  #rulesOf(partition: Partition, apiVersion: number): ProduceRules {
    const { config } = partition
    const rules = this.#rules
    rules.apiVersion = apiVersion
    rules.nowMs = this.#clock.wallMs()
    rules.maxMessageBytes = config.maxMessageBytes
    rules.compactedTopic = config.compacted
    rules.timestampType = config.logAppendTime ? 'LogAppendTime' : 'CreateTime'
    rules.timestampBeforeMaxMs = config.timestampBeforeMaxMs
    rules.timestampAfterMaxMs = config.timestampAfterMaxMs
    rules.targetCodec = config.targetCodec
    rules.level = config.compressionLevel
    return rules
  }

  #refused(partition: Partition, validation: ProduceValidation, outcome: ProduceOutcome): number {
    const { errorCode, recordErrors, errorMessage } = validation
    outcome.recordErrors = recordErrors
    outcome.errorMessage = errorMessage
    // Kafka tells the log start where the records were looked into, and -1 where they were not.
    if (recordErrors !== null || errorCode === ErrorCode.INVALID_RECORD)
      outcome.logStartOffset = partition.log.logStartOffset
    return errorCode
  }

  #count(partition: Partition, sizeBytes: number, recordCount: number): void {
    const { total } = this.#metrics
    total.messagesIn += recordCount
    total.bytesIn += sizeBytes
    const { counters } = partition
    counters.messagesIn += recordCount
    counters.bytesIn += sizeBytes
  }
}
