import { describe, expect, it } from 'vitest'
import { safeProfile } from '../checker/anomaly.ts'
import { checkHistory } from '../checker/check-history.ts'
import type { ChaosResult } from '../run-chaos.ts'
import { Build, delivered, records, sendStep, shareRules } from '../testing/build.ts'
import { chaosPage } from './page.ts'
import { summaryOf } from './summary.ts'

const key = 't/0'

function resultOf(build: Build, problems: readonly string[] = []): ChaosResult {
  const { history: plain } = build
  const fault = { kind: 'kill-leader', detail: 'SIGKILL of <node> 1', nodes: [1], beginMs: 0.5, brokenMs: 2, endMs: 3 }
  const history = { ...plain, faults: [fault] }
  return {
    history,
    verdict: checkHistory(history, safeProfile),
    leaders: [
      { ms: 0, controller: 2, leaders: new Map([[key, { leader: 1, inSync: 3 }]]) },
      { ms: 5, controller: null, leaders: new Map() },
      { ms: 6, controller: 3, leaders: new Map([[key, { leader: -1, inSync: 0 }]]) },
    ],
    problems,
    faultCounts: new Map([['kill-leader', 1]]),
    isStopped: false,
  }
}

const head = {
  system: 'millrace',
  date: '2026-01-01',
  commit: 'abc',
  seed: 7,
  nodes: 3,
  seconds: 60,
  faults: 'kill',
}
const good = () =>
  new Build()
    .send('p', key, 'a', 0)
    .wait(5)
    .send('p', key, 'b', 1)
    .poll('r', records(key, 0, 'a', 'b'))

describe('the page of a run', () => {
  it('shows a good one with its faults and leaders', () => {
    const result = resultOf(good())
    const summary = summaryOf(head, result)
    expect(summary).toMatchObject({ isGood: true, leaderKills: 1, acknowledged: 2, anomalies: {}, problems: 0 })
    expect(summary.recoveryP50Ms).toBeGreaterThan(0)
    const page = chaosPage(summary, result)
    expect(page).toContain('seed 7: passed')
    expect(page).toContain('SIGKILL of &lt;node&gt; 1')
    expect(page).toContain('no leader')
    expect(page).not.toMatch(/NaN|undefined|Infinity/)
    // Nothing is fetched from anywhere.
    expect(page).not.toMatch(/src=|https?:/)
  })

  it('shows a bad one with what was found', () => {
    const result = resultOf(good().send('p', key, 'c', 2), ['node 2 ended by itself: 1'])
    const summary = summaryOf(head, result)
    expect(summary).toMatchObject({ isGood: false, anomalies: { unseen: 1 }, problems: 1 })
    const page = chaosPage(summary, result)
    expect(page).toContain('seed 7: failed')
    expect(page).toContain('never allowed')
    expect(page).toContain('node 2 ended by itself: 1')
  })

  it('tells how many transactions there were, and what they processed', () => {
    const build = good()
      .process('q', 'g', records(key, 0, 'a', 'b'), [sendStep('o/0', 'A', 0)])
      .process('q', 'g', records(key, 0, 'a', 'b'), [sendStep('o/0', 'B')], 'fail')
      .transaction('q', [sendStep('o/0', 'C')], 'info')
      .poll('r', records('o/0', 0, 'A'))
    const result = resultOf(build)
    const summary = summaryOf(head, result)
    expect(summary).toMatchObject({ isGood: true, committed: 1, aborted: 1, unsure: 1, processed: 2 })
    expect(chaosPage(summary, result)).toContain('1 transactions committed, 1 not, 1 of unknown outcome; 2 records')
  })

  it('tells what became of what a share group handed out', () => {
    const build = good()
      .join('java-sharer-0.1', 'millrace-sharer-0.1')
      .acquire('java-sharer-0.1', ...delivered(key, 0, 1, 'a', 'b'))
      .acknowledge('java-sharer-0.1', 'accept', records(key, 0, 'a'))
      .acknowledge('java-sharer-0.1', 'release', records(key, 1, 'b'))
      .acquire('millrace-sharer-0.1', ...delivered(key, 1, shareRules.deliveryLimit, 'b'))
      .acknowledge('millrace-sharer-0.1', 'accept', records(key, 1, 'b'), false)
    const result = resultOf(build)
    const summary = summaryOf(head, result)
    expect(summary).toMatchObject({ accepted: { millrace: 0, java: 1 }, redelivered: 1, exhausted: 1 })
    expect(chaosPage(summary, result)).toContain(
      '0 by millrace, 1 by java of a share group, 1 deliveries after the first',
    )
  })

  it('can be drawn of a run in which nothing happened', () => {
    const result = { ...resultOf(new Build()), leaders: [] }
    expect(chaosPage(summaryOf(head, result), result)).not.toMatch(/NaN|undefined|Infinity/)
  })
})
