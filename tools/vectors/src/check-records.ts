import {
  attributesOf,
  BatchBuilder,
  BatchCursor,
  baseSequenceOf,
  batchCodecOf,
  ControlRecordType,
  codecName,
  controlTypeOf,
  coordinatorEpochOf,
  encodeMessageSet,
  exactInt64At,
  hasDeleteHorizon,
  isControlBatch,
  isTransactionalBatch,
  lastOffsetDeltaOf,
  lastSequenceOf,
  legacyCodecOf,
  legacyCrcOf,
  legacyHasLogAppendTime,
  partitionLeaderEpochOf,
  producerEpochOf,
  RecordReader,
  recordCountOf,
  storedCrcOf,
  timestampTypeOf,
} from '@millrace/protocol'
import { expectEqual, expectHex } from './expectations.ts'
import { int64 } from './json-codec.ts'

interface HeaderJson {
  readonly key: string
  readonly value: string | null
}

interface RecordJson {
  readonly offset: string
  readonly timestamp: string
  readonly sequence?: number
  readonly key: string | null
  readonly value: string | null
  readonly headers?: readonly HeaderJson[]
  readonly control?: { readonly type: string; readonly coordinatorEpoch?: number }
}

interface BatchJson {
  readonly position: number
  readonly sizeInBytes: number
  readonly magic: number
  readonly baseOffset: string
  readonly lastOffset: string
  readonly crc: number
  readonly attributes: number
  readonly codec: string
  readonly timestampType: string
  readonly maxTimestamp: string
  readonly partitionLeaderEpoch?: number
  readonly lastOffsetDelta?: number
  readonly baseTimestamp?: string
  readonly producerId?: string
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly lastSequence?: number
  readonly isTransactional?: boolean
  readonly isControl?: boolean
  readonly deleteHorizonMs?: string
  readonly count?: number
  readonly records: readonly RecordJson[]
}

/** A row of records: sets of batches of any format. */
export interface RecordsRow {
  readonly name: string
  readonly batches: readonly BatchJson[]
  readonly trailingBytes: number
  readonly base64: string
}

/** Places of the fields that are compared exactly, also beyond 2^53 (record batch of format 2, KIP-98). */
const BASE_TIMESTAMP = 27
const MAX_TIMESTAMP = 35
const PRODUCER_ID = 43
/** Place of the timestamp in a message of format 1. */
const LEGACY_TIMESTAMP = 18

/** Reads every batch and record with its checksum; writes uncompressed batches again and compares the bytes. */
export function checkRecords(row: RecordsRow): void {
  const buffer = Buffer.from(row.base64, 'base64')
  const cursor = new BatchCursor(buffer)
  const reader = new RecordReader()
  for (const [slot, expected] of row.batches.entries()) {
    expectEqual(`batch ${slot}`, cursor.next(), true)
    cursor.checkCrc()
    expectEqual(`batch ${slot}`, readBatch(cursor, reader), expected)
    if (expected.codec === 'none') {
      const bytes = buffer.subarray(cursor.position, cursor.position + cursor.sizeInBytes)
      const encoded = encodeBatch(expected, storedTimestamps(expected, cursor, reader))
      expectHex(`encoding batch ${slot}`, encoded, bytes.toString('hex'))
    }
  }
  expectEqual('another batch', cursor.next(), false)
  expectEqual('trailing bytes', cursor.trailingBytes, row.trailingBytes)
}

/** The cursor's batch in the JSON of the vectors. */
function readBatch(cursor: BatchCursor, reader: RecordReader): BatchJson {
  const { buffer, position, sizeInBytes, magic } = cursor
  const records: RecordJson[] = []
  reader.open(buffer, position)
  while (reader.next()) records.push(readRecord(reader, magic === 2 && isControlBatch(buffer, position)))
  const head = { position, sizeInBytes, magic }
  const storedOffset = BigInt(exactInt64At(buffer, position))
  if (magic < 2) {
    // The offset stored in a message is that of the last one it holds.
    const first = records[0]
    return {
      ...head,
      baseOffset: first === undefined ? String(storedOffset) : first.offset,
      lastOffset: String(storedOffset),
      crc: legacyCrcOf(buffer, position),
      attributes: buffer[position + 17]!,
      codec: codecName(legacyCodecOf(buffer, position)) ?? 'unknown',
      timestampType: legacyTimestampType(buffer, position, magic),
      maxTimestamp: magic === 0 ? '-1' : String(exactInt64At(buffer, position + LEGACY_TIMESTAMP)),
      records,
    }
  }
  return {
    ...head,
    baseOffset: String(storedOffset),
    lastOffset: String(storedOffset + BigInt(lastOffsetDeltaOf(buffer, position))),
    crc: storedCrcOf(buffer, position),
    attributes: attributesOf(buffer, position),
    codec: codecName(batchCodecOf(buffer, position)) ?? 'unknown',
    timestampType: timestampTypeOf(buffer, position),
    maxTimestamp: String(exactInt64At(buffer, position + MAX_TIMESTAMP)),
    partitionLeaderEpoch: partitionLeaderEpochOf(buffer, position),
    lastOffsetDelta: lastOffsetDeltaOf(buffer, position),
    baseTimestamp: String(exactInt64At(buffer, position + BASE_TIMESTAMP)),
    producerId: String(exactInt64At(buffer, position + PRODUCER_ID)),
    producerEpoch: producerEpochOf(buffer, position),
    baseSequence: baseSequenceOf(buffer, position),
    lastSequence: lastSequenceOf(buffer, position),
    isTransactional: isTransactionalBatch(buffer, position),
    isControl: isControlBatch(buffer, position),
    ...(hasDeleteHorizon(buffer, position)
      ? { deleteHorizonMs: String(exactInt64At(buffer, position + BASE_TIMESTAMP)) }
      : {}),
    count: recordCountOf(buffer, position),
    records,
  }
}

