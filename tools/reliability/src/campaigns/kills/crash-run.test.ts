import { expect, test } from 'vitest'
import { type CrashFigures, errorsIn, missingWork } from './crash-run.ts'

const enough: CrashFigures = {
  longestStartMs: 400,
  killsDuringStartCount: 250,
  acknowledgedCount: 200_000,
  storedCount: 150_000,
  removedCount: 40_000,
  commitCount: 20_000,
  consumedCount: 150_000,
  topicChangeCount: 9_000,
  unansweredChangeCount: 0,
}

test('a run in which everything happened has done enough', () => {
  expect(missingWork(enough, 1000)).toEqual([])
  expect(missingWork({ ...enough, killsDuringStartCount: 0, removedCount: 0 }, 15)).toEqual([])
})

test.each([
  ['acknowledgedCount', 'records acknowledged'],
  ['storedCount', 'records read back'],
  ['commitCount', 'commits'],
  ['consumedCount', 'records consumed'],
  ['topicChangeCount', 'topic changes'],
  ['killsDuringStartCount', 'kills during a start'],
  ['removedCount', 'removed by retention'],
] satisfies [keyof CrashFigures, string][])('a run without %s is found', (name, text) => {
  const [found, ...others] = missingWork({ ...enough, [name]: 0 }, 1000)
  expect(found).toContain(text)
  expect(others).toEqual([])
})

test('errors in the log are found, and so is a log that is not understood', () => {
  const info = '{"level":"info","msg":"started"}'
  expect(errorsIn(`${info}\nready\n`)).toEqual([])
  expect(errorsIn(`${info}\n{"level":"error","msg":"x"}\n`)).toEqual(['logged: {"level":"error","msg":"x"}'])
  expect(errorsIn('INFO started\nERROR x\n')).toHaveLength(1)
})
