import { isUtf8 } from 'node:buffer'
import type { Uuid } from '@millrace/base'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { int64Arbitrary } from '../messages/testing/message-arbitrary.ts'
import { MalformedMessageError } from './malformed-message-error.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

function written(write: (writer: Writer) => void): Reader {
  const writer = new Writer(1)
  write(writer)
  return new Reader(writer.toBuffer())
}

test('varints come back as they were written, in the fewest bytes', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 0, max: 0xffffffff }), (signed, unsigned) => {
      const reader = written((writer) => {
        writer.varint(signed)
        writer.unsignedVarint(unsigned)
      })
      expect(reader.varint()).toBe(signed)
      const start = reader.position
      expect(reader.unsignedVarint()).toBe(unsigned)
      expect(reader.position - start).toBe(Math.max(1, Math.ceil(unsigned.toString(2).length / 7)))
      expect(reader.remaining).toBe(0)
    }),
  )
})

test('int64 and varlong come back as they were written', () => {
  fc.assert(
    fc.property(int64Arbitrary(), (value) => {
      const reader = written((writer) => {
        writer.int64(value)
        writer.varlong(value)
      })
      expect(reader.int64()).toBe(value)
      expect(reader.varlong()).toBe(value)
      expect(reader.remaining).toBe(0)
    }),
  )
})

test('a varlong of a number is the varlong of the same bigint', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const ofNumber = written((writer) => writer.varlong(value)).buffer
      const ofBigint = written((writer) => writer.varlong(BigInt(value))).buffer
      expect(ofNumber).toEqual(ofBigint)
    }),
  )
})

test('a string is read exactly when its bytes are UTF-8', () => {
  const unit = fc.oneof(
    fc.constantFrom(0x61, 0xc3, 0xa9, 0xe6, 0x97, 0xa5, 0xef, 0xbf, 0xbd, 0xed),
    fc.nat({ max: 255 }),
  )
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 12 }), (units) => {
      const text = Buffer.from(units)
      const reader = written((writer) => writer.bytes(text))
      reader.position = 2 // the int32 length read as an int16 one
      if (isUtf8(text)) expect(Buffer.from(reader.string())).toEqual(text)
      else expect(() => reader.string()).toThrow(MalformedMessageError)
    }),
    { numRuns: 500 },
  )
})

test('a UUID is the URL-safe base64 of its bytes, both ways', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (id) => {
      const text = Buffer.from(id).toString('base64url')
      expect(new Reader(Buffer.from(id)).uuid()).toBe(text)
      expect(written((writer) => writer.uuid(text as Uuid)).buffer).toEqual(Buffer.from(id))
    }),
  )
})
