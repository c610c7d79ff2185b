import { BatchBuilder, createAcquiredRecords, createShareFetchResponsePartitionData } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { readAcquired } from './share-record.ts'

const PLACE = { topic: 't', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ' as never, partition: 0 }
const OPTIONS = { checkCrcs: true, maxExpandedBatchBytes: 1_000_000 }
const TYPES = { gap: '-', release: '<', reject: '!', accept: '?', renew: '?' } as const

/** A batch of records whose values are letters. */
function batch(baseOffset: number, values: string): Buffer {
  const builder = new BatchBuilder({ baseOffset })
  for (const value of values) builder.append(0, null, value)
  return Buffer.from(builder.build())
}

function damaged(bytes: Buffer): Buffer {
  bytes[bytes.length - 1]! ^= 0xff
  return bytes
}

/** What becomes of each offset of one acquired range: its value, or what is said of it (`!`: rejected, `<`: released, `-`: a gap). */
function outcomes(records: readonly Buffer[], first: number, last: number): string {
  const answer = createShareFetchResponsePartitionData({
    records: Buffer.concat(records),
    acquiredRecords: [createAcquiredRecords({ firstOffset: first, lastOffset: last, deliveryCount: 1 })],
  })
  const read = readAcquired(PLACE, answer, OPTIONS)
  const values = new Map(read.records.map((record) => [Number(record.offset), record.value!.toString()]))
  let text = read.failure === null ? '' : 'failure '
  for (let offset = first; offset <= last; offset++) {
    const type = read.acknowledgements.typeOf(offset)
    text += values.get(offset) ?? (type === null ? ' ' : TYPES[type])
  }
  return text
}

test('a batch that cannot be read costs no record but its own', () => {
  expect(outcomes([batch(0, 'abc'), damaged(batch(3, 'def')), batch(6, 'ghi')], 1, 8)).toBe('failure bc!!!ghi')
  expect(outcomes([damaged(batch(0, 'abc')), batch(3, 'def'), damaged(batch(6, 'ghi'))], 0, 8)).toBe(
    'failure !!!def!!!',
  )
  expect(outcomes([damaged(batch(0, 'abc')), damaged(batch(3, 'def')), batch(6, 'ghi')], 2, 7)).toBe('failure !!!!gh')
})

test('offsets that compaction took are gaps, but for those that may belong to what cannot be read', () => {
  expect(outcomes([batch(0, 'ab'), batch(4, 'ef')], 0, 5)).toBe('ab--ef')
  expect(outcomes([batch(0, 'ab'), damaged(batch(4, 'ef')), batch(8, 'i')], 0, 8)).toBe('failure ab!!!!!!i')
})

test('where batches cannot be told apart nothing is given up', () => {
  const broken = batch(0, 'abc')
  broken.writeInt8(9, 16)
  expect(outcomes([broken, batch(3, 'def')], 0, 5)).toBe('failure <<<<<<')
})
