import { describe, expect, it } from 'vitest'
import { failoverFigure } from './figure.ts'
import { gapOf } from './probe.ts'
import { type FailoverRow, percentile, summaryTable } from './summary.ts'

function row(round: number, wasController: boolean, firstAckMs: number): FailoverRow {
  const rest = { system: 'millrace', fault: 'kill', longestMs: 0, failedCount: 0, commit: 'c' } as const
  return { ...rest, round, wasController, firstAckMs }
}

describe('a gap', () => {
  it('ends with the first acknowledgement of what was sent after the fault', () => {
    const acks = [
      { sentMs: 0, ackedMs: 1 },
      { sentMs: 99, ackedMs: 110 },
      { sentMs: 105, ackedMs: 400 },
      { sentMs: 110, ackedMs: 395 },
    ]
    expect(gapOf(acks, 100)).toEqual({ firstAckMs: 295, longestMs: 285 })
  })
})

describe('a summary', () => {
  it('has percentiles by nearest rank', () => {
    const values = Array.from({ length: 100 }, (_, slot) => 100 - slot)
    expect([0.5, 0.99, 1].map((share) => percentile(values, share))).toEqual([50, 99, 100])
    expect(percentile([7], 0.5)).toBe(7)
    expect(percentile([], 0.5)).toBeNaN()
  })

  it('tells rounds apart in which the controller was lost with the leader', () => {
    const lines = summaryTable([row(1, false, 100), row(2, true, 300)]).split('\n')
    expect(lines.slice(2)).toEqual([
      '| millrace | kill | 2 | 100 | 300 | 300 | 300 |',
      '| millrace | kill, of the active controller too | 1 | 300 | 300 | 300 | 300 |',
    ])
  })
})

describe('a figure', () => {
  it('has a dot for each round, further to the right the longer it took, and a strip for each system and fault', () => {
    const rows = [row(1, false, 200), row(2, true, 400), { ...row(1, false, 11_000), system: 'kafka' as const }]
    const figure = failoverFigure(rows)
    const dots = [...figure.matchAll(/<circle cx="([\d.]+)".*<title>(.*)<\/title>/g)]
    expect(dots.map(([, , text]) => text)).toEqual([
      'round 1: 200 ms',
      'round 2: 400 ms, the active controller too',
      'round 1: 11000 ms',
    ])
    const [first, second, third] = dots.map(([, x]) => Number(x))
    expect(second).toBeGreaterThan(first!)
    expect(third).toBeGreaterThan(second!)
    expect(figure).toContain('millrace, kill (2)')
    expect(figure).toContain('kafka, kill (1)')
  })
})
