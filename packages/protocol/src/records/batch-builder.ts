import { assert } from '@millrace/base'
import { CodecId } from '../compression/codec.ts'
import { compress, compressAsync } from '../compression/compress.ts'
import {
  ATTRIBUTES_POSITION,
  BASE_OFFSET_POSITION,
  BASE_SEQUENCE_POSITION,
  BASE_TIMESTAMP_POSITION,
  BATCH_HEADER_BYTES,
  CONTROL_BIT,
  DELETE_HORIZON_BIT,
  LAST_OFFSET_DELTA_POSITION,
  LENGTH_POSITION,
  LOG_APPEND_TIME_BIT,
  LOG_OVERHEAD_BYTES,
  MAGIC_POSITION,
  MAX_TIMESTAMP_POSITION,
  PARTITION_LEADER_EPOCH_POSITION,
  PRODUCER_EPOCH_POSITION,
  PRODUCER_ID_POSITION,
  RECORD_COUNT_POSITION,
  sealBatch,
  setInt64,
  type TimestampType,
  TRANSACTIONAL_BIT,
} from './batch-header.ts'
import { sizeOfVarint, sizeOfVarlong, writeVarint, writeVarlong } from './record-varint.ts'

/** What a batch says about itself. Anything left out is what an ordinary producer without id sends. */
export interface BatchOptions {
  readonly codec?: CodecId
  /** Compression level; null: the codec's default. */
  readonly level?: number | null
  readonly timestampType?: TimestampType
  /** Replaces the largest timestamp appended: the leader's time with LogAppendTime, the old value when compaction rewrites a batch. */
  readonly maxTimestamp?: number | bigint | null
  readonly baseOffset?: number | bigint
  /** Replaces the last record's delta, where compaction removed records at the end or all of them. */
  readonly lastOffsetDelta?: number | null
  readonly partitionLeaderEpoch?: number
  readonly producerId?: number | bigint
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly transactional?: boolean
  readonly control?: boolean
  /** From when compaction may remove the batch's tombstones and markers; the timestamps' deltas count from it. */
  readonly deleteHorizonMs?: number | bigint | null
  /** First size of the buffer; it grows twofold. */
  readonly initialSizeBytes?: number
}

/** A header to write. Keys may repeat. */
export interface RecordHeaderInput {
  readonly key: string
  readonly value: Uint8Array | null
}

const DEFAULT_SIZE_BYTES = 1024

/**
 * Writes one record batch of format 2. Records go into the buffer behind room for the header as they are appended, so that building an
 * uncompressed batch copies nothing:
 *
 *     const builder = new BatchBuilder({ codec: CodecId.LZ4 })
 *     builder.append(timestamp, key, value, null)
 *     const batch = builder.build()
 *
 * After `build()` nothing can be appended until `reset()`.
 */
export class BatchBuilder {
  private options: BatchOptions
  private buffer: Buffer
  private position: number
  private count: number
  private lastOffsetDelta: number
  private baseTimestamp: number | bigint
  private maxTimestamp: number | bigint
  private built: boolean

  constructor(options: BatchOptions = {}) {
    this.options = options
    this.buffer = Buffer.allocUnsafeSlow(Math.max(BATCH_HEADER_BYTES, options.initialSizeBytes ?? DEFAULT_SIZE_BYTES))
    this.position = BATCH_HEADER_BYTES
    this.count = 0
    this.lastOffsetDelta = -1
    this.baseTimestamp = -1
    this.maxTimestamp = -1
    this.built = false
    this.reset(options)
  }

  /** Begins a new batch in the same memory: an uncompressed batch built before must not be in use any more. */
  reset(options: BatchOptions = this.options): void {
    this.options = options
    this.position = BATCH_HEADER_BYTES
    this.count = 0
    this.lastOffsetDelta = -1
    this.baseTimestamp = options.deleteHorizonMs ?? -1
    this.maxTimestamp = -1
    this.built = false
  }

  get recordCount(): number {
    return this.count
  }

  /** Size of the batch so far, before compression. */
  get sizeInBytes(): number {
    return this.position
  }

  /** Sets who sends the batch, which an idempotent producer knows only when it sends. Before `build()`. */
  setProducerState(producerId: number | bigint, producerEpoch: number, baseSequence: number): void {
    assert(!this.built, 'the batch is built')
    this.options = { ...this.options, producerId, producerEpoch, baseSequence }
  }

