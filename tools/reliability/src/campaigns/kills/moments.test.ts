import { SeededRandom } from '@millrace/base'
import { expect, test } from 'vitest'
import { Moments } from './moments.ts'

test('kills fall on starts, on the time just after and on all of what follows', () => {
  const moments = new Moments(new SeededRandom(1))
  const starts = Array.from({ length: 1000 }, () => moments.whileStarting())
  const hit = starts.filter((afterMs) => afterMs !== null)
  expect(hit.length).toBeGreaterThan(200)
  expect(hit.length).toBeLessThan(300)
  expect(Math.max(...hit)).toBeGreaterThan(330)
  expect(Math.max(...hit)).toBeLessThan(361)
  const servings = Array.from({ length: 1000 }, () => moments.whileServing())
  for (const { afterMs, isEarly } of servings) expect(afterMs < 100).toBe(isEarly)
  expect(servings.filter(({ isEarly }) => isEarly).length).toBeGreaterThan(200)
  expect(Math.max(...servings.map(({ afterMs }) => afterMs))).toBeLessThan(1500)
})

test('kills of starts follow what a start takes', () => {
  const moments = new Moments(new SeededRandom(1))
  for (let start = 0; start < 50; start++) moments.onStarted(10_000)
  const hit = Array.from({ length: 200 }, () => moments.whileStarting() ?? 0)
  expect(Math.max(...hit)).toBeGreaterThan(9000)
})
