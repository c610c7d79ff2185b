import { FAULT_CLASSES, newEvaluations } from '@millrace/storage/testing'
import { expect, test } from 'vitest'
import { faultName, missingChecks, missingFaults, reasonsOf, Tally } from './tally.ts'

test('what a check throws is a failure that names it, with all its causes', async () => {
  const tally = new Tally()
  await tally.attempt('good', async () => undefined)
  await tally.attempt('bad', async () => {
    throw new Error('outside', { cause: new Error('inside') })
  })
  expect(tally.failures).toHaveLength(1)
  expect(tally.failures[0]).toMatch(/^bad: outside: inside \(at /)
  expect(tally.isStopped).toBe(false)
  for (let count = 1; count < 10; count++) await tally.attempt('bad', () => Promise.reject(new Error('again')))
  expect(tally.isStopped).toBe(true)
})

test('a fault class that befell nothing is named', () => {
  const tally = new Tally()
  for (const faultClass of FAULT_CLASSES) tally.addFault(faultClass, faultClass.operation === 'truncate' ? 0 : 2)
  expect(missingFaults(tally.figures)).toEqual(['eioTruncate'])
  expect(faultName({ kind: 'no space', operation: 'sync directory' })).toBe('noSpaceSyncDirectory')
})

test('what another process has seen is added, and the attack ends with as many failures as it may have', () => {
  const tally = new Tally(2)
  tally.add('a')
  tally.merge({ figures: { a: 2, b: 1 }, failures: ['one'] })
  expect(tally.isStopped).toBe(false)
  tally.merge({ figures: {}, failures: ['two'] })
  expect(tally.isStopped).toBe(true)
  expect(tally.figures).toEqual({ a: 3, b: 1 })
  expect(tally.failures).toEqual(['one', 'two'])
})

test('an invariant that was never evaluated, and damage that was never done, are named', () => {
  const tally = new Tally()
  const evaluations = newEvaluations()
  for (const name of Object.keys(evaluations)) if (name !== 'S9') evaluations[name as 'S1'] = 1
  tally.addEvaluations(evaluations)
  tally.addAll({ flippedBits: 1, damagedLogFiles: 1, damagedMarks: 1 })
  expect(missingChecks(tally.figures)).toEqual([
    'S9Checks',
    'damagedIndexes',
    'damagedSizes',
    'damagedProducers',
    'lostIndexes',
  ])
})

test('figures add up', () => {
  const tally = new Tally()
  tally.addAll({ a: 1, b: 2 })
  tally.add('a')
  expect(tally.figures).toEqual({ a: 2, b: 2 })
  expect(reasonsOf('text')).toBe('text')
})
