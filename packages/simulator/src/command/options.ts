import { parseArgs } from 'node:util'
import type { Layer } from '../run-result.ts'

/** A mistake of whoever typed the command. */
export class UsageError extends Error {}

export const HELP = `npm run sim -- [what] [options]

Runs whole clusters in virtual time, each from one seed, with faults, and checks what must always hold.

  --seed N        one seed, with what happened in it
  --seeds N       N seeds on all processors (100 without --seed); of the whole cluster a tenth, unless --cluster says only that
  --mutations     instead: each deliberate defect must be caught
  --mutation NAME only the defects whose name contains NAME; may be given several times

  --first S       the first of the seeds (1)
  --consensus     only the consensus core
  --cluster       only whole clusters
  --check         each seed twice: both runs must be equal to the last event
  --shrink        of a seed that fails: leaves out faults and operations until no more can go (with --seed)
  --trace         every step of the seed (with --seed)
  --jobs N        processes (as many as processors)
  --record        writes down what it came to: a batch in docs/simulator-batches.jsonl, caught defects in docs/simulator.md
  -h, --help

  npm run sim -- --seed 4711 --consensus
  npm run sim -- --seeds 20000 --first 1000 --consensus
  npm run sim -- --seed 4711 --consensus --shrink
  npm run sim -- --mutations

The exit code is 0 if all held, 1 if something did not or a mark of coverage was missed, 2 if it was called wrongly.`

export interface Options {
  readonly help: boolean
  readonly seed: number | null
  readonly seeds: number
  readonly first: number
  readonly layers: readonly Layer[]
  readonly isChecked: boolean
  readonly isShrunk: boolean
  readonly isTraced: boolean
  readonly isRecorded: boolean
  readonly jobs: number | null
  /** Parts of the names of the defects to hunt; null: none is hunted. */
  readonly mutations: readonly string[] | null
}

/** What the command line asks for. Throws {@link UsageError}. */
export function parseOptions(args: readonly string[]): Options {
  const values = parsed(args)
  const { seed, seeds, consensus = false, cluster = false, shrink = false, trace = false } = values
  if (seed !== undefined && seeds !== undefined)
    throw new UsageError('--seed is one seed, --seeds is many: give one of them')
  if (seed === undefined && (shrink || trace)) throw new UsageError('--shrink and --trace need --seed')
  if (consensus && cluster) throw new UsageError('--consensus and --cluster: leave out both for both')
  const layers: Layer[] = consensus ? ['consensus'] : cluster ? ['cluster'] : ['consensus', 'cluster']
  return {
    help: values.help ?? false,
    seed: seed === undefined ? null : countOf('seed', seed),
    seeds: countOf('seeds', seeds ?? '100'),
    first: countOf('first', values.first ?? '1'),
    layers,
    isChecked: values.check ?? false,
    isShrunk: shrink,
    isTraced: trace,
    isRecorded: values.record ?? false,
    jobs: values.jobs === undefined ? null : Math.max(1, countOf('jobs', values.jobs)),
    mutations: values.mutation ?? (values.mutations ? [''] : null),
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h' },
        seed: { type: 'string' },
        seeds: { type: 'string' },
        first: { type: 'string' },
        consensus: { type: 'boolean' },
        cluster: { type: 'boolean' },
        check: { type: 'boolean' },
        shrink: { type: 'boolean' },
        trace: { type: 'boolean' },
        jobs: { type: 'string' },
        record: { type: 'boolean' },
        mutations: { type: 'boolean' },
        mutation: { type: 'string', multiple: true },
      },
    }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function countOf(option: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new UsageError(`--${option} ${text} is no count`)
  return value
}
