import { parseArgs } from 'node:util'
import { attackWithFault, exploreTrace, sampleWorkload } from '../traces/attacks.ts'
import { Tally } from '../traces/tally.ts'
import { APPLIED_VARIABLE, DEFECT_VARIABLE } from './defect.ts'

/** Exit codes of a hunt. */
export const HUNT = { nothingFound: 0, found: 10, notApplied: 20 } as const

/** Crash points of one round, beside a short trace and some faults. */
const SAMPLES_PER_ROUND = 40
const FAULTS_PER_ROUND = 6
const TRACE_OPERATIONS = 30
const TRACE_OUTCOMES_MAX = 30

/**
 * Runs the checks of the campaign `traces` in rounds until one fails, in a process of its own whose storage has a defect. Prints the
 * failure, and says by its exit code how it went.
 */
async function hunt(firstSeed: number, roundCount: number): Promise<number> {
  const tally = new Tally()
  process.on('unhandledRejection', (error) => {
    tally.failures.push(`unhandled rejection: ${error instanceof Error ? error.message : error}`)
  })
  const isFound = (): boolean => tally.failures.length > 0
  for (let round = 0; round < roundCount && !isFound(); round++) {
    const seed = firstSeed + round
    // A broken promise is reported between turns of the loop.
    await new Promise((resolve) => setImmediate(resolve))
    await sampleWorkload(seed, SAMPLES_PER_ROUND, tally)
    for (let number = 0; number < FAULTS_PER_ROUND && !isFound(); number++) {
      await attackWithFault(firstSeed + round * FAULTS_PER_ROUND + number, tally)
    }
    if (!isFound() && round % 4 === 0)
      await exploreTrace(seed, TRACE_OPERATIONS, TRACE_OUTCOMES_MAX, tally, async () => isFound())
  }
  const { [DEFECT_VARIABLE]: wanted = '', [APPLIED_VARIABLE]: applied = '' } = process.env
  if (applied !== wanted) return HUNT.notApplied
  console.log(JSON.stringify({ recoveries: tally.figures.recoveries ?? 0, failure: tally.failures[0] ?? null }))
  return isFound() ? HUNT.found : HUNT.nothingFound
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, rounds: { type: 'string' } } })
  process.exitCode = await hunt(Number(values.seed ?? 1), Number(values.rounds ?? 10))
}
