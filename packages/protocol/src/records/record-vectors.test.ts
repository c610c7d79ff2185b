import { describe, expect, it } from 'vitest'
import { codecName } from '../compression/codec.ts'
import { BatchBuilder, type BatchOptions } from './batch-builder.ts'
import { BatchCursor } from './batch-cursor.ts'
import {
  attributesOf,
  BASE_TIMESTAMP_POSITION,
  baseSequenceOf,
  batchCodecOf,
  exactInt64At,
  hasDeleteHorizon,
  isControlBatch,
  isTransactionalBatch,
  lastOffsetDeltaOf,
  lastSequenceOf,
  MAX_TIMESTAMP_POSITION,
  PRODUCER_ID_POSITION,
  partitionLeaderEpochOf,
  producerEpochOf,
  recordCountOf,
  storedCrcOf,
  timestampTypeOf,
} from './batch-header.ts'
import { ControlRecordType, controlTypeOf, coordinatorEpochOf } from './control-record.ts'
import { inspectRecords } from './inspect-records.ts'
import { encodeMessageSet, legacyCrcOf } from './legacy-message.ts'
import { RecordReader } from './record-reader.ts'
import {
  type BatchJson,
  bytesOf,
  corruptRows,
  type RecordJson,
  type RecordsRow,
  recordsRows,
} from './testing/record-vectors.ts'

function recordJson(reader: RecordReader, control: boolean): RecordJson {
  const headers = reader.headers()
  return {
    offset: String(reader.exactOffset()),
    timestamp: String(reader.exactTimestamp()),
    ...(reader.sequence === -1 ? {} : { sequence: reader.sequence }),
    key: reader.key()?.toString('base64') ?? null,
    value: reader.value()?.toString('base64') ?? null,
    ...(headers.length === 0
      ? {}
      : { headers: headers.map(({ key, value }) => ({ key, value: value?.toString('base64') ?? null })) }),
    ...(control ? { control: controlJson(reader)! } : {}),
  }
}

function controlJson(reader: RecordReader): RecordJson['control'] {
  const type = controlTypeOf(reader)
  const name = Object.entries(ControlRecordType).find(([, value]) => value === type)![0]
  return type <= ControlRecordType.COMMIT
    ? { type: name, coordinatorEpoch: coordinatorEpochOf(reader) }
    : { type: name }
}

/** The fields of the header that both old and new formats have in the rows. */
function headerJson(buffer: Buffer, cursor: BatchCursor): Partial<BatchJson> {
  const { position, sizeInBytes, magic } = cursor
  if (magic < 2) return { position, sizeInBytes, magic, crc: legacyCrcOf(buffer, position) }
  return {
    position,
    sizeInBytes,
    magic,
    baseOffset: String(exactInt64At(buffer, position)),
    crc: storedCrcOf(buffer, position),
    attributes: attributesOf(buffer, position),
    codec: codecName(batchCodecOf(buffer, position))!,
    timestampType: timestampTypeOf(buffer, position),
    maxTimestamp: String(exactInt64At(buffer, position + MAX_TIMESTAMP_POSITION)),
    partitionLeaderEpoch: partitionLeaderEpochOf(buffer, position),
    lastOffsetDelta: lastOffsetDeltaOf(buffer, position),
    producerId: String(exactInt64At(buffer, position + PRODUCER_ID_POSITION)),
    producerEpoch: producerEpochOf(buffer, position),
    baseSequence: baseSequenceOf(buffer, position),
    lastSequence: lastSequenceOf(buffer, position),
    isTransactional: isTransactionalBatch(buffer, position),
    isControl: isControlBatch(buffer, position),
    count: recordCountOf(buffer, position),
    baseTimestamp: String(exactInt64At(buffer, position + BASE_TIMESTAMP_POSITION)),
    ...(hasDeleteHorizon(buffer, position)
      ? { deleteHorizonMs: String(exactInt64At(buffer, position + BASE_TIMESTAMP_POSITION)) }
      : {}),
  }
}

