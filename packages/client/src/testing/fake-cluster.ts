import { type Uuid, ZERO_UUID } from '@millrace/base'
import {
  type AddOffsetsToTxnRequest,
  type AddPartitionsToTxnRequest,
  ApiKey,
  type ConsumerGroupHeartbeatRequest,
  createAddOffsetsToTxnResponse,
  createConsumerGroupHeartbeatResponse,
  createDescribeTopicPartitionsResponse,
  createDescribeTopicPartitionsResponsePartition,
  createDescribeTopicPartitionsResponseTopic,
  createEndTxnResponse,
  createFetchableTopicResponse,
  createFetchResponse,
  createFetchResponsePartitionData,
  createFindCoordinatorResponse,
  createFindCoordinatorResponseCoordinator,
  createInitProducerIdResponse,
  createListOffsetsPartitionResponse,
  createListOffsetsResponse,
  createListOffsetsTopicResponse,
  createMetadataResponse,
  createMetadataResponseBroker,
  createMetadataResponsePartition,
  createMetadataResponseTopic,
  createOffsetCommitResponse,
  createOffsetCommitResponsePartition,
  createOffsetCommitResponseTopic,
  createOffsetFetchResponse,
  createOffsetFetchResponseGroup,
  createOffsetFetchResponsePartitions,
  createOffsetFetchResponseTopics,
  createPartitionProduceResponse,
  createProduceResponse,
  createShareGroupHeartbeatResponse,
  createTopicProduceResponse,
  type DescribeTopicPartitionsRequest,
  type EndTxnRequest,
  ErrorCode,
  type FetchRequest,
  type FindCoordinatorRequest,
  type HeartbeatRequest,
  type InitProducerIdRequest,
  isTransactionalBatch,
  type JoinGroupRequest,
  type LeaveGroupRequest,
  type ListOffsetsRequest,
  type MetadataRequest,
  type OffsetCommitRequest,
  type OffsetFetchRequest,
  type ProduceRequest,
  producerEpochOf,
  producerIdOf,
  type ShareAcknowledgeRequest,
  type ShareFetchRequest,
  type ShareGroupHeartbeatRequest,
  type SyncGroupRequest,
  type TxnOffsetCommitRequest,
} from '@millrace/protocol'
import { type FakeAnswer, FakeBroker, type FakeHandler, type FakeRequest } from './fake-broker.ts'
import { FakeConsumerGroup } from './fake-consumer-group.ts'
import { FakeGroup } from './fake-group.ts'
import { FakeNetwork } from './fake-network.ts'
import { FakePartition } from './fake-partition.ts'
import { FakeShareGroup } from './fake-share-group.ts'
import { FakeTransactions, refusedPartitions, refusedTxnOffsets } from './fake-transactions.ts'
import { VirtualWorld } from './virtual-world.ts'

interface FakeTopic {
  topicId: Uuid
  partitions: FakePartition[]
}

/** Looks at a request before the cluster does: gives an answer of its own, or null to let the cluster answer. */
export type Interceptor = (request: FakeRequest) => FakeAnswer | null | Promise<FakeAnswer | null>

/** A cluster in memory that speaks the real protocol under virtual time. Tests change its behaviour per API with `intercept`. */
export class FakeCluster {
  readonly world: VirtualWorld
  readonly network = new FakeNetwork()
  readonly brokers = new Map<number, FakeBroker>()
  readonly topics = new Map<string, FakeTopic>()
  readonly groups = new Map<string, FakeGroup>()
  readonly shareGroups = new Map<string, FakeShareGroup>()
  readonly consumerGroups = new Map<string, FakeConsumerGroup>()
  readonly committed = new Map<string, Map<string, number>>()
  readonly transactions: FakeTransactions
  readonly #interceptors = new Map<number, Interceptor>()
  readonly #sessionTargets = new Map<number, Map<string, { topic: string; partition: number; offset: number }>>()
  autoCreatePartitions = 1
  coordinatorId = 1
  #nextProducerId = 1000
  #nextSession = 1

