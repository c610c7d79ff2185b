import type { DataSchema, FieldSchema, MessageSchema } from './schema.ts'
import { hull, includes, intersect, NO_VERSION, parseVersions, type Versions } from './version-range.ts'

const PRIMITIVES = [
  'bool',
  'int8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'float64',
  'uuid',
  'string',
  'bytes',
  'records',
] as const

export type Primitive = (typeof PRIMITIVES)[number]

/** A field with everything spelled out that the schema leaves to convention. */
export interface ResolvedField {
  readonly name: string
  /** The type, or the type of the elements. */
  readonly type: Primitive | ResolvedStruct
  readonly isArray: boolean
  /** Versions that carry the field, within those that reach its struct. */
  readonly versions: Versions
  /** Versions in which null is allowed, within `versions`; null for none. */
  readonly nullable: Versions | null
  /** Tag, or -1 for a field at a fixed place. */
  readonly tag: number
  /** Legacy encoding in flexible versions too. */
  readonly isLegacy: boolean
  /** `undefined`: the type's own default (0, false, empty). */
  readonly default: number | bigint | boolean | string | null | undefined
  readonly isIgnorable: boolean
}

export interface ResolvedStruct {
  /** As in the schema. */
  readonly name: string
  /** Unique over all messages: name of the generated interface. */
  readonly typeName: string
  /** From the first to the last version that reaches it. */
  readonly versions: Versions
  readonly fields: readonly ResolvedField[]
}

export interface ResolvedMessage {
  readonly name: string
  readonly kind: 'request' | 'response' | DataSchema['kind']
  /** API key, or type of the record; -1 for none. */
  readonly key: number
  readonly versions: Versions
  /** First flexible version, `NO_VERSION` for none. */
  readonly flexibleFrom: number
  readonly root: ResolvedStruct
  /** Every struct but the root, each after those that it uses. */
  readonly structs: readonly ResolvedStruct[]
}

export interface MessageSource {
  readonly name: string
  readonly kind: ResolvedMessage['kind']
  readonly key: number
  readonly versions: string
  readonly flexible: string
  readonly schema: MessageSchema
}

interface StructDraft {
  readonly name: string
  readonly schemas: readonly FieldSchema[]
  versions: Versions
}

/**
 * Resolves messages together, since a struct's type name depends on whether other messages have one of that name. A name that
 * several messages use, or of a single word (`Node`), gets the message's name in front. Throws on mistakes in the schemas.
 */
export function resolveMessages(sources: readonly MessageSource[]): ResolvedMessage[] {
  const drafts = sources.map((source) => draftStructs(source))
  const uses = new Map<string, number>()
  for (const structs of drafts) {
    for (const name of structs.keys()) uses.set(name, (uses.get(name) ?? 0) + 1)
  }
  const typeNames = new Set<string>()
  return sources.map((source, slot) => {
    const nameOf = (name: string) => {
      if (name === source.name) return name
      return uses.get(name) === 1 && /[a-z][A-Z]/.test(name) ? name : source.name + name
    }
    const message = resolveMessage(source, drafts[slot]!, nameOf)
    for (const struct of [message.root, ...message.structs]) {
      if (typeNames.has(struct.typeName)) throw new Error(`two structs are called ${struct.typeName}`)
      typeNames.add(struct.typeName)
    }
    return message
  })
}

export function isPrimitive(type: Primitive | ResolvedStruct): type is Primitive {
  return typeof type === 'string'
}

/** Whether the field exists in the version. */
export function isPresent(field: ResolvedField, version: number): boolean {
  return includes(field.versions, version)
}

/** Whether the field may be null in the version. */
export function isNullable(field: ResolvedField, version: number): boolean {
  return includes(field.nullable, version)
}

/** Whether the field's own lengths are compact in the version. */
export function isCompact(message: ResolvedMessage, field: ResolvedField, version: number): boolean {
  return version >= message.flexibleFrom && !field.isLegacy
}

