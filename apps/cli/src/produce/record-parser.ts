import { isUtf8 } from 'node:buffer'
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
  const fields = parseObject(line)
  const { key, headers } = fields
  const partition = wholeOf(fields, 'partition', 0)
  // -1 is what `consume --json` writes for a record without one.
  const timestamp = wholeOf(fields, 'timestamp', -1)
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
  if (partition !== null) record.partition = partition
  if (timestamp !== null) record.timestamp = timestamp
  return record
}

/** A number that has so many digits in a row may be one that JavaScript cannot hold. */
const LONG_NUMBER = /\d{16}/

function parseObject(line: Buffer): Record<string, unknown> {
  if (!isUtf8(line)) throw new CliError('not JSON: not UTF-8 text')
  const text = line.toString('utf8')
  let parsed: unknown
  try {
    parsed = LONG_NUMBER.test(text) ? JSON.parse(text, refuseInexact as Reviver) : JSON.parse(text)
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(`not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) throw new CliError('not a JSON object')
  return parsed as Record<string, unknown>
}

type Reviver = (name: string, value: unknown) => unknown

/** Values that are no text are written as the JSON that they were: a number must not become another one on the way. */
function refuseInexact(_name: string, value: unknown, { source }: { source?: string }): unknown {
  if (typeof value === 'number' && source !== undefined && /^-?\d+$/.test(source) && !Number.isSafeInteger(value)) {
    throw new CliError(`the number ${source} would lose digits: write it as a text`)
  }
  return value
}

/** A field that has to be a whole number of at least `least`; null if it is absent or null. */
function wholeOf(fields: Record<string, unknown>, name: string, least: number): number | null {
  const value = fields[name] ?? null
  if (value === null) return null
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value
  throw new CliError(`"${name}" is ${JSON.stringify(value)}, which is no whole number of at least ${least}`)
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

const WRONG_HEADERS = '"headers" must be an object or a list of [name, value]'

/** Headers as an object or as pairs, as `consume --json` writes them. */
function headersOf(headers: unknown, format: RecordFormat): HeadersInput {
  const own: (readonly [string, string | Buffer | null])[] = []
  if (Array.isArray(headers)) {
    for (const pair of headers) {
      if (!Array.isArray(pair) || typeof pair[0] !== 'string') throw new CliError(WRONG_HEADERS)
      own.push([pair[0], headerValueOf(pair[1])])
    }
  } else if (headers !== null && typeof headers === 'object') {
    for (const [name, value] of Object.entries(headers)) own.push([name, headerValueOf(value)])
  } else if (headers !== null && headers !== undefined) {
    throw new CliError(WRONG_HEADERS)
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
