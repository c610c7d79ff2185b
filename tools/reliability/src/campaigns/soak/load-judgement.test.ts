import { expect, test } from 'vitest'
import { judgeLoad } from './index.ts'
import type { LoadReport } from './load-plan.ts'

/** A minute, of which the neighbour had 58 seconds: 2,900 produces if it kept its pace. */
const OBSERVED_MS = 58_000
const good: LoadReport = {
  batches: 6000,
  fetches: 1000,
  records: 119_000,
  resets: 0,
  groupCycles: 400,
  topicCycles: 60,
  visits: 500,
  errors: [],
  topics: [],
}

test('a load that did its work is well', () => {
  expect(judgeLoad(good, 2900, OBSERVED_MS)).toEqual([])
})

test.each([
  ['batches', 100, 'batches'],
  ['fetches', 100, 'fetches'],
  ['records', 1000, 'records consumed'],
  ['groupCycles', 3, 'groupCycles'],
  ['topicCycles', 3, 'topicCycles'],
  ['visits', 3, 'visits'],
] satisfies [keyof LoadReport, number, string][])('too few %s are found', (name, count, text) => {
  expect(judgeLoad({ ...good, [name]: count }, 2900, OBSERVED_MS)).toEqual([expect.stringContaining(text)])
})

test('a neighbour that is not served is found, and so are errors', () => {
  expect(judgeLoad(good, 1, OBSERVED_MS)).toEqual([expect.stringContaining('produces of the neighbour')])
  expect(judgeLoad({ ...good, errors: ['lost'] }, 2900, OBSERVED_MS)).toEqual(['the load: lost'])
})
