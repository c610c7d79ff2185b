import type { ProducerId } from '@millrace/base'
import type { Step } from '../runtime/step.ts'
import type { TransactionRecord } from './transaction-record.ts'
import type { PartitionsByTopic, TransactionState } from './transaction-state.ts'

/** Who says that it is the producer of a transactional id. */
export interface ProducerIdentity {
  readonly producerId: ProducerId
  readonly producerEpoch: number
}

/** What InitProducerId asks for, freed of its version. */
export interface InitInput {
  readonly transactionalId: string
  /** Checked against the bounds. */
  readonly timeoutMs: number
  /** What the producer believes to be; null: it is new. */
  readonly expected: ProducerIdentity | null
  /** Without port. */
  readonly clientAddress: string
}

/** Partitions that a producer writes to in its transaction. */
export interface EnlistInput extends ProducerIdentity {
  readonly transactionalId: string
  readonly partitions: PartitionsByTopic
  /** Level of `transaction.version` by which the client goes. */
  readonly clientVersion: number
}

/** The end of a transaction, as its producer asks for it. */
export interface EndInput extends ProducerIdentity {
  readonly transactionalId: string
  readonly commit: boolean
  readonly clientVersion: number
}

/** The answer to InitProducerId and EndTxn: with error code 0 the identity to go on with, where the client's version knows of it. */
export interface IdentityAnswer extends ProducerIdentity {
  readonly errorCode: number
}

/** Timers, and what comes after a write. */
export type TransactionEvent =
  | { readonly type: 'timeouts-due' }
  | { readonly type: 'expiry-due' }
  /** The decision over a transaction was written. */
  | ({ readonly type: 'decision-written'; readonly transactionalId: string } & ProducerIdentity)

/** What the machine tells the coordinator around it. Nobody is parked, so that the tokens mean nothing. */
export type TransactionNotice =
  /** The decision is committed: every partition is to be told. */
  | { readonly type: 'decided'; readonly state: TransactionState }
  /** Transactions have run out of time. */
  | { readonly type: 'timed-out'; readonly transactions: readonly TransactionState[] }

export type TransactionStep = Step<TransactionRecord, TransactionEvent, TransactionNotice>

/** What an operation answers that cannot be done without a fresh producer id: it is taken again with one. Nothing was changed. */
export const NEEDS_PRODUCER_ID = Symbol('needs a producer id')
export type NeedsProducerId = typeof NEEDS_PRODUCER_ID
