import { expect, test } from 'vitest'
import { SimulatedClock } from '../clock/simulated-clock.ts'
import { SimulatedTimers } from '../timers/simulated-timers.ts'
import { CollectionNudge } from './collection-nudge.ts'

function setUp() {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const allocated: number[] = []
  const nudge = new CollectionNudge({ timers, allocate: (sizeBytes) => allocated.push(sizeBytes) })
  const advance = (seconds: number): void => {
    timers.advance(seconds * 1000)
  }
  return { nudge, allocated, advance, timers }
}

test('what was let go and waits for the collector is reason for a collection after 15 to 30 seconds', () => {
  const { nudge, allocated, advance } = setUp()
  nudge.onReleased()
  advance(29)
  expect(allocated).toEqual([])
  advance(1)
  expect(allocated).toEqual([64 * 1024 * 1024])
})

test('what the collector finds by itself is none', () => {
  const { nudge, allocated, advance, timers } = setUp()
  const first = nudge.onReleased()
  advance(16)
  const second = nudge.onReleased()
  nudge.onCollected(first)
  nudge.onCollected(second)
  expect(timers.pendingCount).toBe(0)
  advance(300)
  expect(allocated).toEqual([])
})

test('where nothing comes back, since somebody still reads, it is tried ever less, and again once something does', () => {
  const { nudge, allocated, advance } = setUp()
  nudge.onReleased()
  const gone = nudge.onReleased()
  advance(600)
  const lessAndLess = allocated.length
  expect(lessAndLess).toBeGreaterThan(3)
  expect(lessAndLess).toBeLessThan(10)
  nudge.onCollected(gone)
  advance(30)
  expect(allocated.length).toBeGreaterThan(lessAndLess)
})

test('after its end it sets no timer', () => {
  const { nudge, advance, allocated, timers } = setUp()
  nudge.onReleased()
  nudge.close()
  nudge.onReleased()
  expect(timers.pendingCount).toBe(0)
  advance(60)
  expect(allocated).toEqual([])
})
