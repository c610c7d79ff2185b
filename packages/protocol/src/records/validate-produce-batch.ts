import { CodecId, CompressionError } from '../compression/codec.ts'
import { codecOf } from '../compression/codec-table.ts'
import { decompress } from '../compression/compress.ts'
import { ErrorCode } from '../errors/index.ts'
import { BatchBuilder } from './batch-builder.ts'
import {
  BATCH_HEADER_BYTES,
  BYTES_UP_TO_MAGIC,
  baseOffsetOf,
  baseSequenceOf,
  baseTimestampOf,
  batchCodecOf,
  batchCrcOk,
  batchSizeOf,
  hasLogAppendTime,
  isControlBatch,
  isTransactionalBatch,
  LOG_OVERHEAD_BYTES,
  lastOffsetDeltaOf,
  lastSequenceOf,
  magicOf,
  maxTimestampOf,
  producerEpochOf,
  producerIdOf,
  recordCountOf,
  setTimestamps,
} from './batch-header.ts'
import type { ProduceRules, ProduceValidation, RecordError } from './produce-validation.ts'
import { RecordReader } from './record-reader.ts'
import { RecordScan, scanRecords } from './scan-records.ts'

/** First version of Produce whose clients know zstd (KIP-110). */
const ZSTD_MIN_API_VERSION = 7

/** Smallest length field that any format can have. */
const MIN_LENGTH = 14

const IMPOSSIBLE = 'an impossible length or format'
const TOO_LARGE = 'larger than max.message.bytes'

const scan = new RecordScan()
const reader = new RecordReader()

/**
 * Checks what a producer sent for one partition, `buffer[start, end)`, as a leader must before it assigns offsets: exactly one complete
 * batch of format 2 with the right checksum, offsets from 0, a size within `maxMessageBytes`, well-formed records, keys where the topic is
 * compacted, timestamps within bounds. Sets timestamp type and maxTimestamp in place (with the checksum, if they change), or rebuilds the
 * batch if the topic wants another codec. Bytes of an incomplete further batch are cut off. Errors are values in `result`:
 *
 * - `INVALID_RECORD`: no batch, several, an old format, wrong offsets or counts, a control batch, malformed or keyless records, data that
 *   cannot be expanded;
 * - `CORRUPT_MESSAGE`: impossible length or format, checksum; `MESSAGE_TOO_LARGE`: also beyond what we expand, so that clients split it;
 * - `UNSUPPORTED_COMPRESSION_TYPE`: unknown codec, or zstd before Produce v7; `INVALID_TIMESTAMP`.
 *
 * Returns whether the batch may be appended. Hot path: allocates nothing for a good batch that needs no expanding.
 */
export function validateProduceBatch(
  buffer: Buffer,
  start: number,
  end: number,
  rules: ProduceRules,
  result: ProduceValidation,
): boolean {
  result.errorCode = ErrorCode.NONE
  result.reason = null
  result.errorMessage = null
  result.recordErrors = null
  return (
    checkFraming(buffer, start, end, rules, result) &&
    checkHeader(buffer, start, rules, result) &&
    checkRecords(buffer, start, rules, result)
  )
}

/**
 * Whether {@link validateProduceBatch} of these bytes will expand records or compress them anew: work that goes with what they expand to,
 * which may be a hundred times their size. Everything else goes with the bytes themselves. Never throws. Hot path.
 */
export function needsExpanding(buffer: Buffer, start: number, end: number, rules: ProduceRules): boolean {
  if (end - start < BATCH_HEADER_BYTES || magicOf(buffer, start) !== 2) return false
  const codec = batchCodecOf(buffer, start)
  if (rules.targetCodec !== null && rules.targetCodec !== codec) return true
  if (codec === CodecId.NONE) return false
  return rules.deep || rules.compactedTopic || !headerTimestampsFit(buffer, start, rules)
}

