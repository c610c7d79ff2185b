import { crc32c } from '../crc32c/crc32c.ts'

/**
 * The header of a record batch, format v2 (KIP-98), big-endian:
 * baseOffset i64, length i32 (of all that follows it), partitionLeaderEpoch i32, magic i8 = 2, crc u32 (CRC-32C from the attributes to
 * the end), attributes i16, lastOffsetDelta i32, baseTimestamp i64, maxTimestamp i64, producerId i64, producerEpoch i16, baseSequence
 * i32, recordCount i32. A leader stamps the first and the third field, which the checksum therefore leaves out.
 *
 * Functions take the buffer and the position where a batch begins; its 61 bytes must be readable, which `BatchCursor` makes sure.
 * They allocate nothing. An int64 is given as a number, rounded beyond 2^53: callers refuse what is not a safe integer, or take
 * {@link exactInt64At}.
 */
export const BATCH_HEADER_BYTES = 61
/** Base offset and length, which come before what the length counts; the same in every format. */
export const LOG_OVERHEAD_BYTES = 12
/** Up to here every format agrees: enough to tell them apart. */
export const BYTES_UP_TO_MAGIC = 17

// Where the fields lie, from the beginning of the batch.
export const BASE_OFFSET_POSITION = 0
export const LENGTH_POSITION = 8
export const PARTITION_LEADER_EPOCH_POSITION = 12
export const MAGIC_POSITION = 16
export const CRC_POSITION = 17
export const ATTRIBUTES_POSITION = 21
export const LAST_OFFSET_DELTA_POSITION = 23
export const BASE_TIMESTAMP_POSITION = 27
export const MAX_TIMESTAMP_POSITION = 35
export const PRODUCER_ID_POSITION = 43
export const PRODUCER_EPOCH_POSITION = 51
export const BASE_SEQUENCE_POSITION = 53
export const RECORD_COUNT_POSITION = 57

// Bits of the attributes.
export const CODEC_MASK = 0x07
export const LOG_APPEND_TIME_BIT = 0x08
export const TRANSACTIONAL_BIT = 0x10
export const CONTROL_BIT = 0x20
/** The base timestamp is the time from which tombstones and markers in the batch may go (KIP-534). */
export const DELETE_HORIZON_BIT = 0x40

/** Whose clock the timestamps of a batch are: the producer's, or that of the leader that appended it. As Kafka's settings spell it. */
export type TimestampType = 'CreateTime' | 'LogAppendTime'

/** Offset of the first record that the producer sent, also where compaction has removed it. */
export function baseOffsetOf(buffer: Buffer, position: number): number {
  return int64At(buffer, position)
}

/** Whole size in bytes, the overhead included, as the length field says. Unchecked: may be negative or beyond the buffer. */
export function batchSizeOf(buffer: Buffer, position: number): number {
  return int32At(buffer, position + LENGTH_POSITION) + LOG_OVERHEAD_BYTES
}

/** Epoch of the leader that appended the batch; -1 when unknown. */
export function partitionLeaderEpochOf(buffer: Buffer, position: number): number {
  return int32At(buffer, position + PARTITION_LEADER_EPOCH_POSITION)
}

/** Format: 2 for record batches, 0 and 1 for message sets; anything else is damage. */
export function magicOf(buffer: Buffer, position: number): number {
  return (buffer[position + MAGIC_POSITION]! << 24) >> 24
}

/** The stored checksum, unsigned. */
export function storedCrcOf(buffer: Buffer, position: number): number {
  return int32At(buffer, position + CRC_POSITION) >>> 0
}

/** The attribute bits. Kafka defines bits 0 to 6 only. */
export function attributesOf(buffer: Buffer, position: number): number {
  return (buffer[position + ATTRIBUTES_POSITION]! << 8) | buffer[position + ATTRIBUTES_POSITION + 1]!
}

/** Codec id, 0–7; 5 to 7 are not assigned. */
export function batchCodecOf(buffer: Buffer, position: number): number {
  return buffer[position + ATTRIBUTES_POSITION + 1]! & CODEC_MASK
}

export function timestampTypeOf(buffer: Buffer, position: number): TimestampType {
  return hasLogAppendTime(buffer, position) ? 'LogAppendTime' : 'CreateTime'
}

/** The leader's clock set the timestamps: every record has the batch's maxTimestamp. */
export function hasLogAppendTime(buffer: Buffer, position: number): boolean {
  return (buffer[position + ATTRIBUTES_POSITION + 1]! & LOG_APPEND_TIME_BIT) !== 0
}

export function isTransactionalBatch(buffer: Buffer, position: number): boolean {
  return (buffer[position + ATTRIBUTES_POSITION + 1]! & TRANSACTIONAL_BIT) !== 0
}

/** The batch holds one control record, such as a transaction marker, and is never given to applications. */
export function isControlBatch(buffer: Buffer, position: number): boolean {
  return (buffer[position + ATTRIBUTES_POSITION + 1]! & CONTROL_BIT) !== 0
}

export function hasDeleteHorizon(buffer: Buffer, position: number): boolean {
  return (buffer[position + ATTRIBUTES_POSITION + 1]! & DELETE_HORIZON_BIT) !== 0
}

export function lastOffsetDeltaOf(buffer: Buffer, position: number): number {
  return int32At(buffer, position + LAST_OFFSET_DELTA_POSITION)
}

/** Offset of the last record that the producer sent, also where compaction has removed it. */
export function lastOffsetOf(buffer: Buffer, position: number): number {
  return int64At(buffer, position) + int32At(buffer, position + LAST_OFFSET_DELTA_POSITION)
}

