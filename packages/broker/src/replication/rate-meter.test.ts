import { SimulatedClock } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { RateMeter } from './rate-meter.ts'

describe('a rate', () => {
  it('is that of the last eleven seconds', () => {
    const clock = new SimulatedClock()
    const meter = new RateMeter(clock)
    expect(meter.isExceeded(0)).toBe(false)
    for (let second = 0; second < 20; second++) {
      meter.record(1_000)
      clock.advance(1_000)
    }
    expect(meter.isExceeded(800)).toBe(true)
    expect(meter.isExceeded(1_100)).toBe(false)
    clock.advance(11_000)
    expect(meter.isExceeded(0)).toBe(false)
  })

  it('lets a first burst pass that the whole time allows', () => {
    const meter = new RateMeter(new SimulatedClock())
    meter.record(9_000)
    expect(meter.isExceeded(1_000)).toBe(false)
    meter.record(2_000)
    expect(meter.isExceeded(1_000)).toBe(true)
  })
})
