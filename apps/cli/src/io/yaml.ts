/** What {@link toYaml} takes. */
export type PlainValue = string | number | boolean | null | PlainValue[] | { [key: string]: PlainValue } | unknown

/**
 * The value as a YAML 1.2 document in block style. Texts that YAML could read as anything but themselves are written as JSON strings,
 * which YAML takes as they are.
 */
export function toYaml(value: PlainValue): string {
  return `${block(value, 0)}\n`
}

/** Letters, digits and a few marks, not beginning like a number, an indicator or a date. */
const PLAIN = /^[A-Za-z_/][A-Za-z0-9_./-]*$/
/** Words that YAML 1.1 or 1.2 readers take for booleans or null. */
const WORDS = new Set(['null', 'true', 'false', 'yes', 'no', 'on', 'off', 'y', 'n', '~', 'nan', 'inf'])

function block(value: PlainValue, depth: number): string {
  const indent = '  '.repeat(depth)
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    return value.map((item) => `${indent}- ${nested(item, depth + 1).trimStart()}`).join('\n')
  }
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value)
    if (entries.length === 0) return '{}'
    return entries
      .map(([key, item]) => {
        const isBlock = item !== null && typeof item === 'object' && Object.keys(item).length > 0
        return `${indent}${scalar(key)}:${isBlock ? `\n${block(item, depth + 1)}` : ` ${block(item, 0)}`}`
      })
      .join('\n')
  }
  return scalar(value)
}

function nested(value: PlainValue, depth: number): string {
  return value !== null && typeof value === 'object' ? block(value, depth) : scalar(value)
}

function scalar(value: PlainValue): string {
  if (typeof value !== 'string') return JSON.stringify(value)
  return PLAIN.test(value) && !WORDS.has(value.toLowerCase()) ? value : JSON.stringify(value)
}
