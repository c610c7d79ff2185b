import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CodecId } from '../compression/codec.ts'
import { ErrorCode } from '../errors/index.ts'
import { BatchBuilder } from './batch-builder.ts'
import { BATCH_HEADER_BYTES, batchCrcOk, hasLogAppendTime, maxTimestampOf, recordCountOf } from './batch-header.ts'
import { CorruptBatchError } from './corrupt-batch-error.ts'
import { type ProduceRules, ProduceValidation } from './produce-validation.ts'
import { RecordReader } from './record-reader.ts'
import { RecordScan, scanRecords } from './scan-records.ts'
import { validateProduceBatch } from './validate-produce-batch.ts'

interface ModelRecord {
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: { key: string; value: Buffer | null }[]
}

const NOW = 1_700_000_000_000
const bytes = fc.option(fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)))
const timestamp = fc.oneof(
  fc.constant(-1),
  fc.integer({ min: -5000, max: 5000 }).map((delta) => NOW + delta),
  fc.maxSafeNat(),
)
const record: fc.Arbitrary<ModelRecord> = fc.record({
  timestamp,
  key: bytes,
  value: bytes,
  headers: fc.array(fc.record({ key: fc.string({ unit: 'grapheme', maxLength: 5 }), value: bytes }), { maxLength: 3 }),
})
const records = fc.array(record, { minLength: 1, maxLength: 20 })
const codec = fc.constantFrom(CodecId.NONE, CodecId.NONE, CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD)

/** Records as the format's description reads, with bigints and lists. */
function naiveRecords(model: readonly ModelRecord[]): Buffer {
  const varint = (value: number | bigint): number[] => {
    let raw = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
    const out: number[] = []
    for (; raw > 127n; raw >>= 7n) out.push(Number(raw & 127n) | 128)
    return [...out, Number(raw)]
  }
  const field = (data: Buffer | null): number[] => (data === null ? varint(-1) : [...varint(data.length), ...data])
  const out: number[] = []
  for (const [slot, { timestamp: time, key, value, headers }] of model.entries()) {
    const body = [0, ...varint(time - model[0]!.timestamp), ...varint(slot), ...field(key), ...field(value)]
    body.push(...varint(headers.length))
    for (const header of headers) body.push(...field(Buffer.from(header.key)), ...field(header.value))
    out.push(...varint(body.length), ...body)
  }
  return Buffer.from(out)
}

function build(model: readonly ModelRecord[], options: ConstructorParameters<typeof BatchBuilder>[0] = {}): Buffer {
  const builder = new BatchBuilder(options)
  for (const { timestamp: time, key, value, headers } of model) builder.append(time, key, value, headers)
  return builder.build()
}

function readAll(batch: Buffer): ModelRecord[] {
  const reader = new RecordReader()
  reader.open(batch, 0)
  const result: ModelRecord[] = []
  while (reader.next()) {
    result.push({ timestamp: reader.timestamp, key: reader.key(), value: reader.value(), headers: reader.headers() })
  }
  return result
}

