import { type DiskFile, SimulatedDisk } from '@millrace/base'
import { setBaseOffset } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { BatchScanner } from './batch-scanner.ts'
import { batchOf } from './testing/storage-harness.ts'

/** A log file of batches of two records each that begin at these offsets, and where each stands. */
function fileOf(bases: readonly number[]): { file: DiskFile; positions: number[]; endBytes: number } {
  const disk = new SimulatedDisk()
  const file = disk.openFile('/0.log', { create: true })
  const positions: number[] = []
  let endBytes = 0
  for (const base of bases) {
    const batch = batchOf([`record ${base}`, 'another'])
    setBaseOffset(batch, 0, base)
    file.write(batch, 0, batch.length, endBytes)
    positions.push(endBytes)
    endBytes += batch.length
  }
  return { file, positions, endBytes }
}

/** Base offsets of the batches up to the first that is not whole, and that one's. */
function walk(
  bases: readonly number[],
  endOffset = Number.POSITIVE_INFINITY,
): { whole: number[]; scanner: BatchScanner } {
  const { file, endBytes } = fileOf(bases)
  const scanner = new BatchScanner(file, 0, endBytes, 0)
  const whole: number[] = []
  while (scanner.next() === 'batch' && scanner.isWhole(endOffset)) whole.push(scanner.baseOffset)
  return { whole, scanner }
}

describe('a batch with a gap before it', () => {
  test.each([
    ['in the middle', [0, 10, 12, 14]],
    ['at the start', [6, 8, 20]],
    ['at the end', [0, 2, 40]],
    ['everywhere', [0, 10, 20, 30, 100_000]],
  ])('is whole, %s', (_where, bases) => {
    expect(walk(bases).whole).toEqual(bases)
  })

  test('is damaged if the one behind it belongs into the gap, and the walk goes on there', () => {
    for (const raised of [3, 5, 6, 34, 2 ** 30]) {
      const { whole, scanner } = walk([0, raised, 4, 6])
      expect(whole, `raised to ${raised}`).toEqual([0])
      expect(scanner.expectedOffset).toBe(2)
      expect(scanner.resync(Number.POSITIVE_INFINITY)).toBe(true)
      expect([scanner.baseOffset, scanner.expectedOffset]).toEqual([4, 2])
      expect(scanner.next()).toBe('batch')
      expect(scanner.baseOffset).toBe(6)
    }
  })

  test('is damaged also as the first one', () => {
    expect(walk([9, 2, 4]).whole).toEqual([])
  })

  test('is damaged if it ends where another segment has begun', () => {
    expect(walk([0, 2, 4], 6).whole).toEqual([0, 2, 4])
    expect(walk([0, 2, 5], 6).whole).toEqual([0, 2])
  })
})

test('a look at the next batch changes nothing of the current one', () => {
  const { file, positions, endBytes } = fileOf([0, 10, 12])
  // A window that holds hardly more than a header.
  const scanner = new BatchScanner(file, 0, endBytes, 0, 70)
  scanner.next()
  scanner.next()
  expect(scanner.isWhole(Number.POSITIVE_INFINITY)).toBe(true)
  expect([scanner.position, scanner.baseOffset, scanner.lastOffset]).toEqual([positions[1], 10, 11])
  expect(scanner.header.readInt32BE(scanner.headerPosition + 4)).toBe(10)
})

test('a search in pieces finds what one without pieces finds', () => {
  const { file, positions, endBytes } = fileOf([0, 2, 4, 6])
  file.write(Buffer.alloc(positions[3]! - positions[1]!, 0xee), 0, positions[3]! - positions[1]!, positions[1]!)
  for (const pieceBytes of [1, 7, 64, 1000]) {
    const scanner = new BatchScanner(file, 0, endBytes, 0)
    scanner.next()
    expect(scanner.next()).toBe('invalid')
    let pieceCount = 0
    let found: string = 'more'
    while (found === 'more' && pieceCount < 1000) {
      found = scanner.resyncWithin(Number.POSITIVE_INFINITY, pieceBytes)
      pieceCount++
    }
    expect(found).toBe('batch')
    expect(scanner.baseOffset).toBe(6)
    expect(pieceCount).toBe(Math.max(1, Math.ceil((positions[3]! - positions[1]!) / pieceBytes)))
  }
})

test('a search ends where there is nothing more', () => {
  const { file, positions, endBytes } = fileOf([0, 2])
  file.write(Buffer.alloc(8, 0xff), 0, 8, positions[1]!)
  const scanner = new BatchScanner(file, 0, endBytes, 0)
  scanner.next()
  expect(scanner.next()).toBe('invalid')
  expect(scanner.resync(Number.POSITIVE_INFINITY)).toBe(false)
})

test.each([
  ['that share the window', 16_000, 1.01],
  ['of more than half of the window', 66_000, 1.01],
  ['larger than it', 500_000, 1.1],
])('a walk over batches %s reads each byte about once', (_size, recordBytes, mostReads) => {
  const file = new SimulatedDisk().openFile('/0.log', { create: true })
  const batch = batchOf(['x'.repeat(recordBytes)])
  let endBytes = 0
  for (let offset = 0; offset < 60; offset++, endBytes += batch.length) {
    setBaseOffset(batch, 0, offset)
    file.write(batch, 0, batch.length, endBytes)
  }
  let readBytes = 0
  const counted: DiskFile = Object.assign(Object.create(file) as DiskFile, {
    read(buffer: Uint8Array, start: number, end: number, position: number) {
      readBytes += end - start
      return file.read(buffer, start, end, position)
    },
  })
  const scanner = new BatchScanner(counted, 0, endBytes, 0)
  let count = 0
  while (scanner.next() === 'batch' && scanner.isWhole(Number.POSITIVE_INFINITY)) count++
  expect(count).toBe(60)
  expect(readBytes / endBytes).toBeLessThan(mostReads)
})
