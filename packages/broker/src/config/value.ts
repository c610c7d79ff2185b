import { ConfigurationError } from '@millrace/base'
import { type Check, type ConfigValue, type Definition, formatDouble } from './definition.ts'

/**
 * Parses and checks the text of one setting, by Kafka's rules: surrounding space is dropped, lists are split at commas and lose
 * repeated items. Throws `ConfigurationError` that names key, value and what is allowed; the value of a secret is not shown.
 */
export function parseValue(name: string, definition: Definition, text: string): ConfigValue {
  const trimmed = text.trim()
  const value = parseByType(definition, trimmed)
  const complaint = value instanceof Complaint ? value.text : (definition.check?.(value as ConfigValue) ?? null)
  if (complaint === null) return value as ConfigValue
  throw invalidValue(name, definition.type === 'password' ? '[hidden]' : text, complaint)
}

/** The error for a value that parses but breaks a rule. */
export function invalidValue(name: string, value: unknown, complaint: string): ConfigurationError {
  return new ConfigurationError(name, `Invalid value ${String(value)} for configuration ${name}: ${complaint}`)
}

/** Text in the one form that tools compare and that `DescribeConfigs` sends. */
export function formatValue(definition: Definition, value: ConfigValue): string {
  if (Array.isArray(value)) return value.join(',')
  return definition.type === 'double' ? formatDouble(value as number) : String(value)
}

/** The value as a setting: longs beyond the safe integers stand for "no limit" and become the largest safe integer. */
export function settingOf(value: ConfigValue): boolean | number | string | readonly string[] {
  if (typeof value !== 'bigint') return value
  return value > 0n ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER
}

/** What is wrong with a text, as a value: parsers below do not know the key. */
class Complaint {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const INTEGER_LIMITS = {
  short: 32_767n,
  int: 2_147_483_647n,
  long: 9_223_372_036_854_775_807n,
} as const

function parseByType(definition: Definition, text: string): ConfigValue | Complaint {
  switch (definition.type) {
    case 'boolean':
      return parseBoolean(text)
    case 'short':
    case 'int':
    case 'long':
      return parseInteger(text, INTEGER_LIMITS[definition.type], definition.check?.bounds)
    case 'double':
      return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : new Complaint('must be a number')
    case 'list':
      return text === '' ? [] : [...new Set(text.split(/\s*,\s*/))]
    default:
      return text
  }
}

function parseBoolean(text: string): boolean | Complaint {
  const lower = text.toLowerCase()
  if (lower !== 'true' && lower !== 'false') return new Complaint('must be true or false')
  return lower === 'true'
}

function parseInteger(text: string, max: bigint, bounds?: Check['bounds']): number | bigint | Complaint {
  const allowed = `must be a whole number between ${bounds?.min ?? -max - 1n} and ${bounds?.max ?? max}`
  // 20 characters hold every long; longer texts would only cost time.
  if (!/^[+-]?\d{1,20}$/.test(text)) return new Complaint(allowed)
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text)
  if (value > max || value < -max - 1n) return new Complaint(allowed)
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
