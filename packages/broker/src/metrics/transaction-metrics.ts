import type { TransactionCoordinator } from '../coordinator/transaction/transaction-coordinator.ts'
import { statusName, type TransactionStatus } from '../coordinator/transaction/transaction-state.ts'
import type { DefineMetric } from './define-metric.ts'

export interface TransactionSources {
  transactions: Pick<TransactionCoordinator, 'counters' | 'countByStatus' | 'markers' | 'refusalCount'>
  /** Partitions with a transaction that is open for longer than any may be: nobody will end it. */
  lateTransactions(): number
}

export function defineTransactionMetrics(
  { transactions, lateTransactions }: TransactionSources,
  counter: DefineMetric,
  gauge: DefineMetric,
): void {
  const { counters } = transactions
  const one = (name: string, help: string, value: () => number): void => {
    counter(name, help, [], (set) => set({}, value()))
  }
  gauge('millrace_transactional_ids', 'Transactional ids that this node coordinates, by state.', ['state'], (set) => {
    for (const [status, count] of transactions.countByStatus.entries()) {
      set({ state: statusName(status as TransactionStatus) }, count)
    }
  })
  gauge('millrace_transaction_markers_pending', 'Markers that partitions have not taken yet.', [], (set) => {
    set({}, transactions.markers.markerCount)
  })
  gauge('millrace_transactions_being_ended', 'Decided transactions whose markers are not all written.', [], (set) => {
    set({}, transactions.markers.transactionCount)
  })
  one(
    'millrace_transaction_markers_written_total',
    'Markers that partitions have taken.',
    () => counters.markersWritten,
  )
  one(
    'millrace_transaction_markers_retried_total',
    'Markers that have to be sent again.',
    () => counters.markersRetried,
  )
  one('millrace_transaction_markers_given_up_total', 'Markers that a partition refused for good.', () => {
    return counters.markersGivenUp
  })
  one('millrace_transactions_timed_out_total', 'Transactions aborted for want of time.', () => {
    return counters.timedOutTransactions
  })
  one('millrace_transactional_ids_expired_total', 'Transactional ids that expired.', () => counters.expiredIds)
  one('millrace_transactional_ids_refused_total', 'New transactional ids refused for want of room.', () => {
    return transactions.refusalCount
  })
  one('millrace_transaction_verifications_total', 'Questions to coordinators for producers of transactions.', () => {
    return counters.verifications
  })
  one('millrace_transaction_verification_milliseconds_total', 'Time that they took, summed.', () => {
    return counters.verificationMs
  })
  one('kafka_server_addpartitionstotxnmanager_verificationfailure_total', 'Partitions that were not verified.', () => {
    return counters.verificationFailures
  })
  gauge(
    'kafka_server_replicamanager_partitionswithlatetransactionscount',
    'Partitions with a transaction that is open for longer than any may be.',
    [],
    (set) => set({}, lateTransactions()),
  )
}
