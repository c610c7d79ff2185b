import {
  createDescribeTransactionsResponse,
  createDescribeTransactionsResponseTopicData,
  createDescribeTransactionsResponseTransactionState,
  type DescribeTransactionsRequest,
  type DescribeTransactionsResponse,
  type DescribeTransactionsResponseTransactionState,
  describeTransactionsApi,
  ErrorCode,
} from '@millrace/protocol'
import type { TransactionCoordinator } from '../coordinator/transaction/transaction-coordinator.ts'
import { statusName } from '../coordinator/transaction/transaction-state.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { mapInSlices, type NextTurn, whenMapped } from './slices.ts'

/** A transaction may have some thousand partitions. */
const SLICE_IDS = 16

/** DescribeTransactions 0: what transactional ids are at (KIP-664). An id that is named again is answered once. */
export function describeTransactionsHandler(deps: {
  transactions: Pick<TransactionCoordinator, 'committed'>
  nextTurn: NextTurn
}): ApiHandler<DescribeTransactionsRequest, DescribeTransactionsResponse> {
  return defineHandler(describeTransactionsApi, (request, context) => {
    const described = mapInSlices(
      [...new Set(request.transactionalIds)],
      deps.nextTurn,
      (transactionalId) => describe(deps.transactions, transactionalId),
      context,
      SLICE_IDS,
      ({ topics }) => topics.reduce((count, { partitions }) => count + 1 + partitions.length, 1),
    )
    return whenMapped(described, (transactionStates) => createDescribeTransactionsResponse({ transactionStates }))
  })
}

function describe(
  transactions: Pick<TransactionCoordinator, 'committed'>,
  transactionalId: string,
): DescribeTransactionsResponseTransactionState {
  const failed = (errorCode: number): DescribeTransactionsResponseTransactionState =>
    createDescribeTransactionsResponseTransactionState({ transactionalId, errorCode })
  if (transactionalId === '') return failed(ErrorCode.INVALID_REQUEST)
  const { errorCode, response } = transactions.committed(transactionalId)
  if (response === null) return failed(errorCode)
  const { state } = response
  if (state === undefined) return failed(ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
  return createDescribeTransactionsResponseTransactionState({
    transactionalId,
    transactionState: statusName(state.status),
    transactionTimeoutMs: state.timeoutMs,
    transactionStartTimeMs: state.startMs,
    producerId: state.producerId,
    producerEpoch: state.producerEpoch,
    topics: Array.from(state.partitions, ([topic, partitions]) =>
      createDescribeTransactionsResponseTopicData({ topic, partitions: [...partitions] }),
    ),
  })
}
