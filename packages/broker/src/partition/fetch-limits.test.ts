import { expect, test } from 'vitest'
import { FetchPurgatory, type ParkedFetch } from './fetch-limits.ts'

class Parked implements ParkedFetch {
  readonly partitionCount: number
  answered = 0

  constructor(partitionCount: number) {
    this.partitionCount = partitionCount
  }

  answerNow(): void {
    this.answered++
  }
}

test('the oldest fetches are answered when those that wait keep too many partitions', () => {
  const purgatory = new FetchPurgatory(10)
  const [first, second, third] = [new Parked(4), new Parked(4), new Parked(6)]
  purgatory.add(first)
  purgatory.add(second)
  expect([purgatory.size, purgatory.partitionCount, purgatory.evictions]).toEqual([2, 8, 0])
  purgatory.add(third)
  expect([first.answered, second.answered, third.answered]).toEqual([1, 0, 0])
  expect([purgatory.size, purgatory.partitionCount, purgatory.evictions]).toEqual([2, 10, 1])
})

test('one that is larger than all may be together is answered at once, and the others with it', () => {
  const purgatory = new FetchPurgatory(10)
  const [small, large] = [new Parked(1), new Parked(11)]
  purgatory.add(small)
  purgatory.add(large)
  expect([small.answered, large.answered, purgatory.partitionCount]).toEqual([1, 1, 0])
})

test('one that goes gives its place back once', () => {
  const purgatory = new FetchPurgatory(10)
  const fetch = new Parked(7)
  purgatory.add(fetch)
  purgatory.remove(fetch)
  purgatory.remove(fetch)
  expect([purgatory.size, purgatory.partitionCount]).toEqual([0, 0])
})