function checkFraming(
  buffer: Buffer,
  start: number,
  end: number,
  rules: ProduceRules,
  result: ProduceValidation,
): boolean {
  const size = framedSize(buffer, start, end)
  if (size < 0) return result.refuse(ErrorCode.CORRUPT_MESSAGE, IMPOSSIBLE)
  if (size === 0) return result.refuse(ErrorCode.INVALID_RECORD, 'no complete batch')
  if (magicOf(buffer, start) !== 2) return result.refuse(ErrorCode.INVALID_RECORD, 'an old format')
  if (rules.apiVersion < ZSTD_MIN_API_VERSION && batchCodecOf(buffer, start) === CodecId.ZSTD) {
    return result.refuse(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, 'zstd before Produce 7')
  }
  const next = framedSize(buffer, start + size, end)
  if (next < 0) return result.refuse(ErrorCode.CORRUPT_MESSAGE, IMPOSSIBLE)
  if (next > 0) return result.refuse(ErrorCode.INVALID_RECORD, 'more than one batch')
  result.batch = buffer
  result.start = start
  result.end = start + size
  result.rebuilt = false
  return true
}

/** Size of the batch at `position`; 0 if there is no complete one, -1 if its length or format is impossible. */
function framedSize(buffer: Buffer, position: number, end: number): number {
  const remaining = end - position
  if (remaining < LOG_OVERHEAD_BYTES) return 0
  const size = batchSizeOf(buffer, position)
  if (size - LOG_OVERHEAD_BYTES < MIN_LENGTH) return -1
  if (remaining < BYTES_UP_TO_MAGIC) return 0
  const magic = magicOf(buffer, position)
  if (magic < 0 || magic > 2) return -1
  return size > remaining ? 0 : size
}

function checkHeader(buffer: Buffer, position: number, rules: ProduceRules, result: ProduceValidation): boolean {
  const size = result.end - result.start
  if (baseOffsetOf(buffer, position) !== 0) return result.refuse(ErrorCode.INVALID_RECORD, 'a base offset')
  if (size > rules.maxMessageBytes) return result.refuse(ErrorCode.MESSAGE_TOO_LARGE, TOO_LARGE)
  if (size < BATCH_HEADER_BYTES) return result.refuse(ErrorCode.CORRUPT_MESSAGE, IMPOSSIBLE)
  if (!batchCrcOk(buffer, position)) return result.refuse(ErrorCode.CORRUPT_MESSAGE, 'the checksum differs')
  const codec = batchCodecOf(buffer, position)
  if (codec !== CodecId.NONE && codecOf(codec) === null) {
    return result.refuse(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, 'an unknown codec')
  }
  const recordCount = recordCountOf(buffer, position)
  if (recordCount <= 0 || lastOffsetDeltaOf(buffer, position) !== recordCount - 1) {
    return result.refuse(ErrorCode.INVALID_RECORD, 'count and last offset do not fit')
  }
  if (isControlBatch(buffer, position)) return result.refuse(ErrorCode.INVALID_RECORD, 'a control batch')
  const producerId = producerIdOf(buffer, position)
  const baseSequence = baseSequenceOf(buffer, position)
  // No producer id beyond 2^53 was ever given out.
  if (producerId > -1 && (baseSequence < 0 || !Number.isSafeInteger(producerId))) {
    return result.refuse(ErrorCode.INVALID_RECORD, 'a producer id that cannot be, or one without a sequence number')
  }
  result.recordCount = recordCount
  result.producerId = producerId
  result.producerEpoch = producerEpochOf(buffer, position)
  result.baseSequence = baseSequence
  result.lastSequence = lastSequenceOf(buffer, position)
  result.transactional = isTransactionalBatch(buffer, position)
  return true
}

function checkRecords(buffer: Buffer, position: number, rules: ProduceRules, result: ProduceValidation): boolean {
  const codec = batchCodecOf(buffer, position)
  const rebuild = rules.targetCodec !== null && rules.targetCodec !== codec
  if (codec === CodecId.NONE) {
    if (!scanBytes(buffer, position + BATCH_HEADER_BYTES, result.end, result)) return false
    // Kafka takes them, and never compacts their partition again.
    if (rules.compactedTopic && scan.oddOffsetCount > 0) {
      return result.refuse(ErrorCode.INVALID_RECORD, 'offsets of a batch for a compacted topic are not consecutive')
    }
    if (!checkScanned(buffer, position, null, rules, result)) return false
    return rebuild ? rebuildBatch(buffer, position, null, rules, result) : stamp(buffer, position, rules, result)
  }
  if (!rebuild && !rules.deep && !rules.compactedTopic && headerTimestampsFit(buffer, position, rules)) {
    result.maxTimestamp = Math.max(-1, maxTimestampOf(buffer, position))
    return stamp(buffer, position, rules, result)
  }
  const expanded = expand(codec, buffer, position, result)
  if (expanded === null || !scanBytes(expanded, 0, expanded.length, result)) return false
  // Kafka means to rewrite such a batch, but answers with an error; only message sets of old clients ever needed it.
  if (!rebuild && scan.oddOffsetCount > 0) {
    return result.refuse(ErrorCode.INVALID_RECORD, 'offsets of a compressed batch are not consecutive')
  }
  if (!checkScanned(buffer, position, expanded, rules, result)) return false
  return rebuild ? rebuildBatch(buffer, position, expanded, rules, result) : stamp(buffer, position, rules, result)
}

