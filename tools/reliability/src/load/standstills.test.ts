import fc from 'fast-check'
import { expect, test } from 'vitest'
import { overlapMs, type Stretch, unionOf } from './standstills.ts'

const stretch = (startMs: number, endMs: number): Stretch => ({ startMs, endMs })

test('times of several processors are put together', () => {
  const first = [stretch(0, 2), stretch(10, 12)]
  const second = [stretch(1, 3), stretch(5, 6), stretch(12, 13)]
  expect(unionOf([first, second])).toEqual([stretch(0, 3), stretch(5, 6), stretch(10, 13)])
})

test('what overlaps is counted, and nothing else', () => {
  const union = [stretch(0, 3), stretch(5, 6), stretch(10, 13)]
  expect(overlapMs(union, 3, 5)).toBe(0)
  expect(overlapMs(union, 2, 11)).toBe(3)
  expect(overlapMs(union, 11, 12)).toBe(1)
  expect(overlapMs(union, 20, 30)).toBe(0)
  expect(overlapMs([], 0, 1)).toBe(0)
})

test('it is what counting each millisecond gives', () => {
  const stretches = fc.array(
    fc.tuple(fc.nat(100), fc.integer({ min: 1, max: 9 })).map(([start, length]) => stretch(start, start + length)),
  )
  fc.assert(
    fc.property(stretches, stretches, fc.nat(110), fc.nat(30), (first, second, startMs, lengthMs) => {
      const all = [...first, ...second]
      let count = 0
      for (let at = startMs; at < startMs + lengthMs; at++) {
        if (all.some((each) => each.startMs <= at && at < each.endMs)) count++
      }
      expect(overlapMs(unionOf([first, second]), startMs, startMs + lengthMs)).toBe(count)
    }),
  )
})
