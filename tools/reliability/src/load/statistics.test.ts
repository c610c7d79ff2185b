import { expect, test } from 'vitest'
import { percentile, slope } from './statistics.ts'

test('a percentile is one of the values', () => {
  const values = Array.from({ length: 100 }, (_, at) => 100 - at)
  expect([percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)]).toEqual([50, 99, 100])
  expect([percentile([7], 0.99), percentile([], 0.99)]).toEqual([7, 0])
})

test('a slope is that of the line', () => {
  const line = (rise: number) => Array.from({ length: 50 }, (_, x) => ({ x, y: 3 + rise * x + (x % 2) }))
  expect(slope(line(2))).toBeCloseTo(2, 2)
  expect(slope(line(0))).toBeCloseTo(0, 2)
  expect([
    slope([]),
    slope([{ x: 1, y: 5 }]),
    slope([
      { x: 1, y: 5 },
      { x: 1, y: 9 },
    ]),
  ]).toEqual([0, 0, 0])
})
