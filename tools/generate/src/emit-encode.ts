import {
  isCompact,
  isNullable,
  isPrimitive,
  type ResolvedField,
  type ResolvedMessage,
  type ResolvedStruct,
  type Versions,
} from '@millrace/protocol/schema'
import { versionCheck } from './emit-decode.ts'
import {
  admitsNull,
  dependsOnVersion,
  isNotDefault,
  lengthMethod,
  versionArgument,
  versionOf,
} from './message-context.ts'
import { capitalize, localName } from './naming.ts'
import { casesOf, condition, ifChain, outside } from './version-cases.ts'

/** Encoder of a struct: straight into the writer, in wire order. */
export function emitEncode(message: ResolvedMessage, struct: ResolvedStruct): string {
  const isRoot = struct === message.root
  const hasVersion = isRoot || dependsOnVersion(message, struct, 'encode')
  const name = struct.typeName
  const lines = [
    isRoot ? encoderDoc(message) : '',
    `${isRoot ? 'export ' : ''}function encode${name}(writer: Writer, value: ${name}${hasVersion ? ', version: number' : ''}): void {`,
  ]
  if (isRoot) lines.push(versionCheck(message))
  for (const field of struct.fields) if (field.tag === -1) lines.push(emitField(message, struct, field))
  lines.push(...emitTaggedFields(message, struct), '}')
  return lines.join('\n')
}

/** Whether a struct holds its defaults, needed where a struct may be left out when it does. */
export function emitIsDefault(struct: ResolvedStruct): string {
  const differences = struct.fields.map((field) => isNotDefault(field, `value.${field.name}`))
  const same = differences.map((difference) => `!(${difference})`)
  const unknown = '(value.unknownTaggedFields === null || value.unknownTaggedFields.length === 0)'
  return [
    `function isDefault${struct.typeName}(value: ${struct.typeName}): boolean {`,
    `return ${[...same, unknown].join(' && ')}`,
    '}',
  ].join('\n')
}

/** Structs whose `isDefault` function some encoder needs. */
export function structsComparedToDefault(message: ResolvedMessage): Set<ResolvedStruct> {
  const compared = new Set<ResolvedStruct>()
  const add = (struct: ResolvedStruct) => {
    if (compared.has(struct)) return
    compared.add(struct)
    for (const field of struct.fields) if (hasStructDefault(field)) add(field.type as ResolvedStruct)
  }
  for (const struct of [message.root, ...message.structs]) {
    for (const field of struct.fields) {
      if (!hasStructDefault(field)) continue
      const isRefused = !field.isIgnorable && outside(field.versions, struct.versions) !== null
      if (field.tag !== -1 || isRefused) add(field.type as ResolvedStruct)
    }
  }
  return compared
}

function hasStructDefault(field: ResolvedField): boolean {
  return !isPrimitive(field.type) && !field.isArray && field.default !== null
}

function encoderDoc(message: ResolvedMessage): string {
  return `/** Encodes versions ${message.versions.min} to ${message.versions.max}. Throws \`UnsupportedFieldError\` for a value that the version cannot carry. */`
}

function emitField(message: ResolvedMessage, struct: ResolvedStruct, field: ResolvedField): string {
  const body = field.isArray ? emitArray(message, struct, field) : emitScalar(message, struct, field)
  const present = condition(field.versions, struct.versions)
  if (present === null) return body
  const refusal = field.isIgnorable
    ? ''
    : ` else if (${isNotDefault(field, `value.${field.name}`)}) {\n${refuse(message, struct, field)}\n}`
  return `if (${present}) {\n${body}\n}${refusal}`
}

function refuse(message: ResolvedMessage, struct: ResolvedStruct, field: ResolvedField): string {
  return `throw new UnsupportedFieldError('${message.name}', '${field.name}', ${versionOf(message, struct)})`
}

function emitScalar(message: ResolvedMessage, struct: ResolvedStruct, field: ResolvedField): string {
  const { type } = field
  const source = `value.${field.name}`
  if (!isPrimitive(type)) {
    const argument = versionArgument(message, type, 'encode')
    if (!admitsNull(field)) return `encode${type.typeName}(writer, ${source}${argument})`
    const [absent, present] = field.tag === -1 ? ['int8(-1)', 'int8(1)'] : ['unsignedVarint(0)', 'unsignedVarint(1)']
    return ifChain(
      casesOf(field.versions, (version) =>
        isNullable(field, version)
          ? `if (${source} === null) {\nwriter.${absent}\n} else {\nwriter.${present}\nencode${type.typeName}(writer, ${source}${argument})\n}`
          : `encode${type.typeName}(writer, ${notNull(message, struct, field, source)}${argument})`,
      ),
    )
  }
  if (type === 'string' || type === 'bytes') {
    return ifChain(
      casesOf(field.versions, (version) => {
        const isLoose = admitsNull(field) && !isNullable(field, version)
        const argument = isLoose ? notNull(message, struct, field, source) : source
        return `writer.${lengthMethod(message, field, version, type)}(${argument})`
      }),
    )
  }
  if (type === 'records') {
    return ifChain(
      casesOf(field.versions, (version) => {
        const argument = isNullable(field, version) ? source : notNull(message, struct, field, source)
        return `writer.${isCompact(message, field, version) ? 'compactRecords' : 'records'}(${argument})`
      }),
    )
  }
  return `writer.${type}(${source})`
}

