import { SimulatedDisk } from '@millrace/base'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TimeIndex } from './time-index.ts'

const BASE = 1000

function emptyIndex(disk = new SimulatedDisk()): TimeIndex {
  return new TimeIndex(disk, '/x.timeindex', BASE, true)
}

test('an entry is the timestamp and the offset relative to the base, big-endian', () => {
  const disk = new SimulatedDisk()
  const index = emptyIndex(disk)
  index.maybeAppend(1_700_000_000_000, 1007)
  index.file.flush()
  expect(disk.readFile('/x.timeindex').toString('hex')).toBe('0000018bcfe5680000000007')
})

test('only later timestamps are added', () => {
  const index = emptyIndex()
  index.maybeAppend(10, 1001)
  index.maybeAppend(10, 1002)
  index.maybeAppend(9, 1003)
  index.maybeAppend(11, 1004)
  expect(index.file.count).toBe(2)
  expect(index.lastTimestamp).toBe(11)
  expect(index.lastOffset).toBe(1004)
})

test('a look-up gives a lower bound for where the timestamp first appears', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100), { maxLength: 40 }), fc.nat(101), (timestamps, target) => {
      const index = emptyIndex()
      let largest = -1
      let largestOffset = BASE
      timestamps.forEach((timestamp, number) => {
        if (timestamp > largest) {
          largest = timestamp
          largestOffset = BASE + number
        }
        index.maybeAppend(largest, largestOffset)
      })
      const found = index.entryFor(target)?.offset ?? BASE
      const first = timestamps.findIndex((timestamp) => timestamp >= target)
      if (first >= 0) expect(found).toBeLessThanOrEqual(BASE + first)
    }),
  )
})

test('truncation drops entries at and past the offset, and the last entry is known again', () => {
  const index = emptyIndex()
  index.maybeAppend(1, 1001)
  index.maybeAppend(2, 1002)
  index.maybeAppend(3, 1003)
  index.truncateTo(1002)
  expect(index.lastTimestamp).toBe(1)
  index.truncateTo(BASE)
  expect(index.lastTimestamp).toBe(-1)
  expect(index.lastOffset).toBe(BASE)
})

test('one slot stays free for the closing entry', () => {
  const index = emptyIndex()
  index.maybeAppend(1, 1001)
  expect(index.isFull(36)).toBe(false)
  index.maybeAppend(2, 1002)
  expect(index.isFull(36)).toBe(true)
})
