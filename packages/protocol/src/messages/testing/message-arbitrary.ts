import { type Uuid, ZERO_UUID } from '@millrace/base'
import * as fc from 'fast-check'
import {
  isNullable,
  isPresent,
  isPrimitive,
  type Primitive,
  type ResolvedField,
  type ResolvedMessage,
  type ResolvedStruct,
} from '../../schema/resolved-message.ts'
import type { TaggedField } from '../../wire/tagged-field.ts'
import * as messages from '../index.generated.ts'

/** A struct as the codecs give it. */
export type Fields = Record<string, unknown>

const MAX_ARRAY_LENGTH = 3
/** Tags that no schema uses, so that they are unknown in every struct. */
const FIRST_UNKNOWN_TAG = 1000

/** Every value of a message that its version can carry. Fields that the version lacks hold their defaults. */
export function messageArbitrary(message: ResolvedMessage, version: number): fc.Arbitrary<Fields> {
  return structArbitrary(message, message.root, version)
}

/** The schema's defaults, through the generated function. */
export function createDefaults(struct: ResolvedStruct): Fields {
  return (messages as unknown as Record<string, () => Fields>)[`create${struct.typeName}`]!()
}

/** Some value of the field that is not its default, null aside. */
export function otherThanDefault(field: ResolvedField): unknown {
  const value = isPrimitive(field.type) ? otherPrimitive(field.type, field.default) : changedStruct(field.type)
  return field.isArray ? [value] : value
}

function changedStruct(struct: ResolvedStruct): Fields {
  const value = createDefaults(struct)
  const first = struct.fields[0]!
  value[first.name] = otherThanDefault(first)
  return value
}

function otherPrimitive(type: Primitive, standard: unknown): unknown {
  switch (type) {
    case 'bool':
      return standard !== true
    case 'string':
      return 'x'
    case 'uuid':
      return 'AAAAAAAAAAAAAAAAAAAAAQ' as Uuid
    case 'bytes':
    case 'records':
      return Buffer.from('x')
    default:
      return 7
  }
}

function structArbitrary(message: ResolvedMessage, struct: ResolvedStruct, version: number): fc.Arbitrary<Fields> {
  const arbitraries: Record<string, fc.Arbitrary<unknown>> = {}
  for (const field of struct.fields) {
    if (isPresent(field, version)) arbitraries[field.name] = fieldArbitrary(message, field, version)
  }
  arbitraries.unknownTaggedFields = version >= message.flexibleFrom ? unknownArbitrary() : fc.constant(null)
  return fc.record(arbitraries).map((fields) => ({ ...createDefaults(struct), ...fields }))
}

function fieldArbitrary(message: ResolvedMessage, field: ResolvedField, version: number): fc.Arbitrary<unknown> {
  const one = isPrimitive(field.type) ? primitiveArbitrary(field.type) : structArbitrary(message, field.type, version)
  const value = field.isArray ? fc.array(one, { maxLength: MAX_ARRAY_LENGTH }) : one
  return isNullable(field, version) ? fc.option(value, { nil: null, freq: 3 }) : value
}

function primitiveArbitrary(type: Primitive): fc.Arbitrary<unknown> {
  switch (type) {
    case 'bool':
      return fc.boolean()
    case 'int8':
      return fc.integer({ min: -0x80, max: 0x7f })
    case 'int16':
      return fc.integer({ min: -0x8000, max: 0x7fff })
    case 'uint16':
      return fc.integer({ min: 0, max: 0xffff })
    case 'int32':
      return fc.integer()
    case 'uint32':
      return fc.integer({ min: 0, max: 0xffffffff })
    case 'int64':
      return int64Arbitrary()
    case 'float64':
      return fc.double()
    case 'uuid':
      return fc.oneof(
        fc.constant(ZERO_UUID),
        bytesArbitrary(16, 16).map((bytes) => bytes.toString('base64url') as Uuid),
      )
    case 'string':
      return fc.oneof(
        fc.string({ maxLength: 12 }),
        fc.string({ unit: 'binary', maxLength: 60 }),
        fc.string({ minLength: 100, maxLength: 200 }),
      )
    case 'bytes':
    case 'records':
      return bytesArbitrary(0, 40)
  }
}

/** As decoders give them: numbers when safe, else bigints. */
export function int64Arbitrary(): fc.Arbitrary<number | bigint> {
  return fc.oneof(
    fc.maxSafeInteger(),
    fc.integer(),
    fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }),
  )
}

function bytesArbitrary(minLength: number, maxLength: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes))
}

function unknownArbitrary(): fc.Arbitrary<TaggedField[] | null> {
  const field = fc.record({
    tag: fc.integer({ min: FIRST_UNKNOWN_TAG, max: 0xffffffff }),
    data: bytesArbitrary(0, 200),
  })
  const list = fc.uniqueArray(field, { minLength: 1, maxLength: 2, selector: ({ tag }) => tag })
  return fc.option(
    list.map((fields) => fields.sort((a, b) => a.tag - b.tag)),
    { nil: null, freq: 1 },
  )
}
