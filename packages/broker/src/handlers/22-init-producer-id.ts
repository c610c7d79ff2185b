import {
  createInitProducerIdResponse,
  ErrorCode,
  type InitProducerIdRequest,
  type InitProducerIdResponse,
  initProducerIdApi,
} from '@millrace/protocol'
import type { TransactionCoordinator } from '../coordinator/transaction/transaction-coordinator.ts'
import type { ProducerIdSource } from '../metadata/producer-id-source.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** Neither an id nor an epoch. */
const NONE = -1

/** InitProducerId 0–5: of idempotent producers a fresh id with epoch 0; what one with a transactional id gets its coordinator says. */
export function initProducerIdHandler(deps: {
  producerIds: ProducerIdSource
  transactions: Pick<TransactionCoordinator, 'initProducerId'>
}): ApiHandler<InitProducerIdRequest, InitProducerIdResponse> {
  return defineHandler(initProducerIdApi, async (request, context) => {
    if (request.transactionalId !== null) return deps.transactions.initProducerId(request, context)
    // Half of an identity is no identity. A whole one is of no use without a transactional id and gets a fresh one.
    if ((request.producerId === NONE) !== (request.producerEpoch === NONE)) return refused(ErrorCode.INVALID_REQUEST)
    const next = await deps.producerIds.next()
    if ('errorCode' in next) return refused(next.errorCode)
    return createInitProducerIdResponse({ producerId: next.producerId, producerEpoch: 0 })
  })
}

function refused(errorCode: number): InitProducerIdResponse {
  return createInitProducerIdResponse({ errorCode, producerId: NONE, producerEpoch: NONE })
}
