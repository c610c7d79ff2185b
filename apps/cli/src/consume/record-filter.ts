import type { ConsumerRecord } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'

export interface FilterOptions {
  key?: string
  keyRegex?: string
  grep?: string
  header: string[]
  invert?: boolean
}

export type RecordFilter = (record: ConsumerRecord) => boolean

/** Whether a record passes every condition (none, with `invert`); null when there is no condition. Throws a usage error. */
export function compileFilter(options: FilterOptions): RecordFilter | null {
  const conditions: RecordFilter[] = []
  if (options.key !== undefined) {
    const key = Buffer.from(options.key)
    conditions.push((record) => record.key?.equals(key) ?? false)
  }
  if (options.keyRegex !== undefined) {
    const expression = regexOf('--key-regex', options.keyRegex)
    conditions.push((record) => record.key !== null && expression.test(record.key.toString('utf8')))
  }
  if (options.grep !== undefined) {
    const expression = regexOf('--grep', options.grep)
    conditions.push((record) => record.value !== null && expression.test(record.value.toString('utf8')))
  }
  for (const text of options.header) conditions.push(headerCondition(text))
  if (conditions.length === 0) return null
  const passes: RecordFilter = (record) => conditions.every((condition) => condition(record))
  return options.invert ? (record) => !passes(record) : passes
}

/** `name` (the header is there) or `name=regex` (one of its values matches). */
function headerCondition(text: string): RecordFilter {
  const equals = text.indexOf('=')
  const name = equals === -1 ? text : text.slice(0, equals)
  const expression = equals === -1 ? null : regexOf('--header', text.slice(equals + 1))
  return (record) =>
    record.headers.some(
      ({ key, value }) => key === name && (expression === null || expression.test(value?.toString('utf8') ?? '')),
    )
}

/** `/text/flags` or just the text. */
function regexOf(option: string, text: string): RegExp {
  const slashes = /^\/(.*)\/([a-z]*)$/s.exec(text)
  try {
    // Flags that make a pattern remember its place would pass every other record.
    return slashes === null ? new RegExp(text) : new RegExp(slashes[1]!, slashes[2]!.replace(/[gy]/g, ''))
  } catch (error) {
    throw usageError(`${option} ${text}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