/** Smallest number of bytes that one value of this type takes in the version, as an element of an array or by itself. */
export function minSizeBytes(message: ResolvedMessage, type: Primitive | ResolvedStruct, version: number): number {
  const isFlexible = version >= message.flexibleFrom
  if (!isPrimitive(type)) {
    let sizeBytes = isFlexible ? 1 : 0
    for (const field of type.fields) {
      if (!isPresent(field, version) || field.tag !== -1) continue
      const compact = isCompact(message, field, version)
      if (field.isArray) sizeBytes += compact ? 1 : 4
      else if (!isPrimitive(field.type) && isNullable(field, version)) sizeBytes += 1
      else if (field.type === 'string') sizeBytes += compact ? 1 : 2
      else sizeBytes += minSizeBytes(message, field.type, version)
    }
    return sizeBytes
  }
  switch (type) {
    case 'bool':
    case 'int8':
      return 1
    case 'int16':
    case 'uint16':
      return 2
    case 'int32':
    case 'uint32':
      return 4
    case 'int64':
    case 'float64':
      return 8
    case 'uuid':
      return 16
    case 'string':
      return isFlexible ? 1 : 2
    case 'bytes':
    case 'records':
      return isFlexible ? 1 : 4
  }
}

function draftStructs(source: MessageSource): Map<string, StructDraft> {
  const versions = parseVersions(source.versions, NO_VERSION)
  const drafts = new Map<string, StructDraft>()
  const define = (name: string, schemas: readonly FieldSchema[]) => {
    if (drafts.has(name)) throw new Error(`${source.name} defines ${name} twice`)
    drafts.set(name, { name, schemas, versions: { min: NO_VERSION, max: -1 } })
    for (const schema of schemas) if (schema.fields !== undefined) define(baseType(schema), schema.fields)
  }
  define(source.name, source.schema.fields)
  for (const [name, schemas] of Object.entries(source.schema.structs ?? {})) define(name, schemas)
  reach(drafts, source.name, versions, versions.max)
  return drafts
}

/** Widens the struct's range by `versions` and everything below it, until nothing widens. */
function reach(drafts: Map<string, StructDraft>, name: string, versions: Versions, last: number): void {
  const draft = drafts.get(name)
  if (draft === undefined) throw new Error(`struct ${name} is not defined`)
  const widened = hull(draft.versions, versions)
  if (widened.min === draft.versions.min && widened.max === draft.versions.max) return
  draft.versions = widened
  for (const schema of draft.schemas) {
    const type = baseType(schema)
    if ((PRIMITIVES as readonly string[]).includes(type)) continue
    const own = schema.versions === undefined ? widened : intersect(parseVersions(schema.versions, last), widened)
    if (own !== null) reach(drafts, type, own, last)
  }
}

function resolveMessage(
  source: MessageSource,
  drafts: Map<string, StructDraft>,
  typeNameOf: (name: string) => string,
): ResolvedMessage {
  const done = new Map<string, ResolvedStruct>()
  const last = drafts.get(source.name)!.versions.max
  const resolveStruct = (name: string): ResolvedStruct => {
    const known = done.get(name)
    if (known !== undefined) return known
    const draft = drafts.get(name)!
    const fields: ResolvedField[] = []
    for (const schema of draft.schemas) {
      const field = resolveField(schema, draft, last, resolveStruct)
      if (field !== null) fields.push(field)
    }
    const struct: ResolvedStruct = { name, typeName: typeNameOf(name), versions: draft.versions, fields }
    done.set(name, struct)
    return struct
  }
  const root = resolveStruct(source.name)
  return {
    name: source.name,
    kind: source.kind,
    key: source.key,
    versions: root.versions,
    flexibleFrom: source.flexible === 'none' ? NO_VERSION : parseVersions(source.flexible, last).min,
    root,
    structs: [...done.values()].filter((struct) => struct !== root),
  }
}

function resolveField(
  schema: FieldSchema,
  struct: StructDraft,
  last: number,
  resolveStruct: (name: string) => ResolvedStruct,
): ResolvedField | null {
  const type = baseType(schema)
  const own = schema.versions === undefined ? struct.versions : parseVersions(schema.versions, last)
  const versions = intersect(own, struct.versions)
  if (versions === null) return null
  const nullable = schema.nullable === true ? versions : parseNullable(schema.nullable, versions, last)
  return {
    name: schema.name,
    type: (PRIMITIVES as readonly string[]).includes(type) ? (type as Primitive) : resolveStruct(type),
    isArray: schema.type.endsWith('[]'),
    versions,
    nullable,
    tag: schema.tag ?? -1,
    isLegacy: schema.flexible === 'none',
    default: schema.type === 'records' ? null : schema.default,
    isIgnorable: schema.ignorable === true,
  }
}

function parseNullable(range: string | undefined, versions: Versions, last: number): Versions | null {
  return range === undefined ? null : intersect(parseVersions(range, last), versions)
}

function baseType(schema: FieldSchema): string {
  return schema.type.endsWith('[]') ? schema.type.slice(0, -2) : schema.type
}
