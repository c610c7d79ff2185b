import { SimulatedClock, SimulatedTimers, ZERO_UUID } from '@millrace/base'
import type { PartitionImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { UNLIMITED_FETCHES } from './fetch-limits.ts'
import {
  type FetchedPartition,
  FetchIsolation,
  FetchOperation,
  type FetchParameters,
  type FetchReplication,
  NO_REPLICATION,
} from './fetch-operation.ts'
import { FetchPartition } from './fetch-session.ts'
import type { Partition } from './partition.ts'
import { FAKE_BATCH_BYTES } from './testing/fake-log.ts'
import { fakePartition, TEST_BROKER_EPOCH } from './testing/fake-partition.ts'

const FOLLOWER: FetchParameters = {
  replicaId: 2,
  brokerEpoch: TEST_BROKER_EPOCH,
  mayReadFollower: false,
  rackId: '',
  isolation: FetchIsolation.LOG_END,
  minBytes: 1,
  maxBytes: 10_000,
  maxWaitMs: 500,
  onlyNews: false,
}
const CONSUMER: FetchParameters = {
  ...FOLLOWER,
  replicaId: -1,
  mayReadFollower: true,
  isolation: FetchIsolation.HIGH_WATERMARK,
}

function led(image: Partial<PartitionImage> = {}) {
  return fakePartition({ image: { replicas: [1, 2], isr: [1, 2], ...image } })
}

function wanted(offset: number, epoch = -1, lastFetchedEpoch = -1): FetchPartition {
  return new FetchPartition('t', ZERO_UUID, 0, offset, epoch, lastFetchedEpoch, 10_000, 0)
}

function fetch(
  partition: Partition,
  fetched: FetchPartition,
  parameters: FetchParameters = FOLLOWER,
  replication: FetchReplication = NO_REPLICATION,
) {
  const timers = new SimulatedTimers(new SimulatedClock())
  let answer: FetchedPartition | null = null
  const operation = new FetchOperation(
    { resolve: () => partition },
    parameters,
    [fetched],
    (answers) => {
      answer = answers[0]!
    },
    (error) => {
      throw error
    },
    UNLIMITED_FETCHES,
    replication,
  )
  operation.start(timers)
  return { timers, answer: (): FetchedPartition | null => answer }
}

describe('a follower’s fetch', () => {
  it('reads what is written, and acknowledges what comes before', () => {
    const { partition, log } = led()
    log.fill(2)
    const { answer } = fetch(partition, wanted(1))
    expect(answer()!.sizeBytes).toBe(FAKE_BATCH_BYTES)
    expect([answer()!.highWatermark, log.highWatermark]).toEqual([1, 1])
  })

  it('waits for records, and comes back with the first that is written', () => {
    const { partition, log } = led()
    const { answer } = fetch(partition, wanted(0))
    expect(answer()).toBeNull()
    log.logEndOffset = 1
    log.writtenOffset = 1
    partition.onWritten()
    expect(answer()!.sizeBytes).toBe(FAKE_BATCH_BYTES)
    expect(log.highWatermark).toBe(0)
  })

  it('says when it began what it has, not when it is answered', () => {
    const { partition, log } = led()
    const first = fetch(partition, wanted(0))
    log.fill(1)
    fetch(partition, wanted(1))
    expect(log.highWatermark).toBe(1)
    partition.onWritten()
    expect(first.answer()).not.toBeNull()
    expect(partition.follower(2)!.endOffset).toBe(1)
  })

  it('is told when its time is over, with the watermark of then', () => {
    const { partition, log } = led()
    const { answer, timers } = fetch(partition, wanted(0))
    log.highWatermark = 0
    timers.advance(500)
    expect(answer()).toMatchObject({ errorCode: 0, sizeBytes: 0 })
  })

  it('that diverges is told where, and acknowledges nothing', () => {
    const { partition, log } = led()
    log.fill(3)
    log.endOffsetForEpoch = () => ({ epoch: 1, endOffset: 2 })
    const { answer } = fetch(partition, wanted(5, 3, 2))
    expect(answer()).toMatchObject({ errorCode: 0, divergingEpoch: { epoch: 1, endOffset: 2 }, sizeBytes: 0 })
    expect(partition.follower(2)!.endOffset).toBe(-1)
  })

  it('beyond the log’s end, or below its start, is out of range and acknowledges nothing', () => {
    const { partition, log } = led()
    log.fill(3)
    log.logStartOffset = 1
    for (const offset of [4, 0]) {
      const { answer } = fetch(partition, wanted(offset))
      expect(answer()).toMatchObject({ errorCode: ErrorCode.OFFSET_OUT_OF_RANGE, logStartOffset: -1 })
    }
    expect(partition.follower(2)!.endOffset).toBe(-1)
  })

  it('of another epoch is refused', () => {
    const { partition } = led()
    expect(fetch(partition, wanted(0, 2)).answer()!.errorCode).toBe(ErrorCode.FENCED_LEADER_EPOCH)
    expect(fetch(partition, wanted(0, 4)).answer()!.errorCode).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH)
  })

  it('of a broker that is no replica is refused', () => {
    const { partition } = led()
    const stranger = { ...FOLLOWER, replicaId: 9 }
    expect(fetch(partition, wanted(0), stranger).answer()!.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect(fetch(partition, wanted(0, 3), stranger).answer()!.errorCode).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH)
  })

  it.each([-1, TEST_BROKER_EPOCH - 1, TEST_BROKER_EPOCH + 1])(
    'of a broker that is not registered with epoch %i is refused, and moves nothing',
    (brokerEpoch) => {
      const { partition, log } = led()
      log.fill(2)
      const { answer } = fetch(partition, wanted(2), { ...FOLLOWER, brokerEpoch })
      expect(answer()).toMatchObject({ errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER, sizeBytes: 0 })
      expect([log.highWatermark, partition.follower(2)!.endOffset]).toEqual([0, -1])
    },
  )

  it('is answered when the leadership ends', () => {
    const { partition } = led()
    const { answer } = fetch(partition, wanted(0, 3))
    partition.update({ ...imageOf(partition), leader: 2, leaderEpoch: 4, partitionEpoch: 1 })
    expect(answer()!.errorCode).toBe(ErrorCode.FENCED_LEADER_EPOCH)
  })

  it('gets nothing while it is throttled', () => {
    const { partition, log } = led()
    log.fill(2)
    const { answer, timers } = fetch(partition, wanted(0), FOLLOWER, { ...NO_REPLICATION, isThrottled: () => true })
    expect(answer()).toBeNull()
    timers.advance(500)
    expect(answer()!.sizeBytes).toBe(0)
  })
})

