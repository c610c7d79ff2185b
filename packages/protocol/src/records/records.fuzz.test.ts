import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CodecId } from '../compression/codec.ts'
import { ErrorCode } from '../errors/index.ts'
import { BatchBuilder } from './batch-builder.ts'
import { ATTRIBUTES_POSITION, batchSizeOf, MAGIC_POSITION, RECORD_COUNT_POSITION, sealBatch } from './batch-header.ts'
import { inspectRecords } from './inspect-records.ts'
import { type ProduceRules, ProduceValidation } from './produce-validation.ts'
import { corruptRows, recordsRows } from './testing/record-vectors.ts'
import { validateProduceBatch } from './validate-produce-batch.ts'

/*
 * Hostile record data: golden sets that are cut, spliced and overwritten, mostly with the checksum put right afterwards, since a hostile
 * producer computes it too. Whatever comes, reading ends in a count or a CorruptBatchError, validating in an error code, within bounds.
 */

const seeds = [...recordsRows(), ...corruptRows()]
  .map((row) => Buffer.from(row.base64, 'base64'))
  .filter((buffer) => buffer.length < 4000)

const RULES: ProduceRules = {
  apiVersion: 12,
  nowMs: 1_700_000_000_000,
  maxMessageBytes: 1_048_588,
  compactedTopic: true,
  timestampType: 'CreateTime',
  timestampBeforeMaxMs: 2 ** 63,
  timestampAfterMaxMs: 3_600_000,
  targetCodec: null,
  level: null,
  deep: true,
  maxRecordErrorCount: 10,
}

/** Bytes with which length fields and varints are overwritten: the ends of their ranges. */
const interesting = fc.constantFrom(
  ...[
    '00',
    'ff',
    '7f',
    '80',
    '01',
    '7fffffff',
    '80000000',
    'ffffffff',
    'feffffff0f',
    'ffffffffffffffffff01',
    '0000000000000000',
  ],
)

const mutation = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('write' as const), at: fc.nat(), hex: interesting }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat(), count: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant('splice' as const), at: fc.nat(), from: fc.nat(seeds.length - 1), count: fc.nat(60) }),
)

type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never

function mutate(buffer: Buffer, changes: readonly Mutation[]): Buffer {
  let bytes = Buffer.from(buffer)
  for (const change of changes) {
    if (bytes.length === 0) return bytes
    const at = change.at % bytes.length
    if (change.kind === 'flip') bytes[at]! ^= 1 << change.bit
    else if (change.kind === 'write') Buffer.from(change.hex, 'hex').copy(bytes, at)
    else if (change.kind === 'remove') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.count)])
    else {
      const other = seeds[change.from]!
      const start = change.at % other.length
      bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(start, start + change.count), bytes.subarray(at)])
    }
  }
  return bytes
}

/** Makes the first batch fit the buffer and gives it the right checksum. */
function repair(bytes: Buffer): void {
  if (bytes.length < 61 || bytes[MAGIC_POSITION] !== 2) return
  bytes.writeInt32BE(bytes.length - 12, 8)
  sealBatch(bytes, 0)
}

