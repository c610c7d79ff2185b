import {
  createSaslAuthenticateResponse,
  type SaslAuthenticateRequest,
  type SaslAuthenticateResponse,
  saslAuthenticateApi,
} from '@millrace/protocol'
import type { BrokerProofs } from './broker-proofs.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** SaslAuthenticate 0–2: one step of what brokers prove to each other. */
export function saslAuthenticateHandler(deps: {
  proofs: Pick<BrokerProofs, 'answer'>
}): ApiHandler<SaslAuthenticateRequest, SaslAuthenticateResponse> {
  return defineHandler(saslAuthenticateApi, ({ authBytes }, { connection }) => {
    const answer = deps.proofs.answer(connection, authBytes)
    if ('bytes' in answer) return createSaslAuthenticateResponse({ authBytes: answer.bytes })
    return createSaslAuthenticateResponse({ errorCode: answer.errorCode, errorMessage: answer.message })
  })
}
