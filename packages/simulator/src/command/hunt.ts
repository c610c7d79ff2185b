import type { Mutation } from '../mutations/mutation.ts'
import { mutations } from '../mutations/mutations.ts'
import type { Layer, RunResult } from '../run-result.ts'
import { runSeeds } from './seed-pool.ts'

/** Seeds within which a defect must show. */
const SEEDS_MAX: Readonly<Record<Layer, number>> = { consensus: 1_000, cluster: 1_000 }

/** Runs seeds with each defect in place until a checker finds it; one that none finds is a failure of the simulator. */
export async function huntMutations(
  wanted: string,
  layers: readonly Layer[],
  jobs: number,
): Promise<{ passed: number; failed: number }> {
  const chosen = mutations.filter(({ name, layer }) => name.includes(wanted) && layers.includes(layer))
  let passed = 0
  for (const mutation of chosen) {
    const startMs = performance.now()
    const { caught, seedCount, applied } = await hunt(mutation, jobs)
    const seconds = ((performance.now() - startMs) / 1000).toFixed(0)
    const isCaught = caught !== null && applied === mutation.name
    if (isCaught) passed++
    console.log(
      isCaught
        ? `caught "${mutation.name}" by ${caught.failure!.invariant} in seed ${caught.seed}, after ${seedCount} seeds, ${seconds} s: ${caught.failure!.message.split('\n')[0]}`
        : `FAILED "${mutation.name}" ${applied === mutation.name ? `not caught in ${seedCount} seeds` : 'was not put in place'}`,
    )
  }
  return { passed, failed: chosen.length - passed + (chosen.length === 0 ? 1 : 0) }
}

async function hunt(
  { name, layer }: Mutation,
  jobs: number,
): Promise<{ caught: RunResult | null; seedCount: number; applied: string }> {
  let caught: RunResult | null = null
  let seedCount = 0
  const applied = await runSeeds({
    layer,
    first: 1,
    count: SEEDS_MAX[layer],
    isChecked: false,
    jobs,
    mutation: name,
    onResult: (result) => {
      seedCount++
      if (result.failure !== null) caught ??= result
      return caught !== null
    },
  })
  return { caught, seedCount, applied }
}