function legacyTimestampType(buffer: Buffer, position: number, magic: number): string {
  if (magic === 0) return 'NoTimestampType'
  return legacyHasLogAppendTime(buffer, position) ? 'LogAppendTime' : 'CreateTime'
}

function readRecord(reader: RecordReader, isControl: boolean): RecordJson {
  const headers = reader.headers().map(({ key, value }) => ({ key, value: base64(value) }))
  return {
    offset: String(reader.exactOffset()),
    timestamp: String(reader.exactTimestamp()),
    ...(reader.sequence === -1 ? {} : { sequence: reader.sequence }),
    key: base64(reader.key()),
    value: base64(reader.value()),
    ...(headers.length === 0 ? {} : { headers }),
    ...(isControl ? { control: readControl(reader) } : {}),
  }
}

function readControl(reader: RecordReader): NonNullable<RecordJson['control']> {
  const code = controlTypeOf(reader)
  const type = Object.entries(ControlRecordType).find(([, value]) => value === code)?.[0] ?? 'UNKNOWN'
  const isMarker = code === ControlRecordType.COMMIT || code === ControlRecordType.ABORT
  return isMarker ? { type, coordinatorEpoch: coordinatorEpochOf(reader) } : { type }
}

function base64(bytes: Buffer | null): string | null {
  return bytes === null ? null : bytes.toString('base64')
}

function fromBase64(text: string | null): Buffer | null {
  return text === null ? null : Buffer.from(text, 'base64')
}

/**
 * The timestamps that the records themselves carry. With LogAppendTime the JSON gives the batch's in their place, and only the bytes
 * still tell what the producer wrote.
 */
function storedTimestamps(batch: BatchJson, cursor: BatchCursor, reader: RecordReader): (number | bigint)[] {
  if (batch.magic < 2 || batch.timestampType !== 'LogAppendTime') {
    return batch.records.map(({ timestamp }) => int64(timestamp))
  }
  const timestamps: number[] = []
  reader.open(cursor.buffer, cursor.position)
  while (reader.next()) timestamps.push(Number(batch.baseTimestamp) + reader.timestampDelta)
  return timestamps
}

/** An uncompressed batch, or message of an old format, written by our own encoder. */
function encodeBatch(batch: BatchJson, timestamps: readonly (number | bigint)[]): Buffer {
  if (batch.magic === 0 || batch.magic === 1) {
    const messages = batch.records.map((record, slot) => ({
      offset: int64(record.offset),
      timestamp: timestamps[slot]!,
      key: fromBase64(record.key),
      value: fromBase64(record.value),
    }))
    return encodeMessageSet(batch.magic, messages, batch.timestampType === 'LogAppendTime' ? 8 : 0)
  }
  const builder = new BatchBuilder({
    baseOffset: int64(batch.baseOffset),
    lastOffsetDelta: batch.lastOffsetDelta!,
    partitionLeaderEpoch: batch.partitionLeaderEpoch!,
    timestampType: batch.timestampType === 'LogAppendTime' ? 'LogAppendTime' : 'CreateTime',
    maxTimestamp: int64(batch.maxTimestamp),
    producerId: int64(batch.producerId!),
    producerEpoch: batch.producerEpoch!,
    baseSequence: batch.baseSequence!,
    transactional: batch.isTransactional!,
    control: batch.isControl!,
    deleteHorizonMs: batch.deleteHorizonMs === undefined ? null : int64(batch.deleteHorizonMs),
  })
  for (const [slot, record] of batch.records.entries()) {
    builder.appendAt(
      Number(BigInt(record.offset) - BigInt(batch.baseOffset)),
      timestamps[slot]!,
      fromBase64(record.key),
      fromBase64(record.value),
      record.headers?.map(({ key, value }) => ({ key, value: fromBase64(value) })) ?? null,
    )
  }
  return builder.build()
}
