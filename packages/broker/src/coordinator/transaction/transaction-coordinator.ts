import type { Clock, ProducerId, Timers } from '@millrace/base'
import { type MetadataImage, TRANSACTION_VERSION } from '@millrace/consensus'
import {
  type AddOffsetsToTxnRequest,
  type AddOffsetsToTxnResponse,
  type AddPartitionsToTxnRequest,
  type AddPartitionsToTxnResponse,
  type AddPartitionsToTxnResult,
  type AddPartitionsToTxnTransaction,
  coordinatorPartition,
  createAddOffsetsToTxnResponse,
  createAddPartitionsToTxnResponse,
  createAddPartitionsToTxnTransaction,
  createEndTxnResponse,
  createInitProducerIdResponse,
  type EndTxnRequest,
  type EndTxnResponse,
  ErrorCode,
  type InitProducerIdRequest,
  type InitProducerIdResponse,
} from '@millrace/protocol'
import type { RequestContext } from '../../handlers/handler.ts'
import { mapAsyncInSlices, type NextTurn } from '../../handlers/slices.ts'
import type { Logger } from '../../logger.ts'
import { GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC } from '../../metadata/internal-topics.ts'
import type { ProducerIdSource } from '../../metadata/producer-id-source.ts'
import type { BudgetSample } from '../../metrics/budget.ts'
import type { CoordinatorLog } from '../coordinator-log.ts'
import { CoordinatorRuntime, type ReadOutcome } from '../runtime/coordinator-runtime.ts'
import { responseErrorOf } from '../runtime/operation-errors.ts'
import { EndingTransactions } from './ending-transactions.ts'
import { answerPerPartition, refusedPartitions, resultOf } from './enlist-answers.ts'
import { identityError } from './init-producer-id.ts'
import type { WriteMarker } from './marker.ts'
import { MarkerSender, type SendMarkers } from './marker-sender.ts'
import type { TransactionCoordinatorConfig } from './transaction-config.ts'
import { TransactionCounters } from './transaction-counters.ts'
import { TransactionEndings, type TransactionRuntime } from './transaction-endings.ts'
import { TransactionLimits } from './transaction-limits.ts'
import { TransactionMachine } from './transaction-machine.ts'
import {
  type EnlistInput,
  type IdentityAnswer,
  NEEDS_PRODUCER_ID,
  type NeedsProducerId,
  type ProducerIdentity,
  type TransactionStep,
} from './transaction-protocol.ts'
import { TransactionRecordCodec } from './transaction-record-codec.ts'
import { EPOCH_BUMP_VERSION, partitionsByTopic, type TransactionState } from './transaction-state.ts'

/** Clients below know INVALID_PRODUCER_EPOCH only. */
const FIRST_FENCED_VERSION = { initProducerId: 4, others: 2 } as const
/** From here on AddPartitionsToTxn is for brokers, which ask about many transactions at once. */
const FIRST_BROKER_VERSION = 4
/** EndTxn of clients that go by the rules of KIP-890. */
const FIRST_BUMPING_END = 5

/** What the transaction coordinator needs of the rest of the broker. */
export interface TransactionCoordinatorDeps {
  readonly nodeId: number
  readonly config: TransactionCoordinatorConfig
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  /** The newest metadata. */
  metadata(): MetadataImage
  /** Runs the callback once, when the requests at hand were all handled: `Turn.beforeFlush`. */
  enqueueEndOfTurn(callback: () => void): void
  readonly nextTurn: NextTurn
  readonly producerIds: Pick<ProducerIdSource, 'next'>
  /** Partition of `__consumer_offsets` that a group belongs to; null while there are no group coordinators. */
  groupPartitionFor(groupId: string): number | null
  readonly writeMarker: WriteMarker
  readonly sendMarkers: SendMarkers
  /** A bug of ours surfaced; its operation was answered. The process should stop. */
  onFault(error: unknown): void
}

/**
 * Transactions, for the partitions of `__transaction_state` that this node leads: takes decoded requests, gives responses, and sees to it
 * that what was decided reaches all partitions. The rules are in {@link TransactionMachine}; here is what depends on versions, metadata,
 * other brokers and time.
 */
