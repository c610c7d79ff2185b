import { expect, test } from 'vitest'
import { numberKey } from './number-key.ts'

test('a key is another number of 32 bits, and the key of the key is the number', () => {
  for (const value of [0, 1, -1, 77, 2 ** 31 - 1, -(2 ** 31)]) {
    expect(Number.isInteger(numberKey(value)) && Math.abs(numberKey(value)) <= 2 ** 31).toBe(true)
    expect(numberKey(value)).not.toBe(value)
    expect(numberKey(numberKey(value))).toBe(value)
  }
  expect(numberKey(0)).not.toBe(numberKey(1))
})
