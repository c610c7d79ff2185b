/** Names that generated functions use themselves, or that the language reserves: a field of such a name gets a longer local. */
const TAKEN = new Set([
  'count',
  'default',
  'end',
  'init',
  'mark',
  'nextSlot',
  'reader',
  'slot',
  'tag',
  'unknownTaggedFields',
  'value',
  'version',
  'writer',
])

/** Local variable for a field. */
export function localName(fieldName: string): string {
  return TAKEN.has(fieldName) ? `${fieldName}Field` : fieldName
}

export function capitalize(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1)
}

export function uncapitalize(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1)
}

/** `ListOffsets` → `list-offsets`. */
export function kebabCase(name: string): string {
  return words(name).join('-').toLowerCase()
}

/** `ListOffsets` → `LIST_OFFSETS`. */
export function upperSnakeCase(name: string): string {
  return words(name).join('_').toUpperCase()
}

function words(name: string): string[] {
  return name.replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').split(' ')
}
