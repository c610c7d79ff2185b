import { expect, test } from 'vitest'
import { inOrder } from './in-order.ts'

test('what comes late is handed on in its place, and no more run at a time than may', async () => {
  const ends = new Map<number, () => void>()
  const seen: string[] = []
  let runningCount = 0
  let mostRunning = 0
  const run = async (item: number): Promise<string> => {
    runningCount++
    mostRunning = Math.max(mostRunning, runningCount)
    await new Promise<void>((resolve) => ends.set(item, resolve))
    runningCount--
    return `done ${item}`
  }
  const all = inOrder([1, 2, 3], 2, run, (result) => seen.push(result))
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  await turn()
  ends.get(2)!()
  await turn()
  expect(seen).toEqual([])
  ends.get(3)!()
  ends.get(1)!()
  await all
  expect(seen).toEqual(['done 1', 'done 2', 'done 3'])
  expect(mostRunning).toBe(2)
})

test('items are asked for when they are begun, so that a list may end as results come', async () => {
  let leftCount = 5
  function* items(): Iterable<number> {
    while (leftCount > 0) yield leftCount
  }
  const seen: number[] = []
  await inOrder(
    items(),
    1,
    async (item) => item,
    (result) => {
      seen.push(result)
      leftCount -= 2
    },
  )
  expect(seen).toEqual([5, 3, 1])
})

test('a failure ends it, and is told', async () => {
  const begun: number[] = []
  const run = async (item: number): Promise<void> => {
    begun.push(item)
    if (item === 2) throw new Error('no')
  }
  await expect(inOrder([1, 2, 3, 4], 1, run, () => undefined)).rejects.toThrow('no')
  expect(begun).toEqual([1, 2])
})
