import { SimulatedClock, SimulatedTimers, ZERO_UUID } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import {
  type FetchedPartition,
  FetchIsolation,
  FetchOperation,
  type FetchParameters,
  type FetchSource,
} from './fetch-operation.ts'
import { FetchPartition } from './fetch-session.ts'
import type { Partition } from './partition.ts'
import { FAKE_BATCH_BYTES } from './testing/fake-log.ts'
import { fakePartition } from './testing/fake-partition.ts'

const consumer: FetchParameters = {
  replicaId: -1,
  brokerEpoch: -1,
  mayReadFollower: false,
  rackId: '',
  isolation: FetchIsolation.HIGH_WATERMARK,
  minBytes: 1,
  maxBytes: 10_000,
  maxWaitMs: 500,
  onlyNews: false,
}

function wanted(partition: number, offset: number, maxBytes = 10_000, epoch = -1): FetchPartition {
  return new FetchPartition('t', ZERO_UUID, partition, offset, epoch, -1, maxBytes)
}

function setUp(
  partitions: readonly (Partition | number)[],
  list: FetchPartition[],
  parameters: Partial<FetchParameters> = {},
  resolve: FetchSource['resolve'] = (fetch) => partitions[fetch.partition] ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
) {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  let answers: FetchedPartition[] | null = null
  let failure: unknown = null
  const operation = new FetchOperation(
    { resolve },
    { ...consumer, ...parameters },
    list,
    (result) => {
      answers = result
    },
    (error) => {
      failure = error
    },
  )
  operation.start(timers)
  return { operation, timers, answers: () => answers, failure: () => failure }
}

