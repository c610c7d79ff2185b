import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RealTimers } from './real-timers.ts'

/** Method: the process's own clock and timers are faked, so that no test waits. */
describe('RealTimers', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  })

  afterEach(() => {
    vi.useRealTimers()
  })

  it('fires timers in order of their deadlines, each once', () => {
    const timers = new RealTimers()
    const fired: number[] = []
    for (const delayMs of [50, 10, 30]) timers.setTimer(delayMs, () => fired.push(delayMs))
    vi.advanceTimersByTime(200)
    expect(fired).toEqual([10, 30, 50])
  })

  it('leaves the process nothing to wait for once the last timer has fired and the others were cancelled', () => {
    const timers = new RealTimers()
    let fired = 0
    timers.setTimer(10, () => fired++)
    const cancelled = [timers.setTimer(600_000, () => fired++), timers.setTimer(60_000, () => fired++)]
    for (const timer of cancelled) timer.cancel()
    vi.advanceTimersByTime(20)
    expect(fired).toBe(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('fires the others after one that throws', () => {
    const timers = new RealTimers()
    const fired: string[] = []
    timers.setTimer(10, () => {
      throw new Error('broken')
    })
    timers.setTimer(10, () => fired.push('same tick'))
    timers.setTimer(100, () => fired.push('later'))
    expect(() => vi.advanceTimersByTime(50)).toThrow('broken')
    vi.advanceTimersByTime(200)
    expect(fired).toEqual(['same tick', 'later'])
  })

  it('lets a callback set the next timer', () => {
    const timers = new RealTimers()
    let count = 0
    const again = () => {
      if (++count < 3) timers.setTimer(10, again)
    }
    timers.setTimer(10, again)
    vi.advanceTimersByTime(200)
    expect(count).toBe(3)
    expect(vi.getTimerCount()).toBe(0)
  })
})
