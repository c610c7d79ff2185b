import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { complete, endTransaction, fence } from './end-transaction.ts'
import { FENCE, firstState, reinitialize } from './init-producer-id.ts'
import { type InitInput, NEEDS_PRODUCER_ID, type ProducerIdentity } from './transaction-protocol.ts'
import { type TransactionState, TransactionStatus } from './transaction-state.ts'

/** Goal: InitProducerId and EndTxn answer, and change epochs, as `replication-and-transactions.md`, 10, has it, in every status. */

const { EMPTY, ONGOING, PREPARE_COMMIT, PREPARE_ABORT, COMPLETE_COMMIT, COMPLETE_ABORT } = TransactionStatus
const { NONE, CONCURRENT_TRANSACTIONS, INVALID_TXN_STATE, PRODUCER_FENCED, INVALID_PRODUCER_ID_MAPPING } = ErrorCode
const NOW = 5_000
const FRESH = 99
const LAST = 32_766

function initOf(expected: ProducerIdentity | null = null): InitInput {
  return { transactionalId: 'x', timeoutMs: 60_000, expected, clientAddress: '127.0.0.1' }
}

function stateOf(status: TransactionStatus, fields: Partial<TransactionState> = {}): TransactionState {
  const partitions = new Map(status === EMPTY ? [] : [['t', [0]] as const])
  return { ...firstState(initOf(), 7, null, 1_000), producerEpoch: 5, status, partitions, startMs: 900, ...fields }
}

/** An error code, or what changed. */
function outcomeOf(outcome: unknown): unknown {
  if (typeof outcome !== 'object' || outcome === null) return outcome
  const { producerId, producerEpoch, lastProducerEpoch, nextProducerId, status } = outcome as TransactionState
  return { producerId, producerEpoch, lastProducerEpoch, nextProducerId, status }
}

