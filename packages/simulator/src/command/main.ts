import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { Layer, RunResult } from '../run-result.ts'
import { runSeed } from '../run-seed.ts'
import { MARK_SEEDS, requiredMarks } from '../world/required-marks.ts'
import { Batch, recordOf, summaryOf } from './batch.ts'
import { huntMutations } from './hunt.ts'
import { HELP, type Options, parseOptions, UsageError } from './options.ts'
import { Progress } from './progress.ts'
import { recordBatch } from './records.ts'
import { runSeeds } from './seed-pool.ts'
import { differing } from './seed-program.ts'
import { shrinkSeed } from './shrink.ts'

/** `npm run sim`: see {@link HELP}. The last line is always `N passed, N failed`. */

const SHOWN_FAILURES = 20

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2))
  if (options.help) {
    console.log(HELP)
    return 0
  }
  const { passed, failed } = await run(options)
  if (process.env.TEST_REPORT) writeReport(process.env.TEST_REPORT, passed, failed)
  console.log(`${passed} passed, ${failed} failed`)
  return failed > 0 ? 1 : 0
}

interface Counts {
  readonly passed: number
  readonly failed: number
}

async function run(options: Options): Promise<Counts> {
  const jobs = options.jobs ?? availableParallelism()
  if (options.mutations !== null) return huntMutations(options, options.mutations, jobs)
  let passed = 0
  let failed = 0
  for (const layer of options.layers) {
    const counts =
      options.seed === null ? await runBatch(layer, options, jobs) : await runOne(layer, options.seed, options)
    passed += counts.passed
    failed += counts.failed
  }
  return { passed, failed }
}

async function runOne(layer: Layer, seed: number, options: Options): Promise<Counts> {
  const trace = options.isTraced
    ? (atMs: number, node: number, text: string) =>
        console.log(`${atMs.toFixed(3).padStart(11)} ${node < 0 ? '-' : node} ${text}`)
    : null
  let result = await runSeed(layer, seed, trace)
  if (options.isChecked) {
    const again = await runSeed(layer, seed)
    if (again.digest !== result.digest) result = differing(result, again)
  }
  const { failure, ...figures } = result
  console.log(JSON.stringify(figures, null, 2))
  if (failure === null) return { passed: 1, failed: 0 }
  console.log(`FAILED ${layer} seed ${seed} at ${failure.atMs.toFixed(3)} ms: ${failure.message}`)
  if (options.isShrunk) console.log(await shrinkSeed(layer, seed, failure.invariant))
  return { passed: 0, failed: 1 }
}

async function runBatch(layer: Layer, options: Options, jobs: number): Promise<Counts> {
  const isBoth = options.layers.length > 1
  const count = layer === 'cluster' && isBoth ? Math.ceil(options.seeds / 10) : options.seeds
  const batch = new Batch(layer)
  const progress = new Progress(process.stderr)
  const startMs = performance.now()
  // What has been run until then is told and written down all the same.
  let isStopped = false
  const stop = (): void => {
    isStopped = true
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  await runSeeds({
    layer,
    first: options.first,
    count,
    isChecked: options.isChecked,
    jobs,
    mutation: '',
    onResult: (result, processorMs) => {
      batch.add(result, processorMs)
      if (result.failure !== null && batch.failedCount <= SHOWN_FAILURES) {
        progress.end()
        console.log(failureLine(result))
      }
      progress.show(batch.seedCount, count)
      return isStopped
    },
  })
  process.off('SIGINT', stop).off('SIGTERM', stop)
  progress.end()
  const missed = batch.missedMarks(requiredMarks(layer))
  // A small batch cannot be asked for everything.
  const isJudged = batch.seedCount >= MARK_SEEDS[layer]
  const seconds = (performance.now() - startMs) / 1000
  console.log(summaryOf(batch, seconds, jobs, missed))
  if (options.isRecorded) recordBatch(recordOf(batch, options.first, seconds, jobs, missed))
  // Neither all that was asked for, nor clean.
  const unrun = isStopped ? count - batch.seedCount : 0
  if (unrun > 0) console.log(`  STOPPED before ${unrun} of the seeds`)
  return {
    passed: batch.seedCount - batch.failedCount,
    failed: batch.failedCount + (isJudged ? missed.length : 0) + unrun,
  }
}

function failureLine({ layer, seed, failure }: RunResult): string {
  const message = failure!.message.split('\n').slice(0, 4).join('\n  ')
  return `FAILED ${layer} seed ${seed}: ${message}\n  again: npm run sim -- --seed ${seed} --${layer}`
}

/** What CI adds up, as vitest reports it: one test a seed. */
function writeReport(path: string, passed: number, failed: number): void {
  const report = {
    numPassedTests: passed,
    numFailedTests: failed,
    numPendingTests: 0,
    numTodoTests: 0,
    success: failed === 0,
  }
  writeFileSync(path, JSON.stringify(report))
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${HELP}` : error)
  process.exitCode = 2
}