describe('record batches', () => {
  it('hold what was put in, with every codec', () => {
    fc.assert(
      fc.property(records, codec, (model, id) => {
        const batch = build(model, { codec: id })
        expect(batchCrcOk(batch, 0)).toBe(true)
        expect(readAll(batch)).toEqual(model)
        expect(maxTimestampOf(batch, 0)).toBe(Math.max(...model.map((entry) => entry.timestamp)))
      }),
    )
  })

  it('have the bytes of the naive encoder', () => {
    fc.assert(
      fc.property(records, (model) => {
        expect(build(model).subarray(BATCH_HEADER_BYTES).equals(naiveRecords(model))).toBe(true)
      }),
    )
  })

  it('are scanned and read by the same rules, whatever the damage', () => {
    const scan = new RecordScan()
    const reader = new RecordReader()
    const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { maxLength: 3 })
    fc.assert(
      fc.property(records, damage, fc.integer({ min: -1, max: 1 }), (model, changes, miscount) => {
        const batch = Buffer.from(build(model))
        for (const { at, byte } of changes) {
          batch[BATCH_HEADER_BYTES + (at % (batch.length - BATCH_HEADER_BYTES))] = byte
        }
        const count = Math.max(1, recordCountOf(batch, 0) + miscount)
        batch.writeInt32BE(count, BATCH_HEADER_BYTES - 4)
        const failure = scanRecords(batch, BATCH_HEADER_BYTES, batch.length, count, scan)
        const seen = { keyless: 0, odd: 0, negative: false, min: Infinity, max: -Infinity }
        let readFailure = false
        try {
          reader.open(batch, 0)
          for (let slot = 0; reader.next(); slot++) {
            if (reader.keyLength < 0) seen.keyless++
            if (reader.offsetDelta !== slot) seen.odd++
            if (reader.offsetDelta < 0) seen.negative = true
            seen.min = Math.min(seen.min, reader.timestampDelta)
            seen.max = Math.max(seen.max, reader.timestampDelta)
          }
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptBatchError)
          readFailure = true
        }
        expect(failure !== null).toBe(readFailure)
        if (readFailure) return
        expect([scan.nullKeyCount, scan.oddOffsetCount, scan.hasNegativeOffset]).toEqual([
          seen.keyless,
          seen.odd,
          seen.negative,
        ])
        expect([scan.minTimestampDelta, scan.maxTimestampDelta]).toEqual([seen.min, seen.max])
      }),
      { numRuns: 2000 },
    )
  })
})

describe('validateProduceBatch', () => {
  const rules = fc.record<ProduceRules>({
    apiVersion: fc.constant(12),
    nowMs: fc.constant(NOW),
    maxMessageBytes: fc.constant(1_000_000),
    compactedTopic: fc.boolean(),
    timestampType: fc.constantFrom('CreateTime', 'LogAppendTime'),
    timestampBeforeMaxMs: fc.constantFrom(2 ** 63, 4000),
    timestampAfterMaxMs: fc.constantFrom(2 ** 63, 3000),
    targetCodec: fc.option(codec),
    level: fc.constant(null),
    deep: fc.constant(true),
    maxRecordErrorCount: fc.constant(1000),
  })

  /** Error of each record by the rules as they are told, null for none. */
  function expectedErrors(model: readonly ModelRecord[], topic: ProduceRules): ('key' | 'time' | null)[] {
    return model.map(({ key, timestamp: time }) => {
      if (topic.compactedTopic && key === null) return 'key'
      if (topic.timestampType === 'LogAppendTime' || time === -1) return null
      return NOW - time > topic.timestampBeforeMaxMs || time - NOW > topic.timestampAfterMaxMs ? 'time' : null
    })
  }

  it('agrees with the naive rules, and stores the same records', () => {
    const result = new ProduceValidation()
    fc.assert(
      fc.property(records, codec, rules, (model, id, topic) => {
        const batch = Buffer.from(build(model, { codec: id, producerId: 4, producerEpoch: 1, baseSequence: 9 }))
        const accepted = validateProduceBatch(batch, 0, batch.length, topic, result)
        const errors = expectedErrors(model, topic)
        expect(accepted).toBe(errors.every((error) => error === null))
        if (!accepted) {
          const code = errors.includes('time') ? ErrorCode.INVALID_TIMESTAMP : ErrorCode.INVALID_RECORD
          expect(result.errorCode).toBe(code)
          const bad = errors.flatMap((error, slot) => (error === null ? [] : [slot]))
          expect(result.recordErrors!.map((error) => error.batchIndex)).toEqual(bad)
          return
        }
        const stored = result.batch.subarray(result.start, result.end)
        const appendTime = topic.timestampType === 'LogAppendTime'
        const maxTimestamp = appendTime ? NOW : Math.max(...model.map((entry) => entry.timestamp))
        expect([batchCrcOk(stored, 0), maxTimestampOf(stored, 0), result.maxTimestamp]).toEqual([
          true,
          maxTimestamp,
          maxTimestamp,
        ])
        expect(hasLogAppendTime(stored, 0)).toBe(appendTime)
        const times = appendTime ? model.map((entry) => ({ ...entry, timestamp: NOW })) : model
        expect(readAll(stored)).toEqual(times)
        expect(result.lastSequence).toBe(8 + model.length)
      }),
      { numRuns: 500 },
    )
  })
})
