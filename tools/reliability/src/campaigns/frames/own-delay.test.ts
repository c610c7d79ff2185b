import { expect, test } from 'vitest'
import { delayComplaint, OwnDelay } from './own-delay.ts'

test('a delay is the longest one since the first reading, without what was waited for a core in its time', () => {
  const delay = new OwnDelay({ longestDelayMs: 90, waitedForCoreMs: 5000 })
  delay.note({ longestDelayMs: 90, waitedForCoreMs: 5050 })
  expect(delay.longestMs).toBe(0)
  delay.note({ longestDelayMs: 400, waitedForCoreMs: 5100 })
  expect(delay.longestMs).toBe(350)
  delay.note({ longestDelayMs: 400, waitedForCoreMs: 5900 })
  delay.note({ longestDelayMs: 700, waitedForCoreMs: 6500 })
  expect(delay.longestMs).toBe(350)
})

test('a broker whose loop is held for longer than a turn, a full collection and the allowance together is found', () => {
  expect(delayComplaint(250, 0)).toBeNull()
  expect(delayComplaint(251, 0)).toContain('251 ms')
  expect(delayComplaint(280, 30)).toBeNull()
  expect(delayComplaint(281, 30)).toContain('allowed are 280 ms')
  expect(delayComplaint(1000, 200)).not.toBeNull()
})
