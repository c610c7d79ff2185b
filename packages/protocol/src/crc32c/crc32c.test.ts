import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readVectors } from '../records/testing/vectors.ts'
import { crc32c, crc32cByTable, crc32cUpdate } from './crc32c.ts'
import { nativeCrc32c } from './native-crc32c.ts'

interface PrimitiveRow {
  readonly type: string
  readonly bytes?: string
  readonly value?: string
}

/** One bit at a time, straight from the definition. */
function naiveCrc32c(bytes: Uint8Array): number {
  let register = 0xffffffff
  for (const byte of bytes) {
    register ^= byte
    for (let bit = 0; bit < 8; bit++) register = (register >>> 1) ^ (register & 1 ? 0x82f63b78 : 0)
  }
  return ~register >>> 0
}

describe('crc32c', () => {
  it('gives the check value of the catalogue', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
  })

  it('is 0 for no bytes', () => {
    expect(crc32c(Buffer.alloc(0))).toBe(0)
    expect(crc32c(Buffer.from('abc'), 2, 2)).toBe(0)
  })

  it('gives the values of the golden vectors', () => {
    const rows = readVectors<PrimitiveRow>('primitives').filter((row) => row.type === 'crc32c')
    expect(rows.length).toBeGreaterThan(10)
    for (const row of rows) expect(crc32c(Buffer.from(row.bytes!, 'hex'))).toBe(Number(row.value))
  })

  it('equals the bitwise definition for every range, by table and by the native version', () => {
    const native = nativeCrc32c()
    expect(native).not.toBeNull()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1200 }), fc.nat(64), fc.nat(64), (bytes, skip, cut) => {
        const start = Math.min(skip, bytes.length)
        const end = Math.max(start, bytes.length - cut)
        const expected = naiveCrc32c(bytes.subarray(start, end))
        expect(crc32cByTable(0, bytes, start, end)).toBe(expected)
        expect(native!(bytes.subarray(start, end), 0)).toBe(expected)
        expect(crc32c(bytes, start, end)).toBe(expected)
      }),
    )
  })

  it('continues over parts, wherever the cut lies', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1200 }), fc.nat(1200), (bytes, position) => {
        const cut = Math.min(position, bytes.length)
        expect(crc32cUpdate(crc32c(bytes, 0, cut), bytes, cut)).toBe(crc32c(bytes))
      }),
    )
  })
})
