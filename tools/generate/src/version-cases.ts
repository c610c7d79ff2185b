import type { Versions } from '@millrace/protocol/schema'

/** Code that holds for a run of versions. */
export interface Case {
  readonly versions: Versions
  readonly code: string
}

/** Asks `codeOf` for every version of the range and joins runs of equal code, ascending. */
export function casesOf(range: Versions, codeOf: (version: number) => string): Case[] {
  const cases: { versions: { min: number; max: number }; code: string }[] = []
  for (let version = range.min; version <= range.max; version++) {
    const code = codeOf(version)
    const last = cases.at(-1)
    if (last !== undefined && last.code === code) last.versions.max = version
    else cases.push({ versions: { min: version, max: version }, code })
  }
  return cases
}

/** One expression for all cases: a chain of `version >= n ? … : …`, newest first, since new clients are the most common. */
export function ternary(cases: readonly Case[]): string {
  let code = cases[0]!.code
  for (const next of cases.slice(1)) code = `version >= ${next.versions.min} ? ${next.code} : ${code}`
  return code
}

/** One statement for all cases: a chain of `if … else`, newest first. */
export function ifChain(cases: readonly Case[]): string {
  let code = cases[0]!.code
  for (const next of cases.slice(1)) {
    code = `if (version >= ${next.versions.min}) {\n${next.code}\n} else ${code.startsWith('if ') ? code : `{\n${code}\n}`}`
  }
  return code
}

/** Condition that `version`, known to be in `within`, is in `versions`; null when that is always so. */
export function condition(versions: Versions, within: Versions): string | null {
  const parts: string[] = []
  if (versions.min > within.min) parts.push(`version >= ${versions.min}`)
  if (versions.max < within.max) parts.push(`version <= ${versions.max}`)
  return parts.length === 0 ? null : parts.join(' && ')
}

/** Condition that `version`, known to be in `within`, is outside `versions`; null when it never is. */
export function outside(versions: Versions, within: Versions): string | null {
  const parts: string[] = []
  if (versions.min > within.min) parts.push(`version < ${versions.min}`)
  if (versions.max < within.max) parts.push(`version > ${versions.max}`)
  return parts.length === 0 ? null : parts.join(' || ')
}
