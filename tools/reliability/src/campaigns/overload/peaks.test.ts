import { expect, test } from 'vitest'
import { Peaks } from './peaks.ts'

test('of each budget the worst reading is kept', () => {
  const peaks = new Peaks()
  peaks.note([
    { name: 'answers', used: 50, limit: 100 },
    { name: 'connections', used: 900, limit: Number.POSITIVE_INFINITY },
  ])
  peaks.note([{ name: 'answers', used: 101, limit: 100 }])
  peaks.note([{ name: 'answers', used: 3, limit: 100 }])
  expect(peaks.budgets).toEqual([
    { name: 'answers', used: 101, limit: 100 },
    { name: 'connections', used: 900, limit: Number.POSITIVE_INFINITY },
  ])
  peaks.note([{ name: 'answers', used: 1, limit: Number.NaN }])
  peaks.note([{ name: 'answers', used: 100, limit: 100 }])
  expect(peaks.budgets[0]?.limit).toBeNaN()
})
