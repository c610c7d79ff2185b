/** A configuration value after parsing. A long is a `bigint` only if it is not a safe integer. */
export type ConfigValue = boolean | number | bigint | string | readonly string[]

/** Looks at a parsed value and says what is wrong with it and what is allowed, or null. */
export interface Check {
  (value: ConfigValue): string | null
  /** Smallest and largest number that it takes, where that is all it asks; so that what is no number at all is told the same bounds. */
  readonly bounds?: { readonly min: number; readonly max: number | null }
}

/** Sizes at and above 352 MiB read as the start of TLS (0x16 0x03) or of HTTP (an ASCII verb): `design.md`, 2. */
export const LARGEST_REQUEST_BYTES = 352 * 1024 * 1024 - 1

export function atLeast(min: number): Check {
  const check = (value: ConfigValue) => ((value as number | bigint) < min ? `must be at least ${min}` : null)
  return Object.assign(check, { bounds: { min, max: null } })
}

/** Both ends included. */
export function between(min: number, max: number): Check {
  const check = (value: ConfigValue) => {
    const number = value as number | bigint
    return number < min || number > max ? `must be between ${min} and ${max}` : null
  }
  return Object.assign(check, { bounds: { min, max } })
}

/** gzip knows levels 1 to 9, and -1 for its default. */
export const gzipLevel: Check = (value) => {
  const level = value as number
  return level === -1 || (level >= 1 && level <= 9) ? null : 'must be between 1 and 9, or -1'
}

export function oneOf(...allowed: string[]): Check {
  return (value) => (allowed.includes(value as string) ? null : `must be one of: ${allowed.join(', ')}`)
}

/** Allowed values are given in upper case; any case is taken. */
export function oneOfAnyCase(...allowed: string[]): Check {
  return (value) =>
    allowed.includes((value as string).toUpperCase())
      ? null
      : `must be one of (in any case): ${allowed.map((name) => name.toLowerCase()).join(', ')}`
}

export const noEmptyItems: Check = (value) =>
  (value as readonly string[]).includes('') ? 'must not contain empty items' : null

export const nonEmptyList: Check = (value) =>
  (value as readonly string[]).length === 0 ? 'must not be empty' : noEmptyItems(value)

/** Any of the allowed items, also none. */
export function listOf(...allowed: string[]): Check {
  return (value) => {
    const unknown = (value as readonly string[]).find((item) => !allowed.includes(item))
    return unknown === undefined ? null : `may contain only: ${allowed.join(', ')}`
  }
}

/** At least one of the allowed items. */
export function nonEmptyListOf(...allowed: string[]): Check {
  const known = listOf(...allowed)
  return (value) => nonEmptyList(value) ?? known(value)
}

/** 22 characters as `kafka-storage random-uuid` makes them; unset is for nodes that keep their own metadata. */
export const clusterId: Check = (value) =>
  CLUSTER_ID.test(value as string) ? null : 'must be 22 letters, digits, - or _, the first not a -'

const CLUSTER_ID = /^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/

/** `*`, or a list of partition:broker pairs. */
export const throttledReplicas: Check = (value) => {
  const items = value as readonly string[]
  const isEach = items.length === 1 && items[0] === '*'
  return isEach || items.every((item) => /^(\d+:\d+)?$/.test(item))
    ? null
    : "must be '*' or a list of partition:broker pairs, as in 0:1,0:2"
}

/** `latest`, `earliest` or `by_duration:` with an ISO-8601 duration. */
export const offsetReset: Check = (value) =>
  value === 'latest' || value === 'earliest' || DURATION_RESET.test(value as string)
    ? null
    : 'must be latest, earliest or by_duration:<ISO-8601 duration>, as in by_duration:PT1H30M'

const DURATION_RESET = /^by_duration:P(?!$)(\d+D)?(T(?!$)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$/

/** The principals of `super.users`; empty parts count for nothing. */
export function parsePrincipals(text: string): string[] {
  const parts = text.split(';').map((part) => part.trim())
  return parts.filter((part) => part !== '')
}

export const principalList: Check = (value) => {
  const bad = parsePrincipals(value as string).find((principal) => !principal.includes(':'))
  return bad === undefined ? null : `must name principals as type:name (User:alice), but has ${bad}`
}

export const mustBeFalse: Check = (value) => (value === false ? null : 'is not supported and must stay false')
