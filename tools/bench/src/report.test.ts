import { describe, expect, it } from 'vitest'
import type { ResultRow } from './bench-case.ts'
import { machineLine, median, readPage, resultTables, withFigures } from './report.ts'
import type { VariantName } from './variant.ts'

const row = (variant: VariantName, round: number, mbPerSecond: number, user: number): ResultRow => ({
  group: 'consumer-perf',
  name: '100 B, none',
  variant,
  round,
  commit: 'abc',
  figures: { mbPerSecond, cpuPerGb: user + 0.5, userPerGb: user, systemPerGb: 0.5 },
  load1: 1,
})

const facts = {
  date: '2026-01-01',
  cpu: 'a cpu',
  cores: 2,
  memoryGb: 8,
  kernel: '6.1',
  fileSystem: 'ext4',
  fdatasyncP50Us: 300,
  node: 'v24',
  java: 'java 17',
}

describe('the report', () => {
  it('takes the middle of an odd and the mean of the two middle ones of an even number of runs', () => {
    expect(median([5, 1, 9])).toBe(5)
    expect(median([4, 1, 9, 6])).toBe(5)
    expect(median([])).toBeNaN()
  })

  it('shows medians, spreads and the ratio of medians', () => {
    const rows = [
      row('kafka', 1, 100, 1),
      row('millrace', 1, 130, 0.5),
      row('kafka', 2, 110, 1),
      row('millrace', 2, 110, 0.25),
      row('kafka', 3, 90, 1),
      row('millrace', 3, 120, 0.75),
    ]
    const line = resultTables(rows)
      .split('\n')
      .find((text) => text.startsWith('| 100 B'))
    expect(line).toContain('| 120 (110–130) | 100 (90–110) | **1.20** |')
    expect(line).toContain('| 1.00 (0.75–1.25) | 1.50 (1.50–1.50) | **0.67** |')
    expect(line).toContain('| 0.50 + 0.50 | 1.00 + 0.50 | 0.50 user |')
  })

  it('leaves out a pairing of which one side was not measured', () => {
    expect(resultTables([row('kafka', 1, 100, 1), row('kafka-flush', 1, 10, 1)])).not.toContain('| case |')
  })

  it('says which commit each figure is of', () => {
    const older = row('kafka', 1, 100, 1)
    expect(machineLine(facts, 5, [older])).toMatch(/^Commit abc, 2026-01-01; 2 cores of a cpu/)
    const newer = { ...older, group: 'start-up', commit: 'def' }
    expect(machineLine(facts, 5, [older, newer])).toMatch(/^Commits abc \(consumer-perf\), def \(start-up\), 2026/)
  })

  it('says how many runs the figures are of', () => {
    const rows = [row('kafka', 1, 100, 1)]
    expect(machineLine(facts, 5, rows)).toMatch(/; java 17; medians of 5 alternating runs \(lowest–highest\)\.$/)
    expect(machineLine(facts, 1, rows)).toMatch(/; java 17; one run of each\.$/)
  })

  it('writes between the marks of a page and nowhere else', () => {
    const page = 'before\n<!-- figures: npm run bench writes from here -->\nold\n<!-- to here -->\nafter\n'
    const once = withFigures(page, 'new')
    expect(once).toBe('before\n<!-- figures: npm run bench writes from here -->\n\nnew\n<!-- to here -->\nafter\n')
    expect(withFigures(once, 'new')).toBe(once)
    expect(() => withFigures('no marks', 'new')).toThrow('marks')
    const others = { begin: '<!-- others: from here -->', end: '<!-- others: to here -->' }
    const both = `${page}${others.begin}\nother\n${others.end}\n`
    const written = withFigures(withFigures(both, 'theirs', others), 'ours')
    expect(written).toBe(`${withFigures(page, 'ours')}${others.begin}\n\ntheirs\n${others.end}\n`)
    expect(() => readPage('/nowhere/benchmarks.md')).toThrow('no page at /nowhere/benchmarks.md')
  })
})
