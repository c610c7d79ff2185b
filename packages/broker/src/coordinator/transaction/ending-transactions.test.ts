import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { expect, test } from 'vitest'
import { EndingTransactions } from './ending-transactions.ts'

/** Goal: whoever waits for the end of a transaction goes on as it comes, or when its time is over, and is forgotten. */

function waiting() {
  const timers = new SimulatedTimers(new SimulatedClock())
  const ending = new EndingTransactions(timers)
  const done: string[] = []
  const wait = (id: string, timeoutMs: number, name = id) => void ending.wait(id, timeoutMs).then(() => done.push(name))
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  return { timers, ending, done, wait, settle }
}

test('all who wait for an id go on when it is released, and nobody else', async () => {
  const { ending, done, wait, settle } = waiting()
  wait('a', 100, 'first')
  wait('a', 100, 'second')
  wait('b', 100)
  ending.release('a')
  ending.release('unknown')
  await settle()
  expect(done).toEqual(['first', 'second'])
  expect(ending.size).toBe(1)
})

test('each has a time of its own', async () => {
  const { timers, ending, done, wait, settle } = waiting()
  wait('a', 20, 'short')
  wait('a', 100, 'long')
  timers.advance(20)
  await settle()
  expect(done).toEqual(['short'])
  expect(ending.size).toBe(1)
  timers.advance(80)
  await settle()
  expect(done).toEqual(['short', 'long'])
  expect(ending.size).toBe(0)
  // Released and out of time, each is answered once.
  ending.release('a')
  await settle()
  expect(done).toHaveLength(2)
})

test('nobody is left behind when the node gives up its coordinators', async () => {
  const { timers, ending, done, wait, settle } = waiting()
  wait('a', 20)
  wait('b', 20)
  ending.releaseAll()
  await settle()
  timers.advance(20)
  await settle()
  expect(done).toEqual(['a', 'b'])
  expect(ending.size).toBe(0)
})