/** Timestamp that the records' deltas count from: the first record's, the delete horizon with {@link hasDeleteHorizon}, -1 if empty. */
export function baseTimestampOf(buffer: Buffer, position: number): number {
  return int64At(buffer, position + BASE_TIMESTAMP_POSITION)
}

/** Largest timestamp of the records; with {@link hasLogAppendTime} the timestamp of all of them. -1: none. */
export function maxTimestampOf(buffer: Buffer, position: number): number {
  return int64At(buffer, position + MAX_TIMESTAMP_POSITION)
}

/** -1 for a producer without id. */
export function producerIdOf(buffer: Buffer, position: number): number {
  return int64At(buffer, position + PRODUCER_ID_POSITION)
}

/** int16; -1 without a producer id. */
export function producerEpochOf(buffer: Buffer, position: number): number {
  return (int32At(buffer, position + PRODUCER_EPOCH_POSITION - 2) << 16) >> 16
}

/** Sequence number of the first record; -1 for producers without id and for markers. */
export function baseSequenceOf(buffer: Buffer, position: number): number {
  return int32At(buffer, position + BASE_SEQUENCE_POSITION)
}

/** Sequence number of the last record, or -1. */
export function lastSequenceOf(buffer: Buffer, position: number): number {
  const baseSequence = baseSequenceOf(buffer, position)
  return baseSequence === -1 ? -1 : addToSequence(baseSequence, lastOffsetDeltaOf(buffer, position))
}

/** The sequence number `increment` records on: after 2^31 - 1 comes 0. */
export function addToSequence(sequence: number, increment: number): number {
  return (sequence + increment) % 2 ** 31
}

/** How many records the batch says it holds. Unchecked; fewer than offsets after compaction. */
export function recordCountOf(buffer: Buffer, position: number): number {
  return int32At(buffer, position + RECORD_COUNT_POSITION)
}

/** Outside the checksum. */
export function setBaseOffset(buffer: Buffer, position: number, baseOffset: number): void {
  setInt64(buffer, position, baseOffset)
}

/** Outside the checksum. */
export function setPartitionLeaderEpoch(buffer: Buffer, position: number, epoch: number): void {
  buffer.writeInt32BE(epoch, position + PARTITION_LEADER_EPOCH_POSITION)
}

/** Sets type and maxTimestamp and, if that changed anything, the checksum. The whole batch must be readable. */
export function setTimestamps(buffer: Buffer, position: number, type: TimestampType, maxTimestamp: number): void {
  const low = buffer[position + ATTRIBUTES_POSITION + 1]!
  const attributes = type === 'LogAppendTime' ? low | LOG_APPEND_TIME_BIT : low & ~LOG_APPEND_TIME_BIT
  if (attributes === low && maxTimestampOf(buffer, position) === maxTimestamp) return
  buffer[position + ATTRIBUTES_POSITION + 1] = attributes
  setInt64(buffer, position + MAX_TIMESTAMP_POSITION, maxTimestamp)
  sealBatch(buffer, position)
}

/** Sets who produced the batch and the checksum. The whole batch must be readable. */
export function setProducer(
  buffer: Buffer,
  position: number,
  producerId: number | bigint,
  producerEpoch: number,
  baseSequence: number,
): void {
  setInt64(buffer, position + PRODUCER_ID_POSITION, producerId)
  buffer.writeInt16BE(producerEpoch, position + PRODUCER_EPOCH_POSITION)
  buffer.writeInt32BE(baseSequence, position + BASE_SEQUENCE_POSITION)
  sealBatch(buffer, position)
}

/** Computes and stores the checksum of a complete batch. */
export function sealBatch(buffer: Buffer, position: number): void {
  const end = position + batchSizeOf(buffer, position)
  buffer.writeUInt32BE(crc32c(buffer, position + ATTRIBUTES_POSITION, end), position + CRC_POSITION)
}

/** Whether the batch is at least a header long, ends within the buffer, and has the checksum that it stores. */
export function batchCrcOk(buffer: Buffer, position: number): boolean {
  const end = position + batchSizeOf(buffer, position)
  if (end - position < BATCH_HEADER_BYTES || end > buffer.length) return false
  return crc32c(buffer, position + ATTRIBUTES_POSITION, end) === storedCrcOf(buffer, position)
}

/** Big-endian int32 at `position`, which must lie in the buffer. */
export function int32At(buffer: Buffer, position: number): number {
  return (
    (buffer[position]! << 24) | (buffer[position + 1]! << 16) | (buffer[position + 2]! << 8) | buffer[position + 3]!
  )
}

/** Big-endian int64 at `position` as a number: exact if that is a safe integer, otherwise rounded and still no safe integer. */
export function int64At(buffer: Buffer, position: number): number {
  return int32At(buffer, position) * 2 ** 32 + (int32At(buffer, position + 4) >>> 0)
}

/** As {@link int64At}, but a bigint where the number would be rounded. For tools; brokers refuse such values. */
export function exactInt64At(buffer: Buffer, position: number): number | bigint {
  const value = int64At(buffer, position)
  return Number.isSafeInteger(value) ? value : buffer.readBigInt64BE(position)
}

/** Stores an int64, a safe integer if it is a number. */
export function setInt64(buffer: Buffer, position: number, value: number | bigint): void {
  if (typeof value === 'bigint') {
    buffer.writeBigInt64BE(value, position)
    return
  }
  buffer.writeInt32BE(Math.floor(value / 2 ** 32), position)
  buffer.writeUInt32BE(value >>> 0, position + 4)
}
