import { expect, test } from 'vitest'
import { sampleWorkload } from './attacks.ts'
import { Tally } from './tally.ts'

/** Workloads that once failed where nothing smaller shows it: what the judge must allow, and nothing more, is drawn from several crashes. */
test.each([
  [3000069, 'a sound batch of before stood behind damage again, since a cut was not synced'],
  [6000051, 'a snapshot told of a damaged batch, and one behind it was lost that nobody had synced'],
])('workload %i, in which %s', { timeout: 120_000 }, async (seed) => {
  const tally = new Tally()
  expect(await sampleWorkload(seed, 10_000, tally)).toBeGreaterThan(20)
  expect(tally.failures).toEqual([])
})