function expand(codec: number, buffer: Buffer, position: number, result: ProduceValidation): Buffer | null {
  try {
    return decompress(codec as CodecId, buffer, position + BATCH_HEADER_BYTES, result.end)
  } catch (error) {
    if (!(error instanceof CompressionError)) throw error
    const tooLarge = error.code === 'COMPRESSED_DATA_TOO_LARGE'
    result.refuse(tooLarge ? ErrorCode.MESSAGE_TOO_LARGE : ErrorCode.INVALID_RECORD, error.message)
    return null
  }
}

function scanBytes(bytes: Buffer, start: number, end: number, result: ProduceValidation): boolean {
  const failure = scanRecords(bytes, start, end, result.recordCount, scan)
  if (failure !== null) return result.refuse(ErrorCode.INVALID_RECORD, failure)
  // Offset deltas of an uncompressed batch go unchecked in Kafka, but a record before its batch's first offset could never be read.
  return scan.hasNegativeOffset ? result.refuse(ErrorCode.INVALID_RECORD, 'a negative offset delta') : true
}

/** Keys and timestamps of scanned records. Only if one is wrong are records looked at one by one, to say which. */
function checkScanned(
  buffer: Buffer,
  position: number,
  expanded: Buffer | null,
  rules: ProduceRules,
  result: ProduceValidation,
): boolean {
  const ownTimes = !hasLogAppendTime(buffer, position)
  const baseTimestamp = ownTimes ? baseTimestampOf(buffer, position) : maxTimestampOf(buffer, position)
  const minDelta = ownTimes ? scan.minTimestampDelta : 0
  const maxDelta = ownTimes ? scan.maxTimestampDelta : 0
  const maxTimestamp = baseTimestamp + maxDelta
  const keysOk = !rules.compactedTopic || scan.nullKeyCount === 0
  const timesOk =
    rules.timestampType === 'LogAppendTime'
      ? ownTimes
      : Number.isSafeInteger(baseTimestamp) && // two rounded numbers may well have a safe sum
        Number.isSafeInteger(minDelta) &&
        Number.isSafeInteger(maxDelta) &&
        timestampFits(baseTimestamp + minDelta, rules) &&
        timestampFits(maxTimestamp, rules)
  if (!(keysOk && timesOk)) return checkEachRecord(buffer, position, expanded, rules, result)
  result.maxTimestamp = Math.max(-1, maxTimestamp)
  return true
}

function timestampFits(timestamp: number, { nowMs, timestampBeforeMaxMs, timestampAfterMaxMs }: ProduceRules): boolean {
  return (
    Number.isSafeInteger(timestamp) &&
    nowMs - timestamp <= timestampBeforeMaxMs &&
    timestamp - nowMs <= timestampAfterMaxMs
  )
}

/** Whether the header shows all there is to know. -1 is no timestamp, which always passes. */
function headerTimestampsFit(buffer: Buffer, position: number, rules: ProduceRules): boolean {
  if (rules.timestampType === 'LogAppendTime') return !hasLogAppendTime(buffer, position)
  const maxTimestamp = maxTimestampOf(buffer, position)
  if (maxTimestamp !== -1 && !timestampFits(maxTimestamp, rules)) return false
  if (hasLogAppendTime(buffer, position)) return true
  const baseTimestamp = baseTimestampOf(buffer, position)
  // The first record is at the base. A maximum below it was never filled in, and would let retention delete the records at once.
  return baseTimestamp === -1 || (baseTimestamp <= maxTimestamp && timestampFits(baseTimestamp, rules))
}

/**
 * Lists the records that break a rule. True if none does, since the scan cannot tell a missing timestamp from an old one, nor add numbers
 * that were rounded; then maxTimestamp is set.
 */
