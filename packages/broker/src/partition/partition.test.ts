import { ErrorCode } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { FollowerFetch, type HighWatermarkWaiter } from './partition.ts'
import { fakePartition, partitionImage, TEST_BROKER_EPOCH } from './testing/fake-partition.ts'

class RecordedWaiter implements HighWatermarkWaiter {
  readonly requiredOffset: number
  result: number | null = null
  constructor(requiredOffset: number) {
    this.requiredOffset = requiredOffset
  }
  onCommitted(errorCode: number): void {
    this.result = errorCode
  }
}

describe('partition', () => {
  it('acknowledges what is durable, not what is merely written', () => {
    const { partition, log } = fakePartition()
    const waiter = new RecordedWaiter(2)
    partition.awaitHighWatermark(waiter)
    log.logEndOffset = 2
    log.writtenOffset = 2
    partition.advanceHighWatermark()
    expect(waiter.result).toBeNull()
    log.durableOffset = 2
    partition.advanceHighWatermark()
    expect(waiter.result).toBe(ErrorCode.NONE)
    expect(log.highWatermark).toBe(2)
  })

  it('acknowledges from the page cache where write caching says so', () => {
    const { partition, log } = fakePartition({ writeCaching: true })
    const waiter = new RecordedWaiter(1)
    partition.awaitHighWatermark(waiter)
    log.writtenOffset = 1
    partition.advanceHighWatermark()
    expect(waiter.result).toBe(ErrorCode.NONE)
  })

  it('acknowledges in order and leaves those that need more', () => {
    const { partition, log } = fakePartition()
    const waiters = Array.from({ length: 3000 }, (_, i) => new RecordedWaiter(i + 1))
    for (const waiter of waiters) partition.awaitHighWatermark(waiter)
    log.fill(2000)
    partition.advanceHighWatermark()
    expect(waiters.filter((waiter) => waiter.result === 0).length).toBe(2000)
    expect(partition.waitingAcks).toBe(1000)
    log.fill(1000)
    partition.advanceHighWatermark()
    expect(waiters.every((waiter) => waiter.result === 0)).toBe(true)
    expect(partition.waitingAcks).toBe(0)
  })

  it('holds the high watermark while too few replicas are in sync', () => {
    const { partition, log } = fakePartition({ image: { replicas: [1, 2], isr: [1] } })
    partition.config = { ...partition.config, minInsyncReplicas: 2 } as typeof partition.config
    log.fill(1)
    partition.advanceHighWatermark()
    expect(log.highWatermark).toBe(0)
    partition.update(partitionImage({ replicas: [1, 2], isr: [1, 2] }))
    expect(log.highWatermark).toBe(0)
    expect(partition.onFollowerFetch(2, TEST_BROKER_EPOCH, 1, 0)).toBe(FollowerFetch.COUNTED)
    expect(log.highWatermark).toBe(1)
  })

  it('fences older epochs and does not know newer ones', () => {
    const { partition } = fakePartition()
    expect(partition.checkLeader(2)).toBe(ErrorCode.FENCED_LEADER_EPOCH)
    expect(partition.checkLeader(3)).toBe(ErrorCode.NONE)
    expect(partition.checkLeader(4)).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH)
    expect(partition.checkLeader(-1)).toBe(ErrorCode.NONE)
  })

  it('tells a storage failure before anything else', () => {
    const { partition, log } = fakePartition()
    log.failed = true
    expect(partition.checkLeader(-1)).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
  })

  it('starts each new leader epoch in the log, before anything is written', () => {
    const { partition, log } = fakePartition()
    log.fill(5)
    partition.update(partitionImage({ leaderEpoch: 4 }))
    partition.update(partitionImage({ leaderEpoch: 4, partitionEpoch: 9 }))
    expect(log.epochs).toEqual([{ epoch: 4, startOffset: 5 }])
  })

  it('keeps nobody whose time is over, however long nothing is committed', () => {
    const { partition } = fakePartition()
    const wait = (waiting: boolean): RecordedWaiter => {
      const waiter = Object.assign(new RecordedWaiter(1), { waiting })
      partition.awaitHighWatermark(waiter)
      return waiter
    }
    const first = wait(true)
    for (let count = 0; count < 20_000; count++) wait(false)
    const last = wait(true)
    expect(partition.waitingAcks).toBeLessThan(5_000)
    partition.fail(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect([first.result, last.result]).toEqual([ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_LEADER_OR_FOLLOWER])
  })

  it('answers everybody who waits when it goes away', () => {
    const { partition } = fakePartition()
    const waiter = new RecordedWaiter(1)
    partition.awaitHighWatermark(waiter)
    partition.fail(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(waiter.result).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })
})
