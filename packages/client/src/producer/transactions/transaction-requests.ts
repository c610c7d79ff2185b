import {
  addOffsetsToTxnApi,
  addPartitionsToTxnApi,
  createAddOffsetsToTxnRequest,
  createAddPartitionsToTxnRequest,
  createAddPartitionsToTxnTopic,
  createEndTxnRequest,
  createInitProducerIdRequest,
  createTxnOffsetCommitRequest,
  createTxnOffsetCommitRequestPartition,
  createTxnOffsetCommitRequestTopic,
  ErrorCode,
  endTxnApi,
  errorInfo,
  initProducerIdApi,
  txnOffsetCommitApi,
} from '@millrace/protocol'
import type { ClientCore } from '../../client/client-core.ts'
import type { CoordinatorKind } from '../../client/coordinator-finder.ts'
import { groupByTopic, partitionKey, type TopicPartition } from '../../cluster/topic-partition.ts'
import { ProtocolError, throwIfError } from '../../errors/protocol-error.ts'
import type { Api, RequestMessage } from '../../network/api.ts'
import type { RequestOptions } from '../../network/connection.ts'
import {
  type CommittedOffset,
  type Committer,
  forgetIfMoved,
  withCoordinator,
} from '../../offsets/committed-offsets.ts'
import type { ProducerIdentity } from '../producer-identity.ts'

/** Bumping the epoch of an id that is known (KIP-360). */
const BUMP_FROM_VERSION = 3
/** From 4 on the request is for brokers only (KIP-890). */
const CLIENT_ADDS_UP_TO_VERSION = 3
/** EndTxn from 5 on bumps the epoch and tells it; TxnOffsetCommit from 5 on adds the group's partition itself (KIP-890). */
const IMPLICIT_FROM_VERSION = 5
/** Who the member is, so that a zombie's offsets are refused (KIP-447). */
const MEMBER_FROM_VERSION = 3

/**
 * The requests of transactions, each sent once. All reject with {@link ProtocolError} (retriable ones included) or with what kept the
 * request from being answered; a coordinator that turned out to be another is forgotten, so that the next attempt looks it up.
 */
export class TransactionRequests {
  readonly #core: ClientCore
  readonly #transactionalId: string

  constructor(core: ClientCore, transactionalId: string) {
    this.#core = core
    this.#transactionalId = transactionalId
  }

  /** Gets an identity that fences all earlier producers; with `known` bumps the epoch of our own, if nobody else took over. */
  async init(transactionTimeoutMs: number, known: ProducerIdentity | null): Promise<ProducerIdentity> {
    const message = createInitProducerIdRequest({
      transactionalId: this.#transactionalId,
      transactionTimeoutMs,
      producerId: known?.producerId ?? -1,
      producerEpoch: known?.producerEpoch ?? -1,
    })
    const minVersion = known === null ? 0 : BUMP_FROM_VERSION
    const response = await this.#ask(initProducerIdApi, message, { minVersion })
    this.#check(response.errorCode)
    return { producerId: Number(response.producerId), producerEpoch: response.producerEpoch }
  }

  /** Tells the coordinator which partitions will be written to, as it must know before (transaction version below 2). */
  async addPartitions(identity: ProducerIdentity, partitions: readonly TopicPartition[]): Promise<void> {
    const message = createAddPartitionsToTxnRequest({
      v3AndBelowTransactionalId: this.#transactionalId,
      v3AndBelowProducerId: identity.producerId,
      v3AndBelowProducerEpoch: identity.producerEpoch,
      v3AndBelowTopics: [...groupByTopic(partitions)].map(([name, numbers]) =>
        createAddPartitionsToTxnTopic({ name, partitions: numbers }),
      ),
    })
    const response = await this.#ask(addPartitionsToTxnApi, message, { maxVersion: CLIENT_ADDS_UP_TO_VERSION })
    const answers = response.resultsByTopicV3AndBelow.flatMap(({ name, resultsByPartition }) =>
      resultsByPartition.map(({ partitionIndex, partitionErrorCode }) => {
        return { topic: name, partition: partitionIndex, errorCode: partitionErrorCode }
      }),
    )
    this.#checkAll(partitions, answers)
  }

  /** Tells the coordinator that offsets of the group will be part of the transaction (transaction version below 2). */
  async addOffsets({ producerId, producerEpoch }: ProducerIdentity, groupId: string): Promise<void> {
    const transactionalId = this.#transactionalId
    const message = createAddOffsetsToTxnRequest({ transactionalId, producerId, producerEpoch, groupId })
    const response = await this.#ask(addOffsetsToTxnApi, message, {})
    this.#check(response.errorCode)
  }

