import { AssertionError, type Uuid, ZERO_UUID } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { StringTooLongError } from './encode-errors.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

const bytes = (write: (writer: Writer) => void) => {
  const writer = new Writer(1)
  write(writer)
  return [...writer.toBuffer()]
}

/** Above the size from which records are spliced, not copied. */
const BIG = 5000

describe('Writer', () => {
  test('grows while it writes, whatever it starts with', () => {
    const writer = new Writer(1)
    for (let value = 0; value < 1000; value++) writer.int32(value)
    const reader = new Reader(writer.toBuffer())
    for (let value = 0; value < 1000; value++) expect(reader.int32()).toBe(value)
    expect(reader.remaining).toBe(0)
  })

  test('fails an assert instead of wrapping a value that does not fit', () => {
    expect(() => bytes((writer) => writer.int8(128))).toThrow(AssertionError)
    expect(() => bytes((writer) => writer.int16(0x8000))).toThrow(AssertionError)
    expect(() => bytes((writer) => writer.uint16(-1))).toThrow(AssertionError)
    expect(() => bytes((writer) => writer.int32(2 ** 31))).toThrow(AssertionError)
    expect(() => bytes((writer) => writer.int32(0.5))).toThrow(AssertionError)
    expect(() => bytes((writer) => writer.uint32(-1))).toThrow(AssertionError)
    expect(() => bytes((writer) => writer.int64(2 ** 53))).toThrow(AssertionError)
    expect(() => bytes((writer) => writer.int64(2n ** 63n))).toThrow(AssertionError)
    for (const id of ['short', 'AAAAAAAAAAAAAAAAAAAAA=', 'AAAAAAAAAAAAAAAAAAAA\u0141A', '+AAAAAAAAAAAAAAAAAAAAA']) {
      expect(() => bytes((writer) => writer.uuid(id as Uuid))).toThrow(AssertionError)
    }
  })

  test('writes int64 from numbers and bigints alike', () => {
    for (const value of [0, -1, 2 ** 32, -(2 ** 32) - 5, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
      const expected = Buffer.alloc(8)
      expected.writeBigInt64BE(BigInt(value))
      expect(bytes((writer) => writer.int64(value))).toEqual([...expected])
      expect(bytes((writer) => writer.int64(BigInt(value)))).toEqual([...expected])
    }
  })

  test('overwrites what an earlier use left when it writes the zero UUID', () => {
    const writer = new Writer(16)
    writer.uuid('_____________________w' as Uuid)
    writer.reset()
    writer.uuid(ZERO_UUID)
    expect(writer.toBuffer()).toEqual(Buffer.alloc(16))
  })

  test('writes text that is short, long, or turns out not to be ASCII', () => {
    for (const text of [
      '',
      'abc',
      'topic-ž',
      'ž'.repeat(40),
      'x'.repeat(48),
      'x'.repeat(49),
      'x'.repeat(300),
      '日本語',
    ]) {
      for (const method of ['string', 'compactString', 'nullableString', 'compactNullableString'] as const) {
        const writer = new Writer(1)
        writer[method](text)
        expect(new Reader(writer.toBuffer())[method]()).toBe(text)
      }
    }
  })

  test('sizes a tagged field after the fact, whatever its length', () => {
    for (const sizeBytes of [0, 1, 127, 128, 16383, 16384, 100_000]) {
      const writer = new Writer(1)
      writer.unsignedVarint(1)
      const mark = writer.beginTaggedField(3)
      writer.raw(Buffer.alloc(sizeBytes, 0xab))
      writer.endTaggedField(mark)
      const reader = new Reader(writer.toBuffer())
      expect(reader.unknownTaggedFields()).toEqual([{ tag: 3, data: Buffer.alloc(sizeBytes, 0xab) }])
      expect(reader.remaining).toBe(0)
    }
  })

  test('merges unknown tagged fields with known ones in ascending order', () => {
    const fields = [
      { tag: 1, data: Buffer.from([1]) },
      { tag: 5, data: Buffer.from([5]) },
    ]
    const written = bytes((writer) => {
      const slot = writer.taggedFieldsBelow(fields, 0, 3)
      expect(slot).toBe(1)
      expect(writer.taggedFieldsBelow(fields, slot, 10)).toBe(2)
    })
    expect(written).toEqual([1, 1, 1, 5, 1, 5])
  })

  test('refuses unknown tagged fields that repeat a known tag or do not ascend', () => {
    const one = [{ tag: 3, data: Buffer.alloc(0) }]
    expect(() => bytes((writer) => writer.taggedFieldsBelow(one, 0, 3))).toThrow(AssertionError)
    const twice = [...one, ...one]
    expect(() => bytes((writer) => writer.unknownTaggedFields(twice))).toThrow(AssertionError)
  })
})

describe('Writer with spliced records', () => {
  test('gives big records back as the same buffers, in order, and small ones as copies', () => {
    const big = Buffer.alloc(BIG, 1)
    const small = Buffer.from([7, 7])
    const writer = new Writer()
    writer.int8(1)
    writer.records(big)
    writer.records([small, small])
    writer.records(null)
    expect(writer.sizeBytes).toBe(1 + 4 + BIG + 4 + 4 + 4)
    const chunks = writer.takeChunks()
    expect(chunks[1]).toBe(big)
    expect(chunks).toHaveLength(3)
    const reader = new Reader(Buffer.concat(chunks))
    expect(reader.int8()).toBe(1)
    expect(reader.bytes()).toEqual(big)
    expect(reader.bytes()).toEqual(Buffer.from([7, 7, 7, 7]))
    expect(reader.nullableBytes()).toBeNull()
    expect(reader.remaining).toBe(0)
  })

  test('splices a list of buffers without joining them, skipping empty ones', () => {
    const parts = [Buffer.alloc(BIG, 1), Buffer.alloc(0), Buffer.alloc(3, 2)]
    const writer = new Writer()
    writer.compactRecords(parts)
    const chunks = writer.takeChunks()
    expect(chunks.slice(1)).toEqual([parts[0], parts[2]])
    expect(new Reader(Buffer.concat(chunks)).compactBytes()).toEqual(Buffer.concat(parts))
  })

  test('counts spliced bytes in the size of a frame', () => {
    const writer = new Writer(8)
    for (let frame = 0; frame < 2; frame++) {
      writer.beginFrame()
      writer.int32(frame)
      writer.records(Buffer.alloc(BIG, frame))
      writer.endFrame()
    }
    const reader = new Reader(Buffer.concat(writer.takeChunks()))
    for (let frame = 0; frame < 2; frame++) {
      expect(reader.int32()).toBe(8 + BIG)
      expect(reader.int32()).toBe(frame)
      expect(reader.bytes()).toEqual(Buffer.alloc(BIG, frame))
    }
    expect(reader.remaining).toBe(0)
  })

  test('an abandoned frame leaves no trace, its splices included', () => {
    const writer = new Writer(8)
    writer.beginFrame()
    writer.records(Buffer.alloc(BIG, 1))
    writer.endFrame()
    const sizeBytes = writer.sizeBytes
    writer.beginFrame()
    writer.records(Buffer.alloc(BIG, 2))
    writer.abandonFrame()
    expect(writer.sizeBytes).toBe(sizeBytes)
    expect(Buffer.concat(writer.takeChunks())).toHaveLength(sizeBytes)
  })

  test('chunks stay as they are while the writer goes on', () => {
    const writer = new Writer(64)
    const taken: { chunks: Buffer[]; value: number }[] = []
    for (let value = 0; value < 200; value++) {
      writer.beginFrame()
      for (let word = 0; word < 1 + (value % 30); word++) writer.int32(value)
      writer.endFrame()
      taken.push({ chunks: writer.takeChunks(), value })
    }
    for (const { chunks, value } of taken) {
      const reader = new Reader(Buffer.concat(chunks))
      expect(reader.int32()).toBe(4 * (1 + (value % 30)))
      while (reader.remaining > 0) expect(reader.int32()).toBe(value)
    }
  })

  test('refuses a text that is too long without calling it a broken invariant: a client may have made it so long', () => {
    for (const text of ['x'.repeat(32_768), 'é'.repeat(16_384)]) {
      for (const write of ['string', 'compactString', 'nullableString', 'compactNullableString'] as const) {
        expect(() => bytes((writer) => writer[write](text))).toThrow(StringTooLongError)
      }
    }
    expect(bytes((writer) => writer.string('x'.repeat(32_767)))).toHaveLength(32_769)
    expect(new StringTooLongError(32_768)).not.toBeInstanceOf(AssertionError)
  })

  test('goes on with the next frame after one that a text too long for the wire broke off', () => {
    const writer = new Writer(8)
    writer.beginFrame()
    writer.int32(1)
    expect(() => writer.compactString('x'.repeat(40_000))).toThrow(StringTooLongError)
    writer.abandonFrame()
    writer.beginFrame()
    writer.int32(2)
    writer.endFrame()
    expect([...writer.toBuffer()]).toEqual([0, 0, 0, 4, 0, 0, 0, 2])
  })

  test('asserts that frames are ended before their chunks are taken', () => {
    const writer = new Writer()
    writer.beginFrame()
    expect(() => writer.takeChunks()).toThrow(AssertionError)
    expect(() => writer.beginFrame()).toThrow(AssertionError)
    writer.endFrame()
    expect(() => writer.endFrame()).toThrow(AssertionError)
  })
})
