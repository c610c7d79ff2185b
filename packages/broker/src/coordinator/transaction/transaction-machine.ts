import type { ProducerId, TimestampMs } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { Coordinator } from '../runtime/coordinator.ts'
import { type Timeline, TimelineMap } from '../runtime/timeline.ts'
import { complete, completedIdentity, endTransaction, fence, isGivenOut } from './end-transaction.ts'
import { FENCE, firstState, identityError, identityOf, reinitialize } from './init-producer-id.ts'
import type { TransactionCoordinatorConfig } from './transaction-config.ts'
import type { TransactionCounters } from './transaction-counters.ts'
import type { TransactionLimits } from './transaction-limits.ts'
import {
  type EndInput,
  type EnlistInput,
  type IdentityAnswer,
  type InitInput,
  NEEDS_PRODUCER_ID,
  type NeedsProducerId,
  type ProducerIdentity,
  type TransactionEvent,
  type TransactionNotice,
  type TransactionStep,
} from './transaction-protocol.ts'
import type { TransactionRecord } from './transaction-record.ts'
import {
  addPartitionsTo,
  containsPartitions,
  EPOCH_BUMP_VERSION,
  isPrepared,
  isTwoPhase,
  type TransactionState,
  TransactionStatus,
} from './transaction-state.ts'
import { TransactionTally, TransactionUsage } from './transaction-usage.ts'

/** Nobody waits for the notices. */
const NO_TOKEN = 0
const TIMEOUTS_KEY = 'timeouts'
const EXPIRY_KEY = 'expiry'
/** All partitions may look at their ids at the same time: some fifty times so many in one turn take a few ms. */
const SLICE_IDS = 500
const SLICE_DELAY_MS = 5

/** What a machine works with besides its state. */
export interface TransactionContext {
  readonly config: TransactionCoordinatorConfig
  readonly counters: TransactionCounters
  /** Over all machines of the node. */
  readonly limits: TransactionLimits
}

/**
 * The state machine of one partition of `__transaction_state` (`replication-and-transactions.md`, 10): what each transactional id is at.
 * Every state is a record; only the epoch before the last, by which a call that comes again is known, is in memory alone. Operations
 * see the newest state and are answered when it is committed, so that none meets the "pending" states that Kafka answers
 * CONCURRENT_TRANSACTIONS for. A decision is told to partitions once it is committed, not before (T5).
 */
export class TransactionMachine implements Coordinator<TransactionRecord, TransactionEvent, TransactionNotice> {
  readonly #context: TransactionContext
  readonly #states: TimelineMap<string, TransactionState>
  readonly #tally: TransactionTally
  /** Ids that are still to be looked at in this round. */
  #toTimeOut: string[] = []
  #toExpire: Iterator<string> | null = null

  constructor(context: TransactionContext, timeline: Timeline) {
    this.#context = context
    this.#tally = new TransactionTally(new TransactionUsage(context.limits.usage))
    this.#states = new TimelineMap(timeline, this.#tally)
  }

  /** What it counts of the node's limits. To be closed when the machine's time is over. */
  get usage(): TransactionUsage {
    return this.#tally.usage
  }

  /** As of the last commit. */
  committed(transactionalId: string): TransactionState | undefined {
    return this.#states.getCommitted(transactionalId)
  }

  /** As of the last commit, in a list of its own. */
  list(): TransactionState[] {
    return this.#states.committedValues()
  }

  /** InitProducerId. An open transaction is aborted, under `version` of the cluster; its id is to be asked for again. */
  initProducerId(
    input: InitInput,
    version: number,
    freshProducerId: ProducerId | null,
    step: TransactionStep,
  ): IdentityAnswer | NeedsProducerId {
    const state = this.#states.get(input.transactionalId)
    if (state === undefined) return this.#create(input, freshProducerId, step)
    const outcome = reinitialize(state, input, freshProducerId, step.nowMs)
    if (outcome === NEEDS_PRODUCER_ID) return outcome
    if (typeof outcome === 'number') return identityError(outcome)
    if (outcome !== FENCE) {
      write(outcome, step)
      return identityOf(outcome)
    }
    const aborted = fence(state, version, freshProducerId, step.nowMs)
    if (aborted === NEEDS_PRODUCER_ID) return aborted
    this.#writeDecision(aborted, step)
    return identityError(ErrorCode.CONCURRENT_TRANSACTIONS)
  }

