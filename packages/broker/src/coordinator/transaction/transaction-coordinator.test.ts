import { ErrorCode, recordCountOf } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { type TestIdentity, TransactionFixture } from '../testing/transaction-fixture.ts'
import { TransactionStatus } from './transaction-state.ts'

/** Goal: what is answered is committed, what is decided is told once it is committed, and nothing is left open for ever. */

const { EMPTY, ONGOING, PREPARE_COMMIT, PREPARE_ABORT, COMPLETE_COMMIT, COMPLETE_ABORT } = TransactionStatus
const { NONE, CONCURRENT_TRANSACTIONS, PRODUCER_FENCED, TRANSACTION_ABORTABLE } = ErrorCode

function statusOf(fixture: TransactionFixture, id = 'x'): TransactionStatus | undefined {
  return fixture.state(id)?.status
}

describe('the end of a transaction', () => {
  test('is told to partitions when the decision is committed, not before', async () => {
    const fixture = await TransactionFixture.start()
    const x = await fixture.init('x')
    await fixture.ask('x', x, false)
    fixture.holdsCommits = true
    void fixture.end('x', x, true)
    await fixture.settle()
    expect(fixture.markers).toEqual([])
    fixture.holdsCommits = false
    await fixture.settle()
    expect(fixture.markers).toMatchObject([
      { partition: 0, producerId: x.producerId, producerEpoch: 1, coordinatorEpoch: 0, commit: true },
    ])
    expect(statusOf(fixture)).toBe(PREPARE_COMMIT)
    await fixture.answerMarkers()
    expect(statusOf(fixture)).toBe(COMPLETE_COMMIT)
  })

  test('that the log refuses has not happened, and may come again', async () => {
    const fixture = await TransactionFixture.start()
    const x = await fixture.init('x')
    await fixture.ask('x', x, false)
    fixture.log.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    const refused = await fixture.end('x', x, true)
    expect(refused.errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(statusOf(fixture)).toBe(ONGOING)
    fixture.log.appendError = 0
    // The other way is still open.
    expect(await fixture.end('x', x, false)).toMatchObject({ errorCode: NONE, producerEpoch: 1 })
    expect(fixture.markers.map(({ commit }) => commit)).toEqual([false])
  })

  test('whose answer came too late is told all the same, once it is committed', async () => {
    const fixture = await TransactionFixture.start()
    const x = await fixture.init('x')
    await fixture.ask('x', x, false)
    fixture.holdsCommits = true
    const ended = fixture.end('x', x, true)
    await fixture.advance(10_000)
    expect((await ended).errorCode).not.toBe(NONE)
    expect(fixture.markers).toEqual([])
    fixture.holdsCommits = false
    await fixture.settle()
    await fixture.answerMarkers()
    expect(statusOf(fixture)).toBe(COMPLETE_COMMIT)
    expect(await fixture.end('x', x, true)).toMatchObject({ errorCode: NONE, producerEpoch: 1 })
  })

  test('is told by the next coordinator, with its own epoch, when this one dies in between', async () => {
    const fixture = await TransactionFixture.start()
    const x = await fixture.init('x')
    await fixture.ask('x', x, false)
    await fixture.end('x', x, false)
    await fixture.restart()
    expect(fixture.markers).toMatchObject([{ partition: 0, producerEpoch: 1, coordinatorEpoch: 1, commit: false }])
    await fixture.answerMarkers()
    expect(statusOf(fixture)).toBe(COMPLETE_ABORT)
  })

  test('is written again where its completion could not be', async () => {
    const fixture = await TransactionFixture.start()
    const x = await fixture.init('x')
    await fixture.ask('x', x, false)
    await fixture.end('x', x, true)
    fixture.log.appendError = ErrorCode.KAFKA_STORAGE_ERROR
    await fixture.answerMarkers()
    expect(statusOf(fixture)).toBe(PREPARE_COMMIT)
    fixture.log.appendError = 0
    await fixture.advance(500)
    expect(statusOf(fixture)).toBe(COMPLETE_COMMIT)
  })

  test('of a coordinator that was replaced while markers were out changes nothing', async () => {
    const fixture = await TransactionFixture.start()
    const x = await fixture.init('x')
    await fixture.ask('x', x, false)
    await fixture.end('x', x, true)
    fixture.coordinator.onResignation(0)
    const endOffset = fixture.log.logEndOffset
    await fixture.answerMarkers()
    expect(fixture.log.logEndOffset).toBe(endOffset)
  })

  test('without any partition comes at once: nothing was begun, or offsets were promised and never sent', async () => {
    const fixture = await TransactionFixture.start()
    const x = await fixture.init('x')
    const aborted = await fixture.end('x', x, false)
    expect(aborted).toMatchObject({ errorCode: NONE, producerEpoch: 1 })
    expect(statusOf(fixture)).toBe(COMPLETE_ABORT)
    expect(await fixture.addOffsets('x', aborted)).toBe(NONE)
    await fixture.end('x', aborted, false)
    await fixture.answerMarkers()
    expect(statusOf(fixture)).toBe(COMPLETE_ABORT)
  })

  test('of an old client that comes again is written again, so that a replaced coordinator cannot answer it', async () => {
    const fixture = await TransactionFixture.start({}, 0)
    const x = await fixture.init('x')
    await fixture.enlist('x', x)
    await fixture.end('x', x, true, true)
    await fixture.answerMarkers()
    fixture.log.appendError = ErrorCode.NOT_LEADER_OR_FOLLOWER
    expect((await fixture.end('x', x, true, true)).errorCode).toBe(ErrorCode.NOT_COORDINATOR)
    fixture.log.appendError = 0
    expect((await fixture.end('x', x, true, true)).errorCode).toBe(NONE)
  })
})

describe('what leaders of partitions ask', () => {
  test('is answered as of the last commit', async () => {
    const fixture = await TransactionFixture.start()
    const x = await fixture.init('x')
    expect(await fixture.ask('x', x, true)).toBe(TRANSACTION_ABORTABLE)
    fixture.holdsCommits = true
    const enlisted = fixture.enlist('x', x)
    expect(await fixture.ask('x', x, true)).toBe(TRANSACTION_ABORTABLE)
    fixture.holdsCommits = false
    await fixture.settle()
    expect(await enlisted).toBe(NONE)
    expect(await fixture.ask('x', x, true)).toBe(NONE)
    expect(await fixture.ask('x', x, true, 'data', 1)).toBe(TRANSACTION_ABORTABLE)
    await fixture.end('x', x, true, true)
    expect(await fixture.ask('x', x, true)).toBe(CONCURRENT_TRANSACTIONS)
    await fixture.answerMarkers()
    expect(await fixture.ask('x', { ...x, producerEpoch: 9 }, true)).toBe(PRODUCER_FENCED)
    expect(await fixture.ask('y', x, true)).toBe(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
  })

  test('cannot make topics of the broker itself part of a transaction', async () => {
    const fixture = await TransactionFixture.start()
    const x = await fixture.init('x')
    expect(await fixture.ask('x', x, false, '__transaction_state')).toBe(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    expect(await fixture.ask('x', x, false, 'nowhere')).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(statusOf(fixture)).toBe(EMPTY)
  })
})

describe('time', () => {
  test.each([0, 2])(
    'that runs out aborts a transaction and fences its producer, at transaction.version %i',
    async (version) => {
      const fixture = await TransactionFixture.start({}, version)
      const x = await fixture.init('x', { transactionTimeoutMs: 5_000 })
      await fixture.enlist('x', x)
      await fixture.advance(4_000)
      expect(statusOf(fixture)).toBe(ONGOING)
      await fixture.advance(3_000)
      expect(statusOf(fixture)).toBe(PREPARE_ABORT)
      expect(fixture.markers).toMatchObject([{ commit: false, producerEpoch: 1 }])
      await fixture.answerMarkers()
      expect((await fixture.end('x', x, true, true)).errorCode).toBe(PRODUCER_FENCED)
      expect(await fixture.enlist('x', x)).toBe(PRODUCER_FENCED)
      expect(fixture.coordinator.counters.timedOutTransactions).toBe(1)
      expect((await fixture.init('x')).producerEpoch).toBe(2)
    },
  )

  test('goes on over the death of a coordinator', async () => {
    const fixture = await TransactionFixture.start()
    const x = await fixture.init('x', { transactionTimeoutMs: 5_000 })
    await fixture.enlist('x', x)
    await fixture.advance(4_000)
    await fixture.restart()
    await fixture.advance(3_000)
    expect(statusOf(fixture)).toBe(PREPARE_ABORT)
  })

  test('does not end what is decided outside (two-phase commit), where that is allowed', async () => {
    const refused = await TransactionFixture.start()
    expect((await refused.init('x', { enable2Pc: true })).errorCode).toBe(
      ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    )
    const fixture = await TransactionFixture.start({ transactionTwoPhaseCommitEnable: true })
    const x = await fixture.init('x', { enable2Pc: true })
    await fixture.enlist('x', x)
    await fixture.advance(600_000)
    expect(statusOf(fixture)).toBe(ONGOING)
  })

  test('without use takes ids away, but none with an open transaction', async () => {
    const fixture = await TransactionFixture.start({
      transactionalIdExpirationMs: 100_000,
      transactionRemoveExpiredTransactionCleanupIntervalMs: 10_000,
    })
    await fixture.init('idle')
    const busy = await fixture.init('busy', { transactionTimeoutMs: 900_000 })
    await fixture.enlist('busy', busy)
    await fixture.advance(60_000)
    await fixture.init('used')
    await fixture.advance(60_000)
    expect([fixture.state('idle'), statusOf(fixture, 'busy'), statusOf(fixture, 'used')]).toEqual([
      null,
      ONGOING,
      EMPTY,
    ])
    expect(fixture.coordinator.counters.expiredIds).toBe(1)
    await fixture.restart()
    expect([fixture.state('idle'), statusOf(fixture, 'busy'), statusOf(fixture, 'used')]).toEqual([
      null,
      ONGOING,
      EMPTY,
    ])
    // It comes back as another producer.
    expect((await fixture.init('idle')).producerId).toBeGreaterThan(busy.producerId)
  })

  test('that a client asks for is bounded', async () => {
    const fixture = await TransactionFixture.start()
    for (const transactionTimeoutMs of [0, -1, 900_001]) {
      expect((await fixture.init('x', { transactionTimeoutMs })).errorCode).toBe(ErrorCode.INVALID_TRANSACTION_TIMEOUT)
    }
  })
})

describe('a producer that goes on before the markers of its last transaction are written', () => {
  async function endedOnce(): Promise<{ fixture: TransactionFixture; x: TestIdentity }> {
    const fixture = await TransactionFixture.start({}, 0)
    const x = await fixture.init('x')
    await fixture.enlist('x', x)
    await fixture.end('x', x, true, true)
    return { fixture, x }
  }

  test('is answered when they are, and its next transaction is in the batch that completes the last one', async () => {
    const { fixture, x } = await endedOnce()
    const codes: number[] = []
    void fixture.enlist('x', x).then((code) => codes.push(code))
    await fixture.settle()
    expect(codes).toEqual([])
    const batchCount = fixture.log.batches.length
    await fixture.answerMarkers()
    expect(codes).toEqual([NONE])
    expect(statusOf(fixture)).toBe(ONGOING)
    expect(fixture.log.batches.slice(batchCount).map((batch) => recordCountOf(batch, 0))).toEqual([2])
    // Nothing is left that would wake it again.
    const { pendingCount } = fixture.timers
    await fixture.settle()
    expect(fixture.timers.pendingCount).toBe(pendingCount)
  })

  test('is told to come back when they take longer than it would wait itself', async () => {
    const { fixture, x } = await endedOnce()
    const codes: number[] = []
    void fixture.enlist('x', x).then((code) => codes.push(code))
    void fixture.addOffsets('x', x).then((code) => codes.push(code))
    await fixture.settle()
    fixture.timers.advance(19)
    await fixture.settle()
    expect(codes).toEqual([])
    fixture.timers.advance(1)
    await fixture.settle()
    expect(codes).toEqual([CONCURRENT_TRANSACTIONS, CONCURRENT_TRANSACTIONS])
    expect(statusOf(fixture)).toBe(PREPARE_COMMIT)
  })

  test('hears at once that this node is not its coordinator any more', async () => {
    const { fixture, x } = await endedOnce()
    const answer = fixture.enlist('x', x)
    await fixture.settle()
    fixture.coordinator.onResignation(0)
    expect(await answer).toBe(ErrorCode.NOT_COORDINATOR)
  })

  test('does not wait where it is not that producer, or where another broker asks for many at once', async () => {
    const { fixture, x } = await endedOnce()
    expect(await fixture.enlist('x', { ...x, producerEpoch: 9 })).toBe(PRODUCER_FENCED)
    expect(await fixture.ask('x', x, false)).toBe(CONCURRENT_TRANSACTIONS)
    expect(fixture.coordinator.whenEnded({ transactionalId: 'y', ...x }, 100)).toBeNull()
  })
})

describe('another producer with the same id', () => {
  test('waits until the open transaction is aborted, and then is alone', async () => {
    const fixture = await TransactionFixture.start()
    const first = await fixture.init('x')
    await fixture.enlist('x', first)
    expect((await fixture.init('x')).errorCode).toBe(CONCURRENT_TRANSACTIONS)
    expect((await fixture.init('x')).errorCode).toBe(CONCURRENT_TRANSACTIONS)
    await fixture.answerMarkers()
    const second = await fixture.init('x')
    expect(second).toMatchObject({ errorCode: NONE, producerId: first.producerId, producerEpoch: 2 })
    expect(await fixture.enlist('x', first)).toBe(PRODUCER_FENCED)
    expect(await fixture.enlist('x', second)).toBe(NONE)
  })
})

describe('what ids may take', () => {
  test('is bounded: no new one, while those that are there go on', async () => {
    const fixture = await TransactionFixture.start({ transactionCoordinatorMaxIds: 4 })
    const codes: number[] = []
    for (let number = 0; number < 6; number++) codes.push((await fixture.init(`x${number}`)).errorCode)
    expect(codes.filter((code) => code === NONE).length).toBeLessThanOrEqual(4)
    expect(codes.at(-1)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(fixture.coordinator.refusalCount).toBeGreaterThan(0)
    expect((await fixture.init('x0')).errorCode).toBe(NONE)
  })

  test('is given back with the partition of ids', async () => {
    const fixture = await TransactionFixture.start()
    await fixture.init('x')
    const used = (): number[] => fixture.coordinator.budgets().map(({ used }) => used)
    expect(used()[0]).toBe(1)
    fixture.coordinator.onResignation(0)
    expect(used()).toEqual([0, 0])
  })
})
