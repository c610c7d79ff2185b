import { APPLIED_VARIABLE } from '../mutations/mutation.ts'
import type { Layer, RunResult } from '../run-result.ts'
import { runSeed } from '../run-seed.ts'

/** Seeds for a process to run, one after the other, until one fails. */
export interface Job {
  readonly layer: Layer
  readonly seeds: readonly number[]
  readonly isChecked: boolean
}

/** What the process says: a result for each seed, then that it wants more. `applied`: the defect that it runs with. */
export type Report =
  /** `processorMs`: what the seed took of all threads of the process. */
  | { readonly kind: 'result'; readonly result: RunResult; readonly processorMs: number }
  | { readonly kind: 'ready'; readonly applied: string }

async function work({ layer, seeds, isChecked }: Job): Promise<void> {
  for (const seed of seeds) {
    const before = process.cpuUsage()
    const result = await runSeed(layer, seed)
    const again = isChecked ? await runSeed(layer, seed) : result
    const { user, system } = process.cpuUsage(before)
    const judged = again.digest === result.digest ? result : differing(result, again)
    say({ kind: 'result', result: judged, processorMs: (user + system) / 1000 })
  }
  say({ kind: 'ready', applied: process.env[APPLIED_VARIABLE] ?? '' })
}

/** C20: equal input, another outcome. */
export function differing(result: RunResult, again: RunResult): RunResult {
  const message = `C20: two runs of the seed differ: ${result.digest} after ${result.eventCount} events, ${again.digest} after ${again.eventCount}`
  return { ...result, failure: result.failure ?? { invariant: 'C20', message, atMs: result.virtualMs } }
}

function say(report: Report): void {
  process.send!(report)
}

if (import.meta.main) {
  process.on('message', (job: Job) => {
    work(job).catch((error: unknown) => {
      console.error(error)
      process.exit(3)
    })
  })
  process.on('disconnect', () => process.exit(0))
  // From a terminal it comes to all; whoever gave the job decides, and then disconnects.
  process.on('SIGINT', () => undefined)
  say({ kind: 'ready', applied: process.env[APPLIED_VARIABLE] ?? '' })
}
