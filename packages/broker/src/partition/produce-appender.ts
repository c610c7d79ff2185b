import type { Clock, Offset } from '@millrace/base'
import {
  ErrorCode,
  type ProduceRules,
  ProduceValidation,
  type RecordError,
  validateProduceBatch,
} from '@millrace/protocol'
import { AppendResult } from '@millrace/storage'
import type { TopicMetrics } from '../metrics/topic-metrics.ts'
import type { Partition } from './partition.ts'
import type { PartitionManager } from './partition-manager.ts'

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
}

/** Entries of RecordErrors in one answer: enough to find the fault, too few to make a large answer of a small request. */
const MAX_RECORD_ERRORS = 100

/** Appends what producers send, by the rules of `replication-and-transactions.md`, 1.2, steps 3 to 10. */
export class ProduceAppender {
  readonly #partitions: PartitionManager
  readonly #clock: Clock
  readonly #metrics: TopicMetrics
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

  constructor(partitions: PartitionManager, clock: Clock, metrics: TopicMetrics) {
    this.#partitions = partitions
    this.#clock = clock
    this.#metrics = metrics
  }

  /** Appends `buffer[start, end)` (start -1: null), which may be changed in place. Returns the error code; 0: `outcome` has the offsets. */
  append(
    partition: Partition,
    buffer: Buffer,
    start: number,
    end: number,
    apiVersion: number,
    acksAll: boolean,
    outcome: ProduceOutcome,
  ): number {
    const leaderError = partition.checkLeader(-1)
    if (leaderError !== ErrorCode.NONE) return leaderError
    if (acksAll && !partition.hasEnoughReplicas()) return ErrorCode.NOT_ENOUGH_REPLICAS
    if (start < 0) return ErrorCode.INVALID_RECORD
    const validation = this.#validation
    if (!this.#validate(partition, buffer, start, end, apiVersion)) {
      this.#metrics.total.bytesRejected += end - start
      return this.#refused(partition, outcome)
    }
    // There is no transaction coordinator: no transaction can be open.
    if (validation.transactional) return ErrorCode.INVALID_TXN_STATE
    const { log } = partition
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
      this.#count(partition, size, validation.recordCount)
      this.#partitions.touched(partition)
    }
    return ErrorCode.NONE
  }

  #validate(partition: Partition, buffer: Buffer, start: number, end: number, apiVersion: number): boolean {
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
    return validateProduceBatch(buffer, start, end, rules, this.#validation)
  }

  #refused(partition: Partition, outcome: ProduceOutcome): number {
    const { errorCode, recordErrors, errorMessage } = this.#validation
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
