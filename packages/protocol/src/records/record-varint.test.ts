import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  readVarint,
  readZigzagVarlong,
  readZigzagVarlongExactly,
  sizeOfVarint,
  sizeOfVarlong,
  skipHeaders,
  VARINT_INVALID,
  varintEnd,
  writeVarint,
  writeVarlong,
} from './record-varint.ts'
import { readVectors } from './testing/vectors.ts'

interface PrimitiveRow {
  readonly type: string
  readonly value?: string
  readonly hex?: string
  readonly decode?: string
  readonly read?: number
  readonly error?: string
}

const rows = readVectors<PrimitiveRow>('primitives')

function readZigzagVarint(bytes: Buffer): number {
  const raw = readVarint(bytes, 0, bytes.length)
  return (raw >>> 1) ^ -(raw & 1)
}

describe('varints of records', () => {
  it('are read and written as the golden vectors say', () => {
    const good = rows.filter(({ type, hex }) => (type === 'varint' || type === 'varlong') && hex !== undefined)
    expect(good.length).toBeGreaterThan(50)
    for (const { type, value, hex } of good) {
      const bytes = Buffer.from(hex!, 'hex')
      const target = Buffer.alloc(10)
      if (type === 'varint') {
        expect(readZigzagVarint(bytes)).toBe(Number(value))
        expect(writeVarint(target, 0, Number(value))).toBe(bytes.length)
        expect(sizeOfVarint(Number(value))).toBe(bytes.length)
      } else {
        expect(readZigzagVarlongExactly(bytes, 0)).toBe(BigInt(value!))
        expect(readZigzagVarlong(bytes, 0, bytes.length)).toBe(Number(value))
        expect(writeVarlong(target, 0, BigInt(value!))).toBe(bytes.length)
        expect(sizeOfVarlong(BigInt(value!))).toBe(bytes.length)
      }
      expect(varintEnd).toBe(bytes.length)
      expect(target.subarray(0, bytes.length).toString('hex')).toBe(hex)
    }
  })

  it('that are odd are decoded or refused as the golden vectors say', () => {
    const odd = rows.filter(({ type, decode }) => (type === 'varint' || type === 'varlong') && decode !== undefined)
    expect(odd.length).toBeGreaterThan(5)
    for (const { type, decode, value, read, error } of odd) {
      const bytes = Buffer.from(decode!, 'hex')
      const decoded = type === 'varint' ? readZigzagVarint(bytes) : readZigzagVarlong(bytes, 0, bytes.length)
      expect(varintEnd, decode).toBe(error === undefined ? read : VARINT_INVALID)
      if (error === undefined) expect(decoded, decode).toBe(Number(value))
    }
  })

  it('of any int64 come back, from numbers and from bigints', () => {
    const target = Buffer.alloc(12)
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.maxSafeInteger(), (big, safe) => {
        let end = writeVarlong(target, 1, big)
        expect(end - 1).toBe(sizeOfVarlong(big))
        expect(readZigzagVarlongExactly(target, 1)).toBe(big)
        expect(readZigzagVarlong(target, 1, end)).toBeCloseTo(Number(big), -11)
        expect(Number.isSafeInteger(readZigzagVarlong(target, 1, end))).toBe(Number.isSafeInteger(Number(big)))
        end = writeVarlong(target, 1, safe)
        expect(end - 1).toBe(sizeOfVarlong(safe))
        expect(readZigzagVarlong(target, 1, end)).toBe(safe)
        expect(varintEnd).toBe(end)
        expect(readZigzagVarlong(target, 1, end - 1)).toBe(0)
        expect(varintEnd).toBe(VARINT_INVALID)
      }),
    )
  })
})

describe('skipHeaders', () => {
  it('ends where the last header ends', () => {
    const headers = Buffer.from('04' + '0261' + '0262' + '00' + '01', 'hex') // a: b, "": null
    expect(skipHeaders(headers, 0, headers.length)).toBe(headers.length)
  })

  it.each([
    ['a negative count', '01'],
    ['a count beyond the bytes', '06' + '0000'],
    ['a missing header', '04' + '0261' + '01'],
    ['a null key', '02' + '01' + '01'],
    ['a value length below -1', '02' + '00' + '03'],
    ['a key length that wraps around', '02' + 'feffffff0f' + '01'],
    ['a count of five bytes', 'feffffff0f'],
  ])('refuses %s', (_what, hex) => {
    const headers = Buffer.from(hex, 'hex')
    expect(skipHeaders(headers, 0, headers.length)).not.toBe(headers.length)
  })
})
