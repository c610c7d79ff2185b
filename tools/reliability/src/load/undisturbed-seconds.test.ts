import { describe, expect, it, test } from 'vitest'
import { HostWatch, parseProcessorTime } from './undisturbed-seconds.ts'

describe('parseProcessorTime', () => {
  it('reads what the kernel writes', () => {
    const text = 'cpu  10 1 20 300 4 0 5 60 7 8\ncpu0 1 2 3 4 5 6 7 8 9 10\n'
    expect(parseProcessorTime(text)).toEqual({ stolen: 60, total: 400 })
  })

  it('refuses anything else', () => {
    expect(() => parseProcessorTime('cpu 1 2 3\n')).toThrow('/proc/stat')
  })
})

test('a second of which the host took more than a hundredth is disturbed', () => {
  const ticks = [0, 2, 5, 5, 9]
  let second = 0
  const host = new HostWatch(() => ({ stolen: ticks[second]!, total: second * 200 }))
  const found = ticks.slice(1).map(() => {
    second++
    return host.wasUndisturbed()
  })
  expect(found).toEqual([true, false, true, false])
})
