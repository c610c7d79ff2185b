import { usageError } from '../command/cli-error.ts'

const MAX_BYTES = 2 ** 30

/** A whole number in `[minimum, maximum]` from an option. Throws a usage error. */
export function requireWhole(option: string, text: string, minimum: number, maximum = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text)
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value) || value < minimum || value > maximum) {
    const range = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`
    throw usageError(`${option} ${text}: must be a whole number ${range}`)
  }
  return value
}

/** Numbers and ranges by commas: `0,3,5-7`. Throws a usage error. */
export function requireNumberList(option: string, text: string): number[] {
  const numbers = new Set<number>()
  for (const part of text.split(',')) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part.trim())
    const first = Number(range?.[1])
    const last = Number(range?.[2] ?? range?.[1])
    if (range === null || last < first || last - first > 100_000) {
      throw usageError(`${option} ${text}: must be numbers and ranges by commas, for example 0,3,5-7`)
    }
    for (let number = first; number <= last; number++) numbers.add(number)
  }
  return [...numbers].sort((a, b) => a - b)
}

/**
 * Bytes of `1000`, `10kB`, `1KiB`, `5MiB`, `1g` (binary units unless followed by B alone), from `minimum` to 1 GiB, the most that is held
 * in memory for any option. Throws a usage error.
 */
export function requireBytes(option: string, text: string, minimum = 0): number {
  const match = /^(\d+(?:\.\d+)?)\s*(k|m|g)?(i?b)?$/i.exec(text)
  if (match === null) throw usageError(`${option} ${text}: not a size`, 'Write 1000, 100kB, 64KiB or 1MiB.')
  const power = { k: 1, m: 2, g: 3 }[(match[2] ?? '').toLowerCase()] ?? 0
  const isDecimal = match[3]?.toLowerCase() === 'b'
  const bytes = Math.round(Number(match[1]) * (isDecimal ? 1000 : 1024) ** power)
  if (bytes < minimum || bytes > MAX_BYTES)
    throw usageError(`${option} ${text}: must be from ${minimum} bytes to 1 GiB`)
  return bytes
}

/** `key=value` pairs. Throws a usage error. */
export function requirePairs(option: string, texts: readonly string[]): [key: string, value: string][] {
  return texts.map((text) => {
    const equals = text.indexOf('=')
    if (equals <= 0) throw usageError(`${option} ${text}: write it as key=value`)
    return [text.slice(0, equals).trim(), text.slice(equals + 1)]
  })
}

/** Bytes for people: `512 B`, `1.5 KiB`, `20.0 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1023.5) return `${Math.round(bytes)} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes / 1024
  let slot = 0
  for (; value >= 1024 && slot < units.length - 1; slot++) value /= 1024
  return `${value.toFixed(1)} ${units[slot]}`
}

/** A number for people, digits in groups: `1,234,567`. */
export function formatNumber(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** A count with its noun: `1 member`, `2,000 members`. */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`
}
