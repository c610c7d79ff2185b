import { describe, expect, it } from 'vitest'
import { checksumOf, readSegment } from './stored-batches.ts'
import { encodeSegment } from './testing/encode-segment.ts'
import { batch, emptied, marker } from './testing/stored-log.ts'

const DATA = batch(
  7,
  [
    ['a', '1'],
    ['b', null],
    ['\xff', 'x'.repeat(300)],
  ],
  {
    producerId: 2 ** 40,
    producerEpoch: 3,
    baseSequence: 12,
    isTransactional: true,
  },
)

describe('the reader of log files', () => {
  it('finds all that batches say', () => {
    const horizon = { ...batch(20, [['d', null]]), horizonMs: 1_700_000_000_000 }
    const batches = [DATA, marker(10, 'abort'), marker(11, 'commit'), emptied(batch(12, [['c', '1']])), horizon]
    expect(readSegment(encodeSegment(...batches), 7)).toEqual({ baseOffset: 7, batches })
  })

  it('ends where nothing is written yet', () => {
    const bytes = encodeSegment(DATA)
    const first = { baseOffset: 7, batches: [DATA] }
    expect(readSegment(Buffer.concat([bytes, Buffer.alloc(500)]), 7)).toEqual(first)
    expect(readSegment(Buffer.alloc(0), 7)).toEqual({ baseOffset: 7, batches: [] })
  })

  it('says nothing of what is compressed, damaged or not whole', () => {
    const compressed = encodeSegment(DATA)
    compressed[22]! |= 1
    compressed.writeUInt32BE(checksumOf(compressed, 21, compressed.length), 17)
    expect(readSegment(compressed, 7)).toBeNull()
    const bytes = encodeSegment(DATA)
    expect(readSegment(bytes.subarray(0, bytes.length - 1), 7)).toBeNull()
    for (const position of [8, 16, 17, 40, bytes.length - 1]) {
      const damaged = Buffer.from(bytes)
      damaged[position]! ^= 4
      expect(readSegment(damaged, 7)).toBeNull()
    }
  })

  it('knows the checksum of log files', () => {
    expect(checksumOf(Buffer.from('123456789'), 0, 9)).toBe(0xe3069283)
  })
})
