import type { ResolvedField, ResolvedMessage, ResolvedStruct } from '@millrace/protocol/schema'
import { admitsNull, defaultValue, fieldType } from './message-context.ts'

/** Interface of a struct: the fields of all versions. */
export function emitInterface(message: ResolvedMessage, struct: ResolvedStruct): string {
  const lines = [`/** ${structDoc(message, struct)} */`, `export interface ${struct.typeName} {`]
  for (const field of struct.fields) {
    const note = fieldNote(struct, field)
    if (note !== '') lines.push(`/** ${note} */`)
    lines.push(`${field.name}: ${fieldType(message, field)}`)
  }
  lines.push('unknownTaggedFields: TaggedField[] | null', '}')
  return lines.join('\n')
}

/** Function that fills in the schema's defaults. */
export function emitCreate(struct: ResolvedStruct): string {
  const name = struct.typeName
  const properties = struct.fields.map((field) => {
    const given = `init.${field.name}`
    const value = defaultValue(field)
    return admitsNull(field) && value !== 'null'
      ? `${field.name}: ${given} === undefined ? ${value} : ${given}`
      : `${field.name}: ${given} ?? ${value}`
  })
  return [
    `/** A {@link ${name}} with the schema's default for each field that is not given. */`,
    `export function create${name}(init: Partial<${name}> = {}): ${name} {`,
    `return { ${[...properties, 'unknownTaggedFields: init.unknownTaggedFields ?? null'].join(',\n')} }`,
    '}',
  ].join('\n')
}

function structDoc(message: ResolvedMessage, struct: ResolvedStruct): string {
  const { min, max } = struct.versions
  const range = min === max ? `version ${min}` : `versions ${min}–${max}`
  if (struct !== message.root) return `Part of {@link ${message.root.typeName}}, ${range}.`
  const flexible = message.flexibleFrom > max ? 'never flexible' : `flexible from ${message.flexibleFrom}`
  const key = message.key === -1 ? '' : `, key ${message.key}`
  return `${message.name} (${message.kind}${key}), ${range}, ${flexible}.`
}

/** What the type does not tell: versions, tag, where null is allowed. */
function fieldNote(struct: ResolvedStruct, field: ResolvedField): string {
  const notes: string[] = []
  const { min, max } = field.versions
  if (min > struct.versions.min && max < struct.versions.max)
    notes.push(min === max ? `v${min} only` : `v${min}–${max}`)
  else if (min > struct.versions.min) notes.push(`v${min}+`)
  else if (max < struct.versions.max) notes.push(`up to v${max}`)
  if (field.tag !== -1) notes.push(`tag ${field.tag}`)
  if (field.nullable !== null && field.nullable.min > min) notes.push(`null from v${field.nullable.min}`)
  if (field.isIgnorable && notes.length > 0) notes.push('dropped where absent')
  return notes.join(', ')
}
