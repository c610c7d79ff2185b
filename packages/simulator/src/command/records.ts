import { execFileSync } from 'node:child_process'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Mutation } from '../mutations/mutation.ts'
import { mutations } from '../mutations/mutations.ts'

/** How a hunt ended; `seed` null: nothing was found. */
export interface HuntRecord {
  readonly mutation: Mutation
  readonly seedCount: number
  readonly seed: number | null
  readonly invariant: string | null
}

const root = join(import.meta.dirname, '../../../..')
const PAGE = join(root, 'docs/simulator.md')
const BATCHES = join(root, 'docs/simulator-batches.jsonl')

/** Adds a line to the list of batches, with the commit and the day. */
export function recordBatch(figures: object): void {
  appendFileSync(BATCHES, `${JSON.stringify({ commit: commitOf(), date: today(), ...figures })}\n`)
}

/** Puts the hunts into the page's table of defects; rows of others stay as they are. */
export function recordHunts(hunts: readonly HuntRecord[]): void {
  writeFileSync(PAGE, withHunts(readFileSync(PAGE, 'utf8'), hunts, commitOf()))
}

const BEGIN = '<!-- defects: written by --mutations --record -->'
const END = '<!-- end of defects -->'
const HEAD = '| Defect | Layer | Caught by | In seed | After seeds | Commit |\n| --- | --- | --- | --- | --- | --- |'

/** The page with the rows of these hunts. Defects that are no more lose their row. Throws if the page has no place for the table. */
export function withHunts(page: string, hunts: readonly HuntRecord[], commit: string): string {
  const begin = page.indexOf(BEGIN)
  const end = page.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`docs/simulator.md has no table between ${BEGIN} and ${END}`)
  const rows = new Map<string, string>()
  for (const line of page.slice(begin, end).split('\n')) {
    const name = /^\| (.+?) \| (?:consensus|cluster) \|/.exec(line)?.[1]
    if (name !== undefined) rows.set(name, line)
  }
  for (const { mutation, seedCount, seed, invariant } of hunts) {
    const found = seed === null ? 'nothing | –' : `${invariant} | ${seed}`
    rows.set(mutation.name, `| ${mutation.name} | ${mutation.layer} | ${found} | ${seedCount} | ${commit} |`)
  }
  const table = mutations.flatMap(({ name }) => rows.get(name) ?? [])
  return `${page.slice(0, begin)}${BEGIN}\n${[HEAD, ...table].join('\n')}\n${page.slice(end)}`
}

/** Short, with a plus if the source is not quite that. */
function commitOf(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  const isChanged = git('status', '--porcelain', '--untracked-files=no', '--', 'packages') !== ''
  return git('rev-parse', '--short', 'HEAD') + (isChanged ? '+' : '')
}

function today(): string {
  return new Date().toISOString().slice(0, 10)
}