/** The value where this version forbids the null that the type admits. */
function notNull(message: ResolvedMessage, struct: ResolvedStruct, field: ResolvedField, source: string): string {
  return `requireValue(${source}, '${message.name}', '${field.name}', ${versionOf(message, struct)})`
}

function emitArray(message: ResolvedMessage, struct: ResolvedStruct, field: ResolvedField): string {
  const name = localName(field.name)
  const lines = [`const ${name} = value.${field.name}`]
  const isLoose = admitsNull(field)
  if (isLoose) {
    const forbidden = field.nullable === null ? '' : outside(field.nullable, field.versions)
    if (forbidden !== null) {
      lines.push(`if (${[forbidden, `${name} === null`].filter((part) => part !== '').join(' && ')}) {`)
      lines.push(refuse(message, struct, field), '}')
    }
  }
  const count = isLoose ? `${name} === null ? -1 : ${name}.length` : `${name}.length`
  lines.push(
    ifChain(
      casesOf(field.versions, (version) =>
        isCompact(message, field, version) ? `writer.compactArrayLength(${count})` : `writer.arrayLength(${count})`,
      ),
    ),
  )
  const loop = `for (let slot = 0; slot < ${name}.length; slot++) {\n${emitElement(message, field, `${name}[slot]!`)}\n}`
  lines.push(isLoose ? `if (${name} !== null) {\n${loop}\n}` : loop)
  return lines.join('\n')
}

function emitElement(message: ResolvedMessage, field: ResolvedField, source: string): string {
  const { type } = field
  if (!isPrimitive(type)) return `encode${type.typeName}(writer, ${source}${versionArgument(message, type, 'encode')})`
  if (type !== 'string' && type !== 'bytes' && type !== 'records') return `writer.${type}(${source})`
  const element: ResolvedField = { ...field, isArray: false, nullable: null, default: undefined, tag: -1 }
  return ifChain(
    casesOf(field.versions, (version) => `writer.${lengthMethod(message, element, version, type)}(${source})`),
  )
}

function emitTaggedFields(message: ResolvedMessage, struct: ResolvedStruct): string[] {
  const { min, max } = struct.versions
  const unknown = 'value.unknownTaggedFields'
  const lines: string[] = []
  const tagged = struct.fields.filter((field) => field.tag !== -1).sort((a, b) => a.tag - b.tag)
  for (const field of tagged) {
    const absent = outside(field.versions, struct.versions)
    if (absent === null || field.isIgnorable) continue
    const isSet = isNotDefault(field, `value.${field.name}`)
    lines.push(
      `if (${/ \|\| /.test(absent) ? `(${absent})` : absent} && ${isSet}) {\n${refuse(message, struct, field)}\n}`,
    )
  }
  const refused = `if (${unknown} !== null && ${unknown}.length > 0) {\nthrow new UnsupportedFieldError('${message.name}', 'unknownTaggedFields', ${versionOf(message, struct)})\n}`
  if (message.flexibleFrom > max) return [...lines, refused]
  const within: Versions = { min: Math.max(min, message.flexibleFrom), max }
  const flexible = condition(within, struct.versions)
  const body =
    tagged.length === 0
      ? [`writer.unknownTaggedFields(${unknown})`]
      : emitKnownAndUnknown(message, struct, tagged, within, unknown)
  if (flexible === null) return [...lines, ...body]
  return [...lines, `if (${flexible}) {`, ...body, `} else ${refused}`]
}

/** Counts the tagged fields that differ from their defaults, then writes known and unknown ones in one ascending order. */
function emitKnownAndUnknown(
  message: ResolvedMessage,
  struct: ResolvedStruct,
  tagged: readonly ResolvedField[],
  within: Versions,
  unknown: string,
): string[] {
  const lines: string[] = []
  const flags = tagged.map((field) => `has${capitalize(field.name)}`)
  tagged.forEach((field, slot) => {
    const present = condition(field.versions, within)
    const isSet = isNotDefault(field, `value.${field.name}`)
    lines.push(`const ${flags[slot]} = ${present === null ? isSet : `${present} && ${isSet}`}`)
  })
  const counts = flags.map((flag) => `(${flag} ? 1 : 0)`)
  lines.push(`const unknown = ${unknown}`)
  lines.push(`writer.unsignedVarint((unknown === null ? 0 : unknown.length) + ${counts.join(' + ')})`)
  lines.push('let nextSlot = 0')
  tagged.forEach((field, slot) => {
    lines.push(
      `if (${flags[slot]}) {`,
      `nextSlot = writer.taggedFieldsBelow(unknown, nextSlot, ${field.tag})`,
      `const mark = writer.beginTaggedField(${field.tag})`,
      field.isArray ? emitArray(message, struct, field) : emitScalar(message, struct, field),
      'writer.endTaggedField(mark)',
      '}',
    )
  })
  lines.push('writer.taggedFieldsBelow(unknown, nextSlot, END_OF_TAGS)')
  return lines
}