  /** Appends a record with the next offset. Bytes are copied; strings are written as UTF-8. Hot path. */
  append(
    timestamp: number | bigint,
    key: Uint8Array | string | null,
    value: Uint8Array | string | null,
    headers: readonly RecordHeaderInput[] | null = null,
  ): void {
    this.appendAt(this.lastOffsetDelta + 1, timestamp, key, value, headers)
  }

  /** As {@link append} at `baseOffset + offsetDelta`, which must be above all before it. */
  appendAt(
    offsetDelta: number,
    timestamp: number | bigint,
    key: Uint8Array | string | null,
    value: Uint8Array | string | null,
    headers: readonly RecordHeaderInput[] | null = null,
  ): void {
    const timestampDelta = this.beginRecord(offsetDelta, timestamp)
    const keyLength = lengthOf(key)
    const valueLength = lengthOf(value)
    const bodySize =
      1 +
      sizeOfVarlong(timestampDelta) +
      sizeOfVarint(offsetDelta) +
      sizeOfVarint(keyLength) +
      Math.max(0, keyLength) +
      sizeOfVarint(valueLength) +
      Math.max(0, valueLength) +
      sizeOfHeaders(headers)
    this.reserve(5 + bodySize)
    const { buffer } = this
    let position = writeVarint(buffer, this.position, bodySize)
    buffer[position++] = 0 // attributes: none is defined
    position = writeVarlong(buffer, position, timestampDelta)
    position = writeVarint(buffer, position, offsetDelta)
    position = writeField(buffer, position, key, keyLength)
    position = writeField(buffer, position, value, valueLength)
    this.position = headers === null ? writeVarint(buffer, position, 0) : writeHeaders(buffer, position, headers)
    this.count++
  }

  /**
   * Appends a record whose key, value and headers are already encoded in `bytes[start, end)`: a `RecordReader`'s `bodyPosition` to its
   * `recordEnd`. How compaction and recompression copy records.
   */
  appendEncoded(offsetDelta: number, timestamp: number | bigint, bytes: Buffer, start: number, end: number): void {
    const timestampDelta = this.beginRecord(offsetDelta, timestamp)
    const bodySize = 1 + sizeOfVarlong(timestampDelta) + sizeOfVarint(offsetDelta) + end - start
    this.reserve(5 + bodySize)
    const { buffer } = this
    let position = writeVarint(buffer, this.position, bodySize)
    buffer[position++] = 0
    position = writeVarlong(buffer, position, timestampDelta)
    position = writeVarint(buffer, position, offsetDelta)
    bytes.copy(buffer, position, start, end)
    this.position = position + end - start
    this.count++
  }

  /**
   * The finished batch. Uncompressed it is a view of the builder's memory, valid until `reset()`; compressed a buffer of its own. A batch
   * without records is a bare header without codec, as compaction keeps it, and needs `lastOffsetDelta`.
   */
  build(): Buffer {
    const codec = this.finish()
    if (codec === CodecId.NONE) return this.sealed(this.buffer.subarray(0, this.position), codec)
    const { level = null } = this.options
    return this.sealed(
      compress(codec, this.buffer, BATCH_HEADER_BYTES, this.position, level, BATCH_HEADER_BYTES),
      codec,
    )
  }

  /** As {@link build}, compressing on the thread pool. The builder must be left alone until the promise settles. */
  async buildAsync(): Promise<Buffer> {
    const codec = this.finish()
    if (codec === CodecId.NONE) return this.sealed(this.buffer.subarray(0, this.position), codec)
    const { level = null } = this.options
    const batch = await compressAsync(codec, this.buffer, BATCH_HEADER_BYTES, this.position, level, BATCH_HEADER_BYTES)
    return this.sealed(batch, codec)
  }

  /** Notes offset and timestamp of the next record; returns its timestamp's delta. */
  private beginRecord(offsetDelta: number, timestamp: number | bigint): number | bigint {
    assert(!this.built, 'the batch is built')
    assert(offsetDelta > this.lastOffsetDelta, 'offsets must rise')
    this.lastOffsetDelta = offsetDelta
    if (this.count === 0) {
      if (!hasHorizon(this.options)) this.baseTimestamp = timestamp
      this.maxTimestamp = timestamp
    } else if (timestamp > this.maxTimestamp) {
      this.maxTimestamp = timestamp
    }
    const { baseTimestamp } = this
    if (typeof timestamp === 'number' && typeof baseTimestamp === 'number') {
      const delta = timestamp - baseTimestamp
      if (Number.isSafeInteger(delta)) return delta // two safe integers may be further apart than one reaches
    }
    return BigInt.asIntN(64, BigInt(timestamp) - BigInt(baseTimestamp))
  }

