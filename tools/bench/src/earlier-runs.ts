import { existsSync, readFileSync } from 'node:fs'
import type { BenchCase, ResultRow } from './bench-case.ts'
import type { VariantName } from './variant.ts'

/** What an earlier call that was stopped has measured of these cases, as far as it is whole. */
export function earlierRuns(
  file: string | undefined,
  cases: readonly BenchCase[],
  wanted: readonly VariantName[],
  rounds: number,
): ResultRow[] {
  if (file === undefined) throw new Error('--resume needs the --out of the earlier call')
  const earlier = readRows(file)
  return cases.flatMap(({ group, name, variants }) => {
    const own = earlier.filter((row) => row.group === group && row.name === name)
    const ownVariants = variants.filter((variant) => wanted.includes(variant))
    return lastWholeSet(own, ownVariants, rounds)
  })
}

/** The rows of a results file; none of one that is not there yet. */
export function readRows(file: string): ResultRow[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.flatMap((line, index) => {
    if (line === '') return []
    try {
      return [JSON.parse(line) as ResultRow]
    } catch (cause) {
      throw new Error(
        `${file}, line ${index + 1} is no JSON: a run that was killed may have left half a line; remove it`,
        { cause },
      )
    }
  })
}

/**
 * The last whole set of a case's runs: each variant once in each round. A case that was stopped half-way has left rows that belong to
 * no set; it runs again as a whole, and what was left is passed over.
 */
export function lastWholeSet(
  rows: readonly ResultRow[],
  variants: readonly VariantName[],
  rounds: number,
): ResultRow[] {
  const size = rounds * variants.length
  for (let end = rows.length; end >= size && size > 0; end--) {
    const set = rows.slice(end - size, end)
    const runs = new Set(set.map(({ variant, round }) => `${variant} ${round}`))
    const isOfThese = ({ variant, round }: ResultRow) => variants.includes(variant) && round >= 1 && round <= rounds
    // Rounds only grow within one set: rows of two sets that make a whole one together are none.
    const inOrder = set.every(({ round }, index) => index === 0 || round >= set[index - 1]!.round)
    if (runs.size === size && inOrder && set.every(isOfThese)) return set
  }
  return []
}
