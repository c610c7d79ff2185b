import { describe, expect, it } from 'vitest'
import { Build, records } from '../testing/build.ts'
import { bucketsOf, quantile, recoveriesOf, stretchesOf } from './series.ts'

const key = 't/0'

describe('series of a run', () => {
  it('count sends and reads where they ended', () => {
    const history = new Build()
      .send('p', key, 'a', 0)
      .wait(1000)
      .send('p', key, 'b', 1)
      .send('p', key, 'c', null, 'info')
      .send('p', key, 'd', null, 'fail')
      .poll('r', records(key, 0, 'a', 'b')).history
    expect(bucketsOf(history, 1000)).toMatchObject([
      { fromMs: 0, acknowledged: 1, unknown: 0, failed: 0, polled: 0, latencies: [1] },
      { fromMs: 1000, acknowledged: 1, unknown: 1, failed: 1, polled: 2, latencies: [1] },
    ])
  })

  it('have quantiles of what they hold, and none of nothing', () => {
    const numbers = Array.from({ length: 100 }, (_, number) => number)
    expect([0, 0.5, 0.99, 1].map((share) => quantile(numbers, share))).toEqual([0, 50, 99, 99])
    expect(quantile([], 0.5)).toBe(null)
  })

  it('join equal samples to stretches up to the end', () => {
    const samples = ['a', 'a', 'b'].map((value, slot) => ({ ms: slot * 10, value }))
    expect(stretchesOf(samples, 50)).toEqual([
      { fromMs: 0, toMs: 20, value: 'a' },
      { fromMs: 20, toMs: 50, value: 'b' },
    ])
  })

  it('tell how long a log that was led by who was killed took no writes', () => {
    const build = new Build().noFaults().send('p', key, 'a', 0).send('q', 't/1', 'b', 0).wait(96)
    const history = build.wait(200).send('p', key, 'c', 1).send('q', 't/1', 'd', 1).history
    const fault = { kind: 'kill-leader', detail: '', nodes: [2], beginMs: 90, brokenMs: 100, endMs: 150 }
    const leaders = new Map([
      [key, { leader: 2, inSync: 3 }],
      ['t/1', { leader: 1, inSync: 3 }],
    ])
    const samples = [{ ms: 50, controller: 1, leaders }]
    const recoveries = recoveriesOf({ ...history, faults: [fault] }, samples, [key, 't/1'])
    expect(recoveries).toEqual([{ kind: 'kill-leader', beginMs: 90, recoveryMs: 201 }])
    expect(recoveriesOf({ ...history, faults: [{ ...fault, nodes: [1] }] }, samples, [key])).toEqual([])
  })
})
