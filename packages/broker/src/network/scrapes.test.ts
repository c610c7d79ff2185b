import { SimulatedClock } from '@millrace/base'
import { expect, test } from 'vitest'
import { Scrapes } from './scrapes.ts'

function setUp(durationMs: number) {
  const clock = new SimulatedClock()
  let made = 0
  const scrapes = new Scrapes(clock, async () => {
    made++
    const number = made
    await Promise.resolve()
    // The loop serves others in between.
    clock.advance(10 * durationMs)
    if (number === 3) throw new Error('no metrics')
    return { contentType: 'text/plain', body: String(number), workMs: durationMs }
  })
  return { clock, take: async () => (await scrapes.take()).body, made: () => made }
}

test('all who ask at the same time get one text', async () => {
  const { take, made } = setUp(0)
  expect(await Promise.all([take(), take(), take()])).toEqual(['1', '1', '1'])
  expect(await take()).toBe('2')
  expect(made()).toBe(2)
})

test('a text whose making held the loop for long is given again for nine times as long', async () => {
  const { clock, take } = setUp(100)
  expect(await take()).toBe('1')
  clock.advance(899)
  expect(await take()).toBe('1')
  clock.advance(1)
  expect(await take()).toBe('2')
})

test('a failure is told to those who asked, and not kept for longer than a text', async () => {
  const { take } = setUp(0)
  await take()
  await take()
  await expect(take()).rejects.toThrow('no metrics')
  expect(await take()).toBe('4')
})
