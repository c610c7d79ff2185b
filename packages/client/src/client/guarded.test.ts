import { afterEach, expect, test, vi } from 'vitest'
import { guarded } from './guarded.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

test('what a callback of the application throws does not reach who calls it, and is not lost', () => {
  const later: (() => void)[] = []
  vi.stubGlobal('queueMicrotask', (callback: () => void) => later.push(callback))
  const seen: number[] = []
  const callback = guarded((number: number) => {
    seen.push(number)
    if (number === 2) throw new Error('of the application')
  })
  for (const number of [1, 2, 3]) callback(number)
  expect(seen).toEqual([1, 2, 3])
  expect(later).toHaveLength(1)
  expect(later[0]).toThrow('of the application')
})
