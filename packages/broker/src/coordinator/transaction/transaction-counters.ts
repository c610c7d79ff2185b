/** What a coordinator has done since the start, for metrics. */
export class TransactionCounters {
  /** Transactions that were aborted since they took longer than their producers had said. */
  timedOutTransactions = 0
  expiredIds = 0
  /** Markers that partitions have taken. */
  markersWritten = 0
  /** Markers that a partition could not take yet, or whose broker could not be reached. */
  markersRetried = 0
  /** Markers that a partition will never take: it has seen a later epoch of the producer, or of the coordinator. */
  markersGivenUp = 0
  /** Partitions that could not be verified, or added to a transaction, for a producer. */
  verificationFailures = 0
  verifications = 0
  /** Time that producers waited for it, summed. */
  verificationMs = 0
}
