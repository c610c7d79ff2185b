import { expect, test } from 'vitest'
import { type BatchKind, faultsOf, PartitionHistory, type ReadBatch } from './acknowledged.ts'
import { wrongEnds } from './read-back.ts'

const kinds: BatchKind[] = [
  { bytes: Buffer.alloc(100), recordCount: 10, crc: 1 },
  { bytes: Buffer.alloc(70), recordCount: 1, crc: 2 },
]

/** Two batches that were acknowledged and one that was sent only. */
function sample(): { history: PartitionHistory; batches: ReadBatch[] } {
  const history = new PartitionHistory(3)
  history.sentCount = 3
  history.onAcknowledged(0, kinds[0]!)
  history.onAcknowledged(10, kinds[1]!)
  const batches = [
    { baseOffset: 0, lastOffset: 9, crc: 1, sizeBytes: 100, sound: true },
    { baseOffset: 10, lastOffset: 10, crc: 2, sizeBytes: 70, sound: true },
    { baseOffset: 11, lastOffset: 20, crc: 1, sizeBytes: 100, sound: true },
  ]
  return { history, batches }
}

test('what was acknowledged, with or without what was only sent, is sound', () => {
  const { history, batches } = sample()
  expect(faultsOf(history, kinds, batches)).toEqual([])
  expect(faultsOf(history, kinds, batches.slice(0, 2))).toEqual([])
  expect(history.acknowledgedEnd).toBe(11)
})

test('an acknowledged batch that is gone is found', () => {
  const { history, batches } = sample()
  expect(faultsOf(history, kinds, batches.slice(0, 1))).toEqual([
    'partition 3: the acknowledged batch at 10 is missing',
  ])
})

test('a gap is found', () => {
  const { history, batches } = sample()
  const moved = [batches[0]!, batches[1]!, { ...batches[2]!, baseOffset: 12, lastOffset: 21 }]
  expect(faultsOf(history, kinds, moved)).toEqual(['partition 3: offset 11 is followed by 12'])
})

test('a batch that does not have its checksum, and one that nobody sent, are found', () => {
  const { history, batches } = sample()
  expect(faultsOf(history, kinds, [batches[0]!, batches[1]!, { ...batches[2]!, sound: false }])).toEqual([
    'partition 3: damaged batch at 11',
  ])
  expect(faultsOf(history, kinds, [batches[0]!, batches[1]!, { ...batches[2]!, crc: 99 }])).toEqual([
    'partition 3: unknown batch at 11',
  ])
})

test('another batch in the place of an acknowledged one is found', () => {
  const { history, batches } = sample()
  const exchanged = [batches[0]!, { ...batches[1]!, crc: 1, sizeBytes: 100 }]
  expect(faultsOf(history, kinds, exchanged)).toEqual(['partition 3: another batch at 10 than was acknowledged'])
})

test('more batches than were sent are found', () => {
  const { history, batches } = sample()
  history.sentCount = 2
  expect(faultsOf(history, kinds, batches)).toEqual(['partition 3: 3 batches, but 2 were sent'])
})

test('an offset that was given to two batches is found', () => {
  const { history, batches } = sample()
  history.onAcknowledged(10, kinds[1]!)
  expect(faultsOf(history, kinds, batches)).toEqual(['partition 3: offset 10 was given to two batches'])
})

test('of partitions with known ends, one that is short, refused or not told of is found', () => {
  const histories = [0, 1, 2].map((partition) => {
    const history = new PartitionHistory(partition)
    history.onAcknowledged(0, kinds[1]!)
    return history
  })
  const told = histories.map(({ partition }) => ({ partitionIndex: partition, errorCode: 0, offset: 1 }))
  expect(wrongEnds('t', histories, told)).toEqual([])
  expect(
    wrongEnds('t', histories, [told[0]!, { ...told[1]!, offset: 0 }, { ...told[2]!, errorCode: 56 }]),
  ).toHaveLength(2)
  expect(wrongEnds('t', histories, told.slice(0, 2))).toEqual(['t-2 is not told of, acknowledged up to 1'])
})
