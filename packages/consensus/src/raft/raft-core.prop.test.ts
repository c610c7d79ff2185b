import { describe, expect, it } from 'vitest'
import { RandomRun, type RunResult } from './testing/random-run.ts'

const RUNS = 50
const EVENTS = 2000

describe('RaftCore in random runs', () => {
  it('keeps the invariants under loss, disorder, crashes, changes of voters and snapshots, and converges after them', () => {
    const results: RunResult[] = []
    for (let seed = 1; seed <= RUNS; seed++) {
      try {
        results.push(new RandomRun(seed).run(EVENTS))
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error })
      }
    }
    // Runs in which nothing happens would prove nothing.
    const sum = (of: (result: RunResult) => number) => results.reduce((total, result) => total + of(result), 0)
    expect(sum((result) => result.committed)).toBeGreaterThan(20 * RUNS)
    expect(sum((result) => result.terms)).toBeGreaterThan(2 * RUNS)
    expect(sum((result) => result.installedSnapshots)).toBeGreaterThan(RUNS / 10)
    expect(sum((result) => result.voterChanges)).toBeGreaterThan(RUNS / 2)
    expect(sum((result) => result.answeredReads)).toBeGreaterThan(2 * RUNS)
  })

  it('gives the same run for the same seed (C20)', () => {
    expect(new RandomRun(7).run(1000)).toEqual(new RandomRun(7).run(1000))
  })
})
