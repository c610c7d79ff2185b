import {
  type AddPartitionsToTxnRequest,
  type AddPartitionsToTxnResponse,
  addPartitionsToTxnApi,
} from '@millrace/protocol'
import type { TransactionCoordinator } from '../coordinator/transaction/transaction-coordinator.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** AddPartitionsToTxn 0–5: up to 3 of a client for its transaction, from 4 on of brokers for those of many (KIP-890). */
export function addPartitionsToTxnHandler(deps: {
  transactions: Pick<TransactionCoordinator, 'addPartitions'>
}): ApiHandler<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse> {
  return defineHandler(addPartitionsToTxnApi, (request, context) => deps.transactions.addPartitions(request, context))
}
