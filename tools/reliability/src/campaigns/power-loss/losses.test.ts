import { checkHistory } from '@millrace/e2e'
import { expect, test } from 'vitest'
import { isLoss, unseenLosses } from './losses.ts'

test('what the checks say of a lost record is a loss', () => {
  const acknowledged = [{ producer: 'p', sequence: 0, partition: 0, offset: 0 }]
  const problems = checkHistory({ producers: [{ name: 'p', kind: 'plain', sentCount: 1, acknowledged }], stored: [] })
  expect(problems).toHaveLength(1)
  expect(isLoss(`kill 3 of seed 1: crash-g1-mixed: ${problems[0]}`)).toBe(true)
})

test.each([
  'kill 1 of seed 1: crash-g1-mixed 1 ends at -1, acknowledged up to 7',
  'kill 1 of seed 1: group g has undefined of t 0, acknowledged was 3',
  'kill 1 of seed 1: topic crash-3 was created and is gone',
  'kill 1 of seed 1: topic t has partitionCount 2, not 3',
])('%s: a loss', (failure) => {
  expect(isLoss(failure)).toBe(true)
})

test.each([
  'kill 1 of seed 1: the run ended: Error: broker: exited with 1 before it was ready',
  'kill 1 of seed 1: the run ended: Error: x ends at 3, acknowledged up to 4',
  'kill 1 of seed 1: python-leader-snappy got nothing acknowledged in 60000 ms',
  'kill 1 of seed 1: the broker took 20000 ms to serve again',
  'kill 1 of seed 1: the trace does not explain that b is not expected',
])('%s: none', (failure) => {
  expect(isLoss(failure)).toBe(false)
})

test('topics that are gone are no sign that the checks see what becomes of data', () => {
  const topics = 'kill 1 of seed 1: topic crash-3 was created and is gone'
  const all = [
    'ends of partitions',
    'records that were acknowledged',
    'records that were consumed',
    'committed offsets',
  ]
  expect(unseenLosses([topics])).toEqual(all)
  const losses = [
    'kill 1 of seed 1: crash-g1-mixed 1 ends at 2, acknowledged up to 7',
    'kill 1 of seed 1: crash-g1-mixed: lost: p 3, acknowledged at partition 0 offset 3',
    'kill 1 of seed 1: crash-g1-mixed: consumed and lost: partition 0 offset 3 was p:3, is gone',
    'kill 1 of seed 1: group g has undefined of t 0, acknowledged was 3',
  ]
  expect(unseenLosses([topics, ...losses])).toEqual([])
  for (const [slot, what] of all.entries()) {
    expect(unseenLosses(losses.filter((_, other) => other !== slot))).toEqual([what])
  }
})
