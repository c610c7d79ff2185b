import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatMs, LatencyHistogram } from './latency-histogram.ts'

describe('the latency histogram', () => {
  test('percentiles are within 2 % of the exact ones, and never outside what was seen', () => {
    const values = fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 300 })
    fc.assert(
      fc.property(values, fc.constantFrom(1, 50, 90, 99, 100), (durations, percent) => {
        const histogram = new LatencyHistogram()
        for (const durationMs of durations) histogram.record(durationMs)
        const sorted = [...durations].sort((a, b) => a - b)
        const exact = sorted[Math.ceil((percent / 100) * sorted.length) - 1]!
        const found = histogram.percentile(percent)
        expect(found).toBeGreaterThanOrEqual(Math.min(exact, sorted[0]!) * 0.98)
        expect(found).toBeLessThanOrEqual(Math.max(exact * 1.02, sorted[0]!))
        expect(found).toBeLessThanOrEqual(sorted.at(-1)!)
      }),
    )
  })

  test('its lines hold every value once', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true })), (durations) => {
        const histogram = new LatencyHistogram()
        for (const durationMs of durations) histogram.record(durationMs)
        const counted = histogram.lines().reduce((sum, { count }) => sum + count, 0)
        expect(counted).toBe(durations.length)
      }),
    )
  })

  test('the picture draws a bar for every range that has values', () => {
    const histogram = new LatencyHistogram()
    for (let n = 0; n < 1000; n++) histogram.record(1.5)
    histogram.record(7)
    const lines = histogram.picture().trimEnd().split('\n')
    expect(lines).toHaveLength(3)
    expect(lines[0]).toContain('99.90 %')
    expect(lines[0]!.split('█')).toHaveLength(41)
    expect(lines[1]).not.toContain('█')
    expect(lines[2]).toContain('█')
  })

  test('without values there is nothing to say', () => {
    const histogram = new LatencyHistogram()
    expect(histogram.summary()).toEqual({ count: 0 })
    expect(histogram.percentile(99)).toBe(0)
    expect(histogram.picture()).toBe('')
  })

  test('latencies are shown with a unit that fits', () => {
    expect([0.085, 1.234, 340.4, 2100].map(formatMs)).toEqual(['85 µs', '1.23 ms', '340 ms', '2.1 s'])
  })
})
