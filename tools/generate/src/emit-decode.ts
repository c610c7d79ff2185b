import {
  isNullable,
  isPresent,
  isPrimitive,
  minSizeBytes,
  type ResolvedField,
  type ResolvedMessage,
  type ResolvedStruct,
} from '@millrace/protocol/schema'
import {
  admitsNull,
  defaultValue,
  dependsOnVersion,
  fieldType,
  lengthMethod,
  scalarType,
  versionArgument,
} from './message-context.ts'
import { localName } from './naming.ts'
import { casesOf, condition, ternary } from './version-cases.ts'

/** Strings of requests that name nothing, and so may be as long as they like: values of settings, what comes with an offset, reasons. */
const FREE_TEXTS: ReadonlySet<string> = new Set(['value', 'committedMetadata', 'reason'])

/**
 * Decoder of a struct: a local per field in schema order, version comparisons as ternaries, then one object literal, so every decoded
 * struct has the same shape whatever its version.
 */
export function emitDecode(message: ResolvedMessage, struct: ResolvedStruct): string {
  const isRoot = struct === message.root
  const hasVersion = isRoot || dependsOnVersion(message, struct, 'decode')
  const lines = [
    isRoot ? decoderDoc(message) : '',
    `${isRoot ? 'export ' : ''}function decode${struct.typeName}(reader: Reader${hasVersion ? ', version: number' : ''}): ${struct.typeName} {`,
  ]
  if (isRoot) lines.push(versionCheck(message))
  for (const field of struct.fields) {
    const name = localName(field.name)
    if (field.tag !== -1) lines.push(`let ${name}: ${fieldType(message, field)} = ${defaultValue(field)}`)
    else lines.push(...emitField(message, struct, field))
  }
  lines.push(...emitTaggedFields(message, struct))
  const properties = struct.fields.map((field) => {
    const name = localName(field.name)
    return name === field.name ? name : `${field.name}: ${name}`
  })
  lines.push(`return { ${[...properties, 'unknownTaggedFields'].join(', ')} }`, '}')
  return lines.join('\n')
}

/** Throws for a version that the message does not have. */
export function versionCheck(message: ResolvedMessage): string {
  const { min, max } = message.versions
  return `if (version < ${min} || version > ${max}) throw new UnsupportedVersionError('${message.name}', version)`
}

function decoderDoc(message: ResolvedMessage): string {
  return `/** Decodes versions ${message.versions.min} to ${message.versions.max}. Throws \`MalformedMessageError\`; buffers are views of the input. */`
}

function emitField(message: ResolvedMessage, struct: ResolvedStruct, field: ResolvedField): string[] {
  const name = localName(field.name)
  if (!field.isArray) return [`const ${name} = ${ternary(valueCases(message, struct, field))}`]
  const absentCount = field.default === null ? '-1' : '0'
  const count = ternary(
    casesOf(struct.versions, (version) =>
      isPresent(field, version) ? arrayLength(message, field, version) : absentCount,
    ),
  )
  return arrayLoop(message, struct, field, `const ${name}: ${fieldType(message, field)} =`, count)
}

/** Statements that read an array whose count is given by an expression, -1 for null. `target` begins the assignment. */
function arrayLoop(
  message: ResolvedMessage,
  struct: ResolvedStruct,
  field: ResolvedField,
  target: string,
  count: string,
): string[] {
  const name = localName(field.name)
  const initial = admitsNull(field) ? `${name}Count < 0 ? null : []` : '[]'
  return [
    `const ${name}Count = ${count}`,
    `${target} ${initial}`,
    `for (let slot = 0; slot < ${name}Count; slot++) {`,
    `${name}${admitsNull(field) ? '!' : ''}.push(${elementValue(message, struct, field)})`,
    '}',
  ]
}

function arrayLength(message: ResolvedMessage, field: ResolvedField, version: number): string {
  const minSize = minSizeBytes(message, field.type, version)
  if (minSize === 0) throw new Error(`${message.name}.${field.name} has elements without bytes in version ${version}`)
  return `reader.${lengthMethod(message, field, version, 'arrayLength')}(${minSize})`
}

