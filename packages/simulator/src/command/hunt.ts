import type { Mutation } from '../mutations/mutation.ts'
import { mutations } from '../mutations/mutations.ts'
import type { RunResult } from '../run-result.ts'
import type { Options } from './options.ts'
import { Progress } from './progress.ts'
import { recordHunts } from './records.ts'
import { runSeeds } from './seed-pool.ts'

/** Seeds within which a defect must show. */
const SEEDS_MAX = 1_000

/** Runs seeds with each defect in place until a checker finds it; one that none finds is a failure of the simulator. */
export async function huntMutations(
  { layers, isRecorded }: Options,
  wanted: readonly string[],
  jobs: number,
): Promise<{ passed: number; failed: number }> {
  const chosen = mutations.filter(
    ({ name, layer }) => wanted.some((part) => name.includes(part)) && layers.includes(layer),
  )
  let passed = 0
  for (const mutation of chosen) {
    const startMs = performance.now()
    const { caught, seedCount, problem } = await hunt(mutation, jobs)
    const cost = `${seedCount} seeds, ${((performance.now() - startMs) / 1000).toFixed(0)} s`
    if (caught === null || problem !== null) {
      console.log(`FAILED "${mutation.name}" ${problem ?? 'was not caught'} (${cost})`)
      if (isRecorded) recordHunts([{ mutation, seedCount, seed: null, invariant: null }])
      continue
    }
    passed++
    const { invariant, message } = caught.failure!
    console.log(
      `caught "${mutation.name}" by ${invariant} in seed ${caught.seed}, after ${cost}: ${message.split('\n')[0]}`,
    )
    if (isRecorded) recordHunts([{ mutation, seedCount, seed: caught.seed, invariant }])
  }
  return { passed, failed: chosen.length - passed + (chosen.length === 0 ? 1 : 0) }
}

interface Hunted {
  readonly caught: RunResult | null
  readonly seedCount: number
  /** Why it proves nothing; null: nothing is wrong. */
  readonly problem: string | null
}

async function hunt({ name, layer }: Mutation, jobs: number): Promise<Hunted> {
  let caught: RunResult | null = null
  let seedCount = 0
  const progress = new Progress(process.stderr)
  try {
    const applied = await runSeeds({
      layer,
      first: 1,
      count: SEEDS_MAX,
      isChecked: false,
      jobs,
      mutation: name,
      onResult: (result) => {
        seedCount++
        if (result.failure !== null) caught ??= result
        else progress.show(seedCount, SEEDS_MAX)
        return caught !== null
      },
    })
    return { caught, seedCount, problem: applied === name ? null : 'was not put in place' }
  } catch (error) {
    // It does not stand in the source any more, or takes the whole process down.
    return { caught, seedCount, problem: (error as Error).message }
  } finally {
    progress.end()
  }
}
