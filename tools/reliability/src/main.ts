import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Campaign, Size } from './campaign.ts'
import { campaigns } from './campaigns/index.ts'
import { countOf, refuseStrangers, sizeOf, UsageError } from './options.ts'
import { type Outcome, runCampaign } from './run-campaign.ts'
import { staleSource } from './stale-build.ts'

/**
 * `npm run reliability -- NAME` attacks the broker in one way. The last line is always `N passed, N failed`; the exit code is 0 if all
 * passed, 1 if any failed, 2 if it was called wrongly, 130 if it was told to end before it had done everything.
 */

const root = join(import.meta.dirname, '../../..')

const options = {
  help: { type: 'boolean', short: 'h', default: false },
  ci: { type: 'boolean', default: false },
  record: { type: 'boolean', default: false },
  seed: { type: 'string', default: '1' },
} as const

function help(): string {
  const width = Math.max(...campaigns.map(({ name }) => name.length))
  const sizes = (size: Size) =>
    Object.entries(size)
      .map(([name, value]) => `--${name} ${value}`)
      .join(' ')
  const list = campaigns.map(
    ({ name, summary, sizes: { full } }) =>
      `  ${name.padEnd(width)}  ${summary}\n  ${''.padEnd(width)}  ${sizes(full)}`,
  )
  return `npm run reliability -- NAME|all [options]

${list.join('\n')}

  --ci        the size that CI runs
  --seed N    another run of the same kind (1)
  --record    adds the result to docs/reliability.jsonl and to the table of docs/reliability.md
  -h, --help

  npm run reliability -- all --ci
  npm run reliability -- ${campaigns[0]?.name ?? 'NAME'} --seed 7`
}

/** What CI adds up, as vitest reports it: a campaign is one test there, however many checks it made, and passed if it did all of them. */
function writeReport(path: string, campaignCount: number, passedCampaigns: number): void {
  const report = {
    numPassedTests: passedCampaigns,
    numFailedTests: campaignCount - passedCampaigns,
    numPendingTests: 0,
    numTodoTests: 0,
    success: campaignCount === passedCampaigns,
  }
  writeFileSync(path, JSON.stringify(report))
}

/** npm hands a Ctrl-C on to those who got it themselves. */
const SAME_SIGNAL_MS = 1000

/** Ctrl-C ends a run in order, with the result of what was done until then; a second one ends it at once. */
function stopOnSignals(): AbortSignal {
  const controller = new AbortController()
  let firstMs = 0
  const stop = () => {
    if (controller.signal.aborted) {
      if (performance.now() - firstMs > SAME_SIGNAL_MS) process.exit(130)
      return
    }
    firstMs = performance.now()
    console.error('\nstopping: what was done is the result (once more: at once, without one)')
    controller.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  return controller.signal
}

/** Null if the campaign could not be run to an end. */
async function outcomeOf(
  campaign: Campaign,
  size: Size,
  seed: number,
  isRecorded: boolean,
  signal: AbortSignal,
): Promise<Outcome | null> {
  try {
    return await runCampaign(campaign, { root, size, seed, isRecorded, signal })
  } catch (error) {
    console.log(signal.aborted ? `${campaign.name} was stopped:` : `FAILED ${campaign.name} could not run:`, error)
    return null
  }
}

async function main(): Promise<number> {
  const sizeOptions = Object.fromEntries(
    campaigns.flatMap(({ sizes }) => Object.keys(sizes.full).map((name) => [name, { type: 'string' as const }])),
  )
  const { values, positionals } = parseArgs({ options: { ...sizeOptions, ...options }, allowPositionals: true })
  if (values.help) {
    console.log(help())
    return 0
  }
  const chosen = campaigns.filter(({ name }) => positionals.includes(name) || positionals.includes('all'))
  const unknown = positionals.filter((name) => name !== 'all' && !campaigns.some((campaign) => campaign.name === name))
  if (unknown.length > 0) throw new UsageError(`there is no campaign ${unknown.join(', ')}`)
  if (chosen.length === 0) throw new UsageError('which campaign?')
  refuseStrangers(campaigns, chosen, values)
  const seed = countOf('seed', String(values.seed))
  const isRecorded = values.record === true
  const runs = chosen.map((campaign) => ({ campaign, size: sizeOf(campaign, values.ci === true, values) }))
  warnOfStaleBuild(isRecorded)

  const signal = stopOnSignals()
  let passedCount = 0
  let failedCount = 0
  let passedCampaigns = 0
  for (const { campaign, size } of runs) {
    if (signal.aborted) break
    const outcome = await outcomeOf(campaign, size, seed, isRecorded, signal)
    passedCount += outcome?.passedCount ?? 0
    if (outcome === null && !signal.aborted) failedCount++
    failedCount += outcome?.failures.length ?? 0
    if (outcome?.failures.length === 0 && !outcome.isStopped) passedCampaigns++
  }
  if (process.env.TEST_REPORT) writeReport(process.env.TEST_REPORT, chosen.length, passedCampaigns)
  console.log(`${passedCount} passed, ${failedCount} failed`)
  if (failedCount > 0) return 1
  return signal.aborted ? 130 : 0
}

/** Most campaigns start what was built. Results of another build than the commit that they name are not kept. */
function warnOfStaleBuild(isRecorded: boolean): void {
  const newer = staleSource(root)
  if (newer === null) return
  const what = `the build is older than ${newer}: run "npm run prepare"`
  if (isRecorded) throw new UsageError(what)
  console.error(what)
}

try {
  process.exitCode = await main()
} catch (error) {
  const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
  console.error(isUsage ? `${(error as Error).message}\n\n${help()}` : error)
  process.exitCode = 2
}
