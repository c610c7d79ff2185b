import { isDeepStrictEqual } from 'node:util'
import type { TaggedField } from '@millrace/protocol'
import * as protocol from '@millrace/protocol'
import {
  isPresent,
  isPrimitive,
  type Primitive,
  type ResolvedField,
  type ResolvedStruct,
} from '@millrace/protocol/schema'

/** A message or struct as the codecs give it. */
export type Fields = Record<string, unknown>

/** An unknown tagged field as the vectors name it: a JSON pointer to the struct, the tag, the bytes. */
export interface UnknownField {
  readonly path: string
  readonly tag: number
  readonly hex: string
}

type Create = () => Fields

/** The function of the protocol package that makes a struct with the schema's defaults. */
function createDefaults(struct: ResolvedStruct): Fields {
  const create = (protocol as unknown as Record<string, Create | undefined>)[`create${struct.typeName}`]
  if (create === undefined) throw new Error(`no create${struct.typeName}`)
  return create()
}

/** A decoded struct in the JSON of the vectors: the fields of the version, tagged ones only when they differ from their defaults. */
export function toJson(struct: ResolvedStruct, value: Fields, version: number): Fields {
  const json: Fields = {}
  const defaults = createDefaults(struct)
  for (const field of struct.fields) {
    if (!isPresent(field, version)) continue
    const own = value[field.name]
    if (field.tag !== -1 && isDeepStrictEqual(own, defaults[field.name])) continue
    json[field.name] = own === null ? null : fieldToJson(field, own, version)
  }
  return json
}

/** All unknown tagged fields below a decoded struct, in the order of the wire. */
export function unknownFields(struct: ResolvedStruct, value: Fields, version: number, path = ''): UnknownField[] {
  const found: UnknownField[] = []
  for (const { tag, data } of (value.unknownTaggedFields as TaggedField[] | null) ?? []) {
    found.push({ path, tag, hex: data.toString('hex') })
  }
  for (const field of struct.fields) {
    const own = value[field.name]
    if (isPrimitive(field.type) || own === null || !isPresent(field, version)) continue
    const below = `${path}/${field.name}`
    if (!field.isArray) found.push(...unknownFields(field.type, own as Fields, version, below))
    else {
      for (const [slot, element] of (own as Fields[]).entries()) {
        found.push(...unknownFields(field.type, element, version, `${below}/${slot}`))
      }
    }
  }
  return found
}

/** The struct that the JSON of a vector describes, with its unknown tagged fields, ready to be encoded. */
export function fromJson(struct: ResolvedStruct, json: Fields, unknown: readonly UnknownField[], path = ''): Fields {
  const value = createDefaults(struct)
  const names = new Set(struct.fields.map((field) => field.name))
  for (const name of Object.keys(json)) if (!names.has(name)) throw new Error(`${struct.typeName} has no field ${name}`)
  for (const field of struct.fields) {
    const own = json[field.name]
    if (own === undefined) continue
    value[field.name] = own === null ? null : fieldFromJson(field, own, unknown, `${path}/${field.name}`)
  }
  const tagged = unknown.filter((field) => field.path === path)
  if (tagged.length > 0) {
    value.unknownTaggedFields = tagged.map(({ tag, hex }) => ({ tag, data: Buffer.from(hex, 'hex') }))
  }
  return value
}

function fieldToJson(field: ResolvedField, value: unknown, version: number): unknown {
  if (field.isArray) return (value as unknown[]).map((element) => elementToJson(field.type, element, version))
  return elementToJson(field.type, value, version)
}

function elementToJson(type: Primitive | ResolvedStruct, value: unknown, version: number): unknown {
  if (!isPrimitive(type)) return toJson(type, value as Fields, version)
  if (type === 'int64') return String(value)
  if (type === 'bytes' || type === 'records') return (value as Buffer).toString('base64')
  return value
}

function fieldFromJson(field: ResolvedField, json: unknown, unknown: readonly UnknownField[], path: string): unknown {
  if (!field.isArray) return elementFromJson(field.type, json, unknown, path)
  return (json as unknown[]).map((element, slot) => elementFromJson(field.type, element, unknown, `${path}/${slot}`))
}

function elementFromJson(
  type: Primitive | ResolvedStruct,
  json: unknown,
  unknown: readonly UnknownField[],
  path: string,
): unknown {
  if (!isPrimitive(type)) return fromJson(type, json as Fields, unknown, path)
  if (type === 'int64') return int64(json as string)
  if (type === 'bytes' || type === 'records') return Buffer.from(json as string, 'base64')
  return json
}

/** A number when it is a safe integer, else a bigint, as decoders give it. */
export function int64(text: string): number | bigint {
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : BigInt(text)
}
