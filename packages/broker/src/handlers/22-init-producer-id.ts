import {
  createInitProducerIdResponse,
  ErrorCode,
  type InitProducerIdRequest,
  type InitProducerIdResponse,
  initProducerIdApi,
} from '@millrace/protocol'
import type { ProducerIdSource } from '../metadata/producer-id-source.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** Neither an id nor an epoch. */
const NONE = -1

/**
 * InitProducerId 0–5 for idempotent producers: a fresh id with epoch 0. Transactional ids are refused with
 * TRANSACTIONAL_ID_AUTHORIZATION_FAILED, since there is no transaction coordinator: of the errors that clients know here it is the
 * one that all of them take as final at once; "coordinator not available" would have them ask again until a time limit.
 */
export function initProducerIdHandler(deps: {
  producerIds: ProducerIdSource
}): ApiHandler<InitProducerIdRequest, InitProducerIdResponse> {
  return defineHandler(initProducerIdApi, async (request) => {
    if (request.transactionalId !== null) {
      const isEmpty = request.transactionalId === ''
      return refused(isEmpty ? ErrorCode.INVALID_REQUEST : ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    }
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