  constructor(options: { brokers?: number; seed?: number } = {}) {
    this.world = new VirtualWorld(options.seed ?? 1)
    this.transactions = new FakeTransactions({
      timers: this.world.timers,
      partition: (topic, partition) => this.topics.get(topic)?.partitions[partition] ?? null,
      newProducerId: () => this.#nextProducerId++,
      checkMember: (request) => this.#checkTransactional(request),
      storeOffset: (groupId, topic, partition, offset) => this.#storeOffset(groupId, `${topic}-${partition}`, offset),
    })
    for (let nodeId = 1; nodeId <= (options.brokers ?? 1); nodeId++) {
      const broker = new FakeBroker(this.network, nodeId, (request) => this.#handle(request))
      this.brokers.set(nodeId, broker)
      broker.start()
    }
  }

  /** Options every client of this cluster needs. */
  get clientOptions() {
    const servers = [...this.brokers.values()].map(({ address }) => `${address.host}:${address.port}`)
    return { bootstrapServers: servers, ports: this.world.ports(this.network) }
  }

  /** The cluster agrees on a level of `transaction.version`; connections that are open do not hear of it. */
  set transactionVersion(level: number) {
    for (const broker of this.brokers.values()) broker.features.set('transaction.version', level)
  }

  /** Groups and transactions are another broker's from now on. */
  moveCoordinator(nodeId: number): void {
    this.coordinatorId = nodeId
    this.transactions.move()
  }

  createTopic(name: string, partitions = 1): FakeTopic {
    const nodeIds = [...this.brokers.keys()]
    const topic: FakeTopic = {
      topicId: Buffer.from(name.padEnd(16, '.').slice(0, 16)).toString('base64url') as Uuid,
      partitions: Array.from({ length: partitions }, (_, slot) => new FakePartition(nodeIds[slot % nodeIds.length]!)),
    }
    this.topics.set(name, topic)
    return topic
  }

  partition(topic: string, partition = 0): FakePartition {
    return this.topics.get(topic)!.partitions[partition]!
  }

  /** Puts a look at requests of an API before the cluster's own answer. */
  intercept(apiKey: number, interceptor: Interceptor): void {
    this.#interceptors.set(apiKey, interceptor)
  }

  /** Requests of one API to all brokers, in the order they came to each. */
  requests<Body>(apiKey: number): FakeRequest<Body>[] {
    return [...this.brokers.values()].flatMap((broker) => broker.of<Body>(apiKey))
  }

  /** What the cluster would answer by itself. */
  answer(request: FakeRequest): FakeAnswer | Promise<FakeAnswer> {
    const handler = this.#handlers[request.apiKey]
    if (handler === undefined) throw new Error(`the fake cluster does not answer API ${request.apiKey}`)
    return handler(request)
  }

  async #handle(request: FakeRequest): Promise<FakeAnswer> {
    const own = await this.#interceptors.get(request.apiKey)?.(request)
    return own ?? this.answer(request)
  }

