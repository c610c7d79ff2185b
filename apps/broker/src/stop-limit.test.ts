import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { expect, test } from 'vitest'
import { STOP_LIMIT_MS, StopLimitError, withinStopLimit } from './stop-limit.ts'

test('a stop that hangs ends with an error', async () => {
  const timers = new SimulatedTimers(new SimulatedClock())
  const stopped = withinStopLimit(new Promise(() => undefined), timers)
  timers.advance(STOP_LIMIT_MS)
  await expect(stopped).rejects.toThrow(StopLimitError)
  expect(timers.pendingCount).toBe(0)
})

test('one that ends in time ends as it does, and leaves no timer', async () => {
  const timers = new SimulatedTimers(new SimulatedClock())
  await withinStopLimit(Promise.resolve(), timers)
  await expect(withinStopLimit(Promise.reject(new Error('no space')), timers)).rejects.toThrow('no space')
  expect(timers.pendingCount).toBe(0)
})