describe('EndTxn', () => {
  describe('of a client from before KIP-890', () => {
    const end = (state: TransactionState, commit: boolean, identity: Partial<ProducerIdentity> = {}): unknown =>
      outcomeOf(
        endTransaction(
          state,
          {
            ...{ transactionalId: 'x', producerId: 7, producerEpoch: 5, commit, clientVersion: 0 },
            ...identity,
          },
          null,
          NOW,
        ),
      )

    test.each([
      ['Empty', EMPTY, INVALID_TXN_STATE, INVALID_TXN_STATE],
      ['PrepareCommit', PREPARE_COMMIT, CONCURRENT_TRANSACTIONS, INVALID_TXN_STATE],
      ['PrepareAbort', PREPARE_ABORT, INVALID_TXN_STATE, CONCURRENT_TRANSACTIONS],
      ['CompleteCommit', COMPLETE_COMMIT, NONE, INVALID_TXN_STATE],
      ['CompleteAbort', COMPLETE_ABORT, INVALID_TXN_STATE, NONE],
    ])('in %s', (_, status, committed, aborted) => {
      expect([end(stateOf(status), true), end(stateOf(status), false)]).toEqual([committed, aborted])
    })

    test('in Ongoing decides, and keeps the epoch', () => {
      const kept = { producerId: 7, producerEpoch: 5, lastProducerEpoch: -1, nextProducerId: -1 }
      expect(end(stateOf(ONGOING), true)).toEqual({ ...kept, status: PREPARE_COMMIT })
      expect(end(stateOf(ONGOING), false)).toEqual({ ...kept, status: PREPARE_ABORT })
    })

    test('by another producer is refused', () => {
      expect(end(stateOf(ONGOING), true, { producerId: 8 })).toBe(INVALID_PRODUCER_ID_MAPPING)
      expect(end(stateOf(ONGOING), true, { producerEpoch: 4 })).toBe(PRODUCER_FENCED)
      expect(end(stateOf(ONGOING), true, { producerEpoch: 6 })).toBe(PRODUCER_FENCED)
    })
  })

  describe('of a client by KIP-890', () => {
    const end = (
      state: TransactionState,
      commit: boolean,
      producerEpoch: number,
      { producerId = 7, fresh = null }: { producerId?: number; fresh?: number | null } = {},
    ): unknown =>
      outcomeOf(
        endTransaction(
          state,
          { transactionalId: 'x', producerId, producerEpoch, commit, clientVersion: 2 },
          fresh,
          NOW,
        ),
      )

    test.each([
      // Status, the epoch that is named against that of the state (5), and the answers to commit and abort.
      ['Empty', EMPTY, 5, INVALID_TXN_STATE, 'decides'],
      ['Empty, the epoch before', EMPTY, 4, PRODUCER_FENCED, PRODUCER_FENCED],
      ['Ongoing', ONGOING, 5, 'decides', 'decides'],
      ['Ongoing, the epoch before', ONGOING, 4, PRODUCER_FENCED, PRODUCER_FENCED],
      ['PrepareCommit, which comes again', PREPARE_COMMIT, 4, CONCURRENT_TRANSACTIONS, INVALID_TXN_STATE],
      ['PrepareAbort, which comes again', PREPARE_ABORT, 4, INVALID_TXN_STATE, CONCURRENT_TRANSACTIONS],
      [
        'PrepareCommit, with the epoch that its end was answered with',
        PREPARE_COMMIT,
        5,
        CONCURRENT_TRANSACTIONS,
        CONCURRENT_TRANSACTIONS,
      ],
      ['PrepareCommit, with an epoch not given out', PREPARE_COMMIT, 6, PRODUCER_FENCED, PRODUCER_FENCED],
      ['CompleteCommit, which comes again', COMPLETE_COMMIT, 4, NONE, INVALID_TXN_STATE],
      ['CompleteAbort, which comes again', COMPLETE_ABORT, 4, INVALID_TXN_STATE, NONE],
      ['CompleteCommit, of a transaction that has not begun', COMPLETE_COMMIT, 5, INVALID_TXN_STATE, 'decides'],
      ['CompleteAbort, of a transaction that has not begun', COMPLETE_ABORT, 5, INVALID_TXN_STATE, 'decides'],
      ['CompleteCommit, long ago', COMPLETE_COMMIT, 3, PRODUCER_FENCED, PRODUCER_FENCED],
    ])('in %s', (_, status, producerEpoch, ...expected) => {
      const decided = (commit: boolean): unknown => ({
        ...{ producerId: 7, producerEpoch: 6, lastProducerEpoch: 5, nextProducerId: -1 },
        status: commit ? PREPARE_COMMIT : PREPARE_ABORT,
      })
      for (const [slot, commit] of [true, false].entries()) {
        const outcome = end(stateOf(status), commit, producerEpoch)
        expect(outcome).toEqual(expected[slot] === 'decides' ? decided(commit) : expected[slot])
      }
    })

    test('with the last epoch goes on under another producer id, and may come again', () => {
      const open = stateOf(ONGOING, { producerEpoch: LAST })
      expect(end(open, true, LAST)).toBe(NEEDS_PRODUCER_ID)
      const input = { transactionalId: 'x', producerId: 7, producerEpoch: LAST, commit: true, clientVersion: 2 }
      const decided = endTransaction(open, input, FRESH, NOW) as TransactionState
      expect(outcomeOf(decided)).toEqual({
        ...{ producerId: 7, producerEpoch: 32_767, lastProducerEpoch: LAST },
        ...{ nextProducerId: FRESH, status: PREPARE_COMMIT },
      })
      expect(end(decided, true, LAST)).toBe(CONCURRENT_TRANSACTIONS)
      // It was told of the other id, and may be quicker than the markers.
      expect(end(decided, false, 0, { producerId: FRESH })).toBe(CONCURRENT_TRANSACTIONS)
      const renewed = { producerId: FRESH, producerEpoch: 0 }
      expect(reinitialize(decided, initOf(renewed), null, NOW)).toBe(CONCURRENT_TRANSACTIONS)
      const completed = complete(decided, NOW)
      expect(outcomeOf(completed)).toMatchObject({ producerId: FRESH, producerEpoch: 0, status: COMPLETE_COMMIT })
      expect(end(completed, true, LAST)).toBe(NONE)
      expect(end(completed, false, LAST)).toBe(INVALID_TXN_STATE)
      expect(end(completed, true, LAST - 1)).toBe(INVALID_PRODUCER_ID_MAPPING)
      expect(end(completed, true, 0, { producerId: FRESH })).toBe(INVALID_TXN_STATE)
    })
  })
})

