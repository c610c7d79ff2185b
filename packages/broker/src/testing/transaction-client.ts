import {
  addOffsetsToTxnApi,
  addPartitionsToTxnApi,
  createAddOffsetsToTxnRequest,
  createAddPartitionsToTxnRequest,
  createAddPartitionsToTxnTopic,
  createDescribeTransactionsRequest,
  createEndTxnRequest,
  createFindCoordinatorRequest,
  createInitProducerIdRequest,
  createOffsetFetchRequest,
  createOffsetFetchRequestGroup,
  createOffsetFetchRequestTopics,
  createTxnOffsetCommitRequest,
  createTxnOffsetCommitRequestPartition,
  createTxnOffsetCommitRequestTopic,
  type DescribeTransactionsResponseTransactionState,
  describeTransactionsApi,
  ErrorCode,
  endTxnApi,
  findCoordinatorApi,
  initProducerIdApi,
  offsetFetchApi,
  type PartitionProduceResponse,
  produceApi,
  txnOffsetCommitApi,
} from '@millrace/protocol'
import { batchOf } from './batches.ts'
import type { DataClient } from './data-client.ts'
import type { TestBroker } from './test-broker.ts'

/** Versions that a client of the time before KIP-890 uses, and one that goes by it. */
const OLD = { produce: 9, end: 4, commit: 3, enlist: 3, offsets: 3 }
const NEW = { produce: 12, end: 5, commit: 5, enlist: 3, offsets: 4 }

/** Lets time pass while something is awaited: pauses between tries need some. */
export async function inTime<Value>(broker: TestBroker, awaited: Promise<Value>, stepMs = 20): Promise<Value> {
  let isDone = false
  const watched = awaited.finally(() => {
    isDone = true
  })
  for (let step = 0; step < 2_000 && !isDone; step++) await broker.advance(stepMs)
  return watched
}

/** A producer of transactions, one call at a time: everything it does can be done wrongly, too. */
export class TransactionalProducer {
  readonly client: DataClient
  readonly transactionalId: string
  readonly versions: typeof OLD
  producerId: number | bigint = -1
  producerEpoch = -1
  timeoutMs = 60_000
  /** Next sequence by partition; of transactions by KIP-890 they begin anew. */
  readonly sequences = new Map<string, number>()

  constructor(client: DataClient, transactionalId: string, isOld = false) {
    this.client = client
    this.transactionalId = transactionalId
    this.versions = isOld ? OLD : NEW
  }

  get isOld(): boolean {
    return this.versions === OLD
  }

  /** Makes the topic of coordinators, where there is none. */
  async find(broker: TestBroker): Promise<void> {
    const request = createFindCoordinatorRequest({ keyType: 1, coordinatorKeys: [this.transactionalId] })
    for (let tries = 0; tries < 20; tries++) {
      const answer = await this.client.call(findCoordinatorApi, 4, request)
      await broker.idle()
      if (answer.coordinators[0]!.errorCode === ErrorCode.NONE) return
    }
    throw new Error('there is no coordinator')
  }

  /** One try; sends what it is if `asItself`. */
  async init(asItself = false): Promise<number> {
    const request = createInitProducerIdRequest({
      transactionalId: this.transactionalId,
      transactionTimeoutMs: this.timeoutMs,
      producerId: asItself ? this.producerId : -1,
      producerEpoch: asItself ? this.producerEpoch : -1,
    })
    const answer = await this.client.call(initProducerIdApi, 5, request)
    if (answer.errorCode === ErrorCode.NONE) this.#adopt(answer.producerId, answer.producerEpoch)
    return answer.errorCode
  }

  /** Tries until it has what it is to be called. */
  async ready(broker: TestBroker): Promise<void> {
    await this.find(broker)
    for (let tries = 0; tries < 100; tries++) {
      const errorCode = await this.init()
      if (errorCode === ErrorCode.NONE) return
      if (errorCode !== ErrorCode.CONCURRENT_TRANSACTIONS) throw new Error(`InitProducerId: error ${errorCode}`)
      await broker.advance(20)
    }
    throw new Error('InitProducerId: no end of CONCURRENT_TRANSACTIONS')
  }

