import { SimulatedDisk } from '@millrace/base'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findAborted } from './log-lookup.ts'
import type { LogSegments } from './log-segments.ts'
import { type AbortedTransaction, TransactionIndex } from './transaction-index.ts'

/** Goal: a reader finds every aborted transaction of its range, and looks at few others, however long one of them was open. */

function opened(): { disk: SimulatedDisk; index: TransactionIndex } {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  disk.makeDirectory('/d')
  return { disk, index: new TransactionIndex(disk, '/d/0.txnindex', true) }
}

function segmentsOf(index: TransactionIndex): LogSegments {
  const segment = { indexes: { transactions: index } }
  return { count: 1, slotFor: () => 0, at: () => segment } as unknown as LogSegments
}

/** What {@link findAborted} must find, entry by entry. */
function overlapping(known: readonly AbortedTransaction[], fromOffset: number, endOffset: number): number[] {
  return known
    .filter(({ firstOffset, lastOffset }) => lastOffset >= fromOffset && firstOffset < endOffset)
    .map(({ firstOffset }) => firstOffset)
}

test('behind a transaction that was open for long, a reader looks at a few entries of each block', () => {
  const { index } = opened()
  const count = 20_000
  for (let number = 0; number < count; number++) {
    const firstOffset = 1 + 2 * number
    index.append({ producerId: 2, firstOffset, lastOffset: firstOffset + 1, lastStableOffset: 0 })
  }
  const end = 2 * count + 1
  index.append({ producerId: 1, firstOffset: 0, lastOffset: end, lastStableOffset: end + 1 })
  let looked = 0
  const from = index.from.bind(index)
  index.from = function* (offset, endOffset) {
    for (const entry of from(offset, endOffset)) {
      looked++
      yield entry
    }
  }
  const found = findAborted(segmentsOf(index), 101, 111).map(({ firstOffset }) => firstOffset)
  expect(found).toEqual([101, 103, 105, 107, 109, 0])
  expect(looked).toBeLessThan(1_000)
})

test('whatever is appended, cut off and dropped from memory, the transactions of a range are found', () => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ append: fc.integer({ min: 1, max: 600 }), length: fc.integer({ min: 1, max: 900 }) }),
    },
    { weight: 1, arbitrary: fc.record({ cut: fc.double({ min: 0, max: 1, noNaN: true }) }) },
    { weight: 1, arbitrary: fc.constant({ drop: true }) },
    {
      weight: 3,
      arbitrary: fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), span: fc.integer({ min: 1, max: 300 }) }),
    },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const { index } = opened()
      let known: AbortedTransaction[] = []
      const endOffset = (): number => (known.at(-1)?.lastOffset ?? -1) + 1
      for (const made of steps) {
        if ('append' in made) {
          for (let number = 0; number < made.append; number++) {
            const lastOffset = endOffset() + 2
            // Some were open for long. Zero as last stable offset: a reader is never told to stop.
            const firstOffset = Math.max(0, number % 97 === 0 ? lastOffset - made.length : lastOffset - 1)
            const transaction = { producerId: number, firstOffset, lastOffset, lastStableOffset: 0 }
            index.append(transaction)
            known.push(transaction)
          }
        } else if ('cut' in made) {
          const offset = Math.floor(made.cut * endOffset())
          index.truncateTo(offset)
          known = known.filter(({ lastOffset }) => lastOffset < offset)
        } else if ('drop' in made) {
          index.file.flush()
          index.file.drop()
        } else {
          const fromOffset = Math.floor(made.at * endOffset())
          const found = findAborted(segmentsOf(index), fromOffset, fromOffset + made.span)
          const wanted = overlapping(known, fromOffset, fromOffset + made.span)
          expect(found.map(({ firstOffset }) => firstOffset)).toEqual(wanted)
        }
      }
    }),
    { numRuns: 60 },
  )
})

test('what is appended in the place of what was cut off is found', () => {
  const { index } = opened()
  const append = (firstOffset: number, lastOffset: number): void =>
    index.append({ producerId: 1, firstOffset, lastOffset, lastStableOffset: 0 })
  const firsts = (): number[] => findAborted(segmentsOf(index), 10, 11).map(({ firstOffset }) => firstOffset)
  for (let number = 0; number < 1_000; number++) append(100 + 2 * number, 101 + 2 * number)
  expect(firsts()).toEqual([])
  index.truncateTo(1_100)
  append(5, 1_101)
  for (let number = 501; number < 1_100; number++) append(100 + 2 * number, 101 + 2 * number)
  expect(firsts()).toEqual([5])
})
