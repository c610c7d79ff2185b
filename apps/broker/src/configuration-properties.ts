import { ConfigurationError } from '@millrace/base'

/** A key and value of a properties file, and the line where it begins, from 1. */
export interface Property {
  readonly key: string
  readonly value: string
  readonly line: number
}

/**
 * Parses the format of `java.util.Properties`, as Kafka's files have it: `key=value`, `key: value` or `key value`; `#` and `!` begin
 * comments; a backslash at the end of a line joins the next one without its indentation; `\t \n \r \f \uXXXX` and backslashes
 * before other characters. Throws `ConfigurationError` that names `file` and line.
 */
export function parseProperties(text: string, file: string): Property[] {
  const properties: Property[] = []
  for (const { content, line } of logicalLines(text)) {
    const { key, value } = splitLine(content)
    const where = `${file}:${line}`
    properties.push({ key: unescaped(key, where), value: unescaped(value, where), line })
  }
  return properties
}

/** Lines with their continuations joined; without comments and blank ones. */
function* logicalLines(text: string): Iterable<{ content: string; line: number }> {
  let content = ''
  /** Where the logical line began; 0 between two of them. */
  let line = 0
  for (const [slot, natural] of text.split(/\r\n|\n|\r/).entries()) {
    const trimmed = natural.replace(/^[ \t\f]+/, '')
    const isNothing = trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith('!')
    if (line === 0 && isNothing) continue
    if (line === 0) line = slot + 1
    content += trimmed
    if (endsWithOpenBackslash(trimmed)) {
      content = content.slice(0, -1)
      continue
    }
    yield { content, line }
    content = ''
    line = 0
  }
  if (line !== 0) yield { content, line }
}

/** An even number of backslashes at the end escapes itself. */
function endsWithOpenBackslash(content: string): boolean {
  const backslashes = /\\*$/.exec(content)![0].length
  return backslashes % 2 === 1
}

/** The key ends before the first `=`, `:` or space that is not escaped; space around the separator belongs to neither. */
function splitLine(content: string): { key: string; value: string } {
  const key = /^(?:\\.|[^\\=: \t\f])*/.exec(content)![0]
  const rest = content.slice(key.length)
  return { key, value: rest.replace(/^[ \t\f]*[=:]?[ \t\f]*/, '') }
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function unescaped(text: string, where: string): string {
  return text.replace(/\\(u([0-9a-fA-F]{4})|[^u]|u)/g, (_, escaped: string, hex: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    if (escaped === 'u') {
      throw new ConfigurationError('', `${where}: \\u must be followed by four hexadecimal digits`)
    }
    return SHORT_ESCAPES[escaped] ?? escaped
  })
}
