import type { ProducerId, TimestampMs } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { isGivenOut } from './end-transaction.ts'
import {
  type IdentityAnswer,
  type InitInput,
  NEEDS_PRODUCER_ID,
  type NeedsProducerId,
  type ProducerIdentity,
} from './transaction-protocol.ts'
import {
  isEpochExhausted,
  isPrepared,
  NO_PARTITIONS,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  type TransactionState,
  TransactionStatus,
} from './transaction-state.ts'

/** What InitProducerId comes to: an error, a new state to be written, or an open transaction that must be aborted before. */
export type InitOutcome = number | TransactionState | typeof FENCE | NeedsProducerId

/** The id has an open transaction, of a producer that may still be alive: it is fenced. */
export const FENCE = Symbol('fence')

/** `replication-and-transactions.md`, 10.1, for an id that is known. */
export function reinitialize(
  state: TransactionState,
  { expected, timeoutMs }: InitInput,
  freshProducerId: ProducerId | null,
  nowMs: TimestampMs,
): InitOutcome {
  const isAhead = expected !== null && isPrepared(state.status) && isGivenOut(state, expected)
  if (expected !== null && !isAhead && !isOfProducer(state, expected)) return ErrorCode.PRODUCER_FENCED
  if (isPrepared(state.status)) return ErrorCode.CONCURRENT_TRANSACTIONS
  if (state.status === TransactionStatus.ONGOING) return FENCE
  const empty: TransactionState = {
    ...state,
    previousProducerId: state.producerId,
    nextProducerId: NO_PRODUCER_ID,
    timeoutMs,
    status: TransactionStatus.EMPTY,
    partitions: NO_PARTITIONS,
    startMs: -1,
    lastUpdateMs: nowMs,
  }
  const { producerEpoch, lastProducerEpoch } = state
  if (expected !== null && expected.producerEpoch !== producerEpoch) {
    // Answered before, and no other producer has come since: it would have made the last epoch none.
    const isRepeated = lastProducerEpoch !== NO_PRODUCER_EPOCH && expected.producerEpoch === lastProducerEpoch
    return isRepeated ? { ...empty, previousProducerId: state.previousProducerId } : ErrorCode.PRODUCER_FENCED
  }
  const nextLastEpoch = expected === null ? NO_PRODUCER_EPOCH : producerEpoch
  if (!isEpochExhausted(producerEpoch)) {
    return { ...empty, producerEpoch: producerEpoch + 1, lastProducerEpoch: nextLastEpoch }
  }
  if (freshProducerId === null) return NEEDS_PRODUCER_ID
  return { ...empty, producerId: freshProducerId, producerEpoch: 0, lastProducerEpoch: nextLastEpoch }
}

/** Also the one before: its epochs had run out, and it has not heard of the id that followed. */
function isOfProducer(state: TransactionState, { producerId, producerEpoch }: ProducerIdentity): boolean {
  if (producerId === state.producerId) return true
  return producerId === state.previousProducerId && isEpochExhausted(producerEpoch)
}

/** The first state of an id. What a producer believes to be is of a time that is forgotten. */
export function firstState(
  { transactionalId, timeoutMs }: InitInput,
  producerId: ProducerId,
  owner: string | null,
  nowMs: TimestampMs,
): TransactionState {
  return {
    transactionalId,
    producerId,
    previousProducerId: NO_PRODUCER_ID,
    nextProducerId: NO_PRODUCER_ID,
    producerEpoch: 0,
    lastProducerEpoch: NO_PRODUCER_EPOCH,
    timeoutMs,
    status: TransactionStatus.EMPTY,
    partitions: NO_PARTITIONS,
    startMs: -1,
    lastUpdateMs: nowMs,
    clientVersion: 0,
    owner,
  }
}

export function identityError(errorCode: number): IdentityAnswer {
  return { errorCode, producerId: NO_PRODUCER_ID, producerEpoch: NO_PRODUCER_EPOCH }
}

export function identityOf({ producerId, producerEpoch }: ProducerIdentity): IdentityAnswer {
  return { errorCode: ErrorCode.NONE, producerId, producerEpoch }
}
