import { describe, expect, it } from 'vitest'
import { anomalyKinds } from '../checker/anomaly.ts'
import type { Verdict } from '../checker/check-history.ts'
import { promisesOf, testReport } from './promises.ts'
import type { RunSummary } from './summary.ts'

const verdict: Verdict = { isGood: true, found: [], examples: [], invalid: [], outcomes: {} }
const summary: RunSummary = {
  system: 'millrace',
  date: '2026-01-01',
  commit: 'abc',
  seed: 1,
  nodes: 3,
  seconds: 110,
  faults: 'kill',
  isGood: true,
  isStopped: false,
  faultCounts: { 'kill-leader': 10, 'kill-controller': 4 },
  leaderKills: 12,
  operations: 1000,
  acknowledged: 500,
  unknown: 0,
  committed: 300,
  aborted: 40,
  unsure: 3,
  processed: 700,
  accepted: { millrace: 300, java: 300 },
  redelivered: 90,
  exhausted: 5,
  anomalies: {},
  allowed: {},
  problems: 0,
  sendP50Ms: 1,
  sendP99Ms: 2,
  recoveryP50Ms: 3,
  recoveryP99Ms: 4,
  recoveryMaxMs: 5,
}

const brokenOf = (run: Partial<RunSummary>, seen: Partial<Verdict>, problems: readonly string[] = []) =>
  promisesOf({ ...summary, ...run }, { ...verdict, ...seen }, problems).filter(({ broken }) => broken.length > 0)

describe('the promises of a run', () => {
  it('all hold in a good one', () => {
    const promises = promisesOf(summary, verdict, [])
    expect(promises.length).toBeGreaterThan(5)
    expect(testReport(promises)).toMatchObject({
      numPassedTests: promises.length,
      numFailedTests: 0,
      success: true,
    })
  })

  it.each(anomalyKinds)('one is broken by %s, and not where the protocol allows it', (kind) => {
    const broken = brokenOf({}, { found: [{ kind, count: 3, isAllowed: false }] })
    expect(broken.map((promise) => promise.broken)).toEqual([[`${kind}, 3 times`]])
    expect(testReport(broken)).toMatchObject({ numPassedTests: 0, numFailedTests: 1, success: false })
    expect(brokenOf({}, { found: [{ kind, count: 3, isAllowed: true }] })).toEqual([])
  })

  it('are broken by what no history shows', () => {
    expect(brokenOf({}, {}, ['node 2 ended by itself']).map(({ broken }) => broken)).toEqual([
      ['node 2 ended by itself'],
    ])
  })

  it.each([
    [{ leaderKills: 2 }, 'only 2 leaders were killed'],
    [{ faultCounts: { 'kill-leader': 20 } }, 'no active controller was killed'],
    [{ faultCounts: { 'kill-leader': 4, 'kill-controller': 1 } }, 'only 5 faults struck'],
    [{ committed: 19 }, 'only 19 transactions were committed'],
    [{ aborted: 4 }, 'only 4 transactions were not'],
    [{ processed: 49 }, 'only 49 records were processed'],
    [{ accepted: { millrace: 90, java: 19 } }, 'only 19 records of a share group were accepted by java'],
    [{ redelivered: 19 }, 'only 19 deliveries of a share group were not the first'],
    [{ exhausted: 0 }, 'no record of a share group came to its last delivery'],
    [{ isStopped: true }, 'it was stopped'],
  ] satisfies [Partial<RunSummary>, string][])('are not kept by a run that asked too little: %o', (run, reason) => {
    expect(brokenOf(run, {}).map(({ broken }) => broken)).toEqual([[reason]])
  })

  it('are not kept by a run that says nothing', () => {
    expect(brokenOf({}, { invalid: ['nothing was sent or read'] })).toHaveLength(1)
  })
})
