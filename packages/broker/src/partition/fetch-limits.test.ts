import { SimulatedClock, SimulatedTimers, ZERO_UUID } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { AnswerBudget } from '../network/answer-budget.ts'
import { FetchPurgatory, type ParkedFetch } from './fetch-limits.ts'
import { FetchIsolation, FetchOperation } from './fetch-operation.ts'
import { FetchPartition } from './fetch-session.ts'
import { FAKE_BATCH_BYTES } from './testing/fake-log.ts'
import { fakePartition } from './testing/fake-partition.ts'

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

/** Fetches up to ten batches of each of several partitions, with what the disk gives counted against a budget. */
async function fetchWithin(budget: AnswerBudget, logs: readonly { cold: boolean; readError?: number }[]) {
  const partitions = logs.map((knobs) => {
    const { partition, log } = fakePartition()
    log.fill(10)
    partition.advanceHighWatermark()
    Object.assign(log, knobs)
    return partition
  })
  const wanted = partitions.map((_, at) => new FetchPartition('t', ZERO_UUID, at, 0, -1, -1, 10 * FAKE_BATCH_BYTES))
  const parameters = {
    replicaId: -1,
    brokerEpoch: -1,
    mayReadFollower: false,
    rackId: '',
    isolation: FetchIsolation.HIGH_WATERMARK,
    minBytes: 1,
    maxBytes: 100_000,
    maxWaitMs: 0,
    onlyNews: false,
  }
  const source = { resolve: (fetch: FetchPartition) => partitions[fetch.partition]! }
  const limits = { memory: budget, purgatory: new FetchPurgatory(100) }
  const done = Promise.withResolvers<number[]>()
  const operation = new FetchOperation(
    source,
    parameters,
    wanted,
    (answers) => done.resolve(answers.map(({ sizeBytes }) => sizeBytes)),
    done.reject,
    limits,
  )
  operation.start(new SimulatedTimers(new SimulatedClock()))
  return { sizes: await done.promise, operation }
}

test('records that came from the disk are held until the answer is sent, views of what is in memory are not', async () => {
  const budget = new AnswerBudget(1 << 20)
  const { sizes, operation } = await fetchWithin(budget, [{ cold: true }, { cold: false }, { cold: true }])
  expect(sizes).toEqual([1000, 1000, 1000])
  expect([operation.copiedBytes, budget.usedBytes]).toEqual([2000, 2000])
  budget.release(operation.copiedBytes)
  expect(budget.usedBytes).toBe(0)
})

test('a read that fails gives its room back', async () => {
  const budget = new AnswerBudget(1 << 20)
  const failing = { cold: true, readError: ErrorCode.KAFKA_STORAGE_ERROR }
  const { sizes, operation } = await fetchWithin(budget, [failing, { cold: true }])
  expect(sizes).toEqual([0, 1000])
  expect([operation.copiedBytes, budget.usedBytes]).toEqual([1000, 1000])
})