describe('a consumer', () => {
  it('may read from a follower, up to the watermark there', () => {
    const { partition, log } = led({ leader: 2 })
    log.fill(3)
    log.highWatermark = 2
    expect(fetch(partition, wanted(0), CONSUMER).answer()!.sizeBytes).toBe(2 * FAKE_BATCH_BYTES)
    const old = { ...CONSUMER, mayReadFollower: false }
    expect(fetch(partition, wanted(0), old).answer()!.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  })

  it('is woken at a follower when the watermark moves there', () => {
    const { partition, log } = led({ leader: 2 })
    const { answer } = fetch(partition, wanted(0), CONSUMER)
    log.fill(1)
    expect(answer()).toBeNull()
    partition.followHighWatermark(1)
    expect(answer()!.sizeBytes).toBe(FAKE_BATCH_BYTES)
  })

  it('is sent to a better replica at once, without records', () => {
    const { partition, log } = led()
    log.fill(1)
    log.highWatermark = 1
    const replication = { ...NO_REPLICATION, preferredReplica: () => 2 }
    const inRack = fetch(partition, wanted(0), { ...CONSUMER, rackId: 'a' }, replication)
    expect(inRack.answer()).toMatchObject({ preferredReadReplica: 2, sizeBytes: 0, highWatermark: 1 })
    const nowhere = fetch(partition, wanted(0), CONSUMER, replication)
    expect(nowhere.answer()).toMatchObject({ preferredReadReplica: -1, sizeBytes: FAKE_BATCH_BYTES })
  })
})

function imageOf({ partition, leader, leaderEpoch }: Partition): PartitionImage {
  return {
    partition,
    leader,
    leaderEpoch,
    partitionEpoch: 0,
    leaderRecoveryState: 0,
    replicas: [1, 2],
    isr: [1, 2],
    elr: [],
    lastKnownElr: [],
    addingReplicas: [],
    removingReplicas: [],
    directories: [],
  }
}
