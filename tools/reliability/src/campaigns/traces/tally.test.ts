import { FAULT_CLASSES } from '@millrace/storage/testing'
import { expect, test } from 'vitest'
import { faultName, missingFaults, reasonsOf, Tally } from './tally.ts'

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

test('figures add up', () => {
  const tally = new Tally()
  tally.addAll({ a: 1, b: 2 })
  tally.add('a')
  expect(tally.figures).toEqual({ a: 2, b: 2 })
  expect(reasonsOf('text')).toBe('text')
})
