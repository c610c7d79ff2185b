import { CodecId, ErrorCode, setBaseOffset } from '@millrace/protocol'
import type { ReadResult } from '@millrace/storage'
import { expect, test } from 'vitest'
import type { Partition } from '../../partition/partition.ts'
import { batchOf } from '../../testing/batches.ts'
import { abortedBatches, batchesIn } from '../fetch/log-batches.ts'
import { readSource } from './source-records.ts'

/** Batches of three records each, one after the other. */
function logOf(...batches: Buffer[]): Buffer {
  for (const [slot, batch] of batches.entries()) setBaseOffset(batch, 0, slot * 3)
  return Buffer.concat(batches)
}

function partitionOf(
  bytes: Buffer | number,
  { highWatermark = 100, logStartOffset = 0, replicaCount = 1 } = {},
): Partition {
  const log = {
    ...{ highWatermark, logStartOffset },
    faultyRanges: [],
    read(_from: number, _max: number, _upper: number, _one: boolean, out: ReadResult) {
      if (typeof bytes === 'number') out.errorCode = bytes
      else out.set(bytes, 8)
      return typeof bytes !== 'number'
    },
  }
  return { log, replicaCount } as unknown as Partition
}

/** In the header of a batch. */
const LAST_OFFSET_DELTA_POSITION = 23
const RECORD_COUNT_POSITION = 57

const THREE = ['a', 'b', 'c']
const packed = (): Buffer => batchOf(THREE, { codec: CodecId.GZIP })

/** What each letter says: its value, or why it has none. */
async function toldOf(partition: Partition, startOffset: number, endOffset: number) {
  const source = await readSource(partition, startOffset, endOffset, true)
  return source?.letters.map(({ offset, record, note }) => [offset, record?.value?.toString() ?? note]) ?? null
}

test('one batch that cannot be read costs its own records, not those around it', async () => {
  const broken = packed()
  broken.fill(0xff, 70, 90)
  const partition = partitionOf(logOf(batchOf(THREE), broken, packed()))
  expect(await toldOf(partition, 1, 8)).toEqual([
    [1, 'b'],
    [2, 'c'],
    [3, 'the record cannot be read'],
    [4, 'the record cannot be read'],
    [5, 'the record cannot be read'],
    [6, 'a'],
    [7, 'b'],
  ])
})

test('a batch that claims more records than memory has room for costs one letter, not one for each', async () => {
  const huge = packed()
  huge.writeInt32BE(2 ** 31 - 2, LAST_OFFSET_DELTA_POSITION)
  huge.writeInt32BE(2 ** 31 - 1, RECORD_COUNT_POSITION)
  huge.fill(0xff, 70, 90)
  const partition = partitionOf(huge, { highWatermark: 2 ** 31 })
  const told = await readSource(partition, 0, 2 ** 31 - 1, true)
  expect(told).toMatchObject({ letters: [{ offset: 0, record: null }], endOffset: 2 ** 31 - 1 })
  expect(told!.letters[0]!.note).toMatch(/cannot be read, nor can the 2147483646 behind it/)
  const deleted = await readSource(partitionOf(huge, { logStartOffset: 2 ** 31 }), 0, 2 ** 31 - 1, true)
  expect(deleted!.letters).toHaveLength(1)
})

test('letters are made so many at a time, in order and without holes', async () => {
  const partition = partitionOf(batchOf(Array.from({ length: 2500 }, (_, slot) => `${slot}`)), { highWatermark: 2500 })
  const values: string[] = []
  let offset = 0
  for (let step = 0; offset < 2490; step++) {
    const told = (await readSource(partition, offset, 2490, true))!
    expect(told.letters.length).toBeLessThanOrEqual(1000)
    for (const { record } of told.letters) values.push(record!.value!.toString())
    offset = told.endOffset
    expect(step).toBeLessThan(5)
  }
  expect(values).toEqual(Array.from({ length: 2490 }, (_, slot) => `${slot}`))
})

test('markers of transactions get no letter, nor do offsets that nothing is at, whether contents are copied or not', async () => {
  const marker = batchOf([{ key: '\u0000\u0000\u0000\u0000', value: '\u0000\u0000\u0000\u0000\u0000\u0000' }], {
    ...{ producerId: 7, producerEpoch: 0, transactional: true, control: true },
  })
  setBaseOffset(marker, 0, 1)
  const last = batchOf(['last'])
  setBaseOffset(last, 0, 5)
  const partition = partitionOf(Buffer.concat([batchOf(['first']), marker, last]))
  for (const copies of [true, false]) {
    const told = (await readSource(partition, 0, 6, copies))!
    expect(told.letters.map(({ offset, record }) => [offset, record?.value?.toString() ?? null])).toEqual([
      [0, copies ? 'first' : null],
      [5, copies ? 'last' : null],
    ])
    expect(told.endOffset).toBe(6)
  }
})

test('a new leader waits for what it does not know to be committed, and takes nothing of it for gone', async () => {
  const log = logOf(batchOf(THREE))
  expect(await toldOf(partitionOf(log, { highWatermark: 2 }), 0, 3)).toBeNull()
  expect(await toldOf(partitionOf(log, { highWatermark: 3 }), 0, 3)).toHaveLength(3)
})

test('deleted records are told as such; errors that may pass tell nothing', async () => {
  expect(await toldOf(partitionOf(logOf(), { logStartOffset: 2 }), 0, 3)).toEqual([
    [0, 'the record was deleted before'],
    [1, 'the record was deleted before'],
  ])
  expect(await toldOf(partitionOf(ErrorCode.KAFKA_STORAGE_ERROR), 0, 3)).toBeNull()
  expect(await toldOf(partitionOf(ErrorCode.CORRUPT_MESSAGE, { replicaCount: 3 }), 0, 3)).toBeNull()
  expect(await toldOf(partitionOf(ErrorCode.CORRUPT_MESSAGE), 0, 3)).toEqual([
    [0, 'the record is lost by damage of the disk'],
  ])
})

test('batches of aborted transactions are told from those of others', () => {
  const of = (producerId: number, more = {}): Buffer =>
    batchOf(THREE, { producerId, producerEpoch: 0, baseSequence: 0, transactional: true, ...more })
  const marker = batchOf([{ key: '\u0000\u0000\u0000\u0000', value: '\u0000\u0000\u0000\u0000\u0000\u0000' }], {
    ...{ producerId: 7, producerEpoch: 0, transactional: true, control: true },
  })
  const batches = batchesIn([logOf(of(7), of(8), batchOf(THREE), marker, of(7))])
  const hidden = abortedBatches(batches, [{ producerId: 7, firstOffset: 0 }])
  expect(hidden).toEqual([{ startOffset: 0, endOffset: 3 }])
})
