/** The settings of the transaction coordinator, by their Kafka names in camel case. Times in milliseconds. */
export interface TransactionCoordinatorConfig {
  /** Partitions of `__transaction_state`, if this node is the one to have it created. */
  readonly transactionStateLogNumPartitions: number
  readonly transactionMaxTimeoutMs: number
  readonly transactionalIdExpirationMs: number
  readonly transactionAbortTimedOutTransactionCleanupIntervalMs: number
  readonly transactionRemoveExpiredTransactionCleanupIntervalMs: number
  readonly transactionTwoPhaseCommitEnable: boolean
  /** Bounds of the node, over all ids (`transaction-usage.ts`). */
  readonly transactionCoordinatorMaxIds: number
  readonly transactionCoordinatorMaxBytes: number
  /** How long the next transaction of a producer may wait for the markers of the last one before it is told to come back. */
  readonly addPartitionsToTxnRetryBackoffMs: number
  readonly requestTimeoutMs: number
  /** Largest batch that `__transaction_state` takes. */
  readonly messageMaxBytes: number
}
