/**
 * Does something with each of many items, a few at a time, and hands on what comes of them in the items' order. `items` may go on for
 * ever: they are asked for as they are begun. Rejects with the first failure, once what had begun has ended.
 */
export async function inOrder<Item, Result>(
  items: Iterable<Item>,
  concurrency: number,
  run: (item: Item) => Promise<Result>,
  onResult: (result: Result, item: Item) => void,
): Promise<void> {
  const iterator = items[Symbol.iterator]()
  const results = new Map<number, [Result, Item]>()
  let begunCount = 0
  let handedCount = 0
  let isFailed = false
  const work = async (): Promise<void> => {
    while (!isFailed) {
      const next = iterator.next()
      if (next.done === true) return
      const number = begunCount++
      try {
        results.set(number, [await run(next.value), next.value])
      } catch (error) {
        isFailed = true
        throw error
      }
      for (let ready = results.get(handedCount); ready !== undefined; ready = results.get(handedCount)) {
        results.delete(handedCount++)
        onResult(...ready)
      }
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: concurrency }, work))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}
