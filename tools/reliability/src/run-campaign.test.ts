import { expect, test } from 'vitest'
import { complaintsOf } from './run-campaign.ts'

const good = { passedCount: 1, failures: [], figures: { longestMs: 3 } }

test('a result with checks and figures is taken as it is', () => {
  expect(complaintsOf(good, false)).toEqual([])
  expect(complaintsOf({ ...good, passedCount: 0, failures: ['lost'] }, false)).toEqual([])
})

test('a run that checked nothing, or measured nothing, has failed', () => {
  expect(complaintsOf({ ...good, passedCount: 0 }, false)).toEqual(['nothing was checked'])
  const figures = { longestMs: Number.NaN, mostMs: Number.POSITIVE_INFINITY, leastMs: 0 }
  expect(complaintsOf({ ...good, figures }, false)).toEqual([
    'the figure longestMs is NaN: it was not measured',
    'the figure mostMs is Infinity: it was not measured',
  ])
})

test('a run that was stopped may have come to nothing', () => {
  expect(complaintsOf({ ...good, passedCount: 0, figures: { longestMs: Number.NaN } }, true)).toEqual([])
})
