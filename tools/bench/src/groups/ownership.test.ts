import { describe, expect, it } from 'vitest'
import { Ownership } from './ownership.ts'

describe('what the members of a group have', () => {
  it('is even when each partition has one owner, and each member its share', () => {
    const ownership = new Ownership(5)
    ownership.set(1, [0, 1, 2])
    expect(ownership.isEven).toBe(false)
    ownership.set(2, [3, 4])
    expect(ownership.isEven).toBe(true)
  })

  it('is not even while one has nothing, or more than its share', () => {
    const ownership = new Ownership(4)
    ownership.set(1, [0, 1])
    ownership.set(2, [2, 3])
    ownership.set(3, [])
    expect(ownership.isEven).toBe(false)
    ownership.set(2, [2])
    ownership.set(3, [3])
    expect(ownership.isEven).toBe(true)
    ownership.set(1, [0])
    expect(ownership.isEven).toBe(false)
  })

  it('is not even while two have the same partition, or after a member that had some has gone', () => {
    const ownership = new Ownership(2)
    ownership.set(1, [0, 1])
    ownership.set(2, [1])
    expect(ownership.isEven).toBe(false)
    ownership.set(1, [0])
    expect(ownership.isEven).toBe(true)
    ownership.drop(2)
    expect(ownership.isEven).toBe(false)
    ownership.set(1, [0, 1])
    expect(ownership.isEven).toBe(true)
  })

  it('tells changes from what was known', () => {
    const ownership = new Ownership(3)
    expect(ownership.set(1, [])).toBe(true)
    expect(ownership.set(1, [])).toBe(false)
    expect(ownership.set(1, [0, 2])).toBe(true)
    expect(ownership.set(1, [0, 2])).toBe(false)
    expect(() => ownership.set(1, [3])).toThrow('partition 3')
  })
})
