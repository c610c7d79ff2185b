import { describe, expect, test } from 'vitest'
import { distinctBy, mapAsyncInSlices, mapInSlices, SLICE_ELEMENTS, whenMapped } from './slices.ts'

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

describe('work in slices', () => {
  test('on a short list is done at once', () => {
    const results = mapInSlices(
      numbers(SLICE_ELEMENTS),
      () => Promise.reject(new Error('no turn is needed')),
      (n) => n * 2,
    )
    expect(whenMapped(results, (list) => list.at(-1))).toBe(2 * (SLICE_ELEMENTS - 1))
  })

  test('on a long list lets others in between, and keeps the order', async () => {
    let worked = 0
    const seen: number[] = []
    const nextTurn = async (): Promise<void> => {
      seen.push(worked)
    }
    const results = mapInSlices(numbers(2 * SLICE_ELEMENTS + 1), nextTurn, (n) => {
      worked++
      return n
    })
    expect(worked).toBe(0)
    expect(await whenMapped(results, (list) => list)).toEqual(numbers(2 * SLICE_ELEMENTS + 1))
    expect(seen).toEqual([0, SLICE_ELEMENTS, 2 * SLICE_ELEMENTS])
  })

  test('ends when who asked for it has gone', async () => {
    const done = { sync: 0, async: 0 }
    let leave = (): void => undefined
    const asker = {
      onAbandoned: (callback: () => void) => {
        leave = callback
      },
      nextSlice: (nextTurn: () => Promise<void>) => nextTurn(),
      growAnswer: () => undefined,
    }
    const list = numbers(3 * SLICE_ELEMENTS)
    const work = (kind: 'sync' | 'async') => (n: number) => {
      if (n === SLICE_ELEMENTS + 5) leave()
      done[kind]++
      return n
    }
    await mapInSlices(list, () => Promise.resolve(), work('sync'), asker)
    await mapAsyncInSlices(
      list,
      () => Promise.resolve(),
      async (n) => work('async')(n),
      asker,
    )
    expect(done).toEqual({ sync: 2 * SLICE_ELEMENTS, async: 2 * SLICE_ELEMENTS })
  })

  test('that ends later does so slice by slice', async () => {
    let open = 0
    let mostOpen = 0
    const results = await mapAsyncInSlices(
      numbers(3 * SLICE_ELEMENTS),
      () => Promise.resolve(),
      async (n) => {
        mostOpen = Math.max(mostOpen, ++open)
        await Promise.resolve()
        open--
        return n
      },
    )
    expect(results).toEqual(numbers(3 * SLICE_ELEMENTS))
    expect(mostOpen).toBe(SLICE_ELEMENTS)
  })

  test('that fails ends with its error', async () => {
    const work = (n: number): number => {
      if (n === SLICE_ELEMENTS + 5) throw new Error('refused')
      return n
    }
    await expect(mapInSlices(numbers(2 * SLICE_ELEMENTS), () => Promise.resolve(), work)).rejects.toThrow('refused')
  })
})

test('of several items with one key the first counts', () => {
  expect(distinctBy(['a1', 'b1', 'a2', 'c1', 'b2'], (text) => text[0])).toEqual(['a1', 'b1', 'c1'])
})
