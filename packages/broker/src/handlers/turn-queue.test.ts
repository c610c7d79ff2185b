import { expect, test } from 'vitest'
import { mapInSlices, SLICE_ELEMENTS } from './slices.ts'
import { TurnQueue } from './turn-queue.ts'

/** Turns of a loop that a test runs. */
function loop(): { schedule: (callback: () => void) => void; turn(): Promise<boolean> } {
  let scheduled: (() => void)[] = []
  return {
    schedule: (callback) => scheduled.push(callback),
    async turn() {
      const callbacks = scheduled
      scheduled = []
      for (const callback of callbacks) callback()
      // All that follows without a turn more.
      for (let tick = 0; tick < 10; tick++) await Promise.resolve()
      return callbacks.length > 0
    },
  }
}

test('long lists of many share the turns: a slice each, one after the other', async () => {
  const { schedule, turn } = loop()
  const turns = new TurnQueue(schedule)
  const items = Array.from({ length: 2 * SLICE_ELEMENTS }, (_, n) => n)
  const worked: string[] = []
  const lists = ['a', 'b', 'c'].map((name) =>
    mapInSlices(items, turns.next, (n) => {
      if (n % SLICE_ELEMENTS === 0) worked.push(name)
      return n
    }),
  )
  const seen: string[] = []
  while (await turn()) seen.push(worked.splice(0).join())
  expect(seen).toEqual(['a', 'b', 'c', 'a', 'b', 'c'])
  expect(await Promise.all(lists)).toEqual([items, items, items])
})

test('a turn is asked for only while somebody waits', async () => {
  const { schedule, turn } = loop()
  const turns = new TurnQueue(schedule)
  expect(await turn()).toBe(false)
  const first = turns.next()
  expect(await turn()).toBe(true)
  await first
  expect(await turn()).toBe(false)
  const second = turns.next()
  expect(await turn()).toBe(true)
  await second
})