  private reserve(sizeBytes: number): void {
    const needed = this.position + sizeBytes
    if (needed <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.buffer.length))
    this.buffer.copy(grown, 0, 0, this.position)
    this.buffer = grown
  }

  private finish(): CodecId {
    assert(!this.built, 'the batch is built')
    assert(this.count > 0 || typeof this.options.lastOffsetDelta === 'number', 'an empty batch needs a last offset')
    this.built = true
    return this.count === 0 ? CodecId.NONE : (this.options.codec ?? CodecId.NONE)
  }

  private sealed(batch: Buffer, codec: CodecId): Buffer {
    const { options } = this
    setInt64(batch, BASE_OFFSET_POSITION, options.baseOffset ?? 0)
    batch.writeInt32BE(batch.length - LOG_OVERHEAD_BYTES, LENGTH_POSITION)
    batch.writeInt32BE(options.partitionLeaderEpoch ?? -1, PARTITION_LEADER_EPOCH_POSITION)
    batch[MAGIC_POSITION] = 2
    batch.writeInt16BE(attributesOf(options, codec), ATTRIBUTES_POSITION)
    batch.writeInt32BE(options.lastOffsetDelta ?? this.lastOffsetDelta, LAST_OFFSET_DELTA_POSITION)
    setInt64(batch, BASE_TIMESTAMP_POSITION, this.baseTimestamp)
    setInt64(batch, MAX_TIMESTAMP_POSITION, options.maxTimestamp ?? this.maxTimestamp)
    setInt64(batch, PRODUCER_ID_POSITION, options.producerId ?? -1)
    batch.writeInt16BE(options.producerEpoch ?? -1, PRODUCER_EPOCH_POSITION)
    batch.writeInt32BE(options.baseSequence ?? -1, BASE_SEQUENCE_POSITION)
    batch.writeInt32BE(this.count, RECORD_COUNT_POSITION)
    sealBatch(batch, 0)
    return batch
  }
}

/** An upper bound of what a record adds to a batch before compression. */
export function recordSizeBound(
  key: Uint8Array | string | null,
  value: Uint8Array | string | null,
  headers: readonly RecordHeaderInput[] | null = null,
): number {
  // 5 for the length, 1 for the attributes, 10 and 5 for the deltas, 5 for each of two lengths
  return 31 + Math.max(0, lengthOf(key)) + Math.max(0, lengthOf(value)) + sizeOfHeaders(headers)
}

function hasHorizon(options: BatchOptions): boolean {
  return options.deleteHorizonMs !== null && options.deleteHorizonMs !== undefined
}

function attributesOf(options: BatchOptions, codec: CodecId): number {
  let attributes: number = codec
  if (options.timestampType === 'LogAppendTime') attributes |= LOG_APPEND_TIME_BIT
  if (options.transactional === true) attributes |= TRANSACTIONAL_BIT
  if (options.control === true) attributes |= CONTROL_BIT
  if (hasHorizon(options)) attributes |= DELETE_HORIZON_BIT
  return attributes
}

function lengthOf(field: Uint8Array | string | null): number {
  if (field === null) return -1
  return typeof field === 'string' ? Buffer.byteLength(field) : field.length
}

function sizeOfHeaders(headers: readonly RecordHeaderInput[] | null): number {
  if (headers === null) return 1
  let size = sizeOfVarint(headers.length)
  for (const { key, value } of headers) {
    const keyLength = Buffer.byteLength(key)
    const valueLength = lengthOf(value)
    size += sizeOfVarint(keyLength) + keyLength + sizeOfVarint(valueLength) + Math.max(0, valueLength)
  }
  return size
}

function writeHeaders(buffer: Buffer, start: number, headers: readonly RecordHeaderInput[]): number {
  let position = writeVarint(buffer, start, headers.length)
  for (const { key, value } of headers) {
    position = writeField(buffer, position, key, Buffer.byteLength(key))
    position = writeField(buffer, position, value, lengthOf(value))
  }
  return position
}

function writeField(buffer: Buffer, start: number, field: Uint8Array | string | null, length: number): number {
  const position = writeVarint(buffer, start, length)
  if (field === null) return position
  if (typeof field === 'string') buffer.write(field, position, length, 'utf8')
  else buffer.set(field, position)
  return position + length
}
