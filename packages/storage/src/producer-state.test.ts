import { ErrorCode } from '@millrace/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeProducerSnapshot, encodeProducerSnapshot } from './producer-snapshot.ts'
import { DUPLICATE_BATCH, ProducerState } from './producer-state.ts'
import { CorruptFileError } from './text-checkpoint.ts'

/** Rules: replication-and-transactions.md, 8. */

const PRODUCER = 7

function append(
  state: ProducerState,
  baseSequence: number,
  count: number,
  baseOffset: number,
  options: { epoch?: number; transactional?: boolean; timestamp?: number } = {},
): number {
  const { epoch = 0, transactional = false, timestamp = 100 } = options
  const code = state.checkData('client', PRODUCER, epoch, baseSequence, count - 1, transactional)
  if (code === ErrorCode.NONE) {
    state.onData(PRODUCER, epoch, baseSequence, baseOffset, baseOffset + count - 1, timestamp, transactional)
  }
  return code
}

test('an unknown producer may start with any sequence, a known one goes on where it was', () => {
  const state = new ProducerState(0)
  expect(append(state, 40, 2, 0)).toBe(ErrorCode.NONE)
  expect(append(state, 43, 1, 2)).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
  expect(append(state, 42, 1, 2)).toBe(ErrorCode.NONE)
})

test('exactly the last five batches are recognized, with the offsets they got first', () => {
  const state = new ProducerState(0)
  for (let number = 0; number < 7; number++) expect(append(state, number * 2, 2, 100 + number * 2)).toBe(ErrorCode.NONE)
  for (let number = 2; number < 7; number++) {
    expect(append(state, number * 2, 2, 999)).toBe(DUPLICATE_BATCH)
    expect(state.duplicateFirstOffset).toBe(100 + number * 2)
    expect(state.duplicateLastOffset).toBe(101 + number * 2)
    expect(state.duplicateTimestamp).toBe(100)
  }
  expect(append(state, 2, 2, 999)).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
})

test('a batch with a kept first sequence but another length is no duplicate', () => {
  const state = new ProducerState(0)
  append(state, 0, 2, 0)
  expect(append(state, 0, 1, 2)).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
})

test('sequences wrap from the largest int32 to 0', () => {
  const state = new ProducerState(0)
  expect(append(state, 2 ** 31 - 2, 3, 0)).toBe(ErrorCode.NONE)
  expect(append(state, 1, 2, 3)).toBe(ErrorCode.NONE)
  expect(append(state, 2 ** 31 - 2, 3, 9)).toBe(DUPLICATE_BATCH)
})

test('after the largest int32 comes 0', () => {
  const state = new ProducerState(0)
  append(state, 2 ** 31 - 1, 1, 0)
  expect(append(state, 0, 1, 1)).toBe(ErrorCode.NONE)
})

test('an older epoch is fenced, a newer one starts its sequences at 0 and forgets the kept batches', () => {
  const state = new ProducerState(0)
  append(state, 0, 1, 0, { epoch: 3 })
  expect(append(state, 1, 1, 1, { epoch: 2 })).toBe(ErrorCode.INVALID_PRODUCER_EPOCH)
  expect(append(state, 1, 1, 1, { epoch: 4 })).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
  expect(append(state, 0, 1, 1, { epoch: 4 })).toBe(ErrorCode.NONE)
  expect(append(state, 0, 1, 2, { epoch: 3 })).toBe(ErrorCode.INVALID_PRODUCER_EPOCH)
})

test('a transaction holds the last stable offset until its marker is below the high watermark', () => {
  const state = new ProducerState(0)
  expect(state.firstUnstableOffset).toBe(-1)
  append(state, 0, 2, 10, { transactional: true })
  append(state, 2, 1, 12, { transactional: true })
  expect(state.firstUnstableOffset).toBe(10)
  expect(append(state, 3, 1, 13)).toBe(ErrorCode.INVALID_TXN_STATE)
  const ended = state.onMarker(PRODUCER, 0, 5, 13, 200)!
  expect(ended).toEqual({ producerId: PRODUCER, firstOffset: 10, lastOffset: 13 })
  expect(state.lastStableOffsetOf(ended)).toBe(14)
  state.completeTransaction(ended)
  expect(state.firstUndecidedOffset).toBe(-1)
  expect(state.firstUnstableOffset).toBe(10)
  expect(state.onHighWatermark(13)).toBe(false)
  expect(state.onHighWatermark(14)).toBe(true)
  expect(state.firstUnstableOffset).toBe(-1)
})

