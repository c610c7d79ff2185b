import { type AddOffsetsToTxnRequest, type AddOffsetsToTxnResponse, addOffsetsToTxnApi } from '@millrace/protocol'
import type { TransactionCoordinator } from '../coordinator/transaction/transaction-coordinator.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** AddOffsetsToTxn 0–4: the partition of a group's offsets becomes part of a transaction. */
export function addOffsetsToTxnHandler(deps: {
  transactions: Pick<TransactionCoordinator, 'addOffsets'>
}): ApiHandler<AddOffsetsToTxnRequest, AddOffsetsToTxnResponse> {
  return defineHandler(addOffsetsToTxnApi, (request, context) => deps.transactions.addOffsets(request, context))
}
