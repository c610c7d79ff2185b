import { type EndTxnRequest, type EndTxnResponse, endTxnApi } from '@millrace/protocol'
import type { TransactionCoordinator } from '../coordinator/transaction/transaction-coordinator.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** EndTxn 0–5: answered when the decision is committed. From 5 on the producer goes on under another epoch (KIP-890). */
export function endTxnHandler(deps: {
  transactions: Pick<TransactionCoordinator, 'endTxn'>
}): ApiHandler<EndTxnRequest, EndTxnResponse> {
  return defineHandler(endTxnApi, (request, context) => deps.transactions.endTxn(request, context))
}
