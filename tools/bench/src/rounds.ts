import { appendFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import type { BenchCase, BenchContext, Figures, PreparedCase, ResultRow } from './bench-case.ts'
import type { Variant } from './variant.ts'

/** Where the rows of a run go. */
export interface RunLog {
  readonly commit: string
  /** One JSON object a run is appended to it. */
  readonly file: string | undefined
  readonly rows: ResultRow[]
}

/** Runs a case on those of the variants that it is for, in turn, and notes each run. */
export async function runCase(
  bench: BenchCase,
  context: BenchContext,
  variants: readonly Variant[],
  rounds: number,
  log: RunLog,
): Promise<void> {
  const own = variants.filter(({ name }) => bench.variants.includes(name))
  const prepared: [Variant, PreparedCase][] = []
  try {
    for (const variant of own) prepared.push([variant, await bench.prepare(context, variant)])
    for (let round = 1; round <= rounds; round++) {
      // Every other round the other way around, so that none always runs behind the same one.
      for (const [variant, run] of round % 2 ? prepared : prepared.toReversed())
        note(bench, variant, round, await run.run(), log)
    }
  } catch (error) {
    // What cannot be removed then is told beside the failure, of which it may be but a consequence.
    for (const [, run] of prepared) await run.dispose().catch((other: unknown) => console.error('not removed:', other))
    throw error
  }
  for (const [, run] of prepared) await run.dispose()
}

function note({ group, name }: BenchCase, variant: Variant, round: number, figures: Figures, log: RunLog): void {
  const rounded = Object.fromEntries(
    Object.entries(figures).map(([figure, value]) => [figure, Number(value.toPrecision(5))]),
  )
  const { commit, file, rows } = log
  const row: ResultRow = {
    ...{ group, name, variant: variant.name, round, commit },
    figures: rounded,
    load1: loadavg()[0] ?? 0,
  }
  rows.push(row)
  console.error(`${group} / ${name} / ${variant.name} ${round}: ${JSON.stringify(rounded)}`)
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(row)}\n`)
}
