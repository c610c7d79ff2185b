import { expect, test } from 'vitest'
import { Findings } from './findings.ts'

test('a figure over its target fails a run that is judged', () => {
  const judged = new Findings(true)
  judged.figure('readyMs', 3000, 3000)
  judged.figure('coldReadyMs', 3001, 3000)
  expect(judged.result()).toEqual({
    passedCount: 1,
    failures: ['coldReadyMs: 3001.00 is over 3000'],
    figures: { readyMs: 3000, coldReadyMs: 3001 },
  })
})

test('a run that is not judged keeps its figures and fails by contents only', () => {
  const findings = new Findings(false)
  findings.figure('readyMs', 9000, 3000)
  findings.check('after the kill', 5, ['partition 1: gone'])
  expect(findings.result()).toEqual({
    passedCount: 4,
    failures: ['after the kill: partition 1: gone'],
    figures: { readyMs: 9000 },
  })
})

test('the time that others had the core is not held against a start', () => {
  const findings = new Findings(true)
  findings.start('ready', { elapsedMs: 5000, cpuMs: 2100, waitedForCoreMs: 2500 }, 3000)
  findings.start('coldReady', { elapsedMs: 5000, cpuMs: 2100, waitedForCoreMs: 1500 }, 3000)
  const { failures, figures } = findings.result()
  expect(failures).toEqual(['coldReadyOwnMs: 3500.00 is over 3000'])
  expect(figures).toMatchObject({ readyMs: 5000, readyCpuMs: 2100, readyOwnMs: 2500 })
})
