import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { apis } from '../api/apis.generated.ts'
import { allMessages } from '../schema/index.ts'
import type { ResolvedMessage } from '../schema/resolved-message.ts'
import { UnsupportedFieldError } from '../wire/encode-errors.ts'
import { MalformedMessageError } from '../wire/malformed-message-error.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { DataDefinition } from './data-definition.ts'
import { dataDefinitions } from './index.generated.ts'
import { createDefaults, type Fields, messageArbitrary, otherThanDefault } from './testing/message-arbitrary.ts'

/**
 * Goal: every decoder undoes its encoder, and no bytes make a decoder fail in another way than it says or build more than its input
 * pays for. Method: values drawn from the schemas, for each message and version.
 */
const RUN_COUNT = 12

interface Codec {
  decode(reader: Reader, version: number): unknown
  encode(writer: Writer, message: unknown, version: number): void
}

const messages = allMessages()

describe.each(messages.map((message) => ({ name: message.name, message })))('$name', ({ message }) => {
  const codec = codecOf(message)

  test('decodes what it encodes, in every version', () => {
    for (const version of versionsOf(message)) {
      fc.assert(
        fc.property(messageArbitrary(message, version), (value) => {
          const bytes = encode(codec, value, version)
          const reader = new Reader(bytes)
          expect(codec.decode(reader, version)).toEqual(value)
          expect(reader.remaining).toBe(0)
        }),
        { numRuns: RUN_COUNT },
      )
    }
  })

  test('refuses every cut, and any damage is decoded or refused as malformed', () => {
    for (const version of versionsOf(message)) {
      fc.assert(
        fc.property(
          messageArbitrary(message, version),
          fc.nat(),
          fc.nat(),
          fc.integer({ min: 0, max: 255 }),
          (value, cut, at, byte) => {
            const bytes = encode(codec, value, version)
            if (bytes.length === 0) return
            const prefix = bytes.subarray(0, cut % bytes.length)
            expect(() => codec.decode(new Reader(prefix), version)).toThrow(MalformedMessageError)
            const damaged = Buffer.from(bytes)
            damaged[at % bytes.length] = byte
            expectBounded(codec, damaged, version)
          },
        ),
        { numRuns: RUN_COUNT },
      )
    }
  })

  test('any bytes are decoded within bounds or refused as malformed', () => {
    for (const version of versionsOf(message)) {
      fc.assert(
        fc.property(hostileBytes(), (bytes) => expectBounded(codec, Buffer.from(bytes), version)),
        { numRuns: RUN_COUNT },
      )
    }
  })

  test('refuses a value that the version cannot carry, unless the schema calls it ignorable', () => {
    for (const version of versionsOf(message)) {
      for (const field of message.root.fields) {
        if (field.versions.min <= version && version <= field.versions.max) continue
        const value = createDefaults(message.root)
        value[field.name] = otherThanDefault(field)
        if (!field.isIgnorable) {
          expect(() => encode(codec, value, version)).toThrow(UnsupportedFieldError)
        } else {
          const standard = createDefaults(message.root)
          expect(encode(codec, value, version)).toEqual(encode(codec, standard, version))
        }
      }
    }
  })
})

function codecOf(message: ResolvedMessage): Codec {
  if (message.kind === 'request' || message.kind === 'response') {
    const api = apis[message.key]!
    return message.kind === 'request'
      ? { decode: api.decodeRequest, encode: api.encodeRequest }
      : { decode: api.decodeResponse, encode: api.encodeResponse }
  }
  return dataDefinitions.find((definition: DataDefinition) => definition.name === message.name)!
}

function versionsOf(message: ResolvedMessage): number[] {
  const { min, max } = message.versions
  return Array.from({ length: max - min + 1 }, (_, slot) => min + slot)
}

function encode(codec: Codec, value: Fields, version: number): Buffer {
  const writer = new Writer(16)
  codec.encode(writer, value, version)
  return writer.toBuffer()
}

/** Random bytes, with many of the values that lengths and counts are made of. */
function hostileBytes(): fc.Arbitrary<number[]> {
  const byte = fc.oneof(fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff), fc.integer({ min: 0, max: 255 }))
  return fc.array(byte, { maxLength: 200 })
}

/** Eight objects for each byte of a frame, of which size and header take twelve at least. */
function expectBounded(codec: Codec, bytes: Buffer, version: number): void {
  let decoded: unknown
  try {
    decoded = codec.decode(new Reader(bytes), version)
  } catch (error) {
    if (!(error instanceof MalformedMessageError)) throw error
    return
  }
  expect(objectCount(decoded)).toBeLessThanOrEqual(8 * (bytes.length + 12))
}

function objectCount(value: unknown): number {
  if (typeof value === 'bigint') return 1
  if (typeof value !== 'object' || value === null) return 0
  if (Buffer.isBuffer(value)) return 1
  return Object.values(value).reduce<number>((count, inner) => count + objectCount(inner), 1)
}
