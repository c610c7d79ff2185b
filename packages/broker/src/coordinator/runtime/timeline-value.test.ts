import { expect, test } from 'vitest'
import { Timeline } from './timeline.ts'
import { TimelineValue } from './timeline-value.ts'

test('a value is read as of the last commit, taken back with its version, and tells of both', () => {
  const timeline = new Timeline()
  const told: number[] = []
  const value: TimelineValue<number> = new TimelineValue(timeline, 0, () => told.push(value.current))
  expect([value.current, value.committed, value.isCommitted]).toEqual([0, 0, true])
  timeline.begin()
  value.current = 1
  timeline.begin()
  value.current = 2
  expect([value.current, value.committed, value.isCommitted]).toEqual([2, 0, false])
  timeline.commitThrough(1)
  expect([value.current, value.committed]).toEqual([2, 1])
  timeline.rollbackFrom(2)
  expect([value.current, value.committed, value.isCommitted]).toEqual([1, 1, true])
  expect(told.at(-1)).toBe(1)
  timeline.begin()
  value.current = 3
  timeline.rollbackFrom(3)
  expect(value.current).toBe(1)
})

test('a value whose first change is taken back is the initial one again', () => {
  const timeline = new Timeline()
  const told: string[] = []
  const value: TimelineValue<string> = new TimelineValue(timeline, 'first', () => told.push(value.current))
  timeline.begin()
  value.current = 'second'
  timeline.rollbackFrom(1)
  expect(value.current).toBe('first')
  expect(told.at(-1)).toBe('first')
})
