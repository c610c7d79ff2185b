import { expect, test } from 'vitest'
import { MemoryGrowth } from './memory-growth.ts'

const MEBIBYTE = 1024 * 1024

function growthOf(readings: readonly (readonly [heldMiB: number, anonymousMiB: number])[]): MemoryGrowth {
  const growth = new MemoryGrowth()
  for (const [heldMiB, anonymousMiB] of readings)
    growth.note({ heldBytes: heldMiB * MEBIBYTE, anonymousBytes: anonymousMiB * MEBIBYTE })
  return growth
}

test('garbage that comes and goes, and memory that was there in the first half too, are no growth', () => {
  const growth = growthOf([
    [30, 50],
    [150, 440],
    [160, 400],
    [35, 445],
  ])
  expect([growth.heldMiB, growth.anonymousMiB, growth.complaint()]).toEqual([5, 5, null])
})

test('objects that stay are found where the collector has just been', () => {
  const growth = growthOf([
    [30, 200],
    [110, 200],
    [95, 200],
    [130, 200],
  ])
  expect(growth.heldMiB).toBe(65)
  expect(growth.complaint()).toContain('what objects hold grew by 65 MiB')
})

test('memory that is not of objects is found by the most of it', () => {
  const growth = growthOf([
    [30, 100],
    [30, 50],
    [30, 293],
    [30, 60],
  ])
  expect(growth.complaint()).toContain('anonymous memory grew by 193 MiB')
})

test('what is made once, in the first tenth, is no growth', () => {
  const made = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(() => [100, 300] as const)
  const growth = growthOf([[20, 40], ...made])
  expect([growth.heldMiB, growth.anonymousMiB]).toEqual([0, 0])
})

test('one reading tells of no growth', () => {
  expect(growthOf([[500, 500]]).complaint()).toBeNull()
})
