import { describe, expect, it } from 'vitest'
import { gapOf } from './probe.ts'
import { type FailoverRow, percentile, summaryTable } from './summary.ts'

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
    const row = (round: number, wasController: boolean, firstAckMs: number): FailoverRow => {
      return {
        system: 'millrace',
        fault: 'kill',
        round,
        wasController,
        firstAckMs,
        longestMs: 0,
        failedCount: 0,
        commit: 'c',
      }
    }
    const lines = summaryTable([row(1, false, 100), row(2, true, 300)]).split('\n')
    expect(lines.slice(2)).toEqual([
      '| millrace | kill | 2 | 100 | 300 | 300 | 300 |',
      '| millrace | kill, of the active controller too | 1 | 300 | 300 | 300 | 300 |',
    ])
  })
})
