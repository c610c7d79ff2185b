import { describe, expect, it } from 'vitest'
import { fetchFrame, metadataFrame, produceError, produceFrame } from './frames.ts'

describe('the frames of the probes', () => {
  it('begin with their own length', () => {
    for (const frame of [produceFrame('topic', -1, 100), fetchFrame('topic', 500).frame, metadataFrame('topic')]) {
      expect(frame.readInt32BE(0)).toBe(frame.length - 4)
    }
  })

  it('name the place of the offset in a fetch', () => {
    const { frame, offsetPosition } = fetchFrame('topic', 500)
    expect(frame.readBigInt64BE(offsetPosition)).toBe(0n)
    expect(frame.readInt32BE(offsetPosition - 4)).toBe(0)
    expect(frame.readInt32BE(offsetPosition + 8)).toBe(1 << 20)
    expect(offsetPosition + 12).toBe(frame.length)
  })

  it('carry one record of format v2 with its lengths', () => {
    const frame = produceFrame('t', 1, 100)
    // Behind the header with the client's name, and the request's fields with the topic's.
    const recordsAt = 19 + 23
    const records = frame.subarray(recordsAt + 4)
    expect(frame.readInt32BE(recordsAt)).toBe(records.length)
    expect(records.readInt32BE(8)).toBe(records.length - 12)
    expect(records[16]).toBe(2)
    expect(records.subarray(-101, -1).toString()).toBe('x'.repeat(100))
  })

  it('carry a batch to the partition that is wanted', () => {
    const frame = produceFrame('t', -1, 100, 300, 2)
    expect(frame.readInt32BE(0)).toBe(frame.length - 4)
    const recordsAt = 19 + 23
    expect([frame.readInt32BE(recordsAt - 4), frame.readInt32BE(recordsAt)]).toEqual([2, frame.length - recordsAt - 4])
    const records = frame.subarray(recordsAt + 4)
    expect([records.readInt32BE(8), records.readInt32BE(23), records.readInt32BE(57)]).toEqual([
      records.length - 12,
      299,
      300,
    ])
    // From the 64th record on, offsets need two bytes.
    expect(records.length - 61).toBe(64 * 109 + 236 * 110)
  })

  it('let the error of an answer be read', () => {
    const answer = Buffer.concat([
      Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0x74, 0, 0, 0, 1, 0, 0, 0, 0]),
      Buffer.from([0, 3]),
    ])
    expect(produceError(answer)).toBe(3)
  })
})
