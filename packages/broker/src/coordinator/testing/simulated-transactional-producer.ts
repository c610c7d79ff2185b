import {
  createAddPartitionsToTxnRequest,
  createAddPartitionsToTxnTopic,
  createAddPartitionsToTxnTransaction,
  createEndTxnRequest,
  createInitProducerIdRequest,
  ErrorCode,
} from '@millrace/protocol'
import type { TransactionCoordinator } from '../transaction/transaction-coordinator.ts'
import { contextOf } from './coordinator-fixture.ts'
import type { SimulatedDataPartition } from './simulated-data-partition.ts'
import type { GhostTransaction, TransactionChecker } from './transaction-checker.ts'

export const SIMULATED_TOPIC = 'data'
const TIMEOUT_MS = 5_000

/** What producers know of the world around them. */
export interface TransactionWorld {
  readonly partitions: readonly SimulatedDataPartition[]
  readonly checker: TransactionChecker
  /** What must not happen and did. */
  readonly faults: unknown[]
  chance(percent: number): boolean
  pick(count: number): number
  /** Whom a client takes for the coordinator, which may be one of before. */
  coordinator(): TransactionCoordinator
  /** Lets others act before it goes on. */
  pause(): Promise<void>
}

const RETRIABLE: ReadonlySet<number> = new Set([
  ErrorCode.CONCURRENT_TRANSACTIONS,
  ErrorCode.NOT_COORDINATOR,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  // What an append that failed for another reason is answered with.
  ErrorCode.UNKNOWN_SERVER_ERROR,
])

/** A producer of transactions, which does one thing after the other, and is never told that it has been replaced. */
export class SimulatedTransactionalProducer {
  readonly transactionalId: string
  readonly isOld: boolean
  readonly #world: TransactionWorld
  #state: 'new' | 'ready' | 'open' | 'ending' | 'fenced' = 'new'
  #producerId = -1
  #producerEpoch = -1
  #ghost: GhostTransaction | null = null
  #isCommitting = false
  #mustAbort = false
  readonly #enlisted = new Set<number>()
  readonly #sequences = new Map<number, number>()
  /** A record that was sent and not answered: it is sent again before anything else. */
  #unanswered: { name: string; partition: number } | null = null
  isBusy = false

  constructor(transactionalId: string, isOld: boolean, world: TransactionWorld) {
    this.transactionalId = transactionalId
    this.isOld = isOld
    this.#world = world
  }

  get isFenced(): boolean {
    return this.#state === 'fenced'
  }

  get isIdle(): boolean {
    return this.#state === 'ready' && !this.isBusy
  }

  /** Begins the next thing. Ends the transaction at hand rather than going on if `isLast`. */
  act(isLast = false): void {
    if (this.isBusy || this.#state === 'fenced') return
    this.isBusy = true
    this.#next(isLast)
      .catch((error: unknown) => this.#world.faults.push(error))
      .finally(() => {
        this.isBusy = false
      })
  }

  #next(isLast: boolean): Promise<void> {
    switch (this.#state) {
      case 'new':
        return this.#init()
      case 'ready':
        if (!isLast) this.#begin()
        return Promise.resolve()
      case 'open':
        if (this.#mustAbort) return this.#end(false)
        if (this.#unanswered !== null || (!isLast && this.#world.chance(60))) return this.#produce()
        return this.#end(this.#world.chance(65))
      default:
        return this.#end(this.#isCommitting)
    }
  }

  async #init(): Promise<void> {
    const { transactionalId } = this
    const request = createInitProducerIdRequest({ transactionalId, transactionTimeoutMs: TIMEOUT_MS })
    const answer = await this.#world.coordinator().initProducerId(request, contextOf(22, 5))
    if (answer.errorCode !== ErrorCode.NONE) {
      if (!RETRIABLE.has(answer.errorCode)) throw new Error(`InitProducerId: error ${answer.errorCode}`)
      return
    }
    this.#world.checker.onInitialized(transactionalId, Number(answer.producerId), answer.producerEpoch)
    this.#adopt(Number(answer.producerId), answer.producerEpoch)
    this.#state = 'ready'
  }

  #adopt(producerId: number, producerEpoch: number): void {
    if (producerId !== this.#producerId || producerEpoch !== this.#producerEpoch) this.#sequences.clear()
    this.#producerId = producerId
    this.#producerEpoch = producerEpoch
  }

  #begin(): void {
    this.#ghost = this.#world.checker.begin(this.#producerId, this.#producerEpoch, this.isOld)
    this.#enlisted.clear()
    this.#mustAbort = false
    this.#unanswered = null
    this.#state = 'open'
  }

  async #produce(): Promise<void> {
    const ghost = this.#ghost!
    const partition = this.#unanswered?.partition ?? this.#world.pick(this.#world.partitions.length)
    if (this.isOld && !this.#enlisted.has(partition) && !(await this.#enlist(partition))) return
    this.#unanswered ??= { name: ghost.nextName(), partition }
    const { name } = this.#unanswered
    const sequence = this.#sequences.get(partition) ?? 0
    const errorCode = await this.#append(name, partition, sequence)
    if (errorCode === ErrorCode.NONE) {
      ghost.acknowledged.add(name)
      this.#sequences.set(partition, sequence + 1)
      this.#unanswered = null
    } else if (errorCode === ErrorCode.INVALID_PRODUCER_EPOCH) {
      this.#state = 'fenced'
    } else if (!RETRIABLE.has(errorCode) && errorCode !== ErrorCode.NETWORK_EXCEPTION) {
      // Whether it was stored or not, the transaction cannot be committed.
      this.#mustAbort = true
    }
  }

  async #enlist(partition: number): Promise<boolean> {
    const request = createAddPartitionsToTxnRequest({
      v3AndBelowTransactionalId: this.transactionalId,
      v3AndBelowProducerId: this.#producerId,
      v3AndBelowProducerEpoch: this.#producerEpoch,
      v3AndBelowTopics: [createAddPartitionsToTxnTopic({ name: SIMULATED_TOPIC, partitions: [partition] })],
    })
    const answer = await this.#world.coordinator().addPartitions(request, contextOf(24, 3))
    const errorCode = answer.resultsByTopicV3AndBelow[0]!.resultsByPartition[0]!.partitionErrorCode
    if (errorCode === ErrorCode.NONE) this.#enlisted.add(partition)
    else if (!RETRIABLE.has(errorCode)) this.#state = 'fenced'
    return errorCode === ErrorCode.NONE
  }

