import { ErrorCode } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import { fakePartition } from '../partition/testing/fake-partition.ts'
import { FollowerReplica } from './follower-replica.ts'

/** A log with the leader epochs `[epoch, start]`, that ends at `end`. */
function setUp(epochs: readonly (readonly [number, number])[], end: number) {
  const { partition, log } = fakePartition({ image: { leader: 2, replicas: [1, 2], isr: [1, 2], leaderEpoch: 9 } })
  log.fill(end)
  const fake = Object.assign(log, {
    endOffsetForEpoch(epoch: number) {
      const slot = epochs.findLastIndex(([known]) => known <= epoch)
      if (epochs.length === 0 || epoch > epochs.at(-1)![0]) return { epoch: -1, endOffset: -1 }
      if (slot < 0) return { epoch, endOffset: epochs[0]![1] }
      return { epoch: epochs[slot]![0], endOffset: epochs[slot + 1]?.[1] ?? log.logEndOffset }
    },
    epochOf: (offset: number) => epochs.findLast(([, start]) => start <= offset)?.[0] ?? -1,
    truncateTo(offset: number) {
      log.logEndOffset = Math.min(log.logEndOffset, offset)
      log.writtenOffset = log.logEndOffset
      log.durableOffset = Math.min(log.durableOffset, log.logEndOffset)
    },
    truncateFullyAndStartAt(offset: number) {
      log.logStartOffset = offset
      log.logEndOffset = offset
      log.durableOffset = offset
      log.writtenOffset = offset
    },
    raiseLogStart(offset: number) {
      log.logStartOffset = offset
    },
  })
  const logger = new RecordingLogger()
  return { partition, log: fake, logger, replica: new FollowerReplica(partition, logger) }
}

describe('a follower', () => {
  it('asks from its end with the epoch of its last record, and with none while it has no records', () => {
    const { replica, log } = setUp(
      [
        [3, 0],
        [5, 10],
        [7, 20],
      ],
      20,
    )
    expect([replica.fetchOffset, replica.lastFetchedEpoch]).toEqual([20, 5])
    log.logStartOffset = 20
    expect(replica.lastFetchedEpoch).toBe(-1)
  })

  it('asks for nothing before all that it has is durable', () => {
    const { replica, log } = setUp([[3, 0]], 5)
    expect(replica.isSettled).toBe(true)
    log.logEndOffset = 6
    expect(replica.isSettled).toBe(false)
  })

  it('takes records of which nothing could be stored for damaged ones', () => {
    const { replica, log } = setUp([[3, 0]], 5)
    log.append = () => ErrorCode.NONE
    const fetched = { records: Buffer.alloc(10), highWatermark: 9, logStartOffset: 0 }
    expect(replica.onRecords(5, fetched)).toEqual({ errorCode: ErrorCode.CORRUPT_MESSAGE, appended: false })
    expect(log.highWatermark).toBe(0)
  })

  it('cuts to where the leader ended an epoch that both have', () => {
    const { replica, log } = setUp(
      [
        [3, 0],
        [5, 10],
      ],
      20,
    )
    replica.onDiverging({ epoch: 5, endOffset: 15 })
    expect(log.logEndOffset).toBe(15)
    replica.onDiverging({ epoch: 3, endOffset: 12 })
    expect(log.logEndOffset).toBe(10)
  })

  it('cuts to the end of the next lower epoch where it lacks the leader’s', () => {
    const { replica, log } = setUp(
      [
        [3, 0],
        [5, 10],
        [8, 15],
      ],
      20,
    )
    replica.onDiverging({ epoch: 7, endOffset: 12 })
    // Of epoch 5 the leader may have had less: the next fetch, with that epoch, will tell.
    expect(log.logEndOffset).toBe(15)
  })

  it('believes the leader where it knows no epoch at all', () => {
    const { replica, log } = setUp([], 20)
    replica.onDiverging({ epoch: 2, endOffset: 7 })
    expect(log.logEndOffset).toBe(7)
  })

  it('begins anew where the leader’s log begins later, and cuts where it ends sooner', () => {
    const { replica, log } = setUp([[3, 0]], 20)
    expect(replica.onOutOfRange(5, 30)).toBe(true)
    expect(log.logEndOffset).toBe(20)
    replica.onOutOfRange(0, 12)
    expect(log.logEndOffset).toBe(12)
    replica.onOutOfRange(50, 90)
    expect([log.logStartOffset, log.logEndOffset]).toEqual([50, 50])
  })

  it('warns when it cuts what was committed', () => {
    const { replica, log, logger } = setUp([[3, 0]], 20)
    log.highWatermark = 10
    replica.truncateTo(12)
    expect(logger.messages('warn')).toEqual([])
    replica.truncateTo(8)
    expect(logger.messages('warn')).toEqual(['committed records are cut away'])
  })

  it('takes the leader’s watermark as far as its own log is durable, and never back', () => {
    const { replica, log } = setUp([[3, 0]], 5)
    const answer = { records: null, logStartOffset: 0 }
    replica.onRecords(5, { ...answer, highWatermark: 9 })
    expect(log.highWatermark).toBe(5)
    log.fill(3)
    replica.onDurable()
    expect(log.highWatermark).toBe(8)
    replica.onRecords(8, { ...answer, highWatermark: 2 })
    expect(log.highWatermark).toBe(8)
  })

  it('follows the leader’s log start', () => {
    const { replica, log } = setUp([[3, 0]], 5)
    replica.onRecords(5, { records: null, highWatermark: 5, logStartOffset: 4 })
    expect(log.logStartOffset).toBe(4)
    replica.onRecords(5, { records: null, highWatermark: 5, logStartOffset: 2 })
    expect(log.logStartOffset).toBe(4)
  })

  it('leaves an answer alone that does not begin where its log ends now', () => {
    const { replica, log } = setUp([[3, 0]], 5)
    const answer = { records: Buffer.alloc(100), highWatermark: 9, logStartOffset: 0 }
    expect(replica.onRecords(4, answer)).toEqual({ errorCode: ErrorCode.NONE, appended: false })
    expect(log.highWatermark).toBe(0)
  })

  it('is out of date once the metadata names another leader or epoch', () => {
    const { replica, partition } = setUp([[3, 0]], 5)
    expect(replica.isCurrent).toBe(true)
    partition.leaderEpoch = 10
    expect(replica.isCurrent).toBe(false)
  })
})
