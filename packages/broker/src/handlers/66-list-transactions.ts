import type { Clock } from '@millrace/base'
import {
  createListTransactionsResponse,
  createListTransactionsResponseTransactionState,
  ErrorCode,
  type ListTransactionsRequest,
  type ListTransactionsResponse,
  type ListTransactionsResponseTransactionState,
  listTransactionsApi,
} from '@millrace/protocol'
import { compileTopicRegex } from '../coordinator/group/consumer/topic-regex.ts'
import type { TransactionCoordinator } from '../coordinator/transaction/transaction-coordinator.ts'
import {
  statusName,
  statusOfName,
  type TransactionState,
  type TransactionStatus,
} from '../coordinator/transaction/transaction-state.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { type NextTurn, SLICE_ELEMENTS, turnFor, watch } from './slices.ts'

export interface ListTransactionsDeps {
  readonly transactions: Pick<TransactionCoordinator, 'listByPartition'>
  readonly clock: Clock
  readonly nextTurn: NextTurn
}

/** ListTransactions 0–2: the transactional ids that this node coordinates, by state, producer, age of the transaction and name (KIP-664, 994, 1152). */
export function listTransactionsHandler(
  deps: ListTransactionsDeps,
): ApiHandler<ListTransactionsRequest, ListTransactionsResponse> {
  return defineHandler(listTransactionsApi, async (request, context) => {
    const partitions = deps.transactions.listByPartition()
    if ('errorCode' in partitions) return createListTransactionsResponse({ errorCode: partitions.errorCode })
    const filter = filterOf(request, deps.clock.wallMs())
    if (filter === null) return createListTransactionsResponse({ errorCode: ErrorCode.INVALID_REGULAR_EXPRESSION })
    const listed: ListTransactionsResponseTransactionState[] = []
    const isGone = watch(context)
    for (const list of partitions) {
      const states = list()
      for (let start = 0; start < states.length; start += SLICE_ELEMENTS) {
        if (start > 0) await turnFor(context, deps.nextTurn)
        if (isGone()) break
        const end = Math.min(states.length, start + SLICE_ELEMENTS)
        const countBefore = listed.length
        for (let slot = start; slot < end; slot++) if (filter(states[slot]!)) listed.push(listedState(states[slot]!))
        if (states.length > SLICE_ELEMENTS) context.growAnswer(listed.length - countBefore)
      }
    }
    const unknownStateFilters = request.stateFilters.filter((name) => statusOfName(name) === undefined)
    return createListTransactionsResponse({ unknownStateFilters, transactionStates: listed })
  })
}

/** Null: the pattern is none. */
function filterOf(request: ListTransactionsRequest, nowMs: number): ((state: TransactionState) => boolean) | null {
  const statuses = new Set<TransactionStatus | null | undefined>(request.stateFilters.map(statusOfName))
  const producerIds = new Set(request.producerIdFilters.map(Number))
  const durationMs = Number(request.durationFilter)
  const { transactionalIdPattern } = request
  const hasPattern = transactionalIdPattern !== null && transactionalIdPattern !== ''
  const pattern = hasPattern ? compileTopicRegex(transactionalIdPattern) : null
  if (hasPattern && pattern === null) return null
  return ({ transactionalId, producerId, status, startMs }) => {
    if (producerIds.size > 0 && !producerIds.has(producerId)) return false
    if (statuses.size > 0 && !statuses.has(status)) return false
    if (durationMs >= 0 && nowMs - startMs <= durationMs) return false
    return pattern === null || pattern.matches(transactionalId)
  }
}

function listedState({ transactionalId, producerId, status }: TransactionState) {
  return createListTransactionsResponseTransactionState({
    transactionalId,
    producerId,
    transactionState: statusName(status),
  })
}