describe('a transaction that its coordinator aborts', () => {
  test('fences its producer by one epoch', () => {
    const fenced = { producerId: 7, producerEpoch: 6, nextProducerId: -1, status: PREPARE_ABORT }
    expect(outcomeOf(fence(stateOf(ONGOING), 0, null, NOW))).toEqual({ ...fenced, lastProducerEpoch: -1 })
    expect(outcomeOf(fence(stateOf(ONGOING), 2, null, NOW))).toEqual({ ...fenced, lastProducerEpoch: 5 })
  })

  test('where the epochs have run out', () => {
    const open = stateOf(ONGOING, { producerEpoch: LAST })
    expect(outcomeOf(fence(open, 0, null, NOW))).toMatchObject({ producerEpoch: 32_767, nextProducerId: -1 })
    expect(fence(open, 2, null, NOW)).toBe(NEEDS_PRODUCER_ID)
    expect(outcomeOf(fence(open, 2, FRESH, NOW))).toMatchObject({ producerEpoch: 32_767, nextProducerId: FRESH })
  })
})

describe('InitProducerId', () => {
  const init = (state: TransactionState, expected: ProducerIdentity | null, fresh: number | null = null): unknown =>
    outcomeOf(reinitialize(state, initOf(expected), fresh, NOW))
  const COMPLETE = stateOf(COMPLETE_COMMIT, { lastProducerEpoch: -1 })

  test.each([
    ['Empty', EMPTY, 'next'],
    ['Ongoing', ONGOING, FENCE],
    ['PrepareCommit', PREPARE_COMMIT, CONCURRENT_TRANSACTIONS],
    ['PrepareAbort', PREPARE_ABORT, CONCURRENT_TRANSACTIONS],
    ['CompleteCommit', COMPLETE_COMMIT, 'next'],
    ['CompleteAbort', COMPLETE_ABORT, 'next'],
  ])('in %s', (_, status, expected) => {
    const next = { producerId: 7, producerEpoch: 6, lastProducerEpoch: -1, nextProducerId: -1, status: EMPTY }
    expect(init(stateOf(status), null)).toEqual(expected === 'next' ? next : expected)
  })

  test('of the producer itself is known when it comes again, and of nobody else', () => {
    const raised = reinitialize(COMPLETE, initOf({ producerId: 7, producerEpoch: 5 }), null, NOW) as TransactionState
    expect(outcomeOf(raised)).toMatchObject({ producerEpoch: 6, lastProducerEpoch: 5 })
    expect(init(raised, { producerId: 7, producerEpoch: 5 })).toMatchObject({ producerEpoch: 6, lastProducerEpoch: 5 })
    // A new producer came: the one before is not let in again.
    const taken = reinitialize(raised, initOf(), null, NOW) as TransactionState
    expect(outcomeOf(taken)).toMatchObject({ producerEpoch: 7, lastProducerEpoch: -1 })
    expect(init(taken, { producerId: 7, producerEpoch: 6 })).toBe(PRODUCER_FENCED)
    expect(init(taken, { producerId: 8, producerEpoch: 7 })).toBe(PRODUCER_FENCED)
  })

  test('with the last epoch gives another producer id, also to the producer that has not heard of it', () => {
    const spent = stateOf(COMPLETE_COMMIT, { producerEpoch: LAST })
    expect(init(spent, null)).toBe(NEEDS_PRODUCER_ID)
    const itself = { producerId: 7, producerEpoch: LAST }
    const renewed = reinitialize(spent, initOf(itself), FRESH, NOW) as TransactionState
    expect(outcomeOf(renewed)).toMatchObject({ producerId: FRESH, producerEpoch: 0, lastProducerEpoch: LAST })
    expect(init(renewed, itself)).toMatchObject({ producerId: FRESH, producerEpoch: 0 })
    expect(init(renewed, { producerId: 7, producerEpoch: LAST - 1 })).toBe(PRODUCER_FENCED)
  })
})
