import { describe, expect, it } from 'vitest'
import { CodecId } from '../compression/codec.ts'
import { ErrorCode } from '../errors/index.ts'
import { BatchBuilder, type BatchOptions } from './batch-builder.ts'
import {
  ATTRIBUTES_POSITION,
  BASE_TIMESTAMP_POSITION,
  BATCH_HEADER_BYTES,
  batchCodecOf,
  batchCrcOk,
  hasLogAppendTime,
  LAST_OFFSET_DELTA_POSITION,
  MAX_TIMESTAMP_POSITION,
  maxTimestampOf,
  RECORD_COUNT_POSITION,
  sealBatch,
  setBaseOffset,
  storedCrcOf,
} from './batch-header.ts'
import { buildEndTxnMarker, ControlRecordType } from './control-record.ts'
import { type ProduceRules, ProduceValidation } from './produce-validation.ts'
import { RecordReader } from './record-reader.ts'
import { type CorruptRow, corruptRows } from './testing/record-vectors.ts'
import { validateProduceBatch } from './validate-produce-batch.ts'

const NOW = 1_700_000_000_000
const HOUR_MS = 3_600_000

function rules(changes: Partial<ProduceRules> = {}): ProduceRules {
  return {
    apiVersion: 12,
    nowMs: NOW,
    maxMessageBytes: 1_048_588,
    compactedTopic: false,
    timestampType: 'CreateTime',
    timestampBeforeMaxMs: 2 ** 63,
    timestampAfterMaxMs: HOUR_MS,
    targetCodec: null,
    level: null,
    deep: false,
    maxRecordErrorCount: 100,
    ...changes,
  }
}

interface Record {
  readonly timestamp?: number
  readonly key?: string | null
  readonly value?: string | null
}

function batchOf(records: readonly Record[], options: BatchOptions = {}): Buffer {
  const builder = new BatchBuilder(options)
  for (const { timestamp = NOW, key = 'k', value = 'v' } of records) {
    builder.append(timestamp, key, value, [{ key: 'h', value: Buffer.from('1') }])
  }
  return builder.build()
}

function validate(batch: Buffer, changes: Partial<ProduceRules> = {}): ProduceValidation {
  const result = new ProduceValidation()
  const accepted = validateProduceBatch(batch, 0, batch.length, rules(changes), result)
  expect(accepted).toBe(result.errorCode === ErrorCode.NONE)
  return result
}

function valuesOf(batch: Buffer, position = 0): string[] {
  const reader = new RecordReader()
  reader.open(batch, position)
  const values: string[] = []
  while (reader.next()) values.push(`${reader.offset} ${reader.timestamp} ${reader.key()} ${reader.value()}`)
  return values
}

function errorName(code: number): string {
  return Object.entries(ErrorCode).find(([, value]) => value === code)![0]
}

/** Errors that serve for a row: what Kafka answers, and where that is an exception it did not foresee, what is documented for it. */
function acceptableErrors({ failure, produceError, reader }: CorruptRow): string[] {
  if (failure === 'codec' && produceError === 'UNKNOWN_SERVER_ERROR') return ['UNSUPPORTED_COMPRESSION_TYPE']
  if (produceError === 'UNKNOWN_SERVER_ERROR') return ['INVALID_RECORD', 'CORRUPT_MESSAGE']
  if (produceError === 'NONE' && !reader.ok) return ['NONE', 'INVALID_RECORD'] // refusing what cannot be read is right too
  return [produceError]
}

describe('golden damaged data', () => {
  it('is answered as Kafka does when every batch is expanded', () => {
    for (const row of corruptRows()) {
      const { errorCode } = validate(Buffer.from(row.base64, 'base64'), { deep: true })
      expect(acceptableErrors(row), row.name).toContain(errorName(errorCode))
    }
  })

  it('passes without expanding only where the header cannot show the damage', () => {
    for (const row of corruptRows()) {
      const buffer = Buffer.from(row.base64, 'base64')
      const compressed = buffer.length >= BATCH_HEADER_BYTES && batchCodecOf(buffer, 0) !== CodecId.NONE
      const hidden = compressed && ['count', 'record', 'compressed-data', 'offset-delta'].includes(row.failure)
      const { errorCode } = validate(buffer)
      if (hidden && errorCode === ErrorCode.NONE) continue
      expect(acceptableErrors(row), row.name).toContain(errorName(errorCode))
    }
  })
})