test('many transactions that ended above the high watermark cost a look and an advance next to nothing', () => {
  const state = new ProducerState(0)
  const count = 100_000
  for (let number = 0; number < count; number++) {
    const firstOffset = 2 * number
    append(state, number, 1, firstOffset, { transactional: true })
    state.completeTransaction(state.onMarker(PRODUCER, 0, 0, firstOffset + 1, 0)!)
  }
  // Each look at all of them would be 10 thousand million steps.
  for (let number = 0; number < count; number++) {
    expect(state.firstUnstableOffset === 2 * number).toBe(true)
    state.onHighWatermark(2 * number + 2)
  }
  expect(state.firstUnstableOffset).toBe(-1)
})

test('the transaction index records the oldest transaction of another producer that is still open', () => {
  const state = new ProducerState(0)
  state.checkData('client', 1, 0, 0, 0, true)
  state.onData(1, 0, 0, 5, 5, 0, true)
  state.checkData('client', 2, 0, 0, 0, true)
  state.onData(2, 0, 0, 6, 6, 0, true)
  const ended = state.onMarker(1, 0, 0, 7, 0)!
  expect(state.lastStableOffsetOf(ended)).toBe(6)
})

test('a marker without data ends nothing', () => {
  const state = new ProducerState(0)
  expect(state.onMarker(PRODUCER, 0, 1, 3, 0)).toBe(null)
  expect(state.checkMarker(PRODUCER, 0, 0, 0)).toBe(ErrorCode.TRANSACTION_COORDINATOR_FENCED)
  expect(state.checkMarker(PRODUCER, 0, 1, 0)).toBe(ErrorCode.NONE)
})

test('of producers that only markers told of, the newest hundred are remembered, and none counts as a writer', () => {
  const state = new ProducerState(0)
  append(state, 0, 1, 0)
  for (let id = 1_000; id < 3_000; id++) expect(state.onMarker(id, 0, 5, id, 0)).toBe(null)
  expect(state.count).toBe(101)
  expect(state.writerCount).toBe(1)
  expect(state.checkMarker(2_999, 0, 4, 0)).toBe(ErrorCode.TRANSACTION_COORDINATOR_FENCED)
  expect(state.entry(2_899)).toBe(null)
  expect(state.isWriter(PRODUCER)).toBe(true)
})

test('a producer that a marker told of is one of the writers with its first batch, and is not crowded out any more', () => {
  const state = new ProducerState(0)
  state.onMarker(PRODUCER, 0, 5, 0, 0)
  expect(state.isWriter(PRODUCER)).toBe(false)
  append(state, 0, 1, 1, { transactional: true })
  expect(state.isWriter(PRODUCER)).toBe(true)
  state.completeTransaction(state.onMarker(PRODUCER, 1, 5, 2, 0)!)
  for (let id = 1_000; id < 1_200; id++) state.onMarker(id, 0, 5, id, 0)
  expect(state.entry(PRODUCER)).toMatchObject({ producerEpoch: 1, coordinatorEpoch: 5 })
  expect(state.writerCount).toBe(1)
  state.removeExpired(10_000, 1_000)
  expect({ count: state.count, writerCount: state.writerCount }).toEqual({ count: 0, writerCount: 0 })
})

test('the producer of which a marker came last is remembered longest', () => {
  const state = new ProducerState(0)
  for (let id = 0; id < 100; id++) state.onMarker(id, 0, 5, id, 0)
  state.onMarker(0, 1, 5, 100, 0)
  state.onMarker(1_000, 0, 5, 101, 0)
  expect([state.entry(0)?.producerEpoch, state.entry(1)]).toEqual([1, null])
})

