import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { expect, test } from 'vitest'
import { RecordingLogger } from './coordinator/testing/recording-logger.ts'
import { IdleWork } from './idle-work.ts'

function setUp(steps: (() => Promise<unknown>)[]) {
  const timers = new SimulatedTimers(new SimulatedClock())
  const logger = new RecordingLogger()
  const state = { turns: 0, wanted: true }
  const work = new IdleWork(steps, {
    timers,
    logger,
    turnCount: () => state.turns,
    isWanted: () => state.wanted,
  })
  work.start()
  /** A second in which the loop has so many turns. */
  const second = async (turns: number): Promise<void> => {
    state.turns += turns
    timers.advance(1000)
    for (let round = 0; round < 5; round++) await Promise.resolve()
  }
  return { timers, logger, state, work, second }
}

function recording(): { done: string[]; step: (name: string) => () => Promise<unknown> } {
  const done: string[] = []
  return { done, step: (name) => async () => done.push(name) }
}

test('steps are done one in each quiet second, and then nothing is left', async () => {
  const { done, step } = recording()
  const { second, timers } = setUp([step('a'), step('b')])
  await second(0)
  expect(done).toEqual(['a'])
  await second(500)
  expect(done).toEqual(['a'])
  await second(3)
  expect(done).toEqual(['a', 'b'])
  expect(timers.pendingCount).toBe(0)
})

test('where no second is quiet a step is done after some of them', async () => {
  const { done, step } = recording()
  const { second, timers } = setUp([step('a'), step('b')])
  for (let n = 0; n < 5; n++) await second(500)
  expect(done).toEqual([])
  await second(500)
  expect(done).toEqual(['a'])
  for (let n = 0; n < 6; n++) await second(500)
  expect(done).toEqual(['a', 'b'])
  expect(timers.pendingCount).toBe(0)
})

test('nothing is done before it is wanted', async () => {
  const { done, step } = recording()
  const { second, state } = setUp([step('a')])
  state.wanted = false
  await second(0)
  expect(done).toEqual([])
  state.wanted = true
  await second(0)
  expect(done).toEqual(['a'])
})

test('after a step that fails come the others, and it is no error yet', async () => {
  const { done, step } = recording()
  const { second, timers, logger } = setUp([() => Promise.reject(new Error('no such module')), step('b')])
  await second(0)
  await second(0)
  expect([done, timers.pendingCount, logger.messages('error'), logger.messages('debug').length]).toEqual([
    ['b'],
    0,
    [],
    1,
  ])
})

test('no timer outlives the stop, not even that of a step under way', async () => {
  const held = Promise.withResolvers<void>()
  const { second, timers, work } = setUp([() => held.promise, () => Promise.resolve()])
  await second(0)
  work.stop()
  held.resolve()
  await second(0)
  expect(timers.pendingCount).toBe(0)
})
