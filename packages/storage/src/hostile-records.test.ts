import type { DiskFile } from '@millrace/base'
import { setBaseOffset } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { BatchScanner } from './batch-scanner.ts'
import { IndexRebuild } from './index-rebuild.ts'
import { batchOf } from './testing/storage-harness.ts'

/**
 * A walk in pieces lets others have their turn whatever stands in the file: a length may claim all the rest of it, and a record may be
 * made of nothing but headers that do. How much a piece does is told by what it reads.
 */

const PIECE_BYTES = 1 << 16
const HEADER_BYTES = 61
/** A scanner's window, which is read anew where a search goes back to after a checksum. */
const WINDOW_BYTES = 1 << 17

function batchAt(offset: number, value: Buffer): Buffer {
  const batch = batchOf([value])
  setBaseOffset(batch, 0, offset)
  return batch
}

/** Headers of batches, one behind the other, that claim what follows up to `endBytes` behind the first. */
function headers(count: number, endBytes: number): Buffer {
  const value = Buffer.alloc(count * HEADER_BYTES)
  for (let at = 0; at < value.length; at += HEADER_BYTES) {
    value.writeBigInt64BE(10n, at)
    value.writeInt32BE(endBytes - at - 12, at + 8)
    value[at + 16] = 2
  }
  return value
}

/** A sound batch, a damaged one with this record, and sound ones behind it. */
function logOf(value: Buffer, soundCount: number, soundBytes: number): { contents: Buffer; secondAt: number } {
  const first = batchAt(0, Buffer.from('first'))
  const damaged = batchAt(1, value)
  damaged.writeUInt8(damaged[17]! ^ 1, 17)
  const sound = Array.from({ length: soundCount }, (_, slot) => batchAt(2 + slot, Buffer.alloc(soundBytes, 0xee)))
  return { contents: Buffer.concat([first, damaged, ...sound]), secondAt: first.length + damaged.length }
}

function fileOf(contents: Buffer): { file: DiskFile; readBytes: () => number } {
  let count = 0
  const read = (into: Buffer, start: number, end: number, position: number): number => {
    const copied = contents.copy(into, start, position, Math.min(contents.length, position + end - start))
    count += copied
    return copied
  }
  return { file: { read } as unknown as DiskFile, readBytes: () => count }
}

/** Walks to the end; the most that one piece has read, and what was found. */
function walk(contents: Buffer, pieceBytes: number): { mostBytes: number; pieceCount: number; found: unknown } {
  const { file, readBytes } = fileOf(contents)
  const rebuild = new IndexRebuild(file, contents.length, 0, Number.POSITIVE_INFINITY, 4096)
  let mostBytes = 0
  let pieceCount = 0
  for (let isEnd = false; !isEnd; pieceCount++) {
    const before = readBytes()
    isEnd = rebuild.walk(pieceBytes)
    mostBytes = Math.max(mostBytes, readBytes() - before)
  }
  const { offsetEntries, timeEntries, holes, maxTimestamp, damagedFrom } = rebuild
  return { mostBytes, pieceCount, found: { offsetEntries, timeEntries, holes, maxTimestamp, damagedFrom } }
}

const LOGS = {
  'of headers that claim the rest of their record': logOf(headers(2500, 2500 * HEADER_BYTES), 1, 10),
  'of headers that claim the rest of the file': logOf(headers(40, 2 << 20), 80, 1 << 15),
}

test.each(Object.entries(LOGS))('a piece of a walk is short where a damaged record is made %s', (_, log) => {
  const inPieces = walk(log.contents, PIECE_BYTES)
  const whole = walk(log.contents, Number.POSITIVE_INFINITY)
  expect(inPieces.found).toEqual(whole.found)
  expect(inPieces.found).toMatchObject({ holes: [{ startOffset: 1, endOffset: 2, endPosition: log.secondAt }] })
  expect(inPieces.pieceCount).toBeGreaterThan(100)
  expect(whole.mostBytes).toBeGreaterThan(10 * inPieces.mostBytes)
  expect(inPieces.mostBytes).toBeLessThan(PIECE_BYTES + 8 * WINDOW_BYTES)
})

test('a piece of a walk is short where the length of a sound batch was damaged upwards', () => {
  const { contents } = logOf(Buffer.from('x'), 80, 1 << 15)
  contents.writeInt32BE(2 << 20, 8)
  const inPieces = walk(contents, PIECE_BYTES)
  expect(inPieces.found).toEqual(walk(contents, Number.POSITIVE_INFINITY).found)
  expect(inPieces.found).toMatchObject({ holes: [{ startOffset: 0, endOffset: 2 }] })
  expect(inPieces.mostBytes).toBeLessThan(PIECE_BYTES + 8 * WINDOW_BYTES)
})

test('a check in pieces of a batch and of the one behind it, which it overtakes, ends as one without pieces does', () => {
  const value = Buffer.alloc(1 << 19, 0xee)
  for (const [base, isWhole] of [
    [0, true],
    [10, false],
    [1, true],
  ] as const) {
    const contents = Buffer.concat([batchAt(base, value), batchAt(base === 1 ? 2 : 1, value)])
    const scanner = new BatchScanner(fileOf(contents).file, 0, contents.length, 0)
    expect(scanner.next()).toBe('batch')
    let pieceCount = 1
    let found = scanner.isWholeWithin(Number.POSITIVE_INFINITY, 1000)
    for (; found === null; pieceCount++) found = scanner.isWholeWithin(Number.POSITIVE_INFINITY, 1000)
    expect([base, found]).toEqual([base, isWhole])
    expect(pieceCount).toBeGreaterThanOrEqual(4)
    expect([scanner.position, scanner.baseOffset, scanner.header.readInt32BE(scanner.headerPosition + 4)]).toEqual([
      0,
      base,
      base,
    ])
  }
})
