import { expect, test } from 'vitest'
import { growthOf, judgeGrowth, type Window } from './flatness.ts'

const MIB = 1024 * 1024

/** Forty stretches: the first half grows, as a broker that warms up; the second as told, with some noise. */
function windows(rise: Partial<Window>): Window[] {
  return Array.from({ length: 40 }, (_, at) => {
    const late = Math.max(0, at - 20) / 19
    const noise = at % 3
    return {
      anonymousBytes: (Math.min(at, 20) * 5 + noise * 4 + late * (rise.anonymousBytes ?? 0)) * MIB,
      descriptors: Math.min(at, 20) + noise + late * (rise.descriptors ?? 0),
      mappings: Math.min(at, 20) + noise + late * (rise.mappings ?? 0),
      latencyMs: 5 + noise + late * (rise.latencyMs ?? 0),
      produceCount: 1000,
    }
  })
}

const complaints = (rise: Partial<Window>) => judgeGrowth(growthOf(windows(rise))).filter((found) => found !== null)

test('a run that is flat after it has warmed up passes', () => {
  expect(complaints({})).toEqual([])
  expect(judgeGrowth(growthOf([]))).toEqual([null, null, null, null, null])
})

test.each([
  ['memory', { anonymousBytes: 40 }, 'anonymous memory grew by'],
  ['descriptors', { descriptors: 20 }, 'more descriptors'],
  ['mappings', { mappings: 40 }, 'more mapped files'],
  ['latency', { latencyMs: 12 }, 'latency grew'],
] satisfies [string, Partial<Window>, string][])('a leak of %s is found', (_name, rise, text) => {
  const found = complaints(rise)
  expect(found).toHaveLength(1)
  expect(found[0]).toContain(text)
})

test('what falls is no leak', () => {
  expect(complaints({ anonymousBytes: -100, descriptors: -50, mappings: -50, latencyMs: -5 })).toEqual([])
})

test('stretches that the host disturbed do not count for latency, and too many of them are told', () => {
  const disturbed = (isDisturbed: (at: number) => boolean, latencyMs: number) =>
    windows({}).map((window, at) => (isDisturbed(at) ? { ...window, latencyMs: null } : { ...window, latencyMs }))
  const growth = growthOf(disturbed((at) => at % 2 === 0, 7))
  expect(growth).toMatchObject({ latencyWindows: 10, windows: 20, medianLatencyMs: 7, latencyMs: 0 })
  expect(judgeGrowth(growth).filter((found) => found !== null)).toEqual([])
  const found = judgeGrowth(growthOf(disturbed((at) => at % 5 !== 0, 7))).filter((each) => each !== null)
  expect(found).toEqual([expect.stringContaining('only 4 of 20 stretches')])
})
