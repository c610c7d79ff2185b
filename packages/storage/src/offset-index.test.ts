import { SimulatedDisk } from '@millrace/base'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OffsetIndex } from './offset-index.ts'

const BASE = 1000

function indexOf(entries: readonly (readonly [offset: number, position: number])[]): OffsetIndex {
  const index = new OffsetIndex(new SimulatedDisk(), '/00000000000000001000.index', BASE, true)
  for (const [offset, position] of entries) index.append(offset, position)
  return index
}

const entries = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 5000 })), { maxLength: 40 })
  .map((steps) => {
    let offset = BASE
    let position = 0
    return steps.map(([offsetStep, positionStep]) => {
      offset += offsetStep
      position += positionStep
      return [offset, position] as const
    })
  })

test('an entry is the offset relative to the base and the position, big-endian', () => {
  const disk = new SimulatedDisk()
  const index = new OffsetIndex(disk, '/x.index', BASE, true)
  index.append(1007, 4711)
  index.append(1016, 9000)
  index.file.flush()
  expect(disk.readFile('/x.index').toString('hex')).toBe('00000007000012670000001000002328')
})

test('a look-up finds the largest entry at or below the offset, as a search from the start does', () => {
  fc.assert(
    fc.property(entries, fc.integer({ min: BASE - 5, max: BASE + 2200 }), (list, offset) => {
      const want = list.findLast(([entryOffset]) => entryOffset <= offset)
      expect(indexOf(list).positionFor(offset)).toBe(want?.[1] ?? 0)
    }),
  )
})

test('the last position below an offset and within reach is that of the last entry that is both', () => {
  fc.assert(
    fc.property(entries, fc.nat(200_000), fc.integer({ min: BASE, max: BASE + 2200 }), (list, position, offset) => {
      const want = list.findLast(([entryOffset, entryPosition]) => entryPosition <= position && entryOffset < offset)
      expect(indexOf(list).lastPositionBelow(position, offset)).toBe(want?.[1] ?? 0)
    }),
  )
})

test('truncation keeps the entries below offset and position', () => {
  fc.assert(
    fc.property(entries, fc.nat(200_000), fc.integer({ min: BASE, max: BASE + 2200 }), (list, position, offset) => {
      const index = indexOf(list)
      index.truncateTo(position, offset)
      const kept = list.filter(([entryOffset, entryPosition]) => entryOffset < offset && entryPosition < position)
      expect(index.file.count).toBe(kept.length)
      expect(index.last()).toEqual(
        kept.length === 0 ? null : { lastOffset: kept.at(-1)![0], position: kept.at(-1)![1] },
      )
    }),
  )
})

test('entries that were flushed and dropped from memory are found again after a load', () => {
  const index = indexOf([
    [1010, 100],
    [1020, 200],
  ])
  index.file.flush()
  index.append(1030, 300)
  index.file.drop()
  expect(index.canLookUp(1015)).toBe(false)
  expect(index.canLookUp(1030)).toBe(true)
  expect(index.positionFor(1030)).toBe(300)
  index.file.loadNow()
  expect(index.positionFor(1015)).toBe(100)
  expect(index.positionFor(1029)).toBe(200)
})

test.each([
  [
    'offsets that do not rise',
    [
      [1010, 100],
      [1010, 200],
    ],
  ],
  [
    'positions that do not rise',
    [
      [1010, 200],
      [1020, 100],
    ],
  ],
  ['a position past the end', [[1010, 5000]]],
  ['an entry for the first batch', [[1010, 0]]],
] as const)('an index with %s is not sound', (_, list) => {
  expect(indexOf(list).isSound(5000)).toBe(false)
})
