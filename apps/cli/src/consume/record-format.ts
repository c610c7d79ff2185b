import type { ConsumerRecord } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'
import { resolveEscapes } from '../produce/record-parser.ts'

/** Appends one record to a list of bytes to write. */
export type RecordFormatter = (record: ConsumerRecord, out: (string | Buffer)[]) => void

const DIRECTIVES: Readonly<Record<string, (record: ConsumerRecord) => string | Buffer>> = {
  t: (record) => record.topic,
  p: (record) => String(record.partition),
  o: (record) => String(record.offset),
  k: (record) => record.key ?? '',
  K: (record) => String(record.key?.length ?? -1),
  s: (record) => record.value ?? '',
  S: (record) => String(record.value?.length ?? -1),
  T: (record) => String(record.timestamp),
  D: (record) => (record.timestamp < 0 ? '-' : new Date(record.timestamp).toISOString()),
  h: (record) => record.headers.map(({ key, value }) => `${key}=${value?.toString('utf8') ?? 'NULL'}`).join(','),
  R: (record) => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(record.value?.length ?? -1)
    return length
  },
  '%': () => '%',
}

/** The directives, for help texts. */
export const FORMAT_HELP = `Format directives (as kcat's):
  %t topic        %p partition       %o offset
  %k key          %K key length      %s value         %S value length (-1: null)
  %T timestamp in ms                 %D timestamp as a date
  %h headers, name=value by commas   %R value length as 4 bytes, big-endian
  %% a percent sign; \\n, \\t, \\0 and \\x1f as usual`

/** Compiles a format text. Throws a usage error for a directive that there is not. */
export function compileFormat(text: string): RecordFormatter {
  const parts: (string | ((record: ConsumerRecord) => string | Buffer))[] = []
  const pieces = resolveEscapes(text).split(/(%.?)/s)
  for (const piece of pieces) {
    if (piece === '') continue
    if (!piece.startsWith('%')) {
      parts.push(piece)
      continue
    }
    const directive = DIRECTIVES[piece.slice(1)]
    if (directive === undefined) throw usageError(`--format: ${piece} is no directive`, FORMAT_HELP)
    parts.push(directive)
  }
  return (record, out) => {
    for (const part of parts) out.push(typeof part === 'string' ? part : part(record))
  }
}

/** One JSON object a line. Bytes that are no UTF-8 text are written as base64, under names that say so. */
export const jsonFormat: RecordFormatter = (record, out) => {
  const { topic, partition, offset, timestamp, key, value, headers } = record
  const line = {
    topic,
    partition,
    offset: Number.isSafeInteger(Number(offset)) ? Number(offset) : String(offset),
    timestamp,
    ...bytesField('key', key),
    ...bytesField('value', value),
    headers: headers.map(headerPair),
  }
  out.push(JSON.stringify(line), '\n')
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A field of a JSON object for bytes: as text, or under a name that says so as base64. */
export function bytesField(name: string, bytes: Buffer | null): Record<string, string | null> {
  if (bytes === null) return { [name]: null }
  const text = textOrNull(bytes)
  return text === null ? { [`${name}Base64`]: bytes.toString('base64') } : { [name]: text }
}

/** A header as JSON: its name, and its value as text or as an object with base64. */
export function headerPair(header: {
  readonly key: string
  readonly value: Buffer | null
}): [string, string | { base64: string } | null] {
  const { key, value } = header
  return [key, value === null ? null : (textOrNull(value) ?? { base64: value.toString('base64') })]
}

/** The bytes as text, or null where they are none. */
function textOrNull(bytes: Buffer): string | null {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return null
  }
}
