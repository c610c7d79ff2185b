import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { KeyedTimers } from './keyed-timers.ts'

function keyedTimers(): { timers: KeyedTimers<string>; port: SimulatedTimers; fired: string[]; clock: SimulatedClock } {
  const clock = new SimulatedClock()
  const port = new SimulatedTimers(clock)
  const fired: string[] = []
  const timers = new KeyedTimers<string>(clock, port, (key, event) =>
    fired.push(`${key} ${event} ${clock.monotonicMs()}`),
  )
  return { timers, port, fired, clock }
}

describe('keyed timers', () => {
  test('fire once, with the event they were set with', () => {
    const { timers, port, fired } = keyedTimers()
    timers.schedule('a', 10, 'x', null)
    port.advance(9)
    expect(fired).toEqual([])
    port.advance(100)
    expect(fired).toEqual(['a x 10'])
    expect(timers.has('a')).toBe(false)
  })

  test('give way to a later one under the same key, without setting a timer of the port for each', () => {
    const { timers, port, fired } = keyedTimers()
    for (let beat = 0; beat < 100; beat++) {
      timers.schedule('a', 10, `x${beat}`, null)
      expect(port.pendingCount).toBe(1)
      port.advance(5)
    }
    expect(fired).toEqual([])
    port.advance(5)
    expect(fired).toEqual(['a x99 505'])
  })

  test('give way to an earlier one under the same key', () => {
    const { timers, port, fired } = keyedTimers()
    timers.schedule('a', 10, 'late', null)
    timers.schedule('a', 3, 'soon', null)
    port.advance(20)
    expect(fired).toEqual(['a soon 3'])
  })

  test('can be cancelled, one or all', () => {
    const { timers, port, fired } = keyedTimers()
    timers.schedule('a', 1, 'x', null)
    timers.schedule('b', 1, 'x', null)
    timers.schedule('c', 1, 'x', null)
    timers.cancel('b')
    timers.cancel('unknown')
    expect(timers.size).toBe(2)
    timers.cancelAll()
    port.advance(10)
    expect(fired).toEqual([])
    expect(port.pendingCount).toBe(0)
  })
})
