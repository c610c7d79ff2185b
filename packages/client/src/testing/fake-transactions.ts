import type { Timers } from '@millrace/base'
import {
  type AddOffsetsToTxnRequest,
  type AddPartitionsToTxnRequest,
  createAddOffsetsToTxnResponse,
  createAddPartitionsToTxnPartitionResult,
  createAddPartitionsToTxnResponse,
  createAddPartitionsToTxnTopicResult,
  createEndTxnResponse,
  createInitProducerIdResponse,
  createTxnOffsetCommitResponse,
  createTxnOffsetCommitResponsePartition,
  createTxnOffsetCommitResponseTopic,
  type EndTxnRequest,
  ErrorCode,
  type InitProducerIdRequest,
  type TxnOffsetCommitRequest,
} from '@millrace/protocol'
import type { FakePartition } from './fake-partition.ts'

type Status = 'Empty' | 'Ongoing' | 'PrepareCommit' | 'PrepareAbort' | 'CompleteCommit' | 'CompleteAbort'

/** What the coordinator asks of its cluster. */
export interface TransactionsHost {
  readonly timers: Timers
  partition(topic: string, partition: number): FakePartition | null
  newProducerId(): number
  /** The error that the group's coordinator has for who commits, 0 for none. */
  checkMember(request: TxnOffsetCommitRequest): number
  storeOffset(groupId: string, topic: string, partition: number, offset: number): void
}

interface PendingOffset {
  groupId: string
  topic: string
  partition: number
  offset: number
}

interface Transaction {
  producerId: number
  epoch: number
  lastEpoch: number
  timeoutMs: number
  status: Status
  /** Counts transactions, so that a timer knows whether it is about this one. */
  ordinal: number
  partitions: Map<string, { topic: string; partition: number }>
  groups: Set<string>
  offsets: PendingOffset[]
}

/** EndTxn and TxnOffsetCommit from 5 on are those of transaction version 2 (KIP-890). */
const IMPLICIT_FROM_VERSION = 5

/** The transaction coordinator with Kafka's rules for both transaction versions; all ids live on one broker. */
export class FakeTransactions {
  /** How long markers take: until then the next transaction meets CONCURRENT_TRANSACTIONS. */
  markerDelayMs = 5
  readonly byId = new Map<string, Transaction>()
  readonly #host: TransactionsHost

  constructor(host: TransactionsHost) {
    this.#host = host
  }

  /** Another broker took over: what is not in the log is forgotten. */
  move(): void {
    for (const transaction of this.byId.values()) transaction.lastEpoch = -1
  }

