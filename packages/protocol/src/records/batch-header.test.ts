import { describe, expect, it } from 'vitest'
import { BatchBuilder } from './batch-builder.ts'
import {
  addToSequence,
  baseOffsetOf,
  baseSequenceOf,
  batchCrcOk,
  batchSizeOf,
  exactInt64At,
  hasLogAppendTime,
  int64At,
  lastOffsetOf,
  lastSequenceOf,
  magicOf,
  maxTimestampOf,
  partitionLeaderEpochOf,
  producerEpochOf,
  producerIdOf,
  setBaseOffset,
  setInt64,
  setPartitionLeaderEpoch,
  setProducer,
  setTimestamps,
  storedCrcOf,
  timestampTypeOf,
} from './batch-header.ts'

function batch(position: number): Buffer {
  const builder = new BatchBuilder({ producerId: 5, producerEpoch: 6, baseSequence: 2 ** 31 - 1 })
  builder.append(1000, 'k', 'v')
  builder.append(1001, 'k', 'v')
  return Buffer.concat([Buffer.alloc(position, 0xff), builder.build()])
}

describe('batch header', () => {
  it.each([0, 13])('is stamped by a leader outside the checksum, at byte %i', (position) => {
    const buffer = batch(position)
    const crc = storedCrcOf(buffer, position)
    setBaseOffset(buffer, position, 2 ** 40 + 3)
    setPartitionLeaderEpoch(buffer, position, 9)
    expect([baseOffsetOf(buffer, position), lastOffsetOf(buffer, position)]).toEqual([2 ** 40 + 3, 2 ** 40 + 4])
    expect(partitionLeaderEpochOf(buffer, position)).toBe(9)
    expect([storedCrcOf(buffer, position), batchCrcOk(buffer, position)]).toEqual([crc, true])
    expect(batchSizeOf(buffer, position)).toBe(buffer.length - position)
  })

  it('gets a new checksum only when the timestamps change', () => {
    const buffer = batch(0)
    const crc = storedCrcOf(buffer, 0)
    setTimestamps(buffer, 0, 'CreateTime', 1001)
    expect(storedCrcOf(buffer, 0)).toBe(crc)
    setTimestamps(buffer, 0, 'LogAppendTime', 2 ** 41)
    expect([timestampTypeOf(buffer, 0), maxTimestampOf(buffer, 0), batchCrcOk(buffer, 0)]).toEqual([
      'LogAppendTime',
      2 ** 41,
      true,
    ])
    expect(storedCrcOf(buffer, 0)).not.toBe(crc)
    setTimestamps(buffer, 0, 'CreateTime', -1)
    expect([hasLogAppendTime(buffer, 0), maxTimestampOf(buffer, 0), batchCrcOk(buffer, 0)]).toEqual([false, -1, true])
  })

  it('takes another producer', () => {
    const buffer = batch(0)
    expect([baseSequenceOf(buffer, 0), lastSequenceOf(buffer, 0)]).toEqual([2 ** 31 - 1, 0])
    setProducer(buffer, 0, -1, -1, -1)
    expect([producerIdOf(buffer, 0), producerEpochOf(buffer, 0), lastSequenceOf(buffer, 0)]).toEqual([-1, -1, -1])
    expect(batchCrcOk(buffer, 0)).toBe(true)
  })

  it('has no right checksum when it is shorter than a header or runs over the end', () => {
    const buffer = batch(0)
    expect(batchCrcOk(buffer.subarray(0, buffer.length - 1), 0)).toBe(false)
    buffer.writeInt32BE(48, 8)
    expect(batchCrcOk(buffer, 0)).toBe(false)
    buffer.writeInt32BE(-100, 8)
    expect(batchCrcOk(buffer, 0)).toBe(false)
  })

  it('reads magic as a signed byte', () => {
    const buffer = batch(0)
    buffer[16] = 0xff
    expect(magicOf(buffer, 0)).toBe(-1)
  })

  it('holds any int64: exact when safe, never mistaken for a safe one when not', () => {
    const buffer = Buffer.alloc(8)
    for (const value of [0, -1, 1, 2 ** 32, -(2 ** 32) - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
      setInt64(buffer, 0, value)
      expect([buffer.readBigInt64BE(0), int64At(buffer, 0), exactInt64At(buffer, 0)]).toEqual([
        BigInt(value),
        value,
        value,
      ])
    }
    for (const value of [2n ** 53n, 2n ** 63n - 1n, -(2n ** 53n), -(2n ** 63n)]) {
      setInt64(buffer, 0, value)
      expect(Number.isSafeInteger(int64At(buffer, 0))).toBe(false)
      expect(exactInt64At(buffer, 0)).toBe(value)
    }
  })

  it('wraps sequence numbers', () => {
    expect(addToSequence(5, 7)).toBe(12)
    expect(addToSequence(2 ** 31 - 1, 1)).toBe(0)
    expect(addToSequence(2 ** 31 - 2, 10)).toBe(8)
  })
})
