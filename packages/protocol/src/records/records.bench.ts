import { test } from 'vitest'
import { CodecId } from '../compression/codec.ts'
import { BatchBuilder } from './batch-builder.ts'
import { BATCH_HEADER_BYTES, recordCountOf } from './batch-header.ts'
import { type ProduceRules, ProduceValidation } from './produce-validation.ts'
import { RecordReader } from './record-reader.ts'
import { RecordScan, scanRecords } from './scan-records.ts'
import { validateProduceBatch } from './validate-produce-batch.ts'

const NOW = 1_700_000_000_000
const BATCH_BYTES = 64 * 1024

const RULES: ProduceRules = {
  apiVersion: 12,
  nowMs: NOW,
  maxMessageBytes: 1_048_588,
  compactedTopic: false,
  timestampType: 'CreateTime',
  timestampBeforeMaxMs: 2 ** 63,
  timestampAfterMaxMs: 3_600_000,
  targetCodec: null,
  level: null,
  deep: false,
  maxRecordErrorCount: 100,
}

/** A batch of about 64 KiB, as a busy producer sends it; `recordCount` 0 fills it. */
function batchOf(valueBytes: number, codec: CodecId, recordCount = 0): Buffer {
  const builder = new BatchBuilder({ codec })
  const value = Buffer.alloc(valueBytes, 'some value of a record, ')
  const count = recordCount || Math.max(1, Math.floor(BATCH_BYTES / (valueBytes + 10)))
  for (let record = 0; record < count; record++) builder.append(NOW + (record >> 4), null, value)
  return Buffer.from(builder.build())
}

for (const valueBytes of [100, 1000, 10_000]) {
  test(`records of ${valueBytes} bytes in a batch of 64 KiB`, async ({ bench }) => {
    const plain = batchOf(valueBytes, CodecId.NONE)
    const arrived = Buffer.from(plain)
    const lz4 = batchOf(valueBytes, CodecId.LZ4)
    const zstd = batchOf(valueBytes, CodecId.ZSTD)
    const [scan, reader, result] = [new RecordScan(), new RecordReader(), new ProduceValidation()]
    const recordCount = recordCountOf(plain, 0)
    const [scanAll, validate] = [scanRecords, validateProduceBatch] // local: the runner's export getters would be measured too
    const [appendTime, deep] = [
      { ...RULES, timestampType: 'LogAppendTime' as const },
      { ...RULES, deep: true },
    ]
    const value = Buffer.alloc(valueBytes, 'v')
    const builder = new BatchBuilder({ initialSizeBytes: 2 * BATCH_BYTES })
    await bench.compare(
      bench(
        `scan of ${recordCount} records`,
        () => void scanAll(plain, BATCH_HEADER_BYTES, plain.length, recordCount, scan),
      ),
      bench('RecordReader over them', () => {
        reader.open(plain, 0)
        while (reader.next());
      }),
      bench('BatchBuilder of them', () => {
        builder.reset()
        for (let record = 0; record < recordCount; record++) builder.append(NOW, null, value)
        builder.build()
      }),
      bench('validateProduceBatch', () => void validate(plain, 0, plain.length, RULES, result)),
      bench('validateProduceBatch, LogAppendTime', () => {
        plain.copy(arrived) // so that the time must be set and the checksum computed anew
        validate(arrived, 0, arrived.length, appendTime, result)
      }),
      bench('validateProduceBatch, lz4', () => void validate(lz4, 0, lz4.length, RULES, result)),
      bench('validateProduceBatch, lz4, deep', () => void validate(lz4, 0, lz4.length, deep, result)),
      bench('validateProduceBatch, zstd, deep', () => void validate(zstd, 0, zstd.length, deep, result)),
    )
  })
}

test('100 batches of one record of 40 bytes', async ({ bench }) => {
  const one = batchOf(40, CodecId.NONE, 1)
  const copy = Buffer.from(one)
  const result = new ProduceValidation()
  const validate = validateProduceBatch
  const appendTime = { ...RULES, timestampType: 'LogAppendTime' as const }
  await bench.compare(
    bench('validateProduceBatch', () => {
      for (let call = 0; call < 100; call++) validate(one, 0, one.length, RULES, result)
    }),
    bench('validateProduceBatch, LogAppendTime', () => {
      for (let call = 0; call < 100; call++) {
        one.copy(copy) // as it arrives, so that the time must be set and the checksum computed anew
        validate(copy, 0, copy.length, appendTime, result)
      }
    }),
  )
})