  readonly #handlers: Readonly<Record<number, FakeHandler>> = {
    [ApiKey.METADATA]: (request) => this.#metadata(request.body as MetadataRequest),
    [ApiKey.DESCRIBE_TOPIC_PARTITIONS]: ({ body }) => this.#describeTopics(body as DescribeTopicPartitionsRequest),
    [ApiKey.INIT_PRODUCER_ID]: (request) => {
      const body = request.body as InitProducerIdRequest
      if (body.transactionalId === null) {
        return createInitProducerIdResponse({ producerId: this.#nextProducerId++, producerEpoch: 0 })
      }
      return this.#coordinates(request)
        ? this.transactions.init(body)
        : createInitProducerIdResponse({ errorCode: ErrorCode.NOT_COORDINATOR, producerId: -1, producerEpoch: -1 })
    },
    [ApiKey.ADD_PARTITIONS_TO_TXN]: (request) => this.#addPartitions(request as FakeRequest<AddPartitionsToTxnRequest>),
    [ApiKey.ADD_OFFSETS_TO_TXN]: (request) =>
      this.#coordinates(request)
        ? this.transactions.addOffsets(request.body as AddOffsetsToTxnRequest)
        : createAddOffsetsToTxnResponse({ errorCode: ErrorCode.NOT_COORDINATOR }),
    [ApiKey.TXN_OFFSET_COMMIT]: (request) => {
      const body = request.body as TxnOffsetCommitRequest
      return this.#coordinates(request)
        ? this.transactions.commitOffsets(body, request.version)
        : refusedTxnOffsets(body, ErrorCode.NOT_COORDINATOR)
    },
    [ApiKey.END_TXN]: (request) =>
      this.#coordinates(request)
        ? this.transactions.end(request.body as EndTxnRequest, request.version)
        : createEndTxnResponse({ errorCode: ErrorCode.NOT_COORDINATOR }),
    [ApiKey.PRODUCE]: (request) => this.#produce(request as FakeRequest<ProduceRequest>),
    [ApiKey.FETCH]: (request) => this.#fetch(request as FakeRequest<FetchRequest>),
    [ApiKey.LIST_OFFSETS]: (request) => this.#listOffsets(request as FakeRequest<ListOffsetsRequest>),
    [ApiKey.FIND_COORDINATOR]: (request) => this.#findCoordinator(request.body as FindCoordinatorRequest),
    [ApiKey.JOIN_GROUP]: ({ body }) => this.group((body as JoinGroupRequest).groupId).join(body as JoinGroupRequest),
    [ApiKey.SYNC_GROUP]: ({ body }) => this.group((body as SyncGroupRequest).groupId).sync(body as SyncGroupRequest),
    [ApiKey.HEARTBEAT]: ({ body }) =>
      this.group((body as HeartbeatRequest).groupId).heartbeat(body as HeartbeatRequest),
    [ApiKey.LEAVE_GROUP]: ({ body }) =>
      this.group((body as LeaveGroupRequest).groupId).leave(body as LeaveGroupRequest),
    [ApiKey.SHARE_GROUP_HEARTBEAT]: (request) => {
      const body = request.body as ShareGroupHeartbeatRequest
      return this.#coordinates(request)
        ? this.shareGroup(body.groupId).heartbeat(body)
        : createShareGroupHeartbeatResponse({ errorCode: ErrorCode.NOT_COORDINATOR })
    },
    [ApiKey.SHARE_FETCH]: ({ nodeId, body }) =>
      this.shareGroup((body as ShareFetchRequest).groupId!).fetch(nodeId, body as ShareFetchRequest),
    [ApiKey.SHARE_ACKNOWLEDGE]: ({ nodeId, body }) =>
      this.shareGroup((body as ShareAcknowledgeRequest).groupId!).acknowledge(nodeId, body as ShareAcknowledgeRequest),
    [ApiKey.CONSUMER_GROUP_HEARTBEAT]: (request) => {
      const body = request.body as ConsumerGroupHeartbeatRequest
      return this.#coordinates(request)
        ? this.consumerGroup(body.groupId).heartbeat(body)
        : createConsumerGroupHeartbeatResponse({ errorCode: ErrorCode.NOT_COORDINATOR })
    },
    [ApiKey.OFFSET_COMMIT]: ({ body }) => this.#commit(body as OffsetCommitRequest),
    [ApiKey.OFFSET_FETCH]: ({ body }) => this.#fetchOffsets(body as OffsetFetchRequest),
  }

  /** A share group; there from the first call on. */
  shareGroup(groupId: string): FakeShareGroup {
    let group = this.shareGroups.get(groupId)
    if (group === undefined) {
      group = new FakeShareGroup({
        timers: this.world.timers,
        topics: () => [...this.topics].map(([name, { topicId, partitions }]) => ({ name, topicId, partitions })),
      })
      this.shareGroups.set(groupId, group)
    }
    return group
  }

  /** A group by the newer protocol; there from the first call on. */
  consumerGroup(groupId: string): FakeConsumerGroup {
    let group = this.consumerGroups.get(groupId)
    if (group === undefined) {
      group = new FakeConsumerGroup(this.world.timers, () =>
        [...this.topics].map(([name, { topicId, partitions }]) => {
          return { name, topicId, partitionCount: partitions.length }
        }),
      )
      this.consumerGroups.set(groupId, group)
    }
    return group
  }

  #keysOf({ topics }: OffsetCommitRequest | TxnOffsetCommitRequest): string[] {
    return topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex }) => `${this.topics.get(name)?.topicId}/${partitionIndex}`),
    )
  }

  #checkTransactional(request: TxnOffsetCommitRequest): number {
    const { groupId, memberId, generationIdOrMemberEpoch } = request
    const errorCode = this.#checkCommit(groupId, memberId, generationIdOrMemberEpoch, this.#keysOf(request))
    // Offsets of a transaction are taken in any state of the group.
    if (errorCode === ErrorCode.REBALANCE_IN_PROGRESS) return ErrorCode.NONE
    return errorCode === ErrorCode.STALE_MEMBER_EPOCH ? ErrorCode.ILLEGAL_GENERATION : errorCode
  }

  #checkCommit(groupId: string, memberId: string, epoch: number, keys: readonly string[]): number {
    const group = this.consumerGroups.get(groupId)
    return group === undefined ? this.group(groupId).check(memberId, epoch) : group.check(memberId, epoch, keys)
  }

  group(groupId: string): FakeGroup {
    let group = this.groups.get(groupId)
    if (group === undefined) {
      group = new FakeGroup(this.world.timers)
      this.groups.set(groupId, group)
    }
    return group
  }

  #metadata(request: MetadataRequest): object {
    const names = request.topics?.map(({ name }) => name!) ?? [...this.topics.keys()]
    for (const name of names) {
      const mayCreate = request.allowAutoTopicCreation && this.autoCreatePartitions > 0
      if (!this.topics.has(name) && mayCreate) this.createTopic(name, this.autoCreatePartitions)
    }
    return createMetadataResponse({
      clusterId: 'fake-cluster',
      controllerId: 1,
      brokers: [...this.brokers.values()].map(({ nodeId, address }) =>
        createMetadataResponseBroker({ nodeId, host: address.host, port: address.port }),
      ),
      topics: names.map((name) => {
        const topic = this.topics.get(name)
        return createMetadataResponseTopic({
          name,
          topicId: topic?.topicId ?? ZERO_UUID,
          errorCode: topic === undefined ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : 0,
          partitions: (topic?.partitions ?? []).map(({ leaderId, leaderEpoch }, partitionIndex) =>
            createMetadataResponsePartition({
              partitionIndex,
              leaderId,
              leaderEpoch,
              replicaNodes: [leaderId],
              isrNodes: [leaderId],
            }),
          ),
        })
      }),
    })
  }

  #describeTopics(request: DescribeTopicPartitionsRequest): object {
    return createDescribeTopicPartitionsResponse({
      topics: request.topics.map(({ name }) => {
        const topic = this.topics.get(name)
        return createDescribeTopicPartitionsResponseTopic({
          name,
          topicId: topic?.topicId ?? ZERO_UUID,
          errorCode: topic === undefined ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : 0,
          partitions: (topic?.partitions ?? []).map(({ leaderId, leaderEpoch }, partitionIndex) =>
            createDescribeTopicPartitionsResponsePartition({
              partitionIndex,
              leaderId,
              leaderEpoch,
              replicaNodes: [leaderId],
              isrNodes: [leaderId],
              eligibleLeaderReplicas: [],
            }),
          ),
        })
      }),
    })
  }

  #topicBy(name: string, topicId: Uuid): [string, FakeTopic] | null {
    for (const entry of this.topics) if (entry[0] === name || entry[1].topicId === topicId) return entry
    return null
  }

  #coordinates({ nodeId }: FakeRequest): boolean {
    return nodeId === this.coordinatorId
  }

  #addPartitions(request: FakeRequest<AddPartitionsToTxnRequest>): object {
    const { body } = request
    if (this.#coordinates(request)) return this.transactions.addPartitions(body)
    return refusedPartitions(body, ErrorCode.NOT_COORDINATOR)
  }

  #storeOffset(groupId: string, key: string, offset: number): void {
    const offsets = this.committed.get(groupId) ?? new Map<string, number>()
    this.committed.set(groupId, offsets)
    offsets.set(key, offset)
  }

  /** What the leader says before it looks at a batch of a transaction, 0 if nothing. */
  #admitBatch(request: FakeRequest<ProduceRequest>, topic: string, partition: number, records: Buffer): number {
    const { transactionalId } = request.body
    if (transactionalId === null || !isTransactionalBatch(records, 0)) return ErrorCode.NONE
    const producerId = producerIdOf(records, 0)
    const epoch = producerEpochOf(records, 0)
    return this.transactions.admit(transactionalId, producerId, epoch, { topic, partition }, request.version)
  }

  #produce(request: FakeRequest<ProduceRequest>): FakeAnswer {
    const responses = request.body.topicData.map(({ name, topicId, partitionData }) => {
      const [topicName, topic] = this.#topicBy(name, topicId) ?? [name, undefined]
      return createTopicProduceResponse({
        name,
        topicId,
        partitionResponses: partitionData.map(({ index, records }) => {
          const partition = topic?.partitions[index]
          if (partition === undefined) {
            return createPartitionProduceResponse({ index, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION })
          }
          if (partition.leaderId !== request.nodeId) {
            return createPartitionProduceResponse({ index, errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER })
          }
          const errorCode = this.#admitBatch(request, topicName, index, records!)
          if (errorCode !== ErrorCode.NONE) return createPartitionProduceResponse({ index, errorCode })
          return createPartitionProduceResponse({ index, logAppendTimeMs: -1, ...partition.append(records!) })
        }),
      })
    })
    return request.body.acks === 0 ? 'drop' : createProduceResponse({ responses })
  }

  async #fetch(request: FakeRequest<FetchRequest>): Promise<object> {
    const { body } = request
    let sessionId = body.sessionId
    if (body.sessionEpoch === 0) {
      sessionId = this.#nextSession++
      this.#sessionTargets.set(sessionId, new Map())
    }
    const targets = this.#sessionTargets.get(sessionId)
    if (targets === undefined) return createFetchResponse({ errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND })
    for (const { topic, topicId, partitions } of body.forgottenTopicsData) {
      for (const partition of partitions) targets.delete(`${this.#topicBy(topic, topicId)?.[0]}-${partition}`)
    }
    for (const { topic, topicId, partitions } of body.topics) {
      const name = this.#topicBy(topic, topicId)?.[0] ?? topic
      for (const { partition, fetchOffset } of partitions) {
        targets.set(`${name}-${partition}`, { topic: name, partition, offset: Number(fetchOffset) })
      }
    }
    let responses = this.#read(request.nodeId, [...targets.values()], body)
    if (responses.length === 0 && body.maxWaitMs > 0) {
      await new Promise<void>((resolve) => {
        this.world.timers.setTimer(body.maxWaitMs, resolve)
      })
      responses = this.#read(request.nodeId, [...targets.values()], body)
    }
    return createFetchResponse({ sessionId, responses })
  }

  #read(nodeId: number, targets: readonly { topic: string; partition: number; offset: number }[], body: FetchRequest) {
    const responses: object[] = []
    for (const { topic, partition: partitionIndex, offset } of targets) {
      const partition = this.topics.get(topic)?.partitions[partitionIndex]
      const isLeader = partition?.leaderId === nodeId
      const inRange = partition !== undefined && offset >= partition.logStartOffset && offset <= partition.endOffset
      const errorCode = !isLeader
        ? ErrorCode.NOT_LEADER_OR_FOLLOWER
        : inRange
          ? ErrorCode.NONE
          : ErrorCode.OFFSET_OUT_OF_RANGE
      const limit = body.isolationLevel === 1 ? partition?.lastStableOffset : undefined
      const records = errorCode === 0 ? partition!.read(offset, body.maxBytes, limit) : Buffer.alloc(0)
      if (errorCode === 0 && records.length === 0) continue
      responses.push(
        createFetchableTopicResponse({
          topic,
          topicId: this.topics.get(topic)?.topicId ?? ZERO_UUID,
          partitions: [
            createFetchResponsePartitionData({
              partitionIndex,
              errorCode,
              highWatermark: partition?.endOffset ?? -1,
              lastStableOffset: partition?.lastStableOffset ?? -1,
              logStartOffset: partition?.logStartOffset ?? -1,
              abortedTransactions: partition?.abortedFrom(offset) ?? null,
              records,
            }),
          ],
        }),
      )
    }
    return responses as ReturnType<typeof createFetchableTopicResponse>[]
  }

  #listOffsets(request: FakeRequest<ListOffsetsRequest>): object {
    const topics = request.body.topics.map(({ name, partitions }) =>
      createListOffsetsTopicResponse({
        name,
        partitions: partitions.map(({ partitionIndex, timestamp }) => {
          const partition = this.topics.get(name)?.partitions[partitionIndex]
          if (partition?.leaderId !== request.nodeId) {
            return createListOffsetsPartitionResponse({ partitionIndex, errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER })
          }
          const time = Number(timestamp)
          const offset =
            time === -1 ? partition.endOffset : time === -2 ? partition.logStartOffset : partition.offsetAt(time)
          return createListOffsetsPartitionResponse({ partitionIndex, offset, timestamp: -1, leaderEpoch: 0 })
        }),
      }),
    )
    return createListOffsetsResponse({ topics })
  }

  #findCoordinator(request: FindCoordinatorRequest): object {
    const { address } = this.brokers.get(this.coordinatorId)!
    const place = { nodeId: this.coordinatorId, host: address.host, port: address.port }
    return createFindCoordinatorResponse({
      coordinators: request.coordinatorKeys.map((key) => createFindCoordinatorResponseCoordinator({ key, ...place })),
    })
  }

  #commit(request: OffsetCommitRequest): object {
    const { groupId, memberId, generationIdOrMemberEpoch } = request
    const errorCode = this.#checkCommit(groupId, memberId, generationIdOrMemberEpoch, this.#keysOf(request))
    return createOffsetCommitResponse({
      topics: request.topics.map(({ name, partitions }) =>
        createOffsetCommitResponseTopic({
          name,
          partitions: partitions.map(({ partitionIndex, committedOffset }) => {
            if (errorCode === 0)
              this.#storeOffset(request.groupId, `${name}-${partitionIndex}`, Number(committedOffset))
            return createOffsetCommitResponsePartition({ partitionIndex, errorCode })
          }),
        }),
      ),
    })
  }

  #fetchOffsets(request: OffsetFetchRequest): object {
    const groups = request.groups.map(({ groupId, topics, memberId, memberEpoch }) => {
      const member = this.consumerGroups.get(groupId)?.members.get(memberId ?? '')
      if (this.consumerGroups.has(groupId) && memberId !== null && member?.epoch !== memberEpoch) {
        const errorCode = member === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : ErrorCode.STALE_MEMBER_EPOCH
        return createOffsetFetchResponseGroup({ groupId, errorCode })
      }
      const offsets = this.committed.get(groupId) ?? new Map<string, number>()
      const asked =
        topics?.map(({ name, partitionIndexes }) => ({ name, partitionIndexes })) ??
        [...this.topics].map(([name, { partitions }]) => ({ name, partitionIndexes: [...partitions.keys()] }))
      return createOffsetFetchResponseGroup({
        groupId,
        topics: asked.map(({ name, partitionIndexes }) =>
          createOffsetFetchResponseTopics({
            name,
            partitions: partitionIndexes.map((partitionIndex) =>
              request.requireStable && this.transactions.hasPendingOffset(groupId, name, partitionIndex)
                ? createOffsetFetchResponsePartitions({
                    partitionIndex,
                    committedOffset: -1,
                    errorCode: ErrorCode.UNSTABLE_OFFSET_COMMIT,
                  })
                : createOffsetFetchResponsePartitions({
                    partitionIndex,
                    committedOffset: offsets.get(`${name}-${partitionIndex}`) ?? -1,
                  }),
            ),
          }),
        ),
      })
    })
    return createOffsetFetchResponse({ groups })
  }
}