describe('fetch operation', () => {
  it('answers at once when there is enough', () => {
    const { partition, log } = fakePartition()
    log.fill(3)
    partition.advanceHighWatermark()
    const { answers } = setUp([partition], [wanted(0, 1)])
    expect(answers()![0]!.sizeBytes).toBe(2 * FAKE_BATCH_BYTES)
    expect(answers()![0]!.highWatermark).toBe(3)
  })

  it('waits for the high watermark, not for the log end', () => {
    const { partition, log } = fakePartition()
    log.logEndOffset = 1
    log.writtenOffset = 1
    const { answers } = setUp([partition], [wanted(0, 0)])
    expect(answers()).toBeNull()
    log.durableOffset = 1
    partition.advanceHighWatermark()
    expect(answers()![0]!.sizeBytes).toBe(FAKE_BATCH_BYTES)
  })

  it('waits until the least number of bytes has come together from all partitions', () => {
    const a = fakePartition()
    const b = fakePartition()
    const { answers } = setUp([a.partition, b.partition], [wanted(0, 0), wanted(1, 0)], {
      minBytes: 3 * FAKE_BATCH_BYTES,
    })
    a.log.fill(2)
    a.partition.advanceHighWatermark()
    expect(answers()).toBeNull()
    b.log.fill(1)
    b.partition.advanceHighWatermark()
    expect(answers()!.map((answer) => answer.sizeBytes)).toEqual([2 * FAKE_BATCH_BYTES, FAKE_BATCH_BYTES])
  })

  it('does not wait for more of a segment that ends before the high watermark', () => {
    const { partition, log } = fakePartition()
    log.fill(2)
    partition.advanceHighWatermark()
    const { answers } = setUp([partition], [wanted(0, 0)], { minBytes: 1000 })
    expect(answers()).toBeNull()
    log.laterSegments.push(2)
    log.fill(1)
    partition.advanceHighWatermark()
    expect(answers()!.map(({ sizeBytes }) => sizeBytes > 0)).toEqual([true])
  })

  it('looks at the partition that changed, and at no other, to see whether there is something to answer with', () => {
    const hosted = Array.from({ length: 3 }, () => fakePartition())
    const partitions = hosted.map(({ partition }) => partition)
    let resolvedCount = 0
    const list = [0, 1, 2].map((slot) => wanted(slot, 0))
    const { answers } = setUp(partitions, list, {}, (fetch) => {
      resolvedCount++
      fetch.found = partitions[fetch.partition]!
      return fetch.found
    })
    resolvedCount = 0
    hosted[2]!.partition.onLogStartRaised()
    expect([answers(), resolvedCount]).toEqual([null, 1])
    for (const slot of [0, 2]) hosted[slot]!.log.fill(1)
    hosted[2]!.partition.advanceHighWatermark()
    expect(answers()!.map(({ sizeBytes }) => sizeBytes)).toEqual([0, 0, FAKE_BATCH_BYTES])
  })

  it('leaves out of an answer of news what the reader knows already', () => {
    const hosted = Array.from({ length: 4 }, () => fakePartition())
    for (const { partition, log } of hosted) {
      log.fill(2)
      partition.advanceHighWatermark()
    }
    const list = [0, 1, 2, 3].map((slot) => wanted(slot, 2))
    for (const one of list) [one.sentHighWatermark, one.sentLogStartOffset] = [2, 0]
    list[0]!.fetchOffset = 1
    list[2]!.sentHighWatermark = 1
    list[3]!.currentLeaderEpoch = 2
    const partitions = hosted.map(({ partition }) => partition)
    const { answers } = setUp(partitions, list, { onlyNews: true, maxWaitMs: 0 })
    expect(answers()!.map(({ wanted: { partition }, errorCode }) => [partition, errorCode])).toEqual([
      [0, 0],
      [2, 0],
      [3, ErrorCode.FENCED_LEADER_EPOCH],
    ])
  })

  it('answers with what there is when its time is over', () => {
    const { partition, log } = fakePartition()
    log.fill(1)
    partition.advanceHighWatermark()
    const { answers, timers } = setUp([partition], [wanted(0, 0)], { minBytes: 1000 })
    expect(answers()).toBeNull()
    timers.advance(501)
    expect(answers()![0]!.sizeBytes).toBe(FAKE_BATCH_BYTES)
  })

  it('gives the first batch whole, whatever the limits, and nothing beyond them', () => {
    const a = fakePartition()
    const b = fakePartition()
    for (const { log, partition } of [a, b]) {
      log.fill(5)
      partition.advanceHighWatermark()
    }
    const { answers } = setUp([a.partition, b.partition], [wanted(0, 0, 10), wanted(1, 0, 10)])
    expect(answers()!.map((answer) => answer.sizeBytes)).toEqual([FAKE_BATCH_BYTES, 0])
  })

  it('shares the budget of the answer among the partitions in order', () => {
    const a = fakePartition()
    const b = fakePartition()
    for (const { log, partition } of [a, b]) {
      log.fill(50)
      partition.advanceHighWatermark()
    }
    const { answers } = setUp([a.partition, b.partition], [wanted(0, 0), wanted(1, 0)], {
      maxBytes: 70 * FAKE_BATCH_BYTES,
    })
    expect(answers()!.map((answer) => answer.sizeBytes)).toEqual([50 * FAKE_BATCH_BYTES, 20 * FAKE_BATCH_BYTES])
  })

  it.each([
    [-1, 'below the log start'],
    [6, 'beyond the log end'],
  ])('answers out of range for offset %i at once, %s', (offset) => {
    const { partition, log } = fakePartition()
    log.fill(5)
    partition.advanceHighWatermark()
    const { answers } = setUp([partition], [wanted(0, offset)])
    expect(answers()![0]).toMatchObject({
      errorCode: ErrorCode.OFFSET_OUT_OF_RANGE,
      highWatermark: -1,
      logStartOffset: -1,
    })
  })

  it('answers an unknown partition and a fenced epoch at once', () => {
    const { partition } = fakePartition()
    expect(setUp([], [wanted(0, 0)]).answers()![0]!.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(setUp([partition], [wanted(0, 0, 100, 2)]).answers()![0]!.errorCode).toBe(ErrorCode.FENCED_LEADER_EPOCH)
  })

  it('tells a reader whose log went another way where it left ours, without records', () => {
    const { partition, log } = fakePartition()
    log.fill(10)
    partition.advanceHighWatermark()
    log.endOffsetForEpoch = (epoch) => (epoch === 1 ? { epoch: 1, endOffset: 4 } : { epoch: 0, endOffset: 2 })
    const fetch = (epoch: number, offset: number) =>
      setUp([partition], [new FetchPartition('t', ZERO_UUID, 0, offset, -1, epoch, 10_000)]).answers()![0]!
    expect(fetch(1, 6)).toMatchObject({ errorCode: 0, divergingEpoch: { epoch: 1, endOffset: 4 }, sizeBytes: 0 })
    expect(fetch(2, 1)).toMatchObject({ errorCode: 0, divergingEpoch: { epoch: 0, endOffset: 2 }, sizeBytes: 0 })
    expect(fetch(1, 4)).toMatchObject({ divergingEpoch: null, sizeBytes: 6 * FAKE_BATCH_BYTES })
    log.endOffsetForEpoch = () => ({ epoch: -1, endOffset: -1 })
    expect(fetch(9, 6).errorCode).toBe(ErrorCode.OFFSET_OUT_OF_RANGE)
  })

  it('tells of a topic that went away while its records were read, and no offsets', async () => {
    const { partition, log } = fakePartition()
    log.fill(2)
    partition.advanceHighWatermark()
    log.cold = true
    log.readError = 0
    const read = log.read.bind(log)
    log.read = (from, maxBytes, upper, minOneBatch, out) => {
      partition.deleted = true
      void read(from, maxBytes, upper, minOneBatch, out)
      return Promise.resolve(out.fail(ErrorCode.KAFKA_STORAGE_ERROR) === 0)
    }
    const { answers } = setUp([partition], [wanted(0, 0)])
    await new Promise((resolve) => setImmediate(resolve))
    expect(answers()![0]).toMatchObject({ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, highWatermark: -1 })
  })

  it('gives no data to a client that says it is a replica', () => {
    const { partition, log } = fakePartition()
    log.fill(1)
    partition.advanceHighWatermark()
    const { answers } = setUp([partition], [wanted(0, 0)], { replicaId: 1, isolation: FetchIsolation.LOG_END })
    expect(answers()![0]!.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  })

  it('wakes when the partition goes away', () => {
    const { partition } = fakePartition()
    const { answers } = setUp([partition], [wanted(0, 0)])
    partition.deleted = true
    partition.fail(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(answers()![0]!.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })

  it('waits for cold reads and answers all partitions in order', async () => {
    const a = fakePartition()
    const b = fakePartition()
    a.log.cold = true
    for (const { log, partition } of [a, b]) {
      log.fill(2)
      partition.advanceHighWatermark()
    }
    const { answers } = setUp([a.partition, b.partition], [wanted(0, 0), wanted(1, 1)])
    expect(answers()).toBeNull()
    await new Promise((resolve) => setImmediate(resolve))
    expect(answers()!.map((answer) => answer.sizeBytes)).toEqual([2 * FAKE_BATCH_BYTES, FAKE_BATCH_BYTES])
  })

  it('tells an unreadable range as an error of its partition', () => {
    const { partition, log } = fakePartition()
    log.fill(2)
    partition.advanceHighWatermark()
    log.readError = ErrorCode.CORRUPT_MESSAGE
    const { answers } = setUp([partition], [wanted(0, 0)])
    expect(answers()![0]).toMatchObject({ errorCode: ErrorCode.CORRUPT_MESSAGE, sizeBytes: 0 })
  })

  it('leaves nothing behind when its client goes away', () => {
    const { partition, log } = fakePartition()
    const { operation, answers, timers } = setUp([partition], [wanted(0, 0)])
    operation.abandon()
    log.fill(1)
    partition.advanceHighWatermark()
    timers.advance(1000)
    expect(answers()).toBeNull()
  })
})
