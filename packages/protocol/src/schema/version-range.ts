import type { VersionRange } from './schema.ts'

/** Versions `[min, max]`, both included, as Kafka writes them. */
export interface Versions {
  readonly min: number
  readonly max: number
}

/** Above every version (int16): "never flexible" as a number. */
export const NO_VERSION = 0x8000

/** Parses `'3'`, `'3-7'` or `'3+'`, the latter open up to `last`. Throws on anything else: a mistake in a schema file. */
export function parseVersions(range: VersionRange, last: number): Versions {
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(range)
  if (match === null) throw new Error(`'${range}' is no version range`)
  const min = Number(match[1])
  const max = match[2] === '+' ? last : match[3] === undefined ? min : Number(match[3])
  if (min > max) throw new Error(`version range '${range}' is empty`)
  return { min, max }
}

/** Versions in both ranges, or null. */
export function intersect(a: Versions, b: Versions): Versions | null {
  const min = Math.max(a.min, b.min)
  const max = Math.min(a.max, b.max)
  return min > max ? null : { min, max }
}

/** The smallest range over both. */
export function hull(a: Versions, b: Versions): Versions {
  return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) }
}

export function includes(versions: Versions | null, version: number): boolean {
  return versions !== null && versions.min <= version && version <= versions.max
}
