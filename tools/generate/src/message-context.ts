import {
  isCompact,
  isNullable,
  isPrimitive,
  type Primitive,
  type ResolvedField,
  type ResolvedMessage,
  type ResolvedStruct,
} from '@millrace/protocol/schema'

/** Which half of a codec is meant. */
export type Direction = 'decode' | 'encode'

/** Whether the decoder or encoder of a struct depends on the version: only then does it take one. */
export function dependsOnVersion(message: ResolvedMessage, struct: ResolvedStruct, direction: Direction): boolean {
  const { min, max } = struct.versions
  if (min === max) return false
  if (message.flexibleFrom > min && message.flexibleFrom <= max) return true
  return struct.fields.some((field) => {
    if (field.versions.min > min || field.versions.max < max) return true
    if (field.nullable !== null && (field.nullable.min > min || field.nullable.max < max)) return true
    // A null that no version can carry is refused with the version in the error.
    if (direction === 'encode' && field.nullable === null && admitsNull(field)) return true
    return !isPrimitive(field.type) && dependsOnVersion(message, field.type, direction)
  })
}

/** Expression of the version inside the encoder of a struct. */
export function versionOf(message: ResolvedMessage, struct: ResolvedStruct): string {
  const hasVersion = struct === message.root || dependsOnVersion(message, struct, 'encode')
  return hasVersion ? 'version' : String(struct.versions.min)
}

/** Last argument of a call to the decoder or encoder of a struct, if any. */
export function versionArgument(message: ResolvedMessage, struct: ResolvedStruct, direction: Direction): string {
  return dependsOnVersion(message, struct, direction) ? ', version' : ''
}

/** Whether the generated type admits null: null is allowed in some version, or is the default. */
export function admitsNull(field: ResolvedField): boolean {
  return field.nullable !== null || field.default === null
}

/** TypeScript type of one value of the field's type, without null. */
export function scalarType(message: ResolvedMessage, type: Primitive | ResolvedStruct): string {
  if (!isPrimitive(type)) return type.typeName
  switch (type) {
    case 'bool':
      return 'boolean'
    case 'int64':
      return 'number | bigint'
    case 'uuid':
      return 'Uuid'
    case 'string':
      return 'string'
    case 'bytes':
      return 'Buffer'
    case 'records':
      return message.kind === 'response' ? 'RecordsData' : 'Buffer'
    default:
      return 'number'
  }
}

/** TypeScript type of the field. */
export function fieldType(message: ResolvedMessage, field: ResolvedField): string {
  const scalar = scalarType(message, field.type)
  const type = field.isArray ? (scalar.includes(' ') ? `(${scalar})[]` : `${scalar}[]`) : scalar
  return admitsNull(field) && type !== 'RecordsData' ? `${type} | null` : type
}

/** Expression of the field's default. */
export function defaultValue(field: ResolvedField): string {
  if (field.default === null) return 'null'
  if (field.isArray) return '[]'
  if (!isPrimitive(field.type)) return `create${field.type.typeName}()`
  if (field.default !== undefined) {
    return typeof field.default === 'bigint' ? `${field.default}n` : quote(field.default)
  }
  switch (field.type) {
    case 'bool':
      return 'false'
    case 'uuid':
      return 'ZERO_UUID'
    case 'string':
      return `''`
    case 'bytes':
      return 'EMPTY'
    default:
      return '0'
  }
}

/** Condition that `expression` is not the field's default. */
export function isNotDefault(field: ResolvedField, expression: string): string {
  if (field.default === null) return `${expression} !== null`
  if (field.isArray || field.type === 'bytes') {
    return field.nullable === null
      ? `${expression}.length !== 0`
      : `(${expression} === null || ${expression}.length !== 0)`
  }
  if (!isPrimitive(field.type)) {
    const differs = `!isDefault${field.type.typeName}(${expression})`
    return field.nullable === null ? differs : `(${expression} === null || ${differs})`
  }
  const value = defaultValue(field)
  if (field.type === 'bool') return value === 'true' ? `!${expression}` : expression
  if (field.type === 'int64' && !value.endsWith('n')) return `${expression} !== ${value} && ${expression} !== ${value}n`
  return `${expression} !== ${value}`
}

/** Name of the reader's and writer's method for a value with a length, in a version. */
export function lengthMethod(message: ResolvedMessage, field: ResolvedField, version: number, noun: string): string {
  const prefix = isCompact(message, field, version) ? 'compact' : ''
  const nullable = isNullable(field, version) ? (prefix === '' ? 'nullable' : 'Nullable') : ''
  const base = `${prefix}${nullable}`
  return base === '' ? noun : base + noun.charAt(0).toUpperCase() + noun.slice(1)
}

/** A literal as our formatter writes it. */
export function quote(value: string | number | boolean): string {
  return typeof value === 'string' ? `'${value.replaceAll(/['\\]/g, '\\$&')}'` : String(value)
}
