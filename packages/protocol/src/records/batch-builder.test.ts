import { AssertionError } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { CodecId } from '../compression/codec.ts'
import { BatchBuilder, recordSizeBound } from './batch-builder.ts'
import {
  attributesOf,
  baseTimestampOf,
  batchCodecOf,
  batchCrcOk,
  isControlBatch,
  isTransactionalBatch,
  maxTimestampOf,
  producerIdOf,
  recordCountOf,
} from './batch-header.ts'
import {
  buildEndTxnMarker,
  ControlRecordType,
  controlTypeOf,
  coordinatorEpochOf,
  encodeControlKey,
} from './control-record.ts'
import { CorruptBatchError } from './corrupt-batch-error.ts'
import { RecordReader } from './record-reader.ts'

function read(batch: Buffer): string[] {
  const reader = new RecordReader()
  reader.open(batch, 0)
  const records: string[] = []
  while (reader.next()) records.push(`${reader.offset} ${reader.timestamp} ${reader.key()} ${reader.value()}`)
  return records
}

describe('BatchBuilder', () => {
  it('grows with what is appended, bytes or text', () => {
    const builder = new BatchBuilder({ initialSizeBytes: 1 })
    for (let n = 0; n < 500; n++) {
      const before = builder.sizeInBytes
      const headers = [{ key: 'ž', value: n % 2 ? null : Buffer.from('h') }]
      builder.append(1000 + n, n % 3 ? `žluť ${n}` : null, Buffer.from(`value ${n}`), headers)
      const bound = recordSizeBound(n % 3 ? `žluť ${n}` : null, `value ${n}`, headers)
      expect(builder.sizeInBytes - before).toBeLessThanOrEqual(bound)
    }
    const size = builder.sizeInBytes
    const batch = builder.build()
    expect(batch.length).toBe(size)
    expect(batchCrcOk(batch, 0)).toBe(true)
    expect(read(batch)[499]).toBe('499 1499 žluť 499 value 499')
    expect([builder.recordCount, recordCountOf(batch, 0), maxTimestampOf(batch, 0)]).toEqual([500, 500, 1499])
  })

  it('writes the next batch into the same memory after a reset, with other options if there are any', () => {
    const builder = new BatchBuilder({
      codec: CodecId.GZIP,
      transactional: true,
      producerId: 1,
      producerEpoch: 0,
      baseSequence: 0,
    })
    builder.append(1, 'a', 'b')
    const first = builder.build()
    builder.reset()
    builder.append(2, 'c', 'd')
    builder.setProducerState(77, 3, 10)
    const second = builder.build()
    expect([read(first), read(second)]).toEqual([['0 1 a b'], ['0 2 c d']])
    expect([producerIdOf(first, 0), producerIdOf(second, 0)]).toEqual([1, 77])
    builder.reset({ baseOffset: 40 })
    builder.append(3, 'e', null)
    const third = builder.build()
    expect(read(third)).toEqual(['40 3 e null'])
    expect([batchCodecOf(third, 0), isTransactionalBatch(third, 0)]).toEqual([0, false])
  })

  it.each([CodecId.NONE, CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD])(
    'builds on the thread pool the same records, codec %i',
    async (codec) => {
      const builder = new BatchBuilder({ codec, level: 3 })
      for (let n = 0; n < 1000; n++) builder.append(n, `key ${n % 10}`, `value ${n}`)
      const batch = await builder.buildAsync()
      expect([batchCodecOf(batch, 0), batchCrcOk(batch, 0), read(batch).length]).toEqual([codec, true, 1000])
      expect(read(batch)[999]).toBe('999 999 key 9 value 999')
    },
  )

  it('keeps what compaction leaves: gaps, the last offset, and headers without records', () => {
    const builder = new BatchBuilder({ baseOffset: 100, lastOffsetDelta: 9, deleteHorizonMs: 5000, codec: CodecId.LZ4 })
    builder.appendAt(3, 4000, 'k', null)
    builder.appendAt(7, 6000, 'l', null)
    const batch = builder.build()
    expect(read(batch)).toEqual(['103 4000 k null', '107 6000 l null'])
    expect([attributesOf(batch, 0), baseTimestampOf(batch, 0)]).toEqual([0x43, 5000])
    const empty = new BatchBuilder({
      baseOffset: 100,
      lastOffsetDelta: 9,
      maxTimestamp: 800,
      codec: CodecId.LZ4,
    }).build()
    expect([empty.length, batchCodecOf(empty, 0), baseTimestampOf(empty, 0), maxTimestampOf(empty, 0)]).toEqual([
      61, 0, -1, 800,
    ])
    expect(read(empty)).toEqual([])
  })

  it('copies encoded records to other offsets and times', () => {
    const source = new BatchBuilder({ codec: CodecId.ZSTD })
    source.append(10, 'a', 'x'.repeat(300), [{ key: 'h', value: null }])
    source.append(20, null, null)
    const reader = new RecordReader()
    reader.open(source.build(), 0)
    const copy = new BatchBuilder({ baseOffset: 5 })
    for (let delta = 2; reader.next(); delta += 3) {
      copy.appendEncoded(delta, reader.timestamp + 1, reader.bytes, reader.bodyPosition, reader.recordEnd)
    }
    const batch = copy.build()
    expect(read(batch)).toEqual([`7 11 a ${'x'.repeat(300)}`, '10 21 null null'])
    reader.open(batch, 0)
    reader.next()
    expect(reader.headers()).toEqual([{ key: 'h', value: null }])
  })

  it('stops programmers from appending out of order or after the end, and from building nothing', () => {
    const builder = new BatchBuilder()
    expect(() => builder.build()).toThrow(AssertionError)
    builder.appendAt(5, 1, null, null)
    expect(() => builder.appendAt(5, 1, null, null)).toThrow(AssertionError)
    builder.build()
    expect(() => builder.append(1, null, null)).toThrow(AssertionError)
    expect(() => builder.build()).toThrow(AssertionError)
  })
})

describe('transaction markers', () => {
  it('are control batches of one record', () => {
    for (const type of [ControlRecordType.ABORT, ControlRecordType.COMMIT]) {
      const marker = buildEndTxnMarker({ type, coordinatorEpoch: 12, producerId: 5, producerEpoch: 6, timestamp: 1000 })
      expect([isControlBatch(marker, 0), isTransactionalBatch(marker, 0), batchCrcOk(marker, 0)]).toEqual([
        true,
        true,
        true,
      ])
      const reader = new RecordReader()
      reader.open(marker, 0)
      expect(reader.next()).toBe(true)
      expect([controlTypeOf(reader), coordinatorEpochOf(reader)]).toEqual([type, 12])
      expect(reader.next()).toBe(false)
    }
  })

  it('without a type or a coordinator epoch are damage', () => {
    for (const [key, value] of [
      [null, null],
      [Buffer.from('000000', 'hex'), Buffer.from('0000', 'hex')],
      [Buffer.from('ffff0001', 'hex'), Buffer.from('ffff00000001', 'hex')],
    ]) {
      const builder = new BatchBuilder({ control: true })
      builder.append(1, key!, value!)
      const reader = new RecordReader()
      reader.open(builder.build(), 0)
      reader.next()
      expect(() => controlTypeOf(reader)).toThrow(CorruptBatchError)
      expect(() => coordinatorEpochOf(reader)).toThrow(CorruptBatchError)
    }
    expect(encodeControlKey(ControlRecordType.SNAPSHOT_FOOTER).toString('hex')).toBe('00000004')
  })
})