export class TransactionCoordinator {
  /** For metrics. */
  readonly counters = new TransactionCounters()
  readonly #deps: TransactionCoordinatorDeps
  readonly #runtime: TransactionRuntime
  readonly #limits: TransactionLimits
  readonly #markers: MarkerSender
  readonly #waiters: EndingTransactions
  readonly #endings: TransactionEndings
  /** By partition: one of each shard, for the limits. */
  readonly #machines = new Map<number, TransactionMachine>()
  #isStarted = false
  /** Fixed once the topic is there, since it says where each id is. */
  #partitionCount = 0

  constructor(deps: TransactionCoordinatorDeps) {
    this.#deps = deps
    const { config, counters } = { config: deps.config, counters: this.counters }
    this.#limits = new TransactionLimits(config)
    this.#waiters = new EndingTransactions(deps.timers)
    this.#markers = new MarkerSender({
      nodeId: deps.nodeId,
      timers: deps.timers,
      logger: deps.logger,
      nextTurn: deps.nextTurn,
      counters,
      image: () => deps.metadata(),
      writeLocally: deps.writeMarker,
      sendTo: deps.sendMarkers,
    })
    this.#runtime = new CoordinatorRuntime({
      clock: deps.clock,
      timers: deps.timers,
      logger: deps.logger,
      codec: new TransactionRecordCodec(() => this.#version),
      limits: {
        writeTimeoutMs: config.requestTimeoutMs,
        maxBatchSizeBytes: config.messageMaxBytes,
        appendLingerMs: -1,
      },
      createCoordinator: (partition, timeline) => {
        this.#closeMachine(partition)
        const machine = new TransactionMachine({ config, counters, limits: this.#limits }, timeline)
        this.#machines.set(partition, machine)
        return machine
      },
      enqueueEndOfTurn: (callback) => deps.enqueueEndOfTurn(callback),
      onReply: ({ reply }) => this.#endings.onNotice(reply),
      onFault: (error) => deps.onFault(error),
    })
    this.#endings = new TransactionEndings({
      waiters: this.#waiters,
      ...{ markers: this.#markers, runtime: this.#runtime, counters },
      ...{ timers: deps.timers, logger: deps.logger, producerIds: deps.producerIds },
      version: () => this.#version,
      partitionFor: (transactionalId) => this.partitionFor(transactionalId),
      write: (transactionalId, compute) => this.#write(transactionalId, compute),
    })
  }

  /** Level of `transaction.version`. */
  get #version(): number {
    return this.#deps.metadata().features.get(TRANSACTION_VERSION) ?? 0
  }

  startup(): void {
    this.#isStarted = true
  }

  /** Ends everything; requests are answered COORDINATOR_NOT_AVAILABLE from now on. */
  shutdown(): void {
    this.#isStarted = false
    this.#markers.close()
    this.#runtime.close()
    this.#waiters.releaseAll()
    for (const partition of [...this.#machines.keys()]) this.#closeMachine(partition)
  }

  /** Partition of `__transaction_state` that an id belongs to; null before `startup` and after `shutdown`. */
  partitionFor(transactionalId: string): number | null {
    if (!this.#isStarted) return null
    if (this.#partitionCount === 0) {
      this.#partitionCount = this.#deps.metadata().topics.get(TRANSACTION_STATE_TOPIC)?.partitions.length ?? 0
    }
    const count = this.#partitionCount || this.#deps.config.transactionStateLogNumPartitions
    return coordinatorPartition(transactionalId, count)
  }

  /** This node leads the partition from now on. Resolves when it is loaded, or could not be; need not be awaited. */
  onElection(partition: number, log: CoordinatorLog, leaderEpoch: number): Promise<void> {
    this.#endings.onElection(partition, leaderEpoch)
    return this.#runtime.onElection(partition, log)
  }

  /** This node does not lead the partition any more. */
  onResignation(partition: number): void {
    this.#endings.onResignation(partition)
    this.#runtime.onResignation(partition)
    this.#closeMachine(partition)
    // Of other partitions those who wait ask too early, and again.
    this.#waiters.releaseAll()
  }

  onMetadata(): void {
    this.#markers.onMetadata()
  }

  /** Partitions that this node leads and whose log could not be loaded. */
  get failedPartitions(): number[] {
    return this.#runtime.partitions.filter((partition) => this.#runtime.stateOf(partition) === 'failed')
  }

  /** What clients have the transactional ids hold, and how much that may be. */
  budgets(): BudgetSample[] {
    const { transactionCoordinatorMaxIds, transactionCoordinatorMaxBytes } = this.#deps.config
    const { ids, bytes } = this.#limits.usage
    return [
      { name: 'transactional-ids', unit: 'count', used: ids, limit: transactionCoordinatorMaxIds },
      { name: 'transaction-states', unit: 'bytes', used: bytes, limit: transactionCoordinatorMaxBytes },
    ]
  }

  /** How many ids there are by `TransactionStatus`. */
  get countByStatus(): readonly number[] {
    return this.#limits.usage.byStatus
  }

  get markers(): Pick<MarkerSender, 'transactionCount' | 'markerCount'> {
    return this.#markers
  }

  /** New ids that were refused for want of room. */
  get refusalCount(): number {
    return this.#limits.refusals
  }

  async initProducerId(request: InitProducerIdRequest, context: RequestContext): Promise<InitProducerIdResponse> {
    const refuse = (errorCode: number): InitProducerIdResponse =>
      createInitProducerIdResponse({ ...identityError(errorCode) })
    const { producerId, producerEpoch, enable2Pc, keepPreparedTxn, transactionTimeoutMs } = request
    const transactionalId = request.transactionalId!
    if ((producerId === -1) !== (producerEpoch === -1) || transactionalId === '')
      return refuse(ErrorCode.INVALID_REQUEST)
    const { transactionTwoPhaseCommitEnable, transactionMaxTimeoutMs } = this.#deps.config
    if (enable2Pc && !transactionTwoPhaseCommitEnable) return refuse(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    if (keepPreparedTxn) return refuse(ErrorCode.UNSUPPORTED_VERSION)
    const isTimeoutRight = transactionTimeoutMs > 0 && transactionTimeoutMs <= transactionMaxTimeoutMs
    if (!enable2Pc && !isTimeoutRight) return refuse(ErrorCode.INVALID_TRANSACTION_TIMEOUT)
    const input = {
      transactionalId,
      timeoutMs: enable2Pc ? 2 ** 31 - 1 : transactionTimeoutMs,
      expected: producerId === -1 ? null : { producerId: Number(producerId), producerEpoch },
      clientAddress: context.connection.clientAddress,
    }
    const answer = await this.#writeWithId(transactionalId, (machine, fresh, step) =>
      machine.initProducerId(input, this.#version, fresh, step),
    )
    const errorCode = fencedErrorOf(answer.errorCode, context.apiVersion, FIRST_FENCED_VERSION.initProducerId)
    return errorCode === ErrorCode.NONE
      ? createInitProducerIdResponse({ producerId: answer.producerId, producerEpoch: answer.producerEpoch })
      : refuse(errorCode)
  }

  async addOffsets(request: AddOffsetsToTxnRequest, context: RequestContext): Promise<AddOffsetsToTxnResponse> {
    const { transactionalId, producerId, producerEpoch, groupId } = request
    const groupPartition = this.#deps.groupPartitionFor(groupId)
    if (groupPartition === null) {
      return createAddOffsetsToTxnResponse({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE })
    }
    const code = await this.#enlistWhenEnded({
      ...{ transactionalId, producerId: Number(producerId), producerEpoch },
      partitions: new Map([[GROUP_METADATA_TOPIC, [groupPartition]]]),
      clientVersion: 0,
    })
    const errorCode = fencedErrorOf(code, context.apiVersion, FIRST_FENCED_VERSION.others)
    return createAddOffsetsToTxnResponse({ errorCode })
  }

  /** Of a client up to version 3, of brokers from 4 on. Which topics a client may write to was checked before. */
  async addPartitions(
    request: AddPartitionsToTxnRequest,
    context: RequestContext,
  ): Promise<AddPartitionsToTxnResponse> {
    const { apiVersion } = context
    if (apiVersion >= FIRST_BROKER_VERSION) {
      const resultsByTransaction = await this.answerBrokers(request.transactions)
      return createAddPartitionsToTxnResponse({ resultsByTransaction })
    }
    const transaction = createAddPartitionsToTxnTransaction({
      transactionalId: request.v3AndBelowTransactionalId,
      producerId: request.v3AndBelowProducerId,
      producerEpoch: request.v3AndBelowProducerEpoch,
      topics: request.v3AndBelowTopics,
    })
    const { topicResults } = await this.#answerOne(transaction, false, (errorCode) =>
      fencedErrorOf(errorCode, apiVersion, FIRST_FENCED_VERSION.others),
    )
    return createAddPartitionsToTxnResponse({ resultsByTopicV3AndBelow: topicResults })
  }

  /** What leaders of partitions ask for producers that write to them. */
  answerBrokers(transactions: readonly AddPartitionsToTxnTransaction[]): Promise<AddPartitionsToTxnResult[]> {
    return mapAsyncInSlices(transactions, this.#deps.nextTurn, (transaction) =>
      this.#answerOne(transaction, true, (errorCode) => errorCode),
    )
  }

  async #answerOne(
    transaction: AddPartitionsToTxnTransaction,
    isOfBroker: boolean,
    translate: (errorCode: number) => number,
  ): Promise<AddPartitionsToTxnResult> {
    const { transactionalId, producerEpoch, verifyOnly, topics } = transaction
    if (transactionalId === '') return resultOf(transaction, ErrorCode.INVALID_REQUEST)
    const refused = refusedPartitions(transaction, this.#deps.metadata(), isOfBroker)
    if (refused !== null) return refused
    const identity = { transactionalId, producerId: Number(transaction.producerId), producerEpoch }
    if (verifyOnly) return this.#verify(transaction, identity)
    const partitions = partitionsByTopic(topics)
    const input = { ...identity, partitions, clientVersion: isOfBroker ? EPOCH_BUMP_VERSION : 0 }
    // What a broker asks goes together, and is answered together.
    return resultOf(transaction, translate(await (isOfBroker ? this.#enlist(input) : this.#enlistWhenEnded(input))))
  }

  /** As of the last commit: a partition that is being added was not answered for yet. */
  #verify(
    transaction: AddPartitionsToTxnTransaction,
    identity: ProducerIdentity & { transactionalId: string },
  ): AddPartitionsToTxnResult {
    const partition = this.partitionFor(identity.transactionalId)
    if (partition === null) return resultOf(transaction, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const { errorCode, response } = this.#runtime.read(partition, (machine) => machine.verify(identity))
    if (response === null) return resultOf(transaction, responseErrorOf(errorCode))
    if (response.errorCode !== ErrorCode.NONE) return resultOf(transaction, response.errorCode)
    return answerPerPartition(transaction, (topic, number) =>
      response.contains(topic, number) ? ErrorCode.NONE : ErrorCode.TRANSACTION_ABORTABLE,
    )
  }

  /**
   * While the markers of a producer's last transaction are on their way it cannot go on: resolves when it can, after `timeoutMs` at the
   * latest. Null: there is nothing to wait for.
   */
  whenEnded(
    identity: ProducerIdentity & { readonly transactionalId: string },
    timeoutMs: number,
  ): Promise<void> | null {
    const partition = this.partitionFor(identity.transactionalId)
    const machine = partition === null ? undefined : this.#machines.get(partition)
    return machine?.isEnding(identity) === true ? this.#waiters.wait(identity.transactionalId, timeoutMs) : null
  }

  /** Of a client, which waits in place of asking again: as long as it would. */
  async #enlistWhenEnded(input: EnlistInput): Promise<number> {
    const ended = this.whenEnded(input, this.#deps.config.addPartitionsToTxnRetryBackoffMs)
    if (ended !== null) await ended
    return this.#enlist(input)
  }

  async #enlist(input: EnlistInput): Promise<number> {
    if (input.transactionalId === '') return ErrorCode.INVALID_REQUEST
    const { errorCode, response } = await this.#write(input.transactionalId, (machine, step) =>
      machine.addPartitions(input, step),
    )
    return response ?? responseErrorOf(errorCode)
  }

  async endTxn(request: EndTxnRequest, context: RequestContext): Promise<EndTxnResponse> {
    const { apiVersion } = context
    const { transactionalId, producerEpoch, committed } = request
    if (transactionalId === '') return createEndTxnResponse({ errorCode: ErrorCode.INVALID_REQUEST })
    const input = {
      ...{ transactionalId, producerId: Number(request.producerId), producerEpoch },
      commit: committed,
      clientVersion: apiVersion >= FIRST_BUMPING_END ? EPOCH_BUMP_VERSION : 0,
    }
    const answer = await this.#writeWithId(transactionalId, (machine, fresh, step) => machine.end(input, fresh, step))
    return createEndTxnResponse({
      errorCode: fencedErrorOf(answer.errorCode, apiVersion, FIRST_FENCED_VERSION.others),
      producerId: answer.producerId,
      producerEpoch: answer.producerEpoch,
    })
  }

  /** A transactional id as of the last commit; undefined: it is not known. */
  committed(transactionalId: string): ReadOutcome<{ readonly state: TransactionState | undefined }> {
    const partition = this.partitionFor(transactionalId)
    if (partition === null) return { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, response: null }
    return this.#runtime.read(partition, (machine) => ({ state: machine.committed(transactionalId) }))
  }

  /** The ids of all partitions that this node leads, or why they cannot be told: as long as one loads, a part would look like all. */
  listByPartition(): readonly (() => readonly TransactionState[])[] | { readonly errorCode: number } {
    if (!this.#isStarted) return { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE }
    const { partitions } = this.#runtime
    const isLoading = (partition: number): boolean => this.#runtime.stateOf(partition) === 'loading'
    if (partitions.some(isLoading)) return { errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS }
    return partitions.map(
      (partition) => () => this.#runtime.read(partition, (machine) => machine.list()).response ?? [],
    )
  }

  /** Takes an operation again with a fresh producer id, where it turns out to need one. */
  async #writeWithId(
    transactionalId: string,
    compute: (
      machine: TransactionMachine,
      fresh: ProducerId | null,
      step: TransactionStep,
    ) => IdentityAnswer | NeedsProducerId,
  ): Promise<IdentityAnswer> {
    let fresh: ProducerId | null = null
    for (;;) {
      const { errorCode, response } = await this.#write(transactionalId, (machine, step) =>
        compute(machine, fresh, step),
      )
      if (response === null) return identityError(responseErrorOf(errorCode))
      if (response !== NEEDS_PRODUCER_ID) return response
      const next = await this.#deps.producerIds.next()
      if ('errorCode' in next) return identityError(next.errorCode)
      fresh = next.producerId
    }
  }

  #write<Response>(
    transactionalId: string,
    compute: (machine: TransactionMachine, step: TransactionStep) => Response,
  ): Promise<ReadOutcome<Response>> {
    const partition = this.partitionFor(transactionalId)
    if (partition === null) return Promise.resolve({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, response: null })
    return new Promise((resolve) => {
      this.#runtime.write(partition, compute, (errorCode, response) => resolve({ errorCode, response }))
    })
  }

  /** What it held, or still holds for a moment, is not the node's any more. */
  #closeMachine(partition: number): void {
    this.#machines.get(partition)?.usage.close()
    this.#machines.delete(partition)
  }
}

function fencedErrorOf(errorCode: number, apiVersion: number, firstVersion: number): number {
  return errorCode === ErrorCode.PRODUCER_FENCED && apiVersion < firstVersion
    ? ErrorCode.INVALID_PRODUCER_EPOCH
    : errorCode
}
