import type { TransactionState } from './transaction-state.ts'

/** A record of `__transaction_state`. */
export interface TransactionRecord {
  readonly transactionalId: string
  /** Null: the id has expired. */
  readonly value: TransactionState | null
}
