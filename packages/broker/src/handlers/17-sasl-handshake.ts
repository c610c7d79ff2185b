import {
  createSaslHandshakeResponse,
  type SaslHandshakeRequest,
  type SaslHandshakeResponse,
  saslHandshakeApi,
} from '@millrace/protocol'
import type { BrokerProofs } from './broker-proofs.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** SaslHandshake 0–1: begins what brokers prove to each other. Clients are answered as on Kafka's PLAINTEXT listeners: ILLEGAL_SASL_STATE. */
export function saslHandshakeHandler(deps: {
  proofs: Pick<BrokerProofs, 'begin'>
}): ApiHandler<SaslHandshakeRequest, SaslHandshakeResponse> {
  return defineHandler(saslHandshakeApi, ({ mechanism }, { connection }) =>
    createSaslHandshakeResponse({ errorCode: deps.proofs.begin(connection, mechanism), mechanisms: [] }),
  )
}
