import type { RecordHeader, RecordReader, TimestampType } from '@millrace/protocol'

/** What the records of one stored batch have in common. */
export interface RecordOrigin {
  topic: string
  partition: number
  /** Epoch of the leader that stored the batch, -1 if unknown. */
  leaderEpoch: number
  timestampType: TimestampType
}

const NO_HEADERS: readonly RecordHeader[] = []

/**
 * One record as read. Key, value and header values are views into the fetched bytes, made when asked for: copy what you keep for
 * long, since a small view keeps the whole answer of the broker in memory.
 */
export class ConsumerRecord {
  /** Milliseconds since the Unix epoch, -1 for none. */
  readonly timestamp: number
  /** In the order they were written; names may repeat. */
  readonly headers: readonly RecordHeader[]
  private readonly origin: RecordOrigin
  private readonly bytes: Buffer
  private readonly offsetNumber: number
  private readonly keyPosition: number
  private readonly keyLength: number
  private readonly valuePosition: number
  private readonly valueLength: number

  /** Takes the reader's current record. */
  constructor(origin: RecordOrigin, reader: RecordReader) {
    this.timestamp = reader.timestamp
    this.headers = reader.headerCount === 0 ? NO_HEADERS : reader.headers()
    this.origin = origin
    this.bytes = reader.bytes
    this.offsetNumber = reader.offset
    this.keyPosition = reader.keyPosition
    this.keyLength = reader.keyLength
    this.valuePosition = reader.valuePosition
    this.valueLength = reader.valueLength
  }

  get topic(): string {
    return this.origin.topic
  }

  get partition(): number {
    return this.origin.partition
  }

  get leaderEpoch(): number {
    return this.origin.leaderEpoch
  }

  get timestampType(): TimestampType {
    return this.origin.timestampType
  }

  get offset(): bigint {
    return BigInt(this.offsetNumber)
  }

  get key(): Buffer | null {
    return this.keyLength < 0 ? null : this.bytes.subarray(this.keyPosition, this.keyPosition + this.keyLength)
  }

  get value(): Buffer | null {
    return this.valueLength < 0 ? null : this.bytes.subarray(this.valuePosition, this.valuePosition + this.valueLength)
  }

  /** Bytes of key and value, without making views of them. */
  get sizeBytes(): number {
    return Math.max(0, this.keyLength) + Math.max(0, this.valueLength)
  }

  /** The record as plain data, as loggers show it: bytes as UTF-8 text, the offset as a string. */
  toJSON(): Record<string, unknown> {
    return {
      topic: this.topic,
      partition: this.partition,
      offset: String(this.offset),
      timestamp: this.timestamp,
      key: this.key?.toString('utf8') ?? null,
      value: this.value?.toString('utf8') ?? null,
      headers: this.headers.map(({ key, value }) => [key, value?.toString('utf8') ?? null]),
    }
  }

  /** What `console.log` shows. */
  [Symbol.for('nodejs.util.inspect.custom')](): Record<string, unknown> {
    return this.toJSON()
  }
}

/** Records of one partition that were read together, in order, with the state of the partition at the time. */
export interface ConsumerBatch {
  topic: string
  partition: number
  /** Not empty. */
  records: ConsumerRecord[]
  /** Offset of the next record to read after these. Further than the last record's when markers or aborted records were passed. */
  nextOffset: bigint
  highWatermark: bigint
  logStartOffset: bigint
}
