import { SimulatedClock } from '@millrace/base'
import { createListTransactionsRequest, ErrorCode, type ListTransactionsResponse } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { contextOf } from '../coordinator/testing/coordinator-fixture.ts'
import { firstState } from '../coordinator/transaction/init-producer-id.ts'
import type { TransactionState } from '../coordinator/transaction/transaction-state.ts'
import { listTransactionsHandler } from './66-list-transactions.ts'

/** Goal: whatever a client asks for, no turn of the loop is long, and nobody waits for an answer that nobody awaits. */

/** Costs some 340 times what a plain one does. */
const DEAR_PATTERN = '(?:(?:.*a){9}b?){25}b'

function state(transactionalId: string): TransactionState {
  const input = { transactionalId, timeoutMs: 1_000, expected: null, clientAddress: '127.0.0.1' }
  return firstState(input, 1, null, 0)
}

async function list(
  partitions: TransactionState[][],
  pattern: string | null,
  goneAfterTurns = Number.POSITIVE_INFINITY,
) {
  let turns = 0
  let listed = 0
  let abandon = (): void => undefined
  const handler = listTransactionsHandler({
    transactions: {
      listByPartition: () =>
        partitions.map((states) => () => {
          listed++
          return states
        }),
    },
    clock: new SimulatedClock(),
    nextTurn: async () => {
      if (++turns >= goneAfterTurns) abandon()
    },
  })
  const context = {
    ...contextOf(66, 2),
    onAbandoned: (callback: () => void) => {
      abandon = callback
    },
  }
  const answer = await handler.handle(createListTransactionsRequest({ transactionalIdPattern: pattern }), context)
  return { turns, listed, answer: answer as ListTransactionsResponse }
}

function partitionsOf(partitionCount: number, idCount: number, length: number): TransactionState[][] {
  return Array.from({ length: partitionCount }, (_, partition) =>
    Array.from({ length: idCount }, (_, number) => state(`${partition}-${number}-`.padEnd(length, 'a'))),
  )
}

test('many partitions of a few ids each are no single turn', async () => {
  const { turns, answer } = await list(partitionsOf(50, 100, 20), null)
  expect(answer.transactionStates).toHaveLength(5_000)
  expect(turns).toBeGreaterThanOrEqual(10)
})

test('a dear pattern is matched with a few ids in a turn', async () => {
  const { turns, answer } = await list(partitionsOf(4, 25, 1_000), DEAR_PATTERN)
  expect(answer).toMatchObject({ errorCode: ErrorCode.NONE, transactionStates: [] })
  // One costs some 180 elements of 500.
  expect(turns).toBeGreaterThanOrEqual(45)
})

test('a pattern that is too dear for the length of an id is refused, where a plain one is not', async () => {
  const partitions = [[state('short'), state('a'.repeat(32_000))]]
  const dear = await list(partitions, DEAR_PATTERN)
  expect(dear.answer.errorCode).toBe(ErrorCode.INVALID_REGULAR_EXPRESSION)
  const plain = await list(partitions, 'a*')
  expect(plain.answer.transactionStates.map(({ transactionalId }) => transactionalId.length)).toEqual([32_000])
})

test('nothing is looked at any more for a client that went away', async () => {
  const { turns, listed } = await list(partitionsOf(50, 500, 20), null, 2)
  expect({ turns, listed }).toEqual({ turns: 2, listed: 2 })
})
