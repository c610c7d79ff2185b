import { expect, test } from 'vitest'
import { checkpointIntervalBytes } from './log-checkpointer.ts'

const MIB = 2 ** 20

test('the more logs are open, the sooner each is checkpointed, so that a start walks no more of all of them', () => {
  expect([0, 1, 48].map((count) => checkpointIntervalBytes(count) / MIB)).toEqual([16, 16, 16])
  for (const count of [49, 96, 100, 192]) {
    expect(checkpointIntervalBytes(count) * count).toBeLessThanOrEqual(768 * MIB)
    expect(checkpointIntervalBytes(count)).toBeLessThan(16 * MIB)
  }
  expect(checkpointIntervalBytes(10_000)).toBe(4 * MIB)
})
