import { expect, test } from 'vitest'
import { IoThrottle } from './io-throttle.ts'

test('bytes take as long as the bound says, however they come', () => {
  const throttle = new IoThrottle(0)
  let nowMs = 0
  for (let count = 0; count < 100; count++) {
    // The work itself takes a while, too.
    nowMs += count % 3
    nowMs += throttle.onBytes(50_000, 1_000_000, nowMs)
  }
  expect(nowMs).toBeGreaterThanOrEqual(4_900)
  expect(nowMs).toBeLessThan(5_200)
})

test('what was not used is not saved up, and without a bound nothing waits', () => {
  const throttle = new IoThrottle(0)
  expect(throttle.onBytes(1, 1000, 60_000)).toBe(0)
  expect(throttle.onBytes(1_000, 1000, 60_000)).toBe(1_000)
  expect(new IoThrottle(0).onBytes(2 ** 40, Number.MAX_VALUE, 0)).toBe(0)
})