  init(request: InitProducerIdRequest): object {
    const id = request.transactionalId!
    const sentId = Number(request.producerId)
    let transaction = this.byId.get(id)
    if (transaction === undefined) {
      transaction = newTransaction(this.#host.newProducerId(), request.transactionTimeoutMs)
      this.byId.set(id, transaction)
      return createInitProducerIdResponse({ producerId: transaction.producerId, producerEpoch: 0 })
    }
    const isKnown = sentId >= 0
    if (isKnown && sentId !== transaction.producerId) return initFailed(ErrorCode.PRODUCER_FENCED)
    if (transaction.status.startsWith('Prepare')) return initFailed(ErrorCode.CONCURRENT_TRANSACTIONS)
    if (transaction.status === 'Ongoing') {
      this.#fence(transaction)
      return initFailed(ErrorCode.CONCURRENT_TRANSACTIONS)
    }
    if (isKnown && request.producerEpoch !== transaction.epoch) {
      if (request.producerEpoch !== transaction.lastEpoch) return initFailed(ErrorCode.PRODUCER_FENCED)
    } else {
      transaction.lastEpoch = isKnown ? transaction.epoch : -1
      transaction.epoch++
    }
    transaction.status = 'Empty'
    transaction.timeoutMs = request.transactionTimeoutMs
    return createInitProducerIdResponse({ producerId: transaction.producerId, producerEpoch: transaction.epoch })
  }

  addPartitions(request: AddPartitionsToTxnRequest): object {
    const { v3AndBelowTransactionalId: id, v3AndBelowProducerEpoch: epoch } = request
    const places = request.v3AndBelowTopics.flatMap(({ name, partitions }) =>
      partitions.map((partition) => ({ topic: name, partition })),
    )
    const isUnknown = (topic: string, partition: number) => this.#host.partition(topic, partition) === null
    const error = this.#check(id, Number(request.v3AndBelowProducerId), epoch)
    if (error !== ErrorCode.NONE) return refusedPartitions(request, error)
    if (places.some(({ topic, partition }) => isUnknown(topic, partition))) {
      return partitionAnswers(request, (topic, partition) =>
        isUnknown(topic, partition) ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.OPERATION_NOT_ATTEMPTED,
      )
    }
    this.#enlist(id, places)
    return refusedPartitions(request, ErrorCode.NONE)
  }

  addOffsets(request: AddOffsetsToTxnRequest): object {
    const { transactionalId, producerId, producerEpoch, groupId } = request
    const errorCode = this.#check(transactionalId, Number(producerId), producerEpoch)
    if (errorCode === ErrorCode.NONE) this.#enlist(transactionalId, []).groups.add(groupId)
    return createAddOffsetsToTxnResponse({ errorCode })
  }

  commitOffsets(request: TxnOffsetCommitRequest, version: number): object {
    return refusedTxnOffsets(request, this.#commitOffsets(request, version))
  }

  /** Whether a leader may take a batch of the transaction; from Produce 12 on it enlists the partition itself. */
  admit(
    id: string,
    producerId: number,
    epoch: number,
    place: { topic: string; partition: number },
    version: number,
  ): number {
    const error = this.#check(id, producerId, epoch)
    if (error === ErrorCode.PRODUCER_FENCED) return ErrorCode.INVALID_PRODUCER_EPOCH
    if (version >= 12) {
      if (error === ErrorCode.NONE) this.#enlist(id, [place])
      return error
    }
    if (error !== ErrorCode.NONE) return ErrorCode.NOT_ENOUGH_REPLICAS
    const transaction = this.byId.get(id)!
    const isIn = transaction.status === 'Ongoing' && transaction.partitions.has(`${place.topic}-${place.partition}`)
    return isIn ? ErrorCode.NONE : ErrorCode.INVALID_TXN_STATE
  }

  end(request: EndTxnRequest, version: number): object {
    const transaction = this.byId.get(request.transactionalId)
    if (transaction === undefined) return createEndTxnResponse({ errorCode: ErrorCode.INVALID_PRODUCER_ID_MAPPING })
    if (Number(request.producerId) !== transaction.producerId) {
      return createEndTxnResponse({ errorCode: ErrorCode.INVALID_PRODUCER_ID_MAPPING })
    }
    const isImplicit = version >= IMPLICIT_FROM_VERSION
    const errorCode = isImplicit ? this.#endImplicit(transaction, request) : this.#endExplicit(transaction, request)
    if (!isImplicit || errorCode !== ErrorCode.NONE) return createEndTxnResponse({ errorCode })
    return createEndTxnResponse({ producerId: transaction.producerId, producerEpoch: transaction.epoch })
  }

  /** Whether a transaction has offsets of the partition that are neither committed nor dropped. */
  hasPendingOffset(groupId: string, topic: string, partition: number): boolean {
    for (const { offsets } of this.byId.values()) {
      if (offsets.some((one) => one.groupId === groupId && one.topic === topic && one.partition === partition)) {
        return true
      }
    }
    return false
  }

  #endExplicit(transaction: Transaction, { producerEpoch, committed }: EndTxnRequest): number {
    if (producerEpoch !== transaction.epoch) return ErrorCode.PRODUCER_FENCED
    const asked = committed ? 'Commit' : 'Abort'
    if (transaction.status === 'Ongoing') {
      this.#prepare(transaction, committed)
      return ErrorCode.NONE
    }
    if (transaction.status === `Prepare${asked}`) return ErrorCode.CONCURRENT_TRANSACTIONS
    return transaction.status === `Complete${asked}` ? ErrorCode.NONE : ErrorCode.INVALID_TXN_STATE
  }

  #endImplicit(transaction: Transaction, { producerEpoch, committed }: EndTxnRequest): number {
    const { status, epoch } = transaction
    const asked = committed ? 'Commit' : 'Abort'
    const isRetry = producerEpoch === epoch - 1
    if (status.startsWith('Prepare')) {
      if (!isRetry) return ErrorCode.PRODUCER_FENCED
      return status === `Prepare${asked}` ? ErrorCode.CONCURRENT_TRANSACTIONS : ErrorCode.INVALID_TXN_STATE
    }
    if (status.startsWith('Complete') && isRetry) {
      return status === `Complete${asked}` ? ErrorCode.NONE : ErrorCode.INVALID_TXN_STATE
    }
    if (producerEpoch !== epoch) return ErrorCode.PRODUCER_FENCED
    if (status !== 'Ongoing' && committed) return ErrorCode.INVALID_TXN_STATE
    transaction.epoch++
    this.#prepare(transaction, committed)
    return ErrorCode.NONE
  }

