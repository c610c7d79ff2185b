import type { ProducerId, TimestampMs } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import {
  type EndInput,
  NEEDS_PRODUCER_ID,
  type NeedsProducerId,
  type ProducerIdentity,
} from './transaction-protocol.ts'
import {
  EPOCH_BUMP_VERSION,
  isEpochExhausted,
  isPrepared,
  LAST_PRODUCER_EPOCH,
  MAX_PRODUCER_EPOCH,
  NO_PARTITIONS,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  type TransactionState,
  TransactionStatus,
} from './transaction-state.ts'

/** What the end of a transaction comes to: an error code, 0 for a call that comes again, or the decision to be written. */
export type EndOutcome = number | TransactionState | NeedsProducerId

const { ONGOING, PREPARE_COMMIT, PREPARE_ABORT, COMPLETE_COMMIT, COMPLETE_ABORT } = TransactionStatus

/** EndTxn of the producer (`replication-and-transactions.md`, 10.3). */
export function endTransaction(
  state: TransactionState,
  input: EndInput,
  freshProducerId: ProducerId | null,
  nowMs: TimestampMs,
): EndOutcome {
  return input.clientVersion >= EPOCH_BUMP_VERSION
    ? endWithBump(state, input, freshProducerId, nowMs)
    : endWithoutBump(state, input, nowMs)
}

/** Clients before KIP-890: the epoch stays, so a call that comes again cannot be told from one of the transaction after. */
function endWithoutBump(state: TransactionState, input: EndInput, nowMs: TimestampMs): EndOutcome {
  const { commit, producerId, producerEpoch } = input
  if (producerId !== state.producerId) return ErrorCode.INVALID_PRODUCER_ID_MAPPING
  if (producerEpoch !== state.producerEpoch) return ErrorCode.PRODUCER_FENCED
  if (state.status === ONGOING) {
    return { ...decide(state, commit, nowMs), nextProducerId: NO_PRODUCER_ID, clientVersion: 0 }
  }
  if (state.status === preparedFor(commit)) return ErrorCode.CONCURRENT_TRANSACTIONS
  return state.status === completedFor(commit) ? ErrorCode.NONE : ErrorCode.INVALID_TXN_STATE
}

/** KIP-890: each end gives the producer another epoch, so that (id, epoch) names one transaction. */
function endWithBump(
  state: TransactionState,
  { commit, producerId, producerEpoch, clientVersion }: EndInput,
  freshProducerId: ProducerId | null,
  nowMs: TimestampMs,
): EndOutcome {
  const { status } = state
  if (isPrepared(status)) return whilePrepared(state, commit, { producerId, producerEpoch })
  const isComplete = status === COMPLETE_COMMIT || status === COMPLETE_ABORT
  const comesAgainAfterOverflow =
    producerId === state.previousProducerId && producerEpoch === LAST_PRODUCER_EPOCH && state.producerEpoch === 0
  const comesAgain = state.producerEpoch === producerEpoch + 1 || comesAgainAfterOverflow
  if (producerId !== state.producerId && !comesAgainAfterOverflow) return ErrorCode.INVALID_PRODUCER_ID_MAPPING
  const isCurrent = producerEpoch === state.producerEpoch
  if (!isCurrent && !(isComplete && comesAgain)) return ErrorCode.PRODUCER_FENCED
  if (isComplete && comesAgain) return status === completedFor(commit) ? ErrorCode.NONE : ErrorCode.INVALID_TXN_STATE
  // Of a transaction that has not begun only the end without effect is possible: clients do that to be sure.
  if (status !== ONGOING && commit) return ErrorCode.INVALID_TXN_STATE
  return decideWithBump(state, commit, clientVersion, freshProducerId, nowMs)
}

/**
 * The markers are being written: a call that comes again waits for them, and so does the producer with the identity that its end was answered
 * with already.
 */