// KIP-890: the coordinator raises the epoch before it writes the marker; an equal one is a repetition or late.
test.each([
  ['newer epoch', 4, true, ErrorCode.NONE],
  ['equal epoch while the transaction is open', 3, true, ErrorCode.INVALID_PRODUCER_EPOCH],
  ['equal epoch after it ended', 3, false, ErrorCode.NONE],
  ['older epoch', 2, false, ErrorCode.INVALID_PRODUCER_EPOCH],
])('a marker of version 2 with %s', (_, epoch, open, code) => {
  const state = new ProducerState(0)
  append(state, 0, 1, 0, { epoch: 3, transactional: true })
  if (!open) state.completeTransaction(state.onMarker(PRODUCER, 3, 0, 1, 0)!)
  expect(state.checkMarker(PRODUCER, epoch, 0, 2)).toBe(code)
})

test('idle producers expire, those with an open transaction do not', () => {
  const state = new ProducerState(0)
  append(state, 0, 1, 0, { timestamp: 100 })
  state.removeExpired(1099, 1000)
  expect(state.count).toBe(1)
  append(state, 1, 1, 1, { timestamp: 200, transactional: true })
  state.removeExpired(5000, 1000)
  expect(state.count).toBe(1)
  state.completeTransaction(state.onMarker(PRODUCER, 0, 0, 2, 300)!)
  state.removeExpired(1299, 1000)
  expect(state.count).toBe(1)
  state.removeExpired(1300, 1000)
  expect(state.count).toBe(0)
})

test('replication is never refused', () => {
  const state = new ProducerState(0)
  append(state, 0, 1, 0, { epoch: 3 })
  expect(state.checkData('replication', PRODUCER, 1, 99, 0, false)).toBe(ErrorCode.NONE)
})

test('a snapshot keeps of each producer what the next batch is checked against', () => {
  const producer = fc.record({
    id: fc.nat(1000),
    epoch: fc.nat(32_000),
    sequences: fc.array(fc.nat(2 ** 31 - 1), { maxLength: 7 }),
    open: fc.boolean(),
    timestamp: fc.nat(10_000),
  })
  fc.assert(
    fc.property(fc.uniqueArray(producer, { selector: ({ id }) => id }), (producers) => {
      const state = new ProducerState(0)
      let offset = 0
      for (const { id, epoch, sequences, open, timestamp } of producers) {
        for (const sequence of sequences) state.onData(id, epoch, sequence, offset, offset++, timestamp, open)
      }
      const bytes = encodeProducerSnapshot(state.producers(), state.count)
      const loaded = new ProducerState(0)
      loaded.load(decodeProducerSnapshot('f', bytes), offset, 10_000, 20_000)
      expect(loaded.firstUnstableOffset).toBe(state.firstUnstableOffset)
      for (const entry of state.producers()) {
        const other = loaded.entry(entry.producerId)!
        for (const field of [
          'producerEpoch',
          'lastSequence',
          'lastDataOffset',
          'lastTimestamp',
          'coordinatorEpoch',
        ] as const) {
          expect(other[field]).toBe(entry[field])
        }
        expect(other.currentTransactionFirstOffset).toBe(entry.currentTransactionFirstOffset)
      }
    }),
  )
})

test('a snapshot with any flipped bit or cut anywhere is refused', () => {
  const state = new ProducerState(0)
  append(state, 0, 1, 0)
  const bytes = encodeProducerSnapshot(state.producers(), state.count)
  for (let position = 0; position < bytes.length; position++) {
    for (let bit = 0; bit < 8; bit++) {
      const damaged = Buffer.from(bytes)
      damaged[position]! ^= 1 << bit
      expect(() => decodeProducerSnapshot('f', damaged)).toThrow(CorruptFileError)
    }
    expect(() => decodeProducerSnapshot('f', bytes.subarray(0, position))).toThrow(CorruptFileError)
  }
})
