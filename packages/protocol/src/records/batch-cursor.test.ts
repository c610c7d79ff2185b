import { describe, expect, it } from 'vitest'
import { BatchBuilder } from './batch-builder.ts'
import { BatchCursor } from './batch-cursor.ts'
import { CorruptBatchError } from './corrupt-batch-error.ts'
import { encodeMessageSet } from './legacy-message.ts'

function batch(value: string): Buffer {
  const builder = new BatchBuilder()
  builder.append(1000, null, value)
  return builder.build()
}

function failureOf(work: () => unknown): [string, number] {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(CorruptBatchError)
    return [(error as CorruptBatchError).failure, (error as CorruptBatchError).position]
  }
  return ['none', -1]
}

const message = { offset: 0, timestamp: 5, key: null, value: Buffer.from('old') }

describe('BatchCursor', () => {
  it('walks batches of all formats within its range', () => {
    const parts = [batch('a'), encodeMessageSet(0, [message, message]), batch('bcd'), encodeMessageSet(1, [message])]
    const buffer = Buffer.concat([Buffer.from('xyz'), ...parts, Buffer.from('after')])
    const cursor = new BatchCursor()
    cursor.reset(buffer, 3, buffer.length - 5)
    const seen: number[][] = []
    while (cursor.next()) {
      cursor.checkCrc()
      seen.push([cursor.position, cursor.sizeInBytes, cursor.magic])
    }
    expect(seen.map(([, size, magic]) => [size, magic])).toEqual([
      [parts[0]!.length, 2],
      [29, 0],
      [29, 0],
      [parts[2]!.length, 2],
      [37, 1],
    ])
    expect(seen[4]![0]).toBe(buffer.length - 5 - 37)
    expect(cursor.trailingBytes).toBe(0)
    expect(cursor.next()).toBe(false)
  })

  it('stops before an incomplete batch, wherever it is cut', () => {
    const whole = batch('first')
    for (let cut = 0; cut < whole.length; cut++) {
      const cursor = new BatchCursor(Buffer.concat([whole, whole.subarray(0, cut)]))
      expect(cursor.next()).toBe(true)
      expect(cursor.next()).toBe(false)
      expect(cursor.trailingBytes).toBe(cut)
    }
  })

  it('takes an impossible length or format for damage, and a length beyond the data for an incomplete batch', () => {
    const changed = (length: number, magic = 2): Buffer => {
      const buffer = Buffer.concat([batch('a'), batch('b')])
      buffer.writeInt32BE(length, batch('a').length + 8)
      buffer.writeInt8(magic, batch('a').length + 16)
      return buffer
    }
    const second = (buffer: Buffer): [string, number] => {
      const cursor = new BatchCursor(buffer)
      cursor.next()
      return failureOf(() => cursor.next())
    }
    const position = batch('a').length
    for (const length of [0, 13, -1, -(2 ** 31)]) expect(second(changed(length))).toEqual(['length', position])
    expect(second(changed(48))).toEqual(['length', position])
    expect(second(changed(57, 3))).toEqual(['magic', position])
    expect(second(changed(57, -1))).toEqual(['magic', position])
    expect(second(changed(2 ** 31 - 1))).toEqual(['none', -1])
  })

  it('tells a damaged length from damaged bytes by the checksum', () => {
    const check = (buffer: Buffer): [string, number] => {
      const cursor = new BatchCursor(buffer)
      cursor.next()
      return failureOf(() => cursor.checkCrc())
    }
    for (const encode of [() => batch('some value'), () => encodeMessageSet(1, [message])]) {
      const shorter = Buffer.concat([encode(), Buffer.from('tail')])
      shorter.writeInt32BE(shorter.readInt32BE(8) - 2, 8)
      expect(check(shorter)).toEqual(['length', 0])
      const longer = Buffer.concat([encode(), Buffer.from('tail')])
      longer.writeInt32BE(longer.readInt32BE(8) + 3, 8)
      expect(check(longer)).toEqual(['length', 0])
      const damaged = encode()
      damaged[damaged.length - 1]! ^= 1
      expect(check(damaged)).toEqual(['crc', 0])
    }
  })
})
