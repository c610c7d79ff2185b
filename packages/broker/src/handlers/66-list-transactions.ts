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
import { compileTopicRegex, loadTopicRegex, type TopicRegex } from '../coordinator/group/consumer/topic-regex.ts'
import type { TransactionCoordinator } from '../coordinator/transaction/transaction-coordinator.ts'
import {
  statusName,
  statusOfName,
  type TransactionState,
  type TransactionStatus,
} from '../coordinator/transaction/transaction-state.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { type Asker, type NextTurn, SLICE_ELEMENTS, turnFor, watch } from './slices.ts'

export interface ListTransactionsDeps {
  readonly transactions: Pick<TransactionCoordinator, 'listByPartition'>
  readonly clock: Clock
  readonly nextTurn: NextTurn
}

/**
 * Most steps that matching one id may take: instructions of its pattern times its length, here some 20 ms at the worst. Kafka bounds no id,
 * and a match cannot be interrupted. The dearest pattern that repeats anything passes with ids of 1,000 characters, a usual one with any.
 */
const MAX_MATCH_STEPS = 1_000_000
/** So much matching counts as one element of a slice. */
const MATCH_STEPS_PER_ELEMENT = 4_000

/** ListTransactions 0–2: the transactional ids that this node coordinates, by state, producer, age of the transaction and name (KIP-664, 994, 1152). */
export function listTransactionsHandler(
  deps: ListTransactionsDeps,
): ApiHandler<ListTransactionsRequest, ListTransactionsResponse> {
  return defineHandler(listTransactionsApi, async (request, context) => {
    const partitions = deps.transactions.listByPartition()
    if ('errorCode' in partitions) return createListTransactionsResponse({ errorCode: partitions.errorCode })
    const { transactionalIdPattern } = request
    const hasPattern = transactionalIdPattern !== null && transactionalIdPattern !== ''
    if (hasPattern) await loadTopicRegex()
    const pattern = hasPattern ? compileTopicRegex(transactionalIdPattern) : null
    if (hasPattern && pattern === null) return refused()
    const listed = await select(partitions, filterOf(request, deps.clock.wallMs()), pattern, context, deps.nextTurn)
    if (listed === null) return refused()
    const unknownStateFilters = request.stateFilters.filter((name) => statusOfName(name) === undefined)
    return createListTransactionsResponse({ unknownStateFilters, transactionStates: listed })
  })
}

function refused(): ListTransactionsResponse {
  return createListTransactionsResponse({ errorCode: ErrorCode.INVALID_REGULAR_EXPRESSION })
}

/** In slices by what they cost, over all partitions together. Null: the pattern is too dear for an id that would have to be matched. */
async function select(
  partitions: readonly (() => readonly TransactionState[])[],
  isWanted: (state: TransactionState) => boolean,
  pattern: TopicRegex | null,
  asker: Asker,
  nextTurn: NextTurn,
): Promise<ListTransactionsResponseTransactionState[] | null> {
  const listed: ListTransactionsResponseTransactionState[] = []
  const isGone = watch(asker)
  let room = SLICE_ELEMENTS
  let toldCount = 0
  for (const list of partitions) {
    room--
    for (const state of list()) {
      const isCandidate = isWanted(state)
      const matchSteps = isCandidate && pattern !== null ? pattern.size * state.transactionalId.length : 0
      if (matchSteps > MAX_MATCH_STEPS) return null
      const cost = 1 + matchSteps / MATCH_STEPS_PER_ELEMENT
      // Before a dear one, not after it: it takes a turn for itself.
      if (cost > room) {
        asker.growAnswer(listed.length - toldCount)
        toldCount = listed.length
        await turnFor(asker, nextTurn)
        if (isGone()) return listed
        room = SLICE_ELEMENTS
      }
      room -= cost
      if (isCandidate && (pattern === null || pattern.matches(state.transactionalId))) listed.push(listedState(state))
    }
  }
  if (toldCount > 0) asker.growAnswer(listed.length - toldCount)
  return listed
}

/** All filters but that by name. */
function filterOf(request: ListTransactionsRequest, nowMs: number): (state: TransactionState) => boolean {
  const statuses = new Set<TransactionStatus | null | undefined>(request.stateFilters.map(statusOfName))
  const producerIds = new Set(request.producerIdFilters.map(Number))
  const durationMs = Number(request.durationFilter)
  return ({ producerId, status, startMs }) => {
    if (producerIds.size > 0 && !producerIds.has(producerId)) return false
    if (statuses.size > 0 && !statuses.has(status)) return false
    return durationMs < 0 || nowMs - startMs > durationMs
  }
}

function listedState({ transactionalId, producerId, status }: TransactionState) {
  return createListTransactionsResponseTransactionState({
    transactionalId,
    producerId,
    transactionState: statusName(status),
  })
}