function whilePrepared(state: TransactionState, commit: boolean, identity: ProducerIdentity): number {
  if (isGivenOut(state, identity)) return ErrorCode.CONCURRENT_TRANSACTIONS
  if (identity.producerId !== state.producerId) return ErrorCode.INVALID_PRODUCER_ID_MAPPING
  if (identity.producerEpoch !== state.producerEpoch - 1) return ErrorCode.PRODUCER_FENCED
  return state.status === preparedFor(commit) ? ErrorCode.CONCURRENT_TRANSACTIONS : ErrorCode.INVALID_TXN_STATE
}

/** Abort by the coordinator: of a transaction that ran out of time, or whose id another producer begins with. The state must be Ongoing. */
export function fence(
  state: TransactionState,
  version: number,
  freshProducerId: ProducerId | null,
  nowMs: TimestampMs,
): TransactionState | NeedsProducerId {
  if (version >= EPOCH_BUMP_VERSION) return decideWithBump(state, false, version, freshProducerId, nowMs)
  return {
    ...decide(state, false, nowMs),
    producerEpoch: Math.min(state.producerEpoch + 1, MAX_PRODUCER_EPOCH),
    lastProducerEpoch: NO_PRODUCER_EPOCH,
    nextProducerId: NO_PRODUCER_ID,
    clientVersion: 0,
  }
}

function decideWithBump(
  state: TransactionState,
  commit: boolean,
  clientVersion: number,
  freshProducerId: ProducerId | null,
  nowMs: TimestampMs,
): TransactionState | NeedsProducerId {
  const isExhausted = isEpochExhausted(state.producerEpoch)
  if (isExhausted && freshProducerId === null) return NEEDS_PRODUCER_ID
  return {
    ...decide(state, commit, nowMs),
    producerEpoch: Math.min(state.producerEpoch + 1, MAX_PRODUCER_EPOCH),
    lastProducerEpoch: state.producerEpoch,
    nextProducerId: isExhausted ? freshProducerId! : NO_PRODUCER_ID,
    clientVersion,
  }
}

function decide(state: TransactionState, commit: boolean, nowMs: TimestampMs): TransactionState {
  const hasBegun = state.status === ONGOING
  return {
    ...state,
    previousProducerId: state.producerId,
    status: preparedFor(commit),
    partitions: hasBegun ? state.partitions : NO_PARTITIONS,
    // A transaction that never began has no start, and the record must have one.
    startMs: hasBegun ? state.startMs : nowMs,
    lastUpdateMs: nowMs,
  }
}

/** All partitions have their markers. The state must be prepared. */
export function complete(state: TransactionState, nowMs: TimestampMs): TransactionState {
  const { producerId, producerEpoch } = completedIdentity(state)
  return {
    ...state,
    producerId,
    producerEpoch,
    previousProducerId: state.producerId,
    nextProducerId: NO_PRODUCER_ID,
    status: completedFor(state.status === PREPARE_COMMIT),
    partitions: NO_PARTITIONS,
    lastUpdateMs: nowMs,
  }
}

/** With which the producer of a decided transaction goes on. */
export function completedIdentity(state: TransactionState): ProducerIdentity {
  const { producerId, producerEpoch, nextProducerId, clientVersion } = state
  if (clientVersion >= EPOCH_BUMP_VERSION && nextProducerId !== NO_PRODUCER_ID) {
    return { producerId: nextProducerId, producerEpoch: 0 }
  }
  return { producerId, producerEpoch }
}

/** Whether it is the identity of a decided transaction, or the one to go on with: EndTxn gives that before the markers are written. */
export function isGivenOut(state: TransactionState, { producerId, producerEpoch }: ProducerIdentity): boolean {
  const next = completedIdentity(state)
  const isNext = producerId === next.producerId && producerEpoch === next.producerEpoch
  return isNext || (producerId === state.producerId && producerEpoch === state.producerEpoch)
}

function preparedFor(commit: boolean): TransactionStatus {
  return commit ? PREPARE_COMMIT : PREPARE_ABORT
}

function completedFor(commit: boolean): TransactionStatus {
  return commit ? COMPLETE_COMMIT : COMPLETE_ABORT
}