  #commitOffsets(request: TxnOffsetCommitRequest, version: number): number {
    const { transactionalId, groupId, memberId, generationIdOrMemberEpoch, producerEpoch } = request
    const error = this.#check(transactionalId, Number(request.producerId), producerEpoch)
    if (error === ErrorCode.PRODUCER_FENCED) return ErrorCode.INVALID_PRODUCER_EPOCH
    if (error !== ErrorCode.NONE) return error
    if (memberId !== '' || generationIdOrMemberEpoch >= 0) {
      const refused = this.#host.checkMember(request)
      if (refused !== ErrorCode.NONE) return refused
    }
    const known = this.byId.get(transactionalId)!
    if (version < IMPLICIT_FROM_VERSION && !(known.status === 'Ongoing' && known.groups.has(groupId))) {
      return ErrorCode.INVALID_TXN_STATE
    }
    const { offsets, groups } = this.#enlist(transactionalId, [])
    groups.add(groupId)
    for (const { name, partitions } of request.topics) {
      for (const { partitionIndex, committedOffset } of partitions) {
        offsets.push({ groupId, topic: name, partition: partitionIndex, offset: Number(committedOffset) })
      }
    }
    return ErrorCode.NONE
  }

  #check(id: string, producerId: number, epoch: number): number {
    const transaction = this.byId.get(id)
    if (transaction === undefined || transaction.producerId !== producerId) {
      return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    }
    if (transaction.epoch !== epoch) return ErrorCode.PRODUCER_FENCED
    return transaction.status.startsWith('Prepare') ? ErrorCode.CONCURRENT_TRANSACTIONS : ErrorCode.NONE
  }

  #enlist(id: string, places: readonly { topic: string; partition: number }[]): Transaction {
    const transaction = this.byId.get(id)!
    if (transaction.status !== 'Ongoing') {
      transaction.status = 'Ongoing'
      const ordinal = ++transaction.ordinal
      this.#host.timers.setTimer(transaction.timeoutMs, () => {
        if (transaction.ordinal === ordinal && transaction.status === 'Ongoing') this.#fence(transaction)
      })
    }
    for (const place of places) transaction.partitions.set(`${place.topic}-${place.partition}`, place)
    return transaction
  }

  #fence(transaction: Transaction): void {
    transaction.epoch++
    transaction.lastEpoch = -1
    this.#prepare(transaction, false)
  }

  #prepare(transaction: Transaction, committed: boolean): void {
    transaction.status = committed ? 'PrepareCommit' : 'PrepareAbort'
    this.#host.timers.setTimer(this.markerDelayMs, () => this.#complete(transaction, committed))
  }

  #complete(transaction: Transaction, committed: boolean): void {
    const { producerId, epoch, partitions, offsets } = transaction
    for (const { topic, partition } of partitions.values()) {
      this.#host.partition(topic, partition)?.endTransaction(producerId, epoch, committed)
    }
    if (committed) {
      for (const { groupId, topic, partition, offset } of offsets) {
        this.#host.storeOffset(groupId, topic, partition, offset)
      }
    }
    transaction.partitions = new Map()
    transaction.groups = new Set()
    transaction.offsets = []
    transaction.status = committed ? 'CompleteCommit' : 'CompleteAbort'
  }
}

function newTransaction(producerId: number, timeoutMs: number): Transaction {
  return {
    producerId,
    epoch: 0,
    lastEpoch: -1,
    timeoutMs,
    status: 'Empty',
    ordinal: 0,
    partitions: new Map(),
    groups: new Set(),
    offsets: [],
  }
}

function initFailed(errorCode: number): object {
  return createInitProducerIdResponse({ errorCode, producerId: -1, producerEpoch: -1 })
}

/** An answer with one error for all partitions. */
export function refusedPartitions(request: AddPartitionsToTxnRequest, errorCode: number): object {
  return partitionAnswers(request, () => errorCode)
}

/** An answer with one error for all offsets. */
export function refusedTxnOffsets(request: TxnOffsetCommitRequest, errorCode: number): object {
  return createTxnOffsetCommitResponse({
    topics: request.topics.map(({ name, partitions }) =>
      createTxnOffsetCommitResponseTopic({
        name,
        partitions: partitions.map(({ partitionIndex }) =>
          createTxnOffsetCommitResponsePartition({ partitionIndex, errorCode }),
        ),
      }),
    ),
  })
}

function partitionAnswers(
  request: AddPartitionsToTxnRequest,
  errorOf: (topic: string, partition: number) => number,
): object {
  return createAddPartitionsToTxnResponse({
    resultsByTopicV3AndBelow: request.v3AndBelowTopics.map(({ name, partitions }) =>
      createAddPartitionsToTxnTopicResult({
        name,
        resultsByPartition: partitions.map((partitionIndex) =>
          createAddPartitionsToTxnPartitionResult({
            partitionIndex,
            partitionErrorCode: errorOf(name, partitionIndex),
          }),
        ),
      }),
    ),
  })
}