  /** Gives the offsets to the group's coordinator, which keeps them until the transaction ends. */
  async commitOffsets(
    identity: ProducerIdentity,
    group: Committer,
    offsets: readonly CommittedOffset[],
    isImplicit: boolean,
  ): Promise<void> {
    const { groupId, memberId, generationId, groupInstanceId } = group
    const message = createTxnOffsetCommitRequest({
      transactionalId: this.#transactionalId,
      groupId,
      producerId: identity.producerId,
      producerEpoch: identity.producerEpoch,
      generationIdOrMemberEpoch: generationId,
      memberId,
      groupInstanceId,
      topics: [...Map.groupBy(offsets, ({ topic }) => topic)].map(([name, list]) =>
        createTxnOffsetCommitRequestTopic({
          name,
          partitions: list.map(({ partition, offset, leaderEpoch, metadata }) =>
            createTxnOffsetCommitRequestPartition({
              partitionIndex: partition,
              committedOffset: offset,
              committedLeaderEpoch: leaderEpoch,
              committedMetadata: metadata,
            }),
          ),
        }),
      ),
    })
    const isMember = memberId !== '' || generationId >= 0 || groupInstanceId !== null
    // Version 6 names topics by id; names are what the application gave.
    const versions = isImplicit
      ? { minVersion: IMPLICIT_FROM_VERSION, maxVersion: IMPLICIT_FROM_VERSION }
      : { minVersion: isMember ? MEMBER_FROM_VERSION : 0, maxVersion: IMPLICIT_FROM_VERSION - 1 }
    const response = await this.#ask(txnOffsetCommitApi, message, versions, groupId, 'group')
    const answers = response.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, errorCode }) => ({ topic: name, partition: partitionIndex, errorCode })),
    )
    this.#checkAll(offsets, answers, groupId, 'group')
  }

  /** Ends the transaction. Gives the identity for the next one, null if it stays the same (transaction version below 2). */
  async end(
    { producerId, producerEpoch }: ProducerIdentity,
    committed: boolean,
    isImplicit: boolean,
  ): Promise<ProducerIdentity | null> {
    const transactionalId = this.#transactionalId
    const message = createEndTxnRequest({ transactionalId, producerId, producerEpoch, committed })
    const versions = isImplicit ? { minVersion: IMPLICIT_FROM_VERSION } : { maxVersion: IMPLICIT_FROM_VERSION - 1 }
    const response = await this.#ask(endTxnApi, message, versions)
    this.#check(response.errorCode)
    if (Number(response.producerId) < 0) return null
    return { producerId: Number(response.producerId), producerEpoch: response.producerEpoch }
  }

  async #ask<Request extends object, Response>(
    api: Api<Request, Response>,
    message: RequestMessage<Request>,
    options: Partial<RequestOptions>,
    key = this.#transactionalId,
    kind: CoordinatorKind = 'transaction',
  ): Promise<Response> {
    const call = (nodeId: number) => this.#core.requestNode(nodeId, 'coordinator', api, message, options)
    const { response } = await withCoordinator(this.#core, key, call, kind)
    return response
  }

  #check(errorCode: number): void {
    forgetIfMoved(this.#core, this.#transactionalId, errorCode, 'transaction')
    throwIfError(errorCode, { subject: `transactional id ${this.#transactionalId}` })
  }

  /** Throws the worst of the answers: one that cannot be mended comes before those that may be tried again. */
  #checkAll(
    asked: readonly TopicPartition[],
    answers: readonly (TopicPartition & { errorCode: number })[],
    key = this.#transactionalId,
    kind: CoordinatorKind = 'transaction',
  ): void {
    const failures = answers.filter(({ errorCode }) => errorCode !== ErrorCode.NONE)
    for (const { errorCode } of failures) forgetIfMoved(this.#core, key, errorCode, kind)
    // Not tried only since another of the request failed: that one is the reason.
    const reasons = failures.filter(({ errorCode }) => errorCode !== ErrorCode.OPERATION_NOT_ATTEMPTED)
    const failure = reasons.find(({ errorCode }) => !errorInfo(errorCode).retriable) ?? reasons[0] ?? failures[0]
    if (failure !== undefined) throw new ProtocolError(failure.errorCode, failure)
    const answered = new Set(answers.map(({ topic, partition }) => partitionKey(topic, partition)))
    if (asked.every(({ topic, partition }) => answered.has(partitionKey(topic, partition)))) return
    throw new ProtocolError(ErrorCode.NETWORK_EXCEPTION, {
      message: 'the answer lacks partitions that were asked about',
    })
  }
}