describe('a good batch', () => {
  it('is accepted as it is, without touching a byte', () => {
    const batch = batchOf([{ timestamp: NOW - 5 }, { timestamp: NOW - 9 }, {}], {
      producerId: 7,
      producerEpoch: 2,
      baseSequence: 2 ** 31 - 2,
      transactional: true,
    })
    const before = Buffer.from(batch)
    const result = validate(batch)
    expect(result).toMatchObject({
      errorCode: 0,
      start: 0,
      end: batch.length,
      rebuilt: false,
      recordCount: 3,
      maxTimestamp: NOW,
      producerId: 7,
      producerEpoch: 2,
      baseSequence: 2 ** 31 - 2,
      lastSequence: 0,
      transactional: true,
    })
    expect(result.batch).toBe(batch)
    expect(batch.equals(before)).toBe(true)
  })

  it('is found between other bytes, and an incomplete batch after it is cut off', () => {
    const batch = batchOf([{}])
    const buffer = Buffer.concat([Buffer.from('before'), batch, batch.subarray(0, batch.length - 1)])
    const result = new ProduceValidation()
    expect(validateProduceBatch(buffer, 6, buffer.length, rules(), result)).toBe(true)
    expect([result.start, result.end]).toEqual([6, 6 + batch.length])
  })

  it.each([CodecId.NONE, CodecId.LZ4])('gets the largest timestamp of its records, codec %i', (codec) => {
    const records = [{ timestamp: NOW - 10 }, { timestamp: NOW - 30 }, { timestamp: NOW - 20 }]
    const batch = batchOf(records, { codec, maxTimestamp: NOW + 5, deleteHorizonMs: null })
    const result = validate(batch, { deep: true })
    expect([result.maxTimestamp, maxTimestampOf(batch, 0), batchCrcOk(batch, 0)]).toEqual([NOW - 10, NOW - 10, true])
  })

  it('whose first record is not at the base timestamp gets the largest of its records all the same', () => {
    const batch = batchOf([{ timestamp: NOW - 100 }], { deleteHorizonMs: NOW })
    expect(validate(batch).maxTimestamp).toBe(NOW - 100)
  })

  it('without timestamps keeps -1', () => {
    const batch = batchOf([{ timestamp: -1 }, { timestamp: -1 }])
    expect(validate(batch, { timestampBeforeMaxMs: HOUR_MS })).toMatchObject({ errorCode: 0, maxTimestamp: -1 })
  })

  it('is answered by the same object after a bad one', () => {
    const result = new ProduceValidation()
    const keyless = batchOf([{ key: null }])
    expect(validateProduceBatch(keyless, 0, keyless.length, rules({ compactedTopic: true }), result)).toBe(false)
    const good = batchOf([{}])
    expect(validateProduceBatch(good, 0, good.length, rules(), result)).toBe(true)
    expect(result).toMatchObject({ errorCode: 0, errorMessage: null, recordErrors: null })
  })
})

