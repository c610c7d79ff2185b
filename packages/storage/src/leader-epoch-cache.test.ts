import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LeaderEpochCache } from './leader-epoch-cache.ts'
import { CorruptFileError } from './text-checkpoint.ts'

function cacheOf(entries: readonly (readonly [epoch: number, startOffset: number])[]): LeaderEpochCache {
  const cache = new LeaderEpochCache()
  for (const [epoch, startOffset] of entries) cache.assign(epoch, startOffset)
  return cache
}

const pairs = (cache: LeaderEpochCache): number[][] =>
  cache.entries().map(({ epoch, startOffset }) => [epoch, startOffset])

test('a repeated epoch is ignored, a later start replaces nothing', () => {
  expect(
    pairs(
      cacheOf([
        [1, 0],
        [1, 5],
        [2, 10],
      ]),
    ),
  ).toEqual([
    [1, 0],
    [2, 10],
  ])
})

test('an epoch that starts where others did replaces them', () => {
  expect(
    pairs(
      cacheOf([
        [1, 0],
        [2, 10],
        [3, 20],
        [4, 10],
      ]),
    ),
  ).toEqual([
    [1, 0],
    [4, 10],
  ])
})

test('earlier epochs are added before the others, of which one may go on, and must be saved', () => {
  const cache = cacheOf([
    [3, 20],
    [5, 30],
  ])
  cache.encode()
  const earlier = (...starts: [number, number][]) => starts.map(([epoch, startOffset]) => ({ epoch, startOffset }))
  // No epochs that only rise.
  expect(cache.prepend(earlier([4, 0]))).toBe(false)
  expect(cache.prepend(earlier([1, 0], [2, 20]))).toBe(false)
  expect(cache.prepend([])).toBe(true)
  expect(cache.needsSave(100)).toBe(false)
  expect(cache.prepend(earlier([2, 5], [3, 12]))).toBe(true)
  expect(pairs(cache)).toEqual([
    [2, 5],
    [3, 12],
    [5, 30],
  ])
  expect(cache.needsSave(100)).toBe(true)
  expect(cache.prepend(earlier([1, 0]))).toBe(true)
  expect(pairs(cache)[0]).toEqual([1, 0])
})

test('whatever is assigned and cut, both columns strictly increase', () => {
  const step = fc.tuple(fc.constantFrom('assign', 'end', 'start'), fc.nat(20), fc.nat(100))
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const cache = new LeaderEpochCache()
      for (const [kind, epoch, offset] of steps) {
        if (kind === 'assign') cache.assign(epoch, offset)
        else if (kind === 'end') cache.truncateFromEnd(offset)
        else cache.truncateFromStart(offset)
        const list = pairs(cache)
        for (let slot = 1; slot < list.length; slot++) {
          expect(list[slot]![0]).toBeGreaterThan(list[slot - 1]![0]!)
          expect(list[slot]![1]).toBeGreaterThan(list[slot - 1]![1]!)
        }
      }
    }),
  )
})

// replication-and-transactions.md, 5: sparse epochs must not truncate too much (KAFKA-6857, 7897, 7959).
test.each([
  [-1, -1, -1],
  [6, 6, 100],
  [7, -1, -1],
  [0, 0, 10],
  [2, 2, 20],
  [3, 2, 20],
  [4, 4, 50],
  [5, 4, 50],
])('the end of epoch %i is epoch %i at %i', (asked, epoch, endOffset) => {
  const cache = cacheOf([
    [2, 10],
    [4, 20],
    [6, 50],
  ])
  expect(cache.endOffsetFor(asked, 100)).toEqual({ epoch, endOffset })
})

test('cutting the front keeps the epoch that holds the start, from there on', () => {
  const cache = cacheOf([
    [1, 0],
    [2, 10],
    [3, 20],
  ])
  cache.truncateFromStart(15)
  expect(pairs(cache)).toEqual([
    [2, 15],
    [3, 20],
  ])
  expect(cache.epochAt(14)).toBe(-1)
  expect(cache.epochAt(15)).toBe(2)
  expect(cache.epochAt(99)).toBe(3)
})

test('the file reads back as it was written', () => {
  const cache = cacheOf([
    [0, 0],
    [7, 12],
  ])
  expect(cache.needsSave(100)).toBe(true)
  const contents = cache.encode()
  expect(contents.toString()).toBe('0\n2\n0 0\n7 12\n')
  expect(cache.needsSave(100)).toBe(false)
  const other = new LeaderEpochCache()
  other.decode('f', contents)
  expect(pairs(other)).toEqual(pairs(cache))
})

test.each(['1\n0\n', '0\n2\n0 0\n', '0\n1\n0 x\n', '0\n1\n0 0 0\n', '0\n2\n3 0\n2 5\n', '0\n2\n1 5\n2 5\n', '\0\0\0'])(
  'the file %j is refused and leaves the cache empty',
  (contents) => {
    const cache = cacheOf([[1, 0]])
    expect(() => cache.decode('f', Buffer.from(contents))).toThrow(CorruptFileError)
    expect(cache.isEmpty).toBe(true)
  },
)

test('an epoch is saved once it has records, and what was saved is saved again when it goes', () => {
  const cache = cacheOf([[3, 0]])
  expect(cache.needsSave(0)).toBe(false)
  expect(cache.needsSave(1)).toBe(true)
  cache.encode()
  cache.assign(4, 1)
  expect(cache.needsSave(1)).toBe(false)
  expect(cache.needsSave(2)).toBe(true)
  cache.encode()
  cache.truncateFromEnd(1)
  expect(cache.needsSave(1)).toBe(true)
  cache.encode()
  cache.truncateFromStart(1)
  expect(cache.needsSave(1)).toBe(true)
})
