import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { commitOf, type RecordedRun, withRuns } from './record.ts'

const run = (campaign: string, passedCount: number): RecordedRun => ({
  campaign,
  date: '2026-01-01',
  commit: 'abc',
  seed: 1,
  size: { kills: 1000 },
  seconds: 12.4,
  passedCount,
  failedCount: 0,
  figures: { longestStallMs: 1.234 },
})

test('the page shows the newest run of each campaign, between its marks only', () => {
  const page =
    'before\n<!-- runs: npm run reliability -- NAME --record writes from here -->\nold\n<!-- to here -->\nafter\n'
  const written = withRuns(page, [run('kills', 10), run('frames', 5), run('kills', 2000)])
  expect(written.startsWith('before\n')).toBe(true)
  expect(written.endsWith('<!-- to here -->\nafter\n')).toBe(true)
  expect(written).not.toContain('old')
  expect(written.split('\n').filter((line) => line.startsWith('| kills'))).toEqual([
    '| kills | kills 1,000 | 2,000 | 0 | longestStallMs 1.23 | 12 s | abc, 2026-01-01 |',
  ])
  expect(written).toContain('| frames |')
  expect(withRuns(written, [run('frames', 5)])).not.toContain('\n| kills')
  expect(() => withRuns('no marks', [])).toThrow('marks')
})

test('parts of a campaign, each with its seed, have a row each', () => {
  const page = '<!-- runs: npm run reliability -- NAME --record writes from here -->\n<!-- to here -->\n'
  const written = withRuns(page, [{ ...run('kills', 7), seed: 2 }, run('frames', 1), run('kills', 5), run('kills', 6)])
  const rows = written.split('\n').filter((line) => /^\| (kills|frames)/.test(line))
  expect(rows.map((row) => row.split(' | ').slice(0, 3))).toEqual([
    ['| frames', 'kills 1,000', '1'],
    ['| kills', 'kills 1,000', '6'],
    ['| kills, seed 2', 'kills 1,000', '7'],
  ])
})

test('parts of one seed, each of which begins where the one before ended, have a row each', () => {
  const page = '<!-- runs: npm run reliability -- NAME --record writes from here -->\n<!-- to here -->\n'
  const part = (first: number, passedCount: number) => ({ ...run('traces', passedCount), size: { traces: 10, first } })
  const written = withRuns(page, [part(18, 3), part(10, 1), part(10, 2)])
  const rows = written.split('\n').filter((line) => line.startsWith('| traces'))
  expect(rows.map((row) => row.split(' | ').slice(1, 3))).toEqual([
    ['traces 10, first 10', '2'],
    ['traces 10, first 18', '3'],
  ])
})

test('a run that was stopped is shown as one, until there is one that was not', () => {
  const page = '<!-- runs: npm run reliability -- NAME --record writes from here -->\n<!-- to here -->\n'
  const stopped = { ...run('kills', 300), isStopped: true }
  expect(withRuns(page, [stopped])).toContain('| kills | stopped early; of kills 1,000 | 300 |')
  for (const runs of [
    [stopped, run('kills', 1000)],
    [run('kills', 1000), stopped],
  ]) {
    const written = withRuns(page, runs)
    expect(written).toContain('| kills | kills 1,000 | 1,000 |')
    expect(written).not.toContain('stopped')
  }
})

test('a commit is named as one with changes if a source is changed, or new; what is ignored, or no code, does not count', () => {
  const root = mkdtempSync(join(tmpdir(), 'millrace-commit-'))
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@y', ...args], { cwd: root, stdio: 'pipe' })
  try {
    mkdirSync(join(root, 'packages'))
    mkdirSync(join(root, 'docs'))
    writeFileSync(join(root, '.gitignore'), 'dist/\n')
    writeFileSync(join(root, 'packages/a.ts'), '1')
    git('init', '--quiet')
    git('add', '.')
    git('commit', '--quiet', '--message', 'x')
    mkdirSync(join(root, 'packages/dist'))
    writeFileSync(join(root, 'packages/dist/a.js'), '1')
    writeFileSync(join(root, 'docs/reliability.jsonl'), '1')
    expect(commitOf(root)).toMatch(/^[0-9a-f]{7,}$/)
    writeFileSync(join(root, 'packages/b.ts'), '1')
    expect(commitOf(root)).toMatch(/ with changes$/)
    rmSync(join(root, 'packages/b.ts'))
    writeFileSync(join(root, 'packages/a.ts'), '2')
    expect(commitOf(root)).toMatch(/ with changes$/)
  } finally {
    rmSync(root, { recursive: true })
  }
})
