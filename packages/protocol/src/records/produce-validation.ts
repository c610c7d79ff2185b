import type { TimestampType } from './batch-header.ts'

/** What a topic demands of the batches that producers send, and the request's circumstances. A caller may keep one and change it. */
export interface ProduceRules {
  apiVersion: number
  /** The leader's wall clock. */
  nowMs: number
  /** `max.message.bytes`: largest batch, as sent and as stored. */
  maxMessageBytes: number
  /** `cleanup.policy` contains `compact`: every record needs a key. */
  compactedTopic: boolean
  timestampType: TimestampType
  /** `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`; only with CreateTime. */
  timestampBeforeMaxMs: number
  timestampAfterMaxMs: number
  /** Codec id that batches are stored with; null keeps the producer's (`compression.type=producer`). */
  targetCodec: number | null
  /** Compression level if the batch must be compressed anew; null: the codec's default. */
  level: number | null
  /**
   * Expand every compressed batch to check its records. Without it only those are expanded whose records matter (compacted topic, other
   * codec, timestamps out of bounds), and damage within the others is left for readers to find, as in other brokers that pass them through.
   */
  deep: boolean
  /** Most entries of `recordErrors`, which a small request could otherwise turn into a large answer. */
  maxRecordErrorCount: number
}

/** One record that was refused (KIP-467). */
export interface RecordError {
  /** Place of the record in its batch. */
  readonly batchIndex: number
  readonly message: string
}

/** The answer of `validateProduceBatch`; one object may serve many calls. */
export class ProduceValidation {
  /** 0, or the error to answer; then nothing may be appended and of what follows only the next three fields mean anything. */
  errorCode = 0
  /** Why, for the log of the broker. */
  reason: string | null = null
  /** `ErrorMessage` and `RecordErrors` of the answer: only when single records were refused, as in Kafka. */
  errorMessage: string | null = null
  recordErrors: RecordError[] | null = null
  /** The batch to append, `batch[start, end)`: the input, corrected in place, or a new buffer if it had to be rebuilt. */
  batch: Buffer = EMPTY
  start = 0
  end = 0
  rebuilt = false
  recordCount = 0
  /** Largest timestamp of the records, or the append time; -1 if none has one. */
  maxTimestamp = -1
  producerId = -1
  producerEpoch = -1
  /** -1 for producers without id. */
  baseSequence = -1
  lastSequence = -1
  transactional = false

  /** Notes a failure; returns false for the validator's chain of checks. */
  refuse(errorCode: number, reason: string): false {
    this.errorCode = errorCode
    this.reason = reason
    return false
  }
}

const EMPTY = Buffer.alloc(0)
