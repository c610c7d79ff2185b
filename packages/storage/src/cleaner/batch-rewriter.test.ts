import { SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import {
  BatchBuilder,
  type BatchOptions,
  baseTimestampOf,
  batchCodecOf,
  CodecId,
  hasDeleteHorizon,
  lastOffsetDeltaOf,
  maxTimestampOf,
  RecordReader,
  recordCountOf,
  sealBatch,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { batchesIn, type StoredBatch } from '../testing/compacted-log.ts'
import type { CleanOrder, RewriteOutcome, SourceSegment } from './clean-orders.ts'
import { LocalCleanEngine } from './local-clean-engine.ts'

const NOW_MS = 1_000_000

interface Given {
  key: string | null
  value: string | null
  timestamp?: number
  headers?: { key: string; value: Buffer }[]
}

/** Compacts one segment of these batches. */
async function clean(
  batches: readonly Buffer[],
  order: Partial<CleanOrder> = {},
  segmentEnd = 0,
): Promise<{ outcome: RewriteOutcome; bytes: Buffer; batches: StoredBatch[] }> {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/data')
  const contents = Buffer.concat(batches)
  const file = disk.openFile('/data/00000000000000000000.log', { create: true })
  file.write(contents, 0, contents.length, 0)
  file.close()
  const endOffset = batches.reduce(
    (end, batch) => Math.max(end, Number(batch.readBigInt64BE(0)) + lastOffsetDeltaOf(batch, 0) + 1),
    0,
  )
  const source: SourceSegment = {
    path: '/data/00000000000000000000.log',
    baseOffset: 0,
    endOffset: Math.max(endOffset, segmentEnd),
    sizeBytes: contents.length,
  }
  const clock = new SimulatedClock()
  const engine = new LocalCleanEngine({
    disk,
    clock,
    timers: new SimulatedTimers(clock),
    secret: Buffer.alloc(16, 7),
    nextTurn: () => Promise.resolve(),
  })
  const indexed = await engine.index({
    dirty: [source],
    firstDirtyOffset: 0,
    endOffset,
    aborted: [],
    lastDataOffsets: [],
    laterProducers: [],
    markerEpochs: [],
    nowMs: NOW_MS,
    deleteRetentionMs: 1_000,
    memoryBytes: 1 << 16,
    loadFactor: 0.9,
    ioBufferBytes: 1024,
    maxBytesPerSecond: Number.MAX_VALUE,
    indexIntervalBytes: 4096,
    ...order,
  })
  if (indexed.kind !== 'indexed') return { outcome: indexed, bytes: Buffer.alloc(0), batches: [] }
  const outcome = await engine.rewrite({ sources: [source], directory: '/data', suffix: '.cleaned' })
  const bytes = outcome.kind === 'rewritten' ? disk.readFile(`${source.path}.cleaned`) : Buffer.alloc(0)
  const isReadable = outcome.kind !== 'rewritten' || outcome.unreadable === null
  return { outcome, bytes, batches: isReadable ? batchesIn(bytes) : [] }
}

function batch(baseOffset: number, records: readonly Given[], options: BatchOptions = {}): Buffer {
  const builder = new BatchBuilder({ baseOffset, partitionLeaderEpoch: 3, ...options })
  for (const { key, value, timestamp = 500, headers = null } of records) builder.append(timestamp, key, value, headers)
  return Buffer.from(builder.build())
}

const FILLER = { key: 'last', value: 'x' }

describe('a batch', () => {
  test('of which all stays is not touched', async () => {
    const given = [batch(0, [{ key: 'a', value: '1', headers: [{ key: 'h', value: Buffer.from('v') }] }, FILLER])]
    const { outcome, bytes } = await clean(given)
    expect(outcome).toMatchObject({ kind: 'rewritten', isUnchanged: true })
    expect(bytes.equals(given[0]!)).toBe(true)
  })

  test.each([CodecId.NONE, CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD])(
    'keeps offsets, timestamps, headers and codec %i of what stays, and the newest of duplicates',
    async (codec) => {
      const headers = [{ key: 'h', value: Buffer.from('v') }]
      const { batches, bytes } = await clean([
        batch(
          10,
          [
            { key: 'a', value: 'old', timestamp: 900 },
            { key: 'b', value: '1', timestamp: 700, headers },
            { key: 'a', value: 'new', timestamp: 800 },
            { key: null, value: 'keyless', timestamp: 950 },
          ],
          { codec, producerId: 5, producerEpoch: 2, baseSequence: 40 },
        ),
      ])
      expect(batches).toHaveLength(1)
      const [{ baseOffset, lastOffset, records, header }] = batches as [StoredBatch]
      expect([baseOffset, lastOffset]).toEqual([10, 13])
      expect(records).toEqual([
        { key: 'b', value: '1', offset: 11, timestamp: 700 },
        { key: 'a', value: 'new', offset: 12, timestamp: 800 },
      ])
      expect(batchCodecOf(bytes, 0)).toBe(codec)
      // By the record that stayed with it, so that a look-up of the newest finds one.
      expect(maxTimestampOf(bytes, 0)).toBe(800)
      expect(header.readInt32BE(53)).toBe(40)
      expect(header.readInt32BE(12)).toBe(3)
    },
  )

  test('keeps the leader’s timestamp', async () => {
    const options: BatchOptions = { timestampType: 'LogAppendTime', maxTimestamp: 5_000 }
    const { batches } = await clean([batch(0, [{ key: 'a', value: '1' }, { key: 'a', value: '2' }, FILLER], options)])
    expect(batches[0]!.records.map(({ timestamp }) => timestamp)).toEqual([5_000, 5_000])
  })

  test('with tombstones gets its horizon once, and loses them when it is over', async () => {
    const records = [{ key: 'gone', value: null, timestamp: 400 }, FILLER]
    const first = await clean([batch(0, records)])
    expect(hasDeleteHorizon(first.bytes, 0)).toBe(true)
    expect(baseTimestampOf(first.bytes, 0)).toBe(NOW_MS + 1_000)
    expect(first.batches[0]!.records).toMatchObject([
      { key: 'gone', timestamp: 400 },
      { key: 'last', timestamp: 500 },
    ])
    const early = await clean([first.bytes], { nowMs: NOW_MS + 999 })
    expect(early.bytes.equals(first.bytes)).toBe(true)
    const late = await clean([first.bytes], { nowMs: NOW_MS + 1_000 })
    expect(late.batches[0]!.records).toMatchObject([{ key: 'last', offset: 1, timestamp: 500 }])
  })

  test('that ends its segment stays when nothing of it does, and those before it go', async () => {
    const { batches, bytes, outcome } = await clean([
      batch(0, [{ key: 'a', value: '1' }]),
      batch(1, [{ key: 'a', value: '2' }]),
      batch(2, [{ key: null, value: 'keyless', timestamp: 900 }]),
    ])
    expect(batches.map(({ baseOffset, records }) => [baseOffset, records.length])).toEqual([
      [1, 1],
      [2, 0],
    ])
    const at = bytes.length - 61
    expect([recordCountOf(bytes, at), maxTimestampOf(bytes, at), baseTimestampOf(bytes, at)]).toEqual([0, 900, -1])
    expect(outcome).toMatchObject({ nextOffset: 3, readRecordCount: 3, keptRecordCount: 1, keylessCount: 1 })
  })

  test('that is empty stands where Kafka let a segment end too early', async () => {
    const given = batch(0, [{ key: 'a', value: '1' }])
    const { batches, outcome } = await clean([given], { endOffset: 1 }, 10)
    expect(batches.map(({ baseOffset, lastOffset, records }) => [baseOffset, lastOffset, records.length])).toEqual([
      [0, 0, 1],
      [1, 9, 0],
    ])
    expect(outcome).toMatchObject({ nextOffset: 10, isUnchanged: false })
    // Leader epochs are held against it.
    expect(batches[1]!.header.readInt32BE(12)).toBe(3)
  })

  test('of which a producer knows its sequence stays, if empty', async () => {
    const producer = { producerId: 9, producerEpoch: 0, baseSequence: 3 }
    const given = [batch(0, [{ key: 'a', value: '1' }], producer), batch(1, [{ key: 'a', value: '2' }, FILLER])]
    expect((await clean(given)).batches.map(({ baseOffset }) => baseOffset)).toEqual([1])
    const kept = await clean(given, { lastDataOffsets: [[9, 0]] })
    expect(kept.batches.map(({ baseOffset, records }) => [baseOffset, records.length])).toEqual([
      [0, 0],
      [1, 2],
    ])
  })

  test('beyond what the memory holds is left for the next time', async () => {
    const given = [
      batch(
        0,
        Array.from({ length: 40 }, (_, n) => ({ key: `k${n % 20}`, value: `${n}` })),
      ),
    ]
    const { batches } = await clean(given, { memoryBytes: 24 * 6 })
    expect(batches[0]!.records).toHaveLength(40)
  })

  test.each([
    [1, 1],
    [3, 2],
    [0, 9],
  ])('of a client that sent offsets %i and %i stays as it is', async (first, second) => {
    // As nobody but a hostile client does: records are written one by one, each with the offset that it is to claim.
    const bytes = batch(0, [{ key: 'a', value: '1' }, { key: 'a', value: '2' }, FILLER])
    const reader = new RecordReader()
    reader.open(bytes, 0)
    for (const offset of [first, second]) {
      reader.next()
      // Lengths, attributes and a timestamp's delta of one byte each come before it.
      bytes[reader.recordPosition + 3] = offset << 1
    }
    sealBatch(bytes, 0)
    const { outcome } = await clean([bytes])
    expect(outcome).toMatchObject({ kind: 'rewritten', isUnchanged: true, unreadable: { position: 0 } })
  })

  test('that is damaged ends the clean, one that expands beyond measure stays as it is', async () => {
    const damaged = batch(0, [{ key: 'a', value: 'some value' }])
    damaged[70]! ^= 1
    expect((await clean([damaged])).outcome).toEqual({ kind: 'damaged', segmentBaseOffset: 0, position: 0 })
    const bomb = batch(0, [{ key: 'a', value: '0'.repeat(70 << 20) }], { codec: CodecId.ZSTD })
    const { outcome } = await clean([bomb])
    expect(outcome).toMatchObject({ kind: 'rewritten', isUnchanged: true, unreadable: { position: 0 } })
  })
})
