import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Campaign, CampaignResult, Size } from './campaign.ts'
import { Progress } from './progress.ts'
import { commitOf, recordRun } from './record.ts'

export interface RunOptions {
  readonly root: string
  readonly size: Size
  readonly seed: number
  /** Whether the result is kept in `docs/`. */
  readonly isRecorded: boolean
  readonly signal: AbortSignal
}

/** What one campaign gave, as the command adds it up. */
export interface Outcome {
  readonly passedCount: number
  readonly failures: readonly string[]
  /** It was told to end before it had done all of its size. */
  readonly isStopped: boolean
}

/** Runs a campaign, tells of it, and records it if asked to: also a run that was stopped, as one that was. */
export async function runCampaign(campaign: Campaign, options: RunOptions): Promise<Outcome> {
  const { root, size, seed, isRecorded, signal } = options
  const { name } = campaign
  const progress = new Progress(process.stderr)
  const report = (line: string) => {
    progress.end()
    console.log(line)
  }
  // Before the run: what is checked out when it ends, hours later, may be something else.
  const commit = isRecorded ? commitOf(root) : ''
  const startMs = performance.now()
  report(`== ${name}: ${JSON.stringify(size)}, seed ${seed}`)
  const result = await campaign.run({
    root,
    size,
    seed,
    signal,
    progress: (doneCount, totalCount) => progress.show(doneCount, totalCount),
    report,
  })
  const seconds = (performance.now() - startMs) / 1000
  const isStopped = signal.aborted
  const failures = [...result.failures, ...complaintsOf(result, isStopped)]
  for (const failure of failures) report(`FAILED ${name}: ${failure}`)
  const stopped = isStopped ? ', stopped early' : ''
  report(`== ${name}: ${result.passedCount} passed, ${failures.length} failed, ${seconds.toFixed(0)} s${stopped}`)
  report(`   ${JSON.stringify(result.figures)}`)
  if (isStopped && result.resume !== undefined) {
    const rest = Object.entries({ seed, ...result.resume }).map(([option, value]) => `--${option} ${value}`)
    report(`   the rest: npm run reliability -- ${name} ${rest.join(' ')}`)
  }
  if (isRecorded) {
    const commitAtEnd = commitOf(root)
    recordRun(root, {
      campaign: name,
      date: new Date().toISOString().slice(0, 10),
      commit: commit === commitAtEnd ? commit : `${commit} … ${commitAtEnd}`,
      seed,
      size,
      seconds: Math.round(seconds),
      passedCount: result.passedCount,
      failedCount: failures.length,
      figures: Object.fromEntries(Object.entries(result.figures).filter(([, value]) => Number.isFinite(value))),
      ...(isStopped ? { isStopped } : {}),
    })
    if (!isStopped) for (const { path, contents } of result.pages ?? []) writeFileSync(join(root, path), contents)
  }
  return { passedCount: result.passedCount, failures, isStopped }
}

/** What is wrong with any result, whatever was run: checks that did not take place hold, and figures of nothing look fine. */
export function complaintsOf({ passedCount, failures, figures }: CampaignResult, isStopped: boolean): string[] {
  if (isStopped) return []
  const complaints = Object.entries(figures)
    .filter(([, value]) => !Number.isFinite(value))
    .map(([name, value]) => `the figure ${name} is ${value}: it was not measured`)
  if (passedCount <= 0 && failures.length === 0) complaints.push('nothing was checked')
  return complaints
}
