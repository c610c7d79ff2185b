import { expect, test } from 'vitest'
import { AllocationWatch } from './allocations.ts'

test('what is allocated is counted, also if it is dropped at once', () => {
  const watch = new AllocationWatch()
  try {
    expect(Buffer.alloc(4, 'ab').toString()).toBe('abab')
    Buffer.allocUnsafe(1000)
    Buffer.allocUnsafeSlow(10_000)
    expect(watch.take()).toBeGreaterThanOrEqual(11_004)
    expect(watch.take()).toBe(0)
  } finally {
    watch.remove()
  }
  Buffer.alloc(1000)
  expect(watch.take()).toBe(0)
})
