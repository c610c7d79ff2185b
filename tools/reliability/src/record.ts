import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CampaignResult, Size } from './campaign.ts'

/** One line of `docs/reliability.jsonl`. */
export interface RecordedRun {
  readonly campaign: string
  readonly date: string
  readonly commit: string
  readonly seed: number
  readonly size: Size
  readonly seconds: number
  readonly passedCount: number
  readonly failedCount: number
  readonly figures: CampaignResult['figures']
  /** It was told to end before it had done all of its size. Left out: it has done it. */
  readonly isStopped?: boolean
}

const begin = '<!-- runs: npm run reliability -- NAME --record writes from here -->'
const end = '<!-- to here -->'

/** What a result depends on: the shipped code and that of the checks. */
const CODE = ['packages', 'apps', 'tools/reliability', 'e2e', 'package.json', 'package-lock.json']

/** The commit that is checked out, and whether the code differs from it: files that git does not know yet are built and run, too. */
export function commitOf(root: string): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  const changed = git('status', '--porcelain', '--untracked-files=all', '--', ...CODE) !== ''
  return `${git('rev-parse', '--short', 'HEAD')}${changed ? ' with changes' : ''}`
}

/** Adds a run to the results, and rewrites the table of the page. */
export function recordRun(root: string, run: RecordedRun): void {
  const file = join(root, 'docs/reliability.jsonl')
  appendFileSync(file, `${JSON.stringify(run)}\n`)
  const runs = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RecordedRun)
  const page = join(root, 'docs/reliability.md')
  if (!existsSync(page)) throw new Error(`${page} is missing: the table of runs belongs there`)
  writeFileSync(page, withRuns(readFileSync(page, 'utf8'), runs))
}

/**
 * Puts the newest run of each campaign and seed between the marks of a page: the newest that was not stopped, if there is one. A long
 * campaign that is run in parts has a seed for each, or begins each where the one before ended.
 */
export function withRuns(page: string, runs: readonly RecordedRun[]): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the page lacks its marks ${begin} and ${end}`)
  const partOf = (run: RecordedRun) => `${run.campaign} ${run.seed} ${beginOf(run)}`
  const newest = new Map(runs.map((run) => [partOf(run), run]))
  for (const run of runs) if (run.isStopped !== true) newest.set(partOf(run), run)
  const rows = [...newest.values()].sort(
    (left, right) =>
      left.campaign.localeCompare(right.campaign, 'en') || left.seed - right.seed || beginOf(left) - beginOf(right),
  )
  const table = [
    '| campaign | size | passed | failed | figures | time | commit, date |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows.map(rowOf),
  ]
  return `${page.slice(0, from + begin.length)}\n\n${table.join('\n')}\n\n${page.slice(to)}`
}

/** The first trace, file or life of a part of a campaign. */
function beginOf({ size }: RecordedRun): number {
  return size.first ?? size.case ?? size.epoch ?? 0
}

function rowOf(run: RecordedRun): string {
  const { campaign, seed, size, passedCount, failedCount, figures, seconds, commit, date } = run
  const listed = (values: Readonly<Record<string, number>>) =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${value.toLocaleString('en', { maximumFractionDigits: 2 })}`)
      .join(', ')
  const counts = [passedCount, failedCount].map((count) => count.toLocaleString('en'))
  const all = run.isStopped === true ? `stopped early; of ${listed(size)}` : listed(size)
  const name = seed === 1 ? campaign : `${campaign}, seed ${seed}`
  const cells = [name, all, ...counts, listed(figures), `${Math.round(seconds)} s`, `${commit}, ${date}`]
  return `| ${cells.join(' | ')} |`
}
