import { describe, expect, test } from 'vitest'
import { MalformedMessageError } from './malformed-message-error.ts'
import { Reader } from './reader.ts'
import { MAX_STRING_BYTES, MAX_TAGGED_FIELD_BYTES } from './tagged-field.ts'
import { Writer } from './writer.ts'

const reader = (...bytes: number[]) => new Reader(Buffer.from(bytes))

describe('Reader', () => {
  test('reads integers big-endian with their signs', () => {
    expect(reader(0xff).int8()).toBe(-1)
    expect(reader(0x80, 0x01).int16()).toBe(-0x7fff)
    expect(reader(0x80, 0x01).uint16()).toBe(0x8001)
    expect(reader(0xff, 0xff, 0xff, 0xfe).int32()).toBe(-2)
    expect(reader(0xff, 0xff, 0xff, 0xfe).uint32()).toBe(0xfffffffe)
  })

  test('gives an int64 as a number up to the safe bounds and as a bigint beyond', () => {
    const int64 = (value: bigint) => {
      const buffer = Buffer.alloc(8)
      buffer.writeBigInt64BE(value)
      return new Reader(buffer).int64()
    }
    expect(int64(-1n)).toBe(-1)
    expect(int64(2n ** 53n - 1n)).toBe(Number.MAX_SAFE_INTEGER)
    expect(int64(2n ** 53n)).toBe(2n ** 53n)
    expect(int64(1n - 2n ** 53n)).toBe(Number.MIN_SAFE_INTEGER)
    expect(int64(-(2n ** 53n))).toBe(-(2n ** 53n))
    expect(int64(-(2n ** 63n))).toBe(-(2n ** 63n))
  })

  test('stays inside its range of the buffer', () => {
    const inner = new Reader(Buffer.from([1, 2, 3, 4, 5]), 1, 3)
    expect(inner.remaining).toBe(2)
    expect(inner.int16()).toBe(0x0203)
    expect(() => inner.int8()).toThrow(MalformedMessageError)
  })

  test('refuses a range outside the buffer', () => {
    expect(() => new Reader(Buffer.alloc(2), 0, 3)).toThrow(RangeError)
    expect(() => new Reader(Buffer.alloc(2)).reset(Buffer.alloc(2), 2, 1)).toThrow(RangeError)
  })

  test('a read that fails for want of bytes is truncated, one that no bytes can mend is invalid', () => {
    const reasonOf = (read: () => unknown) => {
      try {
        read()
      } catch (error) {
        return (error as MalformedMessageError).reason
      }
      return 'none'
    }
    expect(reasonOf(() => reader(0, 0, 0).int32())).toBe('truncated')
    expect(reasonOf(() => reader(0x80, 0x80).unsignedVarint())).toBe('truncated')
    expect(reasonOf(() => reader(0x80, 0x80, 0x80, 0x80, 0x80, 0).unsignedVarint())).toBe('invalid')
    expect(reasonOf(() => reader(0xff, 0xff).string())).toBe('invalid')
    expect(reasonOf(() => reader(0, 1, 0xc3).string())).toBe('invalid')
  })

  test('tells null from empty in both encodings', () => {
    expect(reader(0xff, 0xff).nullableString()).toBeNull()
    expect(reader(0, 0).nullableString()).toBe('')
    expect(reader(0).compactNullableString()).toBeNull()
    expect(reader(1).compactNullableString()).toBe('')
    expect(reader(0xff, 0xff, 0xff, 0xff).nullableBytes()).toBeNull()
    expect(reader(0).compactNullableBytes()).toBeNull()
    expect(reader(1).compactNullableBytes()).toEqual(Buffer.alloc(0))
    expect(reader(0).compactNullableArrayLength(1)).toBe(-1)
    expect(reader(0xff, 0xff, 0xff, 0xff).nullableArrayLength(1)).toBe(-1)
  })

  test('refuses null where null is forbidden, and lengths below null', () => {
    expect(() => reader(0).compactString()).toThrow(MalformedMessageError)
    expect(() => reader(0).compactBytes()).toThrow(MalformedMessageError)
    expect(() => reader(0).compactArrayLength(1)).toThrow(MalformedMessageError)
    expect(() => reader(0xff, 0xff, 0xff, 0xff).bytes()).toThrow(MalformedMessageError)
    expect(() => reader(0xff, 0xff, 0xff, 0xff).arrayLength(1)).toThrow(MalformedMessageError)
    expect(() => reader(0xff, 0xfe).nullableString()).toThrow(MalformedMessageError)
    expect(() => reader(0xff, 0xff, 0xff, 0xfe).nullableBytes()).toThrow(MalformedMessageError)
    expect(() => reader(0xff, 0xff, 0xff, 0xfe).nullableArrayLength(1)).toThrow(MalformedMessageError)
  })

  test('checks an announced count by the smallest size that the elements can have', () => {
    expect(reader(0, 0, 0, 2, 0, 0, 0, 0).arrayLength(2)).toBe(2)
    expect(() => reader(0, 0, 0, 2, 0, 0, 0).arrayLength(2)).toThrow(MalformedMessageError)
    expect(() => reader(0x7f, 0xff, 0xff, 0xff).arrayLength(1)).toThrow(MalformedMessageError)
    expect(() => reader(0xff, 0xff, 0xff, 0xff, 0x0f).compactArrayLength(1)).toThrow(MalformedMessageError)
  })

  test('counts all elements and tagged fields of a message against a limit, and begins anew with the next', () => {
    const twice = Buffer.from([0, 0, 0, 2, 3, 2, 0, 0, 1, 0]) // two counts of 2, two tagged fields
    const read = (limited: Reader) => {
      expect(limited.arrayLength(1)).toBe(2)
      expect(limited.compactArrayLength(1)).toBe(2)
      expect(limited.unknownTaggedFields()).toHaveLength(2)
    }
    const limited = new Reader(twice, 0, twice.length, 6)
    read(limited)
    read(limited.reset(twice))
    expect(() => read(new Reader(twice, 0, twice.length, 5))).toThrow('more than 5 elements')
    const nulls = new Reader(Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0]), 0, 6, 0)
    expect([nulls.nullableArrayLength(1), nulls.compactNullableArrayLength(1)]).toEqual([-1, -1])
    expect(nulls.unknownTaggedFields()).toBeNull()
  })

  test('keeps text that really holds the replacement character, refuses bytes that only decode to it', () => {
    const text = 'a\ufffdb'
    const writer = new Writer()
    writer.string(text)
    expect(new Reader(writer.toBuffer()).string()).toBe(text)
    expect(() => reader(0, 3, 0x61, 0xff, 0x62).string()).toThrow(MalformedMessageError)
    // A surrogate encoded as three bytes (CESU-8) is not UTF-8.
    expect(() => reader(0, 3, 0xed, 0xa0, 0x80).string()).toThrow(MalformedMessageError)
  })

  test('refuses a string beyond 32767 bytes in the compact encoding too', () => {
    const long = (sizeBytes: number) => {
      const writer = new Writer()
      writer.unsignedVarint(sizeBytes + 1)
      writer.raw(Buffer.alloc(sizeBytes, 0x61))
      return new Reader(writer.toBuffer()).compactString()
    }
    expect(long(MAX_STRING_BYTES)).toHaveLength(MAX_STRING_BYTES)
    expect(() => long(MAX_STRING_BYTES + 1)).toThrow(MalformedMessageError)
  })

  test('takes names up to its own limit, and free text up to that of the protocol', () => {
    const writer = new Writer()
    writer.compactString('abcd')
    writer.string('abcd')
    const bytes = writer.toBuffer()
    const limited = (maxNameBytes: number) => new Reader(bytes, 0, bytes.length, 0, maxNameBytes)
    const taking = limited(4)
    expect([taking.compactString(), taking.nullableString()]).toEqual(['abcd', 'abcd'])
    for (const read of ['compactString', 'compactNullableString'] as const) {
      expect(() => limited(3)[read]()).toThrow(new MalformedMessageError('string of 4 bytes, at most 3 are taken'))
      expect(limited(3)[read](MAX_STRING_BYTES)).toBe('abcd')
    }
    for (const read of ['string', 'nullableString'] as const) {
      expect(() => limited(3).reset(bytes, 5)[read]()).toThrow(MalformedMessageError)
      expect(limited(3).reset(bytes, 5)[read](MAX_STRING_BYTES)).toBe('abcd')
    }
  })

  test('gives equal texts that share a place in the cache their own content', () => {
    for (let round = 0; round < 2; round++) {
      for (let number = 0; number < 5000; number++) {
        const writer = new Writer()
        writer.compactString(`topic-${number}`)
        expect(new Reader(writer.toBuffer()).compactString()).toBe(`topic-${number}`)
      }
    }
  })

  test('refuses tags that repeat or descend, and tagged fields beyond the limit', () => {
    expect(() => reader(2, 5, 0, 5, 0).unknownTaggedFields()).toThrow(MalformedMessageError)
    expect(() => reader(2, 5, 0, 4, 0).unknownTaggedFields()).toThrow(MalformedMessageError)
    const giant = (sizeBytes: number) => {
      const writer = new Writer()
      writer.unsignedVarint(1)
      writer.unsignedVarint(0)
      writer.unsignedVarint(sizeBytes)
      writer.raw(Buffer.alloc(sizeBytes))
      return new Reader(writer.toBuffer()).unknownTaggedFields()
    }
    expect(giant(MAX_TAGGED_FIELD_BYTES)).toHaveLength(1)
    expect(() => giant(MAX_TAGGED_FIELD_BYTES + 1)).toThrow(MalformedMessageError)
  })

  test('never moves back', () => {
    const start = reader(1, 2)
    start.int8()
    expect(() => start.view(-1)).toThrow(MalformedMessageError)
    expect(start.position).toBe(1)
  })

  test('bytes are a view of the input', () => {
    const input = Buffer.from([2, 7])
    const view = new Reader(input).compactBytes()
    input[1] = 9
    expect(view[0]).toBe(9)
  })

  test('says how many bytes are left after a message', () => {
    const rest = reader(1, 2)
    rest.int8()
    expect(() => rest.expectEnd()).toThrow('1 bytes left')
    rest.int8()
    expect(() => rest.expectEnd()).not.toThrow()
  })
})

describe('a limit of its own for one message', () => {
  test('is lower than the reader’s, tells its number, and ends with a reset', () => {
    const buffer = Buffer.from('0000000500000005', 'hex')
    const frame = Buffer.concat([buffer, Buffer.alloc(20)])
    const reader = new Reader(frame, 0, frame.length, 100)
    reader.limitElements(9)
    reader.limitElements(50)
    expect(reader.arrayLength(1)).toBe(5)
    expect(() => reader.arrayLength(1)).toThrow('more than 9 elements')
    reader.reset(frame)
    expect([reader.arrayLength(1), reader.arrayLength(1)]).toEqual([5, 5])
  })
})
