import type { HeadersInput, ProducerRecord } from '@millrace/client'
import { CliError, usageError } from '../command/cli-error.ts'

/** How a line becomes a record. */
export interface RecordFormat {
  topic: string
  /** Text between key and value, null if lines are values alone. */
  keySeparator: Buffer | null
  /** The key of every record, where lines have none. */
  fixedKey: string | null
  /** Lines are JSON objects with value, key, headers, partition, timestamp. */
  isJson: boolean
  /** A key or value that is exactly this text is null. */
  nullMarker: Buffer | null
  headers: readonly (readonly [string, string])[]
  partition: number | null
  timestamp: number | null
}

/** The record of a line. Throws a {@link CliError} that says what the line lacks. */
export function parseRecord(line: Buffer, format: RecordFormat): ProducerRecord {
  if (format.isJson) return parseJson(line, format)
  let key: Buffer | string | null = format.fixedKey
  let value: Buffer | null = line
  if (format.keySeparator !== null) {
    const at = line.indexOf(format.keySeparator)
    if (at === -1) {
      throw new CliError(`no key separator ${JSON.stringify(format.keySeparator.toString())} in the line`)
    }
    key = orNull(line.subarray(0, at), format.nullMarker)
    value = line.subarray(at + format.keySeparator.length)
  }
  return { ...common(format), key, value: orNull(value, format.nullMarker), headers: format.headers }
}

/** Separators as they are typed: `\t`, `\n`, `\0`, `\x1f`, `\\`. */
export function resolveEscapes(text: string): string {
  return text.replace(/\\(x[0-9a-fA-F]{2}|.)/g, (_, code: string) => {
    if (code.startsWith('x') && code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16))
    return { t: '\t', n: '\n', r: '\r', '0': '\0' }[code] ?? code
  })
}

/** Headers from `name=value` options; `name` alone has no value. Throws a usage error. */
export function parseHeaders(texts: readonly string[]): (readonly [string, string])[] {
  return texts.map((text) => {
    const equals = text.indexOf('=')
    if (equals === 0) throw usageError(`--header ${text}: write it as name=value`)
    return equals === -1 ? ([text, ''] as const) : ([text.slice(0, equals), text.slice(equals + 1)] as const)
  })
}

function parseJson(line: Buffer, format: RecordFormat): ProducerRecord {
  let parsed: unknown
  try {
    parsed = JSON.parse(line.toString('utf8'))
  } catch (error) {
    throw new CliError(`not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) throw new CliError('not a JSON object')
  const fields = parsed as Record<string, unknown>
  const { key, headers, partition, timestamp } = fields
  // A tombstone deletes: it must be asked for, not come of a misspelt name.
  if (!('value' in fields) && !('valueBase64' in fields)) {
    throw new CliError('no "value" (write "value": null for a tombstone)')
  }
  const record: ProducerRecord = {
    ...common(format),
    key: key === undefined && fields.keyBase64 === undefined ? format.fixedKey : fieldOf(fields, 'key'),
    value: fieldOf(fields, 'value'),
    headers: headersOf(headers, format),
  }
  if (typeof partition === 'number') record.partition = partition
  if (typeof timestamp === 'number') record.timestamp = timestamp
  return record
}

/** A field of the object, or what `consume --json` writes for bytes that are no text: the same name with `Base64`. */
function fieldOf(fields: Record<string, unknown>, name: string): string | Buffer | null {
  const base64 = fields[`${name}Base64`]
  return base64 === undefined ? textOf(fields[name]) : bytesOf(base64, `${name}Base64`)
}

function bytesOf(base64: unknown, name: string): Buffer {
  if (typeof base64 !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw new CliError(`${name} is not base64`)
  return Buffer.from(base64, 'base64')
}

function headerValueOf(value: unknown): string | Buffer | null {
  const isObject = value !== null && typeof value === 'object'
  return isObject && 'base64' in value ? bytesOf(value.base64, 'the base64 of a header') : textOf(value)
}

/** Texts are taken as they are, everything else as the JSON that it was. */
function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Headers as an object or as pairs, as `consume --json` writes them. */
function headersOf(headers: unknown, format: RecordFormat): HeadersInput {
  const own: (readonly [string, string | Buffer | null])[] = []
  if (Array.isArray(headers)) {
    for (const pair of headers) if (Array.isArray(pair)) own.push([String(pair[0]), headerValueOf(pair[1])])
  } else if (headers !== null && typeof headers === 'object') {
    for (const [name, value] of Object.entries(headers)) own.push([name, headerValueOf(value)])
  }
  return [...format.headers, ...own]
}

function common({ topic, partition, timestamp }: RecordFormat) {
  return {
    topic,
    ...(partition === null ? {} : { partition }),
    ...(timestamp === null ? {} : { timestamp }),
  }
}

function orNull(bytes: Buffer, marker: Buffer | null): Buffer | null {
  return marker?.equals(bytes) ? null : bytes
}