describe('headers', () => {
  it('with a base offset, a control bit or a producer id without sequence are refused', () => {
    const offset = batchOf([{}])
    setBaseOffset(offset, 0, 5)
    expect(validate(offset).errorCode).toBe(ErrorCode.INVALID_RECORD)
    const marker = buildEndTxnMarker({
      type: ControlRecordType.COMMIT,
      coordinatorEpoch: 1,
      producerId: 5,
      producerEpoch: 0,
      timestamp: NOW,
    })
    expect(validate(marker).errorCode).toBe(ErrorCode.INVALID_RECORD)
    expect(validate(batchOf([{}], { producerId: 5, producerEpoch: 0 })).errorCode).toBe(ErrorCode.INVALID_RECORD)
    const unsafe = batchOf([{}], { producerId: 2n ** 60n, producerEpoch: 0, baseSequence: 0 })
    expect(validate(unsafe).errorCode).toBe(ErrorCode.INVALID_RECORD)
  })

  it('with a count or last offset that does not fit are refused', () => {
    for (const [count, lastOffsetDelta] of [
      [3, 1],
      [2, 2],
      [0, -1],
      [-1, -2],
      [2, -1],
    ] as const) {
      const batch = batchOf([{}, {}])
      batch.writeInt32BE(count, RECORD_COUNT_POSITION)
      batch.writeInt32BE(lastOffsetDelta, LAST_OFFSET_DELTA_POSITION)
      sealBatch(batch, 0)
      expect(validate(batch).errorCode).toBe(ErrorCode.INVALID_RECORD)
    }
  })

  it('beyond the topic’s size are refused before their checksum is looked at', () => {
    const batch = batchOf([{ value: 'x'.repeat(1000) }])
    batch[100]! ^= 1
    expect(validate(batch, { maxMessageBytes: batch.length - 1 }).errorCode).toBe(ErrorCode.MESSAGE_TOO_LARGE)
    expect(validate(batch, { maxMessageBytes: batch.length }).errorCode).toBe(ErrorCode.CORRUPT_MESSAGE)
  })

  it('that are refused leave a reason for the log, but no message for the answer', () => {
    const batch = batchOf([{}])
    const { reason, errorMessage, recordErrors } = validate(Buffer.concat([batch, batch]))
    expect([reason, errorMessage, recordErrors]).toEqual(['more than one batch', null, null])
  })

  it('with zstd need Produce 7, and with an unknown codec are never taken', () => {
    const batch = batchOf([{}], { codec: CodecId.ZSTD })
    expect(validate(batch, { apiVersion: 6 }).errorCode).toBe(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
    expect(validate(batch, { apiVersion: 7 }).errorCode).toBe(ErrorCode.NONE)
    const unknown = batchOf([{}])
    unknown[ATTRIBUTES_POSITION + 1] = 6
    sealBatch(unknown, 0)
    expect(validate(unknown).errorCode).toBe(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
  })
})

describe('timestamps', () => {
  const limits = { timestampBeforeMaxMs: HOUR_MS, timestampAfterMaxMs: HOUR_MS }

  it.each([CodecId.NONE, CodecId.GZIP])('out of bounds are listed one by one, codec %i', (codec) => {
    const records = [
      { timestamp: NOW },
      { timestamp: NOW - HOUR_MS - 1 },
      { timestamp: NOW + HOUR_MS + 1 },
      { timestamp: NOW - HOUR_MS },
      { timestamp: -1 },
      { timestamp: NOW + HOUR_MS },
    ]
    const { errorCode, errorMessage, recordErrors } = validate(batchOf(records, { codec }), limits)
    expect(errorCode).toBe(ErrorCode.INVALID_TIMESTAMP)
    expect(errorMessage).toMatch(/2 records/)
    expect(recordErrors!.map((error) => error.batchIndex)).toEqual([1, 2])
    expect(recordErrors![0]!.message).toContain(`[${NOW - HOUR_MS}, ${NOW + HOUR_MS}]`)
  })

  it('that are no safe integers are refused, also where the bounds would allow them', () => {
    const open = { timestampBeforeMaxMs: 2 ** 63, timestampAfterMaxMs: 2 ** 63 }
    const far = new BatchBuilder()
    far.append(0, null, null)
    far.append(2n ** 63n - 1n, null, null)
    expect(validate(far.build(), open).errorCode).toBe(ErrorCode.INVALID_TIMESTAMP)
  })

  it('that are safe sums of unsafe numbers are added exactly', () => {
    const open = { timestampBeforeMaxMs: 2 ** 63, timestampAfterMaxMs: 2 ** 63 }
    const far = new BatchBuilder({ deleteHorizonMs: 2n ** 62n })
    far.append(NOW + 1, null, 'a')
    far.append(NOW - 1, null, 'b')
    expect(validate(Buffer.from(far.build()), open)).toMatchObject({ errorCode: 0, maxTimestamp: NOW + 1 })
    far.reset()
    far.append(NOW + 1, null, 'a')
    const rebuilt = validate(far.build(), { ...open, targetCodec: CodecId.GZIP })
    expect(valuesOf(rebuilt.batch)).toEqual([`0 ${NOW + 1} null a`])
    const apart = new BatchBuilder()
    apart.append(Number.MAX_SAFE_INTEGER, null, 'a')
    apart.append(-1, null, 'b')
    apart.append(Number.MAX_SAFE_INTEGER - 4, null, 'c')
    expect(validate(apart.build(), open)).toMatchObject({ errorCode: 0, maxTimestamp: Number.MAX_SAFE_INTEGER })
  })

  it('are the leader’s with LogAppendTime', () => {
    for (const codec of [CodecId.NONE, CodecId.SNAPPY]) {
      const batch = batchOf([{ timestamp: 5 }, { timestamp: 2 ** 52 }], { codec })
      expect(validate(batch, { ...limits, timestampType: 'LogAppendTime', deep: true }).maxTimestamp).toBe(NOW)
      expect([hasLogAppendTime(batch, 0), maxTimestampOf(batch, 0), batchCrcOk(batch, 0)]).toEqual([true, NOW, true])
    }
  })

  it('marked as the leader’s by a producer are refused with LogAppendTime and rewritten with CreateTime', () => {
    for (const codec of [CodecId.NONE, CodecId.GZIP]) {
      const options: BatchOptions = { codec, timestampType: 'LogAppendTime', maxTimestamp: NOW - 7 }
      const refused = validate(batchOf([{}, {}], options), { timestampType: 'LogAppendTime' })
      expect(refused.errorCode).toBe(ErrorCode.INVALID_TIMESTAMP)
      expect(refused.recordErrors).toHaveLength(2)
      const batch = batchOf([{}, {}], options)
      expect(validate(batch).maxTimestamp).toBe(NOW - 7)
      expect([hasLogAppendTime(batch, 0), batchCrcOk(batch, 0)]).toEqual([false, true])
    }
  })

  it('in the header of a compressed batch are believed, unless they are out of bounds or contradict one another', () => {
    const lie = batchOf([{ timestamp: NOW - 2 * HOUR_MS }], { codec: CodecId.LZ4, maxTimestamp: NOW })
    lie.writeBigInt64BE(BigInt(NOW - 10), BASE_TIMESTAMP_POSITION)
    lie.writeBigInt64BE(BigInt(NOW - 5), MAX_TIMESTAMP_POSITION)
    sealBatch(lie, 0)
    const crc = storedCrcOf(lie, 0)
    expect(validate(lie, limits).maxTimestamp).toBe(NOW - 5)
    expect(storedCrcOf(lie, 0)).toBe(crc)
    for (const maxTimestamp of [NOW + 2 * HOUR_MS, NOW - 11, 0, -1]) {
      lie.writeBigInt64BE(BigInt(maxTimestamp), MAX_TIMESTAMP_POSITION)
      sealBatch(lie, 0)
      expect(validate(lie, { ...limits, timestampBeforeMaxMs: 2 ** 63 }).maxTimestamp).toBe(NOW - 10) // the record's own
      expect([maxTimestampOf(lie, 0), batchCrcOk(lie, 0)]).toEqual([NOW - 10, true])
    }
  })
})

describe('compacted topics', () => {
  it('refuses offsets that are not consecutive on a compacted topic, which could never be compacted again', () => {
    const builder = new BatchBuilder()
    for (const offsetDelta of [0, 2, 5]) builder.appendAt(offsetDelta, NOW, 'key', 'value')
    const batch = Buffer.from(builder.build())
    // As many offsets as records, as a producer must say.
    batch.writeInt32BE(2, 23)
    sealBatch(batch, 0)
    expect(validate(batch, { compactedTopic: true }).errorCode).toBe(ErrorCode.INVALID_RECORD)
    expect(validate(batch, { compactedTopic: false }).errorCode).toBe(0)
  })

  it.each([CodecId.NONE, CodecId.ZSTD])('need keys, codec %i', (codec) => {
    const batch = batchOf([{}, { key: null }, { key: '' }, { key: null, timestamp: NOW + 2 * HOUR_MS }], { codec })
    const { errorCode, recordErrors } = validate(batch, { compactedTopic: true })
    expect(errorCode).toBe(ErrorCode.INVALID_RECORD)
    expect(recordErrors!.map((error) => error.batchIndex)).toEqual([1, 3])
    expect(validate(batchOf([{}, { value: null }], { codec }), { compactedTopic: true }).errorCode).toBe(0)
  })

  it('answer with the timestamp error if any record has one, and list no more errors than asked for', () => {
    const batch = batchOf([{ key: null }, { timestamp: NOW + 2 * HOUR_MS }, { key: null }, { key: null }])
    const { errorCode, errorMessage, recordErrors } = validate(batch, { compactedTopic: true, maxRecordErrorCount: 2 })
    expect(errorCode).toBe(ErrorCode.INVALID_TIMESTAMP)
    expect(recordErrors!.map((error) => error.batchIndex)).toEqual([0, 1])
    expect(errorMessage).toMatch(/4 records/)
  })
})

describe('recompression', () => {
  const codecs = [CodecId.NONE, CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD]
  const pairs = codecs.flatMap((source) =>
    codecs.filter((target) => target !== source).map((target) => [source, target]),
  )

  it.each(pairs)('from codec %i to %i keeps the records and everything that the header says', (source, target) => {
    const records = Array.from({ length: 50 }, (_, n) => ({
      timestamp: NOW + n,
      key: n % 7 ? `key-${n}` : null,
      value: 'v'.repeat(n),
    }))
    const producer = { producerId: 9, producerEpoch: 1, baseSequence: 4, transactional: true }
    const batch = batchOf(records, { codec: source as CodecId, ...producer })
    const before = Buffer.from(batch)
    const result = validate(batch, { targetCodec: target!, timestampAfterMaxMs: HOUR_MS })
    expect(result).toMatchObject({ errorCode: 0, rebuilt: true, maxTimestamp: NOW + 49, lastSequence: 53 })
    expect(batch.equals(before)).toBe(true)
    expect(batchCrcOk(result.batch, 0)).toBe(true)
    expect(batchCodecOf(result.batch, 0)).toBe(target)
    expect(valuesOf(result.batch)).toEqual(valuesOf(batch))
    const again = validate(Buffer.from(result.batch), { targetCodec: target! })
    expect(again).toMatchObject({ errorCode: 0, rebuilt: false, ...producer })
  })

  it('is not done for the codec that a batch has, whatever the level', () => {
    const batch = batchOf([{}], { codec: CodecId.GZIP, level: 1 })
    expect(validate(batch, { targetCodec: CodecId.GZIP, level: 9 })).toMatchObject({ errorCode: 0, rebuilt: false })
  })

  it('refuses what becomes too large', () => {
    const batch = batchOf([{ value: 'x'.repeat(10_000) }], { codec: CodecId.GZIP })
    expect(validate(batch, { targetCodec: CodecId.NONE, maxMessageBytes: 10_000 }).errorCode).toBe(
      ErrorCode.MESSAGE_TOO_LARGE,
    )
  })

  it('gives consecutive offsets, and the leader’s time with LogAppendTime', () => {
    const builder = new BatchBuilder({ codec: CodecId.GZIP, lastOffsetDelta: 1 })
    builder.appendAt(3, 2n ** 62n, 'a', '1')
    builder.appendAt(7, 5, 'b', '2')
    const result = validate(builder.build(), { targetCodec: CodecId.LZ4, timestampType: 'LogAppendTime' })
    expect(result).toMatchObject({ errorCode: 0, maxTimestamp: NOW })
    expect(valuesOf(result.batch)).toEqual([`0 ${NOW} a 1`, `1 ${NOW} b 2`])
  })
})

describe('the hot path', () => {
  it('allocates nothing per record', () => {
    const count = 20_000
    const builder = new BatchBuilder()
    for (let n = 0; n < count; n++) builder.append(NOW - (n % 300), n % 9 === 0 ? null : 'key', 'value')
    const batch = builder.build()
    const topic = rules()
    const result = new ProduceValidation()
    const heapGrowth = () => {
      const before = process.memoryUsage().heapUsed
      validateProduceBatch(batch, 0, batch.length, topic, result)
      return process.memoryUsage().heapUsed - before
    }
    for (let run = 0; run < 100; run++) heapGrowth() // until it is compiled
    const growths = Array.from({ length: 31 }, heapGrowth).sort((a, b) => a - b)
    expect(result.recordCount).toBe(count)
    expect(growths[15]).toBeLessThan(count) // the smallest object would make it twelve times that
  })
})

describe('bombs', () => {
  it('are refused when they must be expanded, with the error that makes clients split a batch', () => {
    const batch = batchOf([{ value: '\0'.repeat(20_000_000) }], { codec: CodecId.ZSTD })
    expect(batch.length).toBeLessThan(10_000)
    expect(validate(batch, { deep: true }).errorCode).toBe(ErrorCode.MESSAGE_TOO_LARGE)
    expect(validate(batch).errorCode).toBe(ErrorCode.NONE)
  })
})