function encode(batch: BatchJson): Buffer {
  const options: BatchOptions = {
    timestampType: batch.timestampType === 'LogAppendTime' ? 'LogAppendTime' : 'CreateTime',
    maxTimestamp: BigInt(batch.maxTimestamp),
    baseOffset: BigInt(batch.baseOffset),
    lastOffsetDelta: batch.lastOffsetDelta!,
    partitionLeaderEpoch: batch.partitionLeaderEpoch!,
    producerId: BigInt(batch.producerId!),
    producerEpoch: batch.producerEpoch!,
    baseSequence: batch.baseSequence!,
    transactional: batch.isTransactional!,
    control: batch.isControl!,
    deleteHorizonMs: batch.deleteHorizonMs === undefined ? null : BigInt(batch.deleteHorizonMs),
  }
  const builder = new BatchBuilder(options)
  for (const record of batch.records) {
    builder.appendAt(
      Number(BigInt(record.offset) - BigInt(batch.baseOffset)),
      BigInt(record.timestamp),
      bytesOf(record.key),
      bytesOf(record.value),
      record.headers?.map(({ key, value }) => ({ key, value: bytesOf(value) })) ?? null,
    )
  }
  return builder.build()
}

/** Whether all the bytes are determined by the row: a LogAppendTime batch does not show its records' own timestamps. */
function encodable({ params, trailingBytes, batches }: RecordsRow): boolean {
  const hidden = batches.some((batch) => batch.timestampType === 'LogAppendTime' && batch.records.length > 0)
  return params.codec === 'none' && trailingBytes === 0 && !hidden
}

describe('golden record data', () => {
  it('is decoded to what it holds', () => {
    const rows = recordsRows()
    expect(rows.length).toBeGreaterThan(100)
    for (const row of rows) {
      const buffer = Buffer.from(row.base64, 'base64')
      const cursor = new BatchCursor(buffer)
      const reader = new RecordReader()
      for (const batch of row.batches) {
        expect(cursor.next(), row.name).toBe(true)
        cursor.checkCrc()
        expect(batch, row.name).toMatchObject(headerJson(buffer, cursor))
        reader.open(buffer, cursor.position)
        const records: RecordJson[] = []
        while (reader.next()) records.push(recordJson(reader, batch.isControl === true))
        expect(records, row.name).toEqual(batch.records)
      }
      expect(cursor.next(), row.name).toBe(false)
      expect(cursor.trailingBytes, row.name).toBe(row.trailingBytes)
    }
  })

  it('is encoded to the same bytes where it is not compressed', () => {
    const rows = recordsRows().filter(encodable)
    expect(rows.length).toBeGreaterThan(20)
    for (const row of rows) {
      const encoded = row.batches.map((batch) =>
        batch.magic === 2
          ? encode(batch)
          : encodeMessageSet(
              batch.magic as 0 | 1,
              batch.records.map((record) => ({
                offset: BigInt(record.offset),
                timestamp: BigInt(record.timestamp),
                key: bytesOf(record.key),
                value: bytesOf(record.value),
              })),
            ),
      )
      expect(Buffer.concat(encoded).toString('base64'), row.name).toBe(row.base64)
    }
  })
})

describe('golden damaged data', () => {
  it('fails with the right class, after the same records as in Kafka', () => {
    const rows = corruptRows()
    expect(rows.length).toBeGreaterThan(150)
    for (const row of rows) {
      const buffer = Buffer.from(row.base64, 'base64')
      const { failure, batchCount, recordCount, leftBytes } = inspectRecords(buffer, 0, buffer.length, true)
      const harmless = ['none', 'undetected', 'produce-only'].includes(row.failure)
      expect(failure, row.name).toBe(harmless ? null : row.failure)
      if (row.reader.ok && !harmless) continue // found by us only
      const { batches, records } = row.reader
      expect([batchCount, recordCount, leftBytes], row.name).toEqual([batches, records, row.reader.leftBytes])
    }
  })
})