describe('hostile record data', () => {
  const input = fc.record({
    seed: fc.nat(seeds.length - 1),
    changes: fc.array(mutation, { minLength: 1, maxLength: 5 }),
    repaired: fc.integer({ min: 0, max: 3 }).map((n) => n > 0),
  })

  it('ends in an answer', () => {
    const result = new ProduceValidation()
    const codes = new Set<number>()
    const failures = new Set<string>()
    fc.assert(
      fc.property(
        input,
        fc.boolean(),
        fc.constantFrom(null, CodecId.NONE, CodecId.LZ4),
        (chosen, deep, targetCodec) => {
          const bytes = mutate(seeds[chosen.seed]!, chosen.changes)
          if (chosen.repaired) repair(bytes)
          const inspection = inspectRecords(bytes)
          failures.add(String(inspection.failure))
          expect(inspection.leftBytes).toBeLessThanOrEqual(bytes.length)
          const rules = { ...RULES, deep, targetCodec, compactedTopic: deep }
          const accepted = validateProduceBatch(bytes, 0, bytes.length, rules, result)
          codes.add(result.errorCode)
          expect(accepted).toBe(result.errorCode === ErrorCode.NONE)
          if (accepted) expect(batchSizeOf(result.batch, result.start)).toBe(result.end - result.start)
        },
      ),
      { numRuns: 6000 },
    )
    expect(codes.size).toBeGreaterThan(4) // the mutations reach the different checks
    expect(failures.size).toBeGreaterThan(5)
  })

  it('that validation accepts can be read in full', () => {
    const result = new ProduceValidation()
    let acceptedCount = 0
    fc.assert(
      fc.property(input, ({ seed, changes }) => {
        const bytes = mutate(seeds[seed]!, changes)
        repair(bytes)
        if (!validateProduceBatch(bytes, 0, bytes.length, { ...RULES, compactedTopic: false }, result)) return
        acceptedCount++
        const { failure, recordCount } = inspectRecords(result.batch, result.start, result.end)
        expect([failure, recordCount]).toEqual([null, result.recordCount])
      }),
      { numRuns: 4000 },
    )
    expect(acceptedCount).toBeGreaterThan(20)
  })

  it.each([CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD])(
    'cannot make us work beyond its limits: bombs, codec %i',
    (codec) => {
      const builder = new BatchBuilder({ codec })
      for (let record = 0; record < 3; record++) builder.append(1_700_000_000_000, 'k', Buffer.alloc(25_000_000))
      const bomb = builder.build()
      const before = process.memoryUsage().arrayBuffers
      const result = new ProduceValidation()
      const rules = { ...RULES, maxMessageBytes: 100_000_000 }
      expect(validateProduceBatch(bomb, 0, bomb.length, rules, result)).toBe(false)
      expect(result.errorCode).toBe(ErrorCode.MESSAGE_TOO_LARGE)
      expect(inspectRecords(bomb).failure).toBe('compressed-data')
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(300 << 20)
    },
  )

  it('that lies about its record count is refused without allocating for it', () => {
    for (const codec of [CodecId.NONE, CodecId.GZIP]) {
      const builder = new BatchBuilder({ codec, lastOffsetDelta: 0x7ffffffe })
      builder.append(1_700_000_000_000, 'k', 'v')
      const batch = builder.build()
      batch.writeInt32BE(0x7fffffff, RECORD_COUNT_POSITION)
      sealBatch(batch, 0)
      const result = new ProduceValidation()
      expect(validateProduceBatch(batch, 0, batch.length, RULES, result)).toBe(false)
      expect(result.errorCode).toBe(ErrorCode.INVALID_RECORD)
      expect(inspectRecords(batch)).toMatchObject({ failure: 'count', recordCount: 1 })
    }
  })

  it('that declares a size of its own in each codec is not believed', () => {
    const snappy = Buffer.concat([Buffer.from('ffffffff0f', 'hex'), Buffer.alloc(50)])
    const zstd = Buffer.concat([
      Buffer.from('28b52ffde0', 'hex'),
      Buffer.from('ffffffffffffff7f', 'hex'),
      Buffer.alloc(20),
    ])
    const lz4 = Buffer.concat([Buffer.from('04224d186870ffffffffffffff7f', 'hex'), Buffer.alloc(20)])
    const gzip = Buffer.concat([Buffer.from('1f8b0800000000000003', 'hex'), Buffer.from('030000000000ffffffff', 'hex')])
    for (const [codec, payload] of [
      [CodecId.SNAPPY, snappy],
      [CodecId.ZSTD, zstd],
      [CodecId.LZ4, lz4],
      [CodecId.GZIP, gzip],
    ] as const) {
      const builder = new BatchBuilder()
      builder.append(1_700_000_000_000, 'k', 'v')
      const batch = Buffer.concat([builder.build().subarray(0, 61), payload])
      batch[ATTRIBUTES_POSITION + 1] = codec
      repair(batch)
      const before = process.memoryUsage().arrayBuffers
      const result = new ProduceValidation()
      expect(validateProduceBatch(batch, 0, batch.length, RULES, result)).toBe(false)
      expect(result.errorCode).toBe(ErrorCode.INVALID_RECORD)
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20)
    }
  })
})
