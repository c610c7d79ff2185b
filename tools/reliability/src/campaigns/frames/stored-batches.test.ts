import { batchOf } from '@millrace/broker/testing'
import {
  ATTRIBUTES_POSITION,
  BATCH_HEADER_BYTES,
  CodecId,
  LAST_OFFSET_DELTA_POSITION,
  MAGIC_POSITION,
  RECORD_COUNT_POSITION,
  sealBatch,
  setBaseOffset,
} from '@millrace/protocol'
import { expect, test } from 'vitest'
import { StoredBatches } from './stored-batches.ts'

/** A batch of two records at an offset, changed, with the checksum of what it is then. */
function stored(
  baseOffset: number,
  change: (batch: Buffer) => void = () => undefined,
  codec: CodecId = CodecId.NONE,
): Buffer {
  const batch = batchOf(['first', 'second'], { codec })
  setBaseOffset(batch, 0, baseOffset)
  change(batch)
  sealBatch(batch, 0)
  return batch
}

function complaintsOf(batches: readonly Buffer[]): string[] {
  const checker = new StoredBatches('t 0')
  checker.take(Buffer.concat(batches))
  return checker.complaints
}

test('batches that follow each other are well, whatever their codec, and in several pieces', () => {
  const checker = new StoredBatches('t 0')
  expect(
    checker.take(Buffer.concat([stored(4), stored(6, () => undefined, CodecId.LZ4), stored(8).subarray(0, 70)])),
  ).toBe(8)
  expect(checker.take(Buffer.alloc(0))).toBe(-1)
  expect(checker.take(stored(8))).toBe(10)
  expect(checker).toMatchObject({ complaints: [], batchCount: 3 })
})

test.each([
  ['a gap', stored(7), '6 was due at 7'],
  ['another format', stored(6, (batch) => batch.writeInt8(1, MAGIC_POSITION)), 'format 1'],
  ['a control batch', stored(6, (batch) => batch.writeInt8(0x20, ATTRIBUTES_POSITION + 1)), 'a control batch'],
  ['no known codec', stored(6, (batch) => batch.writeInt8(5, ATTRIBUTES_POSITION + 1)), 'codec 5'],
  [
    'more records than it says',
    stored(6, (batch) => batch.writeInt32BE(1, RECORD_COUNT_POSITION)),
    '1 records up to delta 1',
  ],
  ['a delta below none', stored(6, (batch) => batch.writeInt32BE(-1, LAST_OFFSET_DELTA_POSITION)), 'delta -1'],
  ['a damaged record', stored(6, (batch) => batch.writeInt8(0x7e, BATCH_HEADER_BYTES)), 'record'],
  // Of the second record, whose length, attributes and timestamp take a byte each.
  ['a record before its batch', stored(6, (batch) => batch.writeInt8(5, secondRecordOf(batch) + 3)), 'offset delta -3'],
] as const)('%s is found', (_what, batch, text) => {
  const complaints = complaintsOf([stored(4), batch])
  expect(complaints.join('; ')).toContain(text)
})

test('a wrong checksum is found, and a size that no batch has', () => {
  const changed = stored(6)
  changed[changed.length - 1]! ^= 1
  expect(complaintsOf([stored(4), changed])[0]).toContain('a wrong checksum at 6')
  const short = stored(6)
  short.writeInt32BE(3, 8)
  expect(complaintsOf([stored(4), short])[0]).toContain('a batch of 15 bytes')
})

/** Where the second record begins: the first one's length is a varint of one byte. */
function secondRecordOf(batch: Buffer): number {
  return BATCH_HEADER_BYTES + 1 + batch[BATCH_HEADER_BYTES]! / 2
}