function checkEachRecord(
  buffer: Buffer,
  position: number,
  expanded: Buffer | null,
  rules: ProduceRules,
  result: ProduceValidation,
): boolean {
  const errors: RecordError[] = []
  let errorCount = 0
  let errorCode: number = ErrorCode.INVALID_RECORD
  result.maxTimestamp = -1
  openReader(buffer, position, expanded)
  for (let batchIndex = 0; reader.next(); batchIndex++) {
    const timestamp = reader.exactTimestamp()
    const keyless = rules.compactedTopic && reader.keyLength < 0
    if (!keyless && timestampOk(buffer, position, timestamp, rules)) {
      if (timestamp > result.maxTimestamp) result.maxTimestamp = Number(timestamp)
      continue
    }
    if (!keyless) errorCode = ErrorCode.INVALID_TIMESTAMP
    errorCount++
    if (errors.length === rules.maxRecordErrorCount) continue
    const message = keyless ? 'A record of a compacted topic needs a key' : timestampMessage(timestamp, rules)
    errors.push({ batchIndex, message })
  }
  if (errorCount === 0) return true
  result.recordErrors = errors
  const cause = errorCode === ErrorCode.INVALID_TIMESTAMP ? ', at least one for its timestamp' : ' for want of a key'
  result.errorMessage = `${errorCount} records of the batch were refused${cause}`
  return result.refuse(errorCode, result.errorMessage)
}

function timestampOk(buffer: Buffer, position: number, timestamp: number | bigint, rules: ProduceRules): boolean {
  if (rules.timestampType === 'LogAppendTime') return !hasLogAppendTime(buffer, position)
  return timestamp === -1 || (typeof timestamp === 'number' && timestampFits(timestamp, rules))
}

function timestampMessage(timestamp: number | bigint, rules: ProduceRules): string {
  if (rules.timestampType === 'LogAppendTime') return 'A producer may not set the timestamp type LogAppendTime'
  const { nowMs, timestampBeforeMaxMs, timestampAfterMaxMs } = rules
  return `Timestamp ${timestamp} is outside [${nowMs - timestampBeforeMaxMs}, ${nowMs + timestampAfterMaxMs}]`
}

function openReader(buffer: Buffer, position: number, expanded: Buffer | null): void {
  if (expanded === null) reader.open(buffer, position)
  else reader.openExpanded(buffer, position, expanded)
}

/** Writes what the leader decides about timestamps into the header. */
function stamp(buffer: Buffer, position: number, rules: ProduceRules, result: ProduceValidation): true {
  if (rules.timestampType === 'LogAppendTime') result.maxTimestamp = rules.nowMs
  setTimestamps(buffer, position, rules.timestampType, result.maxTimestamp)
  return true
}

/** Writes the records into a new batch with the topic's codec and consecutive offsets. */
function rebuildBatch(
  buffer: Buffer,
  position: number,
  expanded: Buffer | null,
  rules: ProduceRules,
  result: ProduceValidation,
): boolean {
  if (rules.timestampType === 'LogAppendTime') result.maxTimestamp = rules.nowMs
  const recordsSize = expanded === null ? result.end - result.start : expanded.length
  const builder = new BatchBuilder({
    codec: rules.targetCodec as CodecId,
    level: rules.level,
    timestampType: rules.timestampType,
    maxTimestamp: result.maxTimestamp,
    producerId: result.producerId,
    producerEpoch: result.producerEpoch,
    baseSequence: result.baseSequence,
    transactional: result.transactional,
    initialSizeBytes: BATCH_HEADER_BYTES + recordsSize,
  })
  openReader(buffer, position, expanded)
  for (let offsetDelta = 0; reader.next(); offsetDelta++) {
    // With LogAppendTime the records' own timestamps were not checked, and nobody reads them.
    const timestamp = reader.exactTimestamp()
    const stored = typeof timestamp === 'number' ? timestamp : rules.nowMs
    builder.appendEncoded(offsetDelta, stored, reader.bytes, reader.bodyPosition, reader.recordEnd)
  }
  result.batch = builder.build()
  result.start = 0
  result.end = result.batch.length
  result.rebuilt = true
  return result.end > rules.maxMessageBytes ? result.refuse(ErrorCode.MESSAGE_TOO_LARGE, TOO_LARGE) : true
}
