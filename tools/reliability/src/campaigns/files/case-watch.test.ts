import { expect, test } from 'vitest'
import { CaseWatch, HANG_MS, HANG_PROCESSOR_MS } from './case-watch.ts'

test('a worker that gets little of the processor does not hang', () => {
  const watch = new CaseWatch(1_000)
  expect(watch.look(-1, 1_000 + HANG_MS, HANG_PROCESSOR_MS)).toBe(false)
  expect(watch.look(7, 2 * HANG_MS, HANG_PROCESSOR_MS)).toBe(false)
  expect(watch.look(7, 3 * HANG_MS - 1, 2 * HANG_PROCESSOR_MS)).toBe(false)
})

test('one that works on a case without end does, and so does one that waits without end', () => {
  expect(new CaseWatch(0).look(-1, 10, HANG_PROCESSOR_MS + 1)).toBe(true)
  expect(new CaseWatch(0).look(-1, HANG_MS + 1, 0)).toBe(true)
  const watch = new CaseWatch(0)
  expect(watch.look(3, 10, 5)).toBe(false)
  expect(watch.look(3, 20, 5 + HANG_PROCESSOR_MS + 1)).toBe(true)
})