function elementValue(message: ResolvedMessage, struct: ResolvedStruct, field: ResolvedField): string {
  const element: ResolvedField = { ...field, isArray: false, nullable: null, default: undefined, tag: -1 }
  const present = casesOf(struct.versions, (version) => scalarRead(message, element, version))
  return ternary(present)
}

function valueCases(message: ResolvedMessage, struct: ResolvedStruct, field: ResolvedField) {
  return casesOf(struct.versions, (version) =>
    isPresent(field, version) ? scalarRead(message, field, version) : typedDefault(message, field),
  )
}

/** A default that keeps the local's inferred type as wide as the field's. */
function typedDefault(message: ResolvedMessage, field: ResolvedField): string {
  const value = defaultValue(field)
  return field.type === 'int64' || value === 'EMPTY' ? `(${value} as ${scalarType(message, field.type)})` : value
}

function scalarRead(message: ResolvedMessage, field: ResolvedField, version: number): string {
  const { type } = field
  if (!isPrimitive(type)) {
    const call = `decode${type.typeName}(reader${versionArgument(message, type, 'decode')})`
    if (!isNullable(field, version)) return call
    // A nullable struct has a marker: a signed byte, or an unsigned varint when it is a tagged field.
    return field.tag === -1
      ? `(reader.int8() < 0 ? null : ${call})`
      : `(reader.unsignedVarint() === 0 ? null : ${call})`
  }
  if (type === 'string') {
    const limit = message.kind === 'request' && FREE_TEXTS.has(field.name) ? 'MAX_STRING_BYTES' : ''
    return `reader.${lengthMethod(message, field, version, type)}(${limit})`
  }
  if (type === 'bytes') return `reader.${lengthMethod(message, field, version, type)}()`
  if (type === 'records') return `reader.${lengthMethod(message, field, version, 'bytes')}()`
  return `reader.${type}()`
}

function emitTaggedFields(message: ResolvedMessage, struct: ResolvedStruct): string[] {
  const { min, max } = struct.versions
  if (message.flexibleFrom > max) return ['const unknownTaggedFields: TaggedField[] | null = null']
  const flexible = condition({ min: Math.max(min, message.flexibleFrom), max }, struct.versions)
  const tagged = struct.fields.filter((field) => field.tag !== -1).sort((a, b) => a.tag - b.tag)
  if (tagged.length === 0) {
    const read = 'reader.unknownTaggedFields()'
    return [`const unknownTaggedFields = ${flexible === null ? read : `${flexible} ? ${read} : null`}`]
  }
  const lines = ['let unknownTaggedFields: TaggedField[] | null = null']
  if (flexible !== null) lines.push(`if (${flexible}) {`)
  lines.push(
    'let tag = -1',
    'for (let count = reader.taggedFieldCount(); count > 0; count--) {',
    'tag = reader.tag(tag)',
    'const end = reader.taggedFieldEnd()',
  )
  const within = { min: Math.max(min, message.flexibleFrom), max }
  let keyword = 'if'
  for (const field of tagged) {
    const present = condition(field.versions, within)
    lines.push(`${keyword} (tag === ${field.tag}${present === null ? '' : ` && ${present}`}) {`)
    lines.push(...emitTaggedValue(message, struct, field))
    keyword = '} else if'
  }
  lines.push('} else {', 'unknownTaggedFields = reader.unknownTaggedField(unknownTaggedFields, tag, end)', '}')
  lines.push('reader.expectPosition(end)', '}')
  if (flexible !== null) lines.push('}')
  return lines
}

function emitTaggedValue(message: ResolvedMessage, struct: ResolvedStruct, field: ResolvedField): string[] {
  const name = localName(field.name)
  const inTag: ResolvedStruct = { ...struct, versions: field.versions }
  if (!field.isArray) {
    return [`${name} = ${ternary(casesOf(field.versions, (version) => scalarRead(message, field, version)))}`]
  }
  const count = ternary(casesOf(field.versions, (version) => arrayLength(message, field, version)))
  return arrayLoop(message, inTag, field, `${name} =`, count)
}