  /** As the leader of a partition does it, with pauses in which everything may happen. */
  async #append(name: string, number: number, sequence: number): Promise<number> {
    const partition = this.#world.partitions[number]!
    const [producerId, producerEpoch] = [this.#producerId, this.#producerEpoch]
    const begun = partition.verifications.begin(
      ...([partition.log, this.transactionalId, producerId, producerEpoch, sequence, !this.isOld] as const),
    )
    if (typeof begun === 'number') return begun
    if (begun !== null) {
      const transaction = createAddPartitionsToTxnTransaction({
        ...{ transactionalId: this.transactionalId, producerId, producerEpoch },
        verifyOnly: this.isOld,
        topics: [createAddPartitionsToTxnTopic({ name: SIMULATED_TOPIC, partitions: [number] })],
      })
      const [result] = await this.#world.coordinator().answerBrokers([transaction])
      const { partitionErrorCode } = result!.topicResults[0]!.resultsByPartition[0]!
      if (partitionErrorCode === ErrorCode.PRODUCER_FENCED) return ErrorCode.INVALID_PRODUCER_EPOCH
      if (partitionErrorCode !== ErrorCode.NONE) return partitionErrorCode
      if (this.#world.chance(50)) await this.#world.pause()
    }
    const errorCode = partition.append(name, producerId, producerEpoch, sequence, begun)
    if (errorCode === ErrorCode.NONE && this.#world.chance(10)) {
      // The request comes once more, much later, over a connection that was slow.
      void this.#world.pause().then(() => partition.append(name, producerId, producerEpoch, sequence, begun))
    }
    // The answer is lost now and then.
    return errorCode === ErrorCode.NONE && this.#world.chance(10) ? ErrorCode.NETWORK_EXCEPTION : errorCode
  }

  async #end(commit: boolean): Promise<void> {
    const ghost = this.#ghost!
    if (this.#state === 'open') {
      // A client that has nothing in its transaction does not end it with its coordinator.
      if (this.isOld && this.#enlisted.size === 0) {
        this.#state = 'ready'
        return
      }
      this.#isCommitting = commit && (this.isOld || ghost.acknowledged.size > 0)
      this.#state = 'ending'
    }
    const request = createEndTxnRequest({
      transactionalId: this.transactionalId,
      producerId: this.#producerId,
      producerEpoch: this.#producerEpoch,
      committed: this.#isCommitting,
    })
    const answer = await this.#world.coordinator().endTxn(request, contextOf(26, this.isOld ? 4 : 5))
    // Here, too, the answer is lost now and then.
    if (RETRIABLE.has(answer.errorCode) || this.#world.chance(10)) return
    if (answer.errorCode !== ErrorCode.NONE) {
      this.#state = 'fenced'
      return
    }
    ghost.outcome = this.#isCommitting ? 'committed' : 'aborted'
    if (!this.isOld) this.#adopt(Number(answer.producerId), answer.producerEpoch)
    this.#state = 'ready'
  }
}
