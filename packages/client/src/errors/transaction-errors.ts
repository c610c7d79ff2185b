import { BaseError } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { ProtocolError } from './protocol-error.ts'

/**
 * What went wrong with a transaction, by what can be done about it; `cause` is the failure itself. Trying the same call again helps
 * with neither: an `abortable` one ends with `abort()`, after which the producer is as good as new, a `fatal` one with `close()`.
 */
export abstract class TransactionError extends BaseError {
  readonly retriable = false
  abstract readonly abortable: boolean
  abstract readonly fatal: boolean
}

/** The transaction cannot be committed. Abort it, and do its work again in the next one. */
export class AbortableTransactionError extends TransactionError {
  readonly abortable = true
  readonly fatal = false

  constructor(message: string, options?: { cause?: unknown }) {
    super('TRANSACTION_ABORTABLE', message, options)
  }
}

/** The record was dropped since its transaction was aborted before it was sent. */
export class TransactionAbortedError extends TransactionError {
  readonly abortable = false
  readonly fatal = false

  constructor() {
    super('TRANSACTION_ABORTED', 'the transaction was aborted before the record was sent')
  }
}

/** This producer can do no more transactions. */
export class FatalTransactionError extends TransactionError {
  readonly abortable = false
  readonly fatal = true

  constructor(message: string, options?: { cause?: unknown; code?: string }) {
    super(options?.code ?? 'TRANSACTION_FATAL', message, options)
  }
}

/** A newer producer with the same transactional id has taken over, or the transaction took longer than it may. */
export class ProducerFencedError extends FatalTransactionError {
  constructor(transactionalId: string, options?: { cause?: unknown }) {
    const message = `another producer with transactional id ${transactionalId} took over, or the transaction ran out of time`
    super(message, { ...options, code: 'PRODUCER_FENCED' })
  }
}

/** The request that failed: the same code can mean more in one than in another. */
export type TransactionStep =
  | 'init'
  | 'produce'
  | 'add-partitions'
  | 'add-offsets'
  | 'commit-offsets'
  | 'commit'
  | 'abort'

const FENCED: ReadonlySet<number> = new Set([ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.PRODUCER_FENCED])

/** The coordinator does not know the producer as what it takes itself for: no request of it will be taken. */
const FATAL: ReadonlySet<number> = new Set([
  ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
  ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
  ErrorCode.INVALID_PRODUCER_ID_MAPPING,
  ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT,
])

/** Of the end of a transaction nothing but these leaves a transaction that could be aborted. */
const ABORTABLE_COMMITS: ReadonlySet<number> = new Set([ErrorCode.TRANSACTION_ABORTABLE, ErrorCode.UNKNOWN_PRODUCER_ID])

/**
 * What a failure that will not be tried again means for the transaction. As in Kafka's client, but for unexpected codes of
 * AddPartitionsToTxn and the two offset calls: they are abortable here, since an abort will show by itself whether it is possible.
 */
export function transactionErrorOf(error: unknown, step: TransactionStep, transactionalId: string): TransactionError {
  if (error instanceof TransactionError) return error
  const cause = { cause: error }
  const reason = error instanceof Error ? error.message : String(error)
  const code = error instanceof ProtocolError ? error.errorCode : null
  const isUnsupported = error instanceof BaseError && error.code === 'UNSUPPORTED_VERSION'
  if (code !== null && FENCED.has(code)) return new ProducerFencedError(transactionalId, cause)
  if (isUnsupported || (code !== null && FATAL.has(code))) return new FatalTransactionError(reason, cause)
  if (step === 'produce') return new AbortableTransactionError(`records were not delivered: ${reason}`, cause)
  if (step === 'abort' || step === 'init') return new FatalTransactionError(reason, cause)
  if (step === 'commit') {
    const abortable = code !== null && ABORTABLE_COMMITS.has(code)
    return abortable ? new AbortableTransactionError(reason, cause) : new FatalTransactionError(reason, cause)
  }
  if (code === ErrorCode.INVALID_TXN_STATE) return new FatalTransactionError(reason, cause)
  return new AbortableTransactionError(reason, cause)
}
