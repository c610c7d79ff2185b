import {
  ApiKey,
  createInitProducerIdResponse,
  type InitProducerIdRequest,
  type InitProducerIdResponse,
} from '@millrace/protocol'
import type { Guard } from '../guard.ts'
import { NEEDS } from '../needs.ts'

/**
 * An id for transactions needs their id's permission. One for an idempotent producer is for whoever may write to the cluster so, or to
 * any topic (KIP-679): such a producer could do no more than without it.
 */
export const initProducerIdGuard: Guard<InitProducerIdRequest, InitProducerIdResponse> = (
  request,
  { access },
  next,
) => {
  const { transaction, preparedTransaction, idempotent, anyTopic } = NEEDS[ApiKey.INIT_PRODUCER_ID]
  const { transactionalId } = request
  if (transactionalId === null) {
    if (access.seesCluster(idempotent) || access.allowsAny(anyTopic)) return next(request)
    return refused(anyTopic.errorCode)
  }
  if (!access.allows(transaction, transactionalId)) return refused(transaction.errorCode)
  if (request.enable2Pc && !access.allows(preparedTransaction, transactionalId)) {
    return refused(preparedTransaction.errorCode)
  }
  return next(request)
}

function refused(errorCode: number): InitProducerIdResponse {
  return createInitProducerIdResponse({ errorCode, producerId: -1, producerEpoch: -1 })
}
