import { isDeepStrictEqual } from 'node:util'

/** What a vector check throws when ours and the vector differ. */
class Mismatch extends Error {
  constructor(what: string, expected: unknown, actual: unknown) {
    super(`${what}\n    expected ${shown(expected)}\n    actual   ${shown(actual)}`)
    this.name = 'Mismatch'
  }
}

/** Longest value that is printed whole. */
const MAX_SHOWN_LENGTH = 400

/** Throws {@link Mismatch} unless both are deeply equal. */
export function expectEqual(what: string, actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) throw new Mismatch(what, expected, actual)
}

/** Throws {@link Mismatch} unless the value is one of those that serve. */
export function expectOneOf(what: string, actual: string, expected: readonly string[]): void {
  if (!expected.includes(actual)) throw new Mismatch(what, expected.join(' or '), actual)
}

/** Throws {@link Mismatch} unless the bytes are those of the hexadecimal text; names the first byte that differs. */
export function expectHex(what: string, actual: Buffer, expected: string): void {
  const hex = actual.toString('hex')
  if (hex === expected) return
  let position = 0
  while (position < hex.length && hex[position] === expected[position]) position++
  throw new Mismatch(
    `${what}, first difference at byte ${position >> 1}`,
    expected.slice(position & ~1),
    hex.slice(position & ~1),
  )
}

function shown(value: unknown): string {
  const text =
    typeof value === 'string'
      ? value
      : JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? `${inner}n` : inner))
  if (text === undefined) return 'undefined'
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}… (${text.length} characters)` : text
}