  #create(
    input: InitInput,
    freshProducerId: ProducerId | null,
    step: TransactionStep,
  ): IdentityAnswer | NeedsProducerId {
    if (freshProducerId === null) return NEEDS_PRODUCER_ID
    const admission = this.#context.limits.admit(input.transactionalId, input.clientAddress)
    if (admission === null) return identityError(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const state = firstState(input, freshProducerId, admission.owner, step.nowMs)
    write(state, step)
    return identityOf(state)
  }

  /**
   * AddPartitionsToTxn and AddOffsetsToTxn, of clients or of the leaders of partitions: an error code. Where an epoch lasts for several
   * transactions, a yes without effect is written all the same: a coordinator that was replaced and does not know it would take the
   * transaction for the one before, in which the partition is, and a write is what it cannot get done.
   */
  addPartitions(input: EnlistInput, step: TransactionStep): number {
    const state = this.#states.get(input.transactionalId)
    const errorCode = identify(state, input)
    if (state === undefined || errorCode !== ErrorCode.NONE) return errorCode
    const isOngoing = state.status === TransactionStatus.ONGOING
    if (isOngoing && containsPartitions(state.partitions, input.partitions)) {
      if (input.clientVersion < EPOCH_BUMP_VERSION) write(state, step)
      return ErrorCode.NONE
    }
    if (!this.#context.limits.hasRoom) return ErrorCode.COORDINATOR_NOT_AVAILABLE
    write(
      {
        ...state,
        previousProducerId: state.producerId,
        status: TransactionStatus.ONGOING,
        partitions: addPartitionsTo(state.partitions, input.partitions),
        startMs: isOngoing ? state.startMs : step.nowMs,
        lastUpdateMs: step.nowMs,
        clientVersion: input.clientVersion,
      },
      step,
    )
    return ErrorCode.NONE
  }

  /**
   * Whether partitions are in the producer's open transaction, as of the last commit: an error for all of them, or NONE for those that
   * `contains` says yes to.
   */
  verify(input: ProducerIdentity & { readonly transactionalId: string }): {
    errorCode: number
    contains(topic: string, partition: number): boolean
  } {
    const state = this.#states.getCommitted(input.transactionalId)
    const contains = (topic: string, partition: number): boolean =>
      state?.partitions.get(topic)?.includes(partition) === true
    return { errorCode: identify(state, input), contains }
  }

  /**
   * Whether the producer's last transaction is decided and its markers are on their way: it may go on in a moment. Of the newest state, so
   * no answer may come of it.
   */
  isEnding(input: ProducerIdentity & { readonly transactionalId: string }): boolean {
    const state = this.#states.get(input.transactionalId)
    return state !== undefined && isPrepared(state.status) && isGivenOut(state, input)
  }

  /** EndTxn. One that comes again, of a client whose epoch stays, is written all the same, for the reason above. */
  end(input: EndInput, freshProducerId: ProducerId | null, step: TransactionStep): IdentityAnswer | NeedsProducerId {
    const state = this.#states.get(input.transactionalId)
    if (state === undefined) return identityError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    const outcome = endTransaction(state, input, freshProducerId, step.nowMs)
    if (outcome === NEEDS_PRODUCER_ID) return outcome
    const isBumped = input.clientVersion >= EPOCH_BUMP_VERSION
    if (typeof outcome === 'number') {
      if (outcome !== ErrorCode.NONE) return identityError(outcome)
      if (isBumped) return identityOf(state)
      write(state, step)
      return identityError(outcome)
    }
    this.#writeDecision(outcome, step)
    return isBumped ? identityOf(completedIdentity(outcome)) : identityError(ErrorCode.NONE)
  }

  /** Aborts a transaction that ran out of time, if it is still the one that was found. True: it was, or has to wait for a producer id. */
  abortTimedOut(
    found: TransactionState,
    version: number,
    freshProducerId: ProducerId | null,
    step: TransactionStep,
  ): boolean | NeedsProducerId {
    const state = this.#states.get(found.transactionalId)
    if (state === undefined || !isSame(state, found) || !this.#isTimedOut(state, step.nowMs)) return false
    const aborted = fence(state, version, freshProducerId, step.nowMs)
    if (aborted === NEEDS_PRODUCER_ID) return aborted
    this.#writeDecision(aborted, step)
    return true
  }

  /** Every partition of a decided transaction has its marker. Nothing happens if it was completed before. */
  complete(transactionalId: string, identity: ProducerIdentity, step: TransactionStep): void {
    const state = this.#states.get(transactionalId)
    if (state === undefined || !isPrepared(state.status) || !isSame(state, identity)) return
    write(complete(state, step.nowMs), step)
  }

  apply({ transactionalId, value }: TransactionRecord): void {
    if (value === null) this.#states.delete(transactionalId)
    else this.#states.set(transactionalId, value)
  }

  endTransaction(): void {
    // Nothing in this log is part of a transaction.
  }

  onLoaded(step: TransactionStep): void {
    for (const transactionalId of this.#tally.prepared) {
      step.reply(NO_TOKEN, { type: 'decided', state: this.#states.get(transactionalId)! })
    }
    this.#scheduleTimeouts(step)
    this.#scheduleExpiry(step)
  }

  onUnloaded(): void {
    // Nobody is parked.
  }

  onTimer(event: TransactionEvent, step: TransactionStep): void {
    if (event.type === 'timeouts-due') this.#findTimedOut(step)
    else if (event.type === 'expiry-due') this.#expireIds(step)
  }

  /**
   * A decision that may still be committed, though nobody knows (its time was over), is waited for again: a step without records is
   * done when all before it is committed. One that the log refused is not there any more.
   */
  onWriteDone(event: TransactionEvent, errorCode: number, step: TransactionStep): void {
    if (event.type !== 'decision-written') return
    const state = this.#states.get(event.transactionalId)
    if (state === undefined || !isPrepared(state.status) || !isSame(state, event)) return
    if (errorCode === ErrorCode.NONE) step.reply(NO_TOKEN, { type: 'decided', state })
    else step.continuation = event
  }

  #writeDecision(state: TransactionState, step: TransactionStep): void {
    const { transactionalId, producerId, producerEpoch } = state
    write(state, step)
    step.continuation = { type: 'decision-written', transactionalId, producerId, producerEpoch }
  }

  #findTimedOut(step: TransactionStep): void {
    if (this.#toTimeOut.length === 0) this.#toTimeOut = [...this.#tally.ongoing]
    const transactions: TransactionState[] = []
    for (let count = 0; count < SLICE_IDS; count++) {
      const transactionalId = this.#toTimeOut.pop()
      if (transactionalId === undefined) break
      const state = this.#states.get(transactionalId)
      if (state !== undefined && this.#isTimedOut(state, step.nowMs)) transactions.push(state)
    }
    if (transactions.length > 0) step.reply(NO_TOKEN, { type: 'timed-out', transactions })
    if (this.#toTimeOut.length === 0) this.#scheduleTimeouts(step)
    else step.schedule(TIMEOUTS_KEY, SLICE_DELAY_MS, { type: 'timeouts-due' }, SLICE_DELAY_MS)
  }

  #isTimedOut(state: TransactionState, nowMs: TimestampMs): boolean {
    return state.status === TransactionStatus.ONGOING && !isTwoPhase(state) && state.startMs + state.timeoutMs < nowMs
  }

  #expireIds(step: TransactionStep): void {
    step.splittable = true
    this.#toExpire ??= this.#states.keys()
    const expiredMs = step.nowMs - this.#context.config.transactionalIdExpirationMs
    for (let count = 0; count < SLICE_IDS; count++) {
      const next = this.#toExpire.next()
      if (next.done === true) {
        this.#toExpire = null
        this.#scheduleExpiry(step)
        return
      }
      const { status, lastUpdateMs } = this.#states.get(next.value)!
      if (status === TransactionStatus.ONGOING || isPrepared(status) || lastUpdateMs > expiredMs) continue
      step.write({ transactionalId: next.value, value: null })
      this.#context.counters.expiredIds++
    }
    step.schedule(EXPIRY_KEY, SLICE_DELAY_MS, { type: 'expiry-due' }, SLICE_DELAY_MS)
  }

  #scheduleTimeouts(step: TransactionStep): void {
    const delayMs = this.#context.config.transactionAbortTimedOutTransactionCleanupIntervalMs
    step.schedule(TIMEOUTS_KEY, delayMs, { type: 'timeouts-due' }, delayMs)
  }

  #scheduleExpiry(step: TransactionStep): void {
    const delayMs = this.#context.config.transactionRemoveExpiredTransactionCleanupIntervalMs
    step.schedule(EXPIRY_KEY, delayMs, { type: 'expiry-due' }, delayMs)
  }
}

function write(state: TransactionState, step: TransactionStep): void {
  step.write({ transactionalId: state.transactionalId, value: state })
}

/** Whether a producer is who it says it is, and its id not busy with the end of a transaction: an error code. */
function identify(state: TransactionState | undefined, identity: ProducerIdentity): number {
  const { producerId, producerEpoch } = identity
  if (state !== undefined && isPrepared(state.status) && isGivenOut(state, identity)) {
    return ErrorCode.CONCURRENT_TRANSACTIONS
  }
  if (state === undefined || state.producerId !== producerId) return ErrorCode.INVALID_PRODUCER_ID_MAPPING
  if (state.producerEpoch !== producerEpoch) return ErrorCode.PRODUCER_FENCED
  return isPrepared(state.status) ? ErrorCode.CONCURRENT_TRANSACTIONS : ErrorCode.NONE
}

function isSame(state: ProducerIdentity, { producerId, producerEpoch }: ProducerIdentity): boolean {
  return state.producerId === producerId && state.producerEpoch === producerEpoch
}
