import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { BatchCursor } from './batch-cursor.ts'
import { inspectRecords } from './inspect-records.ts'
import { crc32, encodeMessage, encodeMessageSet, type LegacyMessage } from './legacy-message.ts'
import { RecordReader } from './record-reader.ts'

function message(offset: number, value: string | null, timestamp = 5): LegacyMessage {
  return { offset, timestamp, key: Buffer.from('k'), value: value === null ? null : Buffer.from(value) }
}

function wrap(magic: 0 | 1, offset: number, inner: Buffer, attributes = 1, timestamp = 900): Buffer {
  return encodeMessage(magic, attributes, { offset, timestamp, key: null, value: gzipSync(inner) })
}

function read(buffer: Buffer): string[] {
  const cursor = new BatchCursor(buffer)
  const reader = new RecordReader()
  const records: string[] = []
  while (cursor.next()) {
    cursor.checkCrc()
    reader.open(buffer, cursor.position)
    while (reader.next()) records.push(`${reader.offset} ${reader.timestamp} ${reader.value()}`)
  }
  return records
}

describe('message sets', () => {
  it('have the checksum of zlib', () => {
    expect(crc32(Buffer.from('123456789'), 0, 9)).toBe(0xcbf43926)
  })

  it('of format 0 have absolute offsets within a wrapper and no timestamps', () => {
    const inner = encodeMessageSet(0, [message(7, 'a'), message(9, 'b')])
    expect(read(wrap(0, 9, inner))).toEqual(['7 -1 a', '9 -1 b'])
  })

  it('of format 1 have offsets within a wrapper that count back from it', () => {
    const inner = encodeMessageSet(1, [message(0, 'a', 1), message(1, 'b', 2), message(4, 'c', 3)])
    expect(read(wrap(1, 104, inner))).toEqual(['100 1 a', '101 2 b', '104 3 c'])
    expect(read(wrap(1, 0, inner))).toEqual(['0 1 a', '1 2 b', '4 3 c'])
  })

  it('take the timestamp of a wrapper that has the broker’s', () => {
    expect(read(wrap(1, 1, encodeMessageSet(1, [message(0, 'a'), message(1, 'b')]), 1 | 8))).toEqual([
      '0 900 a',
      '1 900 b',
    ])
  })

  it.each([
    ['an inner offset beyond its wrapper', wrap(1, 3, encodeMessageSet(1, [message(7, 'a')])), 'record'],
    ['no inner messages', wrap(1, 3, Buffer.alloc(0)), 'record'],
    [
      'an inner message that is cut off',
      wrap(1, 3, encodeMessageSet(1, [message(3, 'abc')]).subarray(0, -1)),
      'record',
    ],
    [
      'compressed messages within compressed ones',
      wrap(1, 3, wrap(1, 3, encodeMessageSet(1, [message(3, 'a')]))),
      'record',
    ],
    ['a compressed message without value', encodeMessage(1, 1, message(3, null)), 'record'],
    ['data that is not compressed', encodeMessage(1, 1, message(3, 'plain')), 'compressed-data'],
    ['zstd, which came later', encodeMessage(1, 4, message(3, 'plain')), 'codec'],
    ['an inner batch of format 2', wrap(1, 3, Buffer.alloc(80, 2)), 'record'],
  ])('with %s are damage', (_what, buffer, failure) => {
    expect(inspectRecords(buffer)).toMatchObject({ failure, recordCount: 0, leftBytes: buffer.length })
  })

  it('with a wrong inner checksum are delivered up to it', () => {
    const inner = encodeMessageSet(1, [message(0, 'a'), message(1, 'b')])
    inner[inner.length - 1]! ^= 1
    expect(inspectRecords(wrap(1, 1, inner))).toMatchObject({ failure: 'compressed-data', recordCount: 1 })
  })
})