  /** AddPartitionsToTxn of an old client: the error code of each partition. */
  async enlist(topic: string, partitions: readonly number[] = [0]): Promise<number[]> {
    const request = createAddPartitionsToTxnRequest({
      v3AndBelowTransactionalId: this.transactionalId,
      v3AndBelowProducerId: this.producerId,
      v3AndBelowProducerEpoch: this.producerEpoch,
      v3AndBelowTopics: [createAddPartitionsToTxnTopic({ name: topic, partitions: [...partitions] })],
    })
    const answer = await this.client.call(addPartitionsToTxnApi, this.versions.enlist, request)
    return answer.resultsByTopicV3AndBelow[0]!.resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode)
  }

  async addOffsets(groupId: string): Promise<number> {
    const { transactionalId, producerId, producerEpoch } = this
    const request = createAddOffsetsToTxnRequest({ transactionalId, producerId, producerEpoch, groupId })
    return (await this.client.call(addOffsetsToTxnApi, this.versions.offsets, request)).errorCode
  }

  /** Produces records to a partition, as part of the transaction. */
  async produce(
    topic: string,
    values: readonly string[],
    options: { partition?: number; version?: number; sequence?: number; transactionalId?: string | null } = {},
  ): Promise<PartitionProduceResponse> {
    const { partition = 0, version = this.versions.produce, transactionalId = this.transactionalId } = options
    const key = `${topic}/${partition}`
    const baseSequence = options.sequence ?? this.sequences.get(key) ?? 0
    const { producerId, producerEpoch } = this
    const batch = batchOf(values, { producerId, producerEpoch, baseSequence, transactional: true })
    const request = { ...this.client.produceRequest(topic, batch, { version, partition }), transactionalId }
    const answer = (await this.client.call(produceApi, version, request)).responses[0]!.partitionResponses[0]!
    if (answer.errorCode === ErrorCode.NONE) this.sequences.set(key, baseSequence + values.length)
    return answer
  }

  /** Commits or aborts; gives the error code. A client by KIP-890 goes on with what it is told to be. */
  async end(commit: boolean): Promise<number> {
    const { transactionalId, producerId, producerEpoch, versions } = this
    const request = createEndTxnRequest({ transactionalId, producerId, producerEpoch, committed: commit })
    const answer = await this.client.call(endTxnApi, versions.end, request)
    if (answer.errorCode === ErrorCode.NONE && !this.isOld) this.#adopt(answer.producerId, answer.producerEpoch)
    return answer.errorCode
  }

  /** TxnOffsetCommit for one partition of a topic. */
  async commitOffset(
    groupId: string,
    topic: string,
    committedOffset: number,
    member: { memberId?: string; generationId?: number; partition?: number; metadata?: string } = {},
  ): Promise<number> {
    const { memberId = '', generationId = -1, partition = 0, metadata = '' } = member
    const { transactionalId, producerId, producerEpoch } = this
    const partitions = [
      createTxnOffsetCommitRequestPartition({
        partitionIndex: partition,
        committedOffset,
        committedMetadata: metadata,
      }),
    ]
    const topics = [createTxnOffsetCommitRequestTopic({ name: topic, partitions })]
    const request = createTxnOffsetCommitRequest({
      ...{ transactionalId, groupId, producerId, producerEpoch, memberId, topics },
      generationIdOrMemberEpoch: generationId,
    })
    const answer = await this.client.call(txnOffsetCommitApi, this.versions.commit, request)
    return answer.topics[0]!.partitions[0]!.errorCode
  }

  async describe(): Promise<DescribeTransactionsResponseTransactionState> {
    const request = createDescribeTransactionsRequest({ transactionalIds: [this.transactionalId] })
    return (await this.client.call(describeTransactionsApi, 0, request)).transactionStates[0]!
  }

  #adopt(producerId: number | bigint, producerEpoch: number): void {
    if (producerId !== this.producerId || producerEpoch !== this.producerEpoch) this.sequences.clear()
    this.producerId = producerId
    this.producerEpoch = producerEpoch
  }
}

/** A group's committed offset of partition 0 of a topic, or minus the error code. */
export async function committedOffset(
  client: DataClient,
  groupId: string,
  topic: string,
  requireStable = false,
): Promise<number> {
  const topics = [createOffsetFetchRequestTopics({ name: topic, partitionIndexes: [0] })]
  const request = createOffsetFetchRequest({
    groups: [createOffsetFetchRequestGroup({ groupId, topics })],
    requireStable,
  })
  const group = (await client.call(offsetFetchApi, 8, request)).groups[0]!
  if (group.errorCode !== ErrorCode.NONE) return -group.errorCode
  const { errorCode, committedOffset } = group.topics[0]!.partitions[0]!
  return errorCode === ErrorCode.NONE ? Number(committedOffset) : -errorCode
}
