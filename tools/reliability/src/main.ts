import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Campaign, Size } from './campaign.ts'
import { campaigns } from './campaigns/index.ts'
import { Progress } from './progress.ts'
import { commitOf, recordRun } from './record.ts'

/**
 * `npm run reliability -- NAME` attacks the broker in one way. The last line is always `N passed, N failed`; the exit code is 0 if all
 * passed, 1 if any failed, 2 if it was called wrongly.
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

/** A mistake of whoever typed the command. */
class UsageError extends Error {}

function sizeOf({ name, sizes }: Campaign, isCi: boolean, given: Readonly<Record<string, unknown>>): Size {
  const size: Record<string, number> = { ...(isCi ? sizes.ci : sizes.full) }
  for (const option of Object.keys(size)) {
    const text = given[option]
    if (text === undefined) continue
    const value = Number(text)
    if (!Number.isSafeInteger(value) || value < 0) throw new UsageError(`${name}: --${option} ${text} is no count`)
    size[option] = value
  }
  return size
}

interface Outcome {
  passedCount: number
  failures: readonly string[]
}

async function runOne(
  campaign: Campaign,
  size: Size,
  seed: number,
  isRecorded: boolean,
  signal: AbortSignal,
): Promise<Outcome> {
  const progress = new Progress(process.stderr)
  const startMs = performance.now()
  const report = (line: string) => {
    progress.end()
    console.log(line)
  }
  report(`== ${campaign.name}: ${JSON.stringify(size)}, seed ${seed}`)
  const result = await campaign.run({
    root,
    size,
    seed,
    signal,
    progress: (doneCount, totalCount) => progress.show(doneCount, totalCount),
    report,
  })
  const seconds = (performance.now() - startMs) / 1000
  for (const failure of result.failures) report(`FAILED ${campaign.name}: ${failure}`)
  report(`== ${campaign.name}: ${result.passedCount} passed, ${result.failures.length} failed, ${seconds.toFixed(0)} s`)
  report(`   ${JSON.stringify(result.figures)}`)
  // A run that was cut short is no run of its size.
  if (isRecorded && !signal.aborted) {
    recordRun(root, {
      campaign: campaign.name,
      date: new Date().toISOString().slice(0, 10),
      commit: commitOf(root),
      seed,
      size,
      seconds: Math.round(seconds),
      passedCount: result.passedCount,
      failedCount: result.failures.length,
      figures: result.figures,
    })
  }
  return result
}

/** What CI adds up, as vitest reports it: a campaign is one test there, however many checks it made. */
function writeReport(path: string, campaignCount: number, failedCampaigns: number): void {
  const report = {
    numPassedTests: campaignCount - failedCampaigns,
    numFailedTests: failedCampaigns,
    numPendingTests: 0,
    numTodoTests: 0,
    success: failedCampaigns === 0,
  }
  writeFileSync(path, JSON.stringify(report))
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
  const seed = Number(values.seed)
  if (!Number.isSafeInteger(seed)) throw new UsageError(`--seed ${values.seed} is no number`)

  const controller = new AbortController()
  process.once('SIGINT', () => controller.abort())
  process.once('SIGTERM', () => controller.abort())
  let passedCount = 0
  let failedCount = 0
  let failedCampaigns = 0
  for (const campaign of chosen) {
    if (controller.signal.aborted) break
    try {
      const size = sizeOf(campaign, values.ci === true, values)
      const { passedCount: passed, failures } = await runOne(
        campaign,
        size,
        seed,
        values.record === true,
        controller.signal,
      )
      passedCount += passed
      failedCount += failures.length
      if (failures.length > 0) failedCampaigns++
    } catch (error) {
      if (error instanceof UsageError) throw error
      failedCount++
      failedCampaigns++
      console.log(`FAILED ${campaign.name} could not run:`, error)
    }
  }
  if (process.env.TEST_REPORT) writeReport(process.env.TEST_REPORT, chosen.length, failedCampaigns)
  console.log(`${passedCount} passed, ${failedCount} failed`)
  return failedCount > 0 ? 1 : 0
}

try {
  process.exitCode = await main()
} catch (error) {
  const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
  console.error(isUsage ? `${(error as Error).message}\n\n${help()}` : error)
  process.exitCode = 2
}
