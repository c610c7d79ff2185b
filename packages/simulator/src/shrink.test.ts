import { describe, expect, it } from 'vitest'
import { shrinkList } from './shrink.ts'

const list = Array.from({ length: 40 }, (_, slot) => slot)

describe('shrinkList', () => {
  it('keeps only what the failure needs', async () => {
    const fails = async (rest: readonly number[]) => rest.includes(7) && rest.includes(31)
    expect(await shrinkList(list, fails, 1_000)).toEqual([7, 31])
  })

  it('keeps nothing if nothing is needed, and all if all is', async () => {
    expect(await shrinkList(list, async () => true, 1_000)).toEqual([])
    expect(await shrinkList(list, async (rest) => rest.length === list.length, 1_000)).toEqual(list)
  })

  it('asks no more often than it may, and then still gives what fails', async () => {
    let tries = 0
    const fails = async (rest: readonly number[]) => {
      tries++
      return rest.includes(3)
    }
    const shrunk = await shrinkList(list, fails, 5)
    expect(tries).toBe(5)
    expect(shrunk).toContain(3)
  })
})
