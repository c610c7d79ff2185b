import { assert, type Clock, type Random, type Timers } from '@millrace/base'
import { type MetadataImage, SUPPORTED_FEATURES } from '@millrace/consensus'
import { ApiKey, ErrorCode } from '@millrace/protocol'
import type { Log, LogManager } from '@millrace/storage'
import type { Authorizer } from './authorization/authorizer.ts'
import { withGuard } from './authorization/guards.ts'
import { NEEDS } from './authorization/needs.ts'
import type { Configuration } from './config/configuration.ts'
import type { CoordinatorFinder } from './coordinator/coordinator-finder.ts'
import type { GroupCoordinator } from './coordinator/group/group-coordinator.ts'
import { ShareStateRequests } from './coordinator/share/share-requests.ts'
import type { Transactions } from './coordinator/transaction/transactions.ts'
import { fetchHandler } from './handlers/01-fetch.ts'
import { listOffsetsHandler } from './handlers/02-list-offsets.ts'
import { metadataHandler } from './handlers/03-metadata.ts'
import { offsetCommitHandler } from './handlers/08-offset-commit.ts'
import { offsetFetchHandler } from './handlers/09-offset-fetch.ts'
import { findCoordinatorHandler } from './handlers/10-find-coordinator.ts'
import { joinGroupHandler } from './handlers/11-join-group.ts'
import { heartbeatHandler } from './handlers/12-heartbeat.ts'
import { leaveGroupHandler } from './handlers/13-leave-group.ts'
import { syncGroupHandler } from './handlers/14-sync-group.ts'
import { describeGroupsHandler } from './handlers/15-describe-groups.ts'
import { listGroupsHandler } from './handlers/16-list-groups.ts'
import { saslHandshakeHandler } from './handlers/17-sasl-handshake.ts'
import { apiVersionsHandler, type ServedApi } from './handlers/18-api-versions.ts'
import { createTopicsHandler } from './handlers/19-create-topics.ts'
import { deleteTopicsHandler } from './handlers/20-delete-topics.ts'
import { deleteRecordsHandler } from './handlers/21-delete-records.ts'
import { initProducerIdHandler } from './handlers/22-init-producer-id.ts'
import { offsetForLeaderEpochHandler } from './handlers/23-offset-for-leader-epoch.ts'
import { addPartitionsToTxnHandler } from './handlers/24-add-partitions-to-txn.ts'
import { addOffsetsToTxnHandler } from './handlers/25-add-offsets-to-txn.ts'
import { endTxnHandler } from './handlers/26-end-txn.ts'
import { writeTxnMarkersHandler } from './handlers/27-write-txn-markers.ts'
import { txnOffsetCommitHandler } from './handlers/28-txn-offset-commit.ts'
import { describeAclsHandler } from './handlers/29-describe-acls.ts'
import { createAclsHandler } from './handlers/30-create-acls.ts'
import { deleteAclsHandler } from './handlers/31-delete-acls.ts'
import { describeConfigsHandler } from './handlers/32-describe-configs.ts'
import { alterConfigsHandler } from './handlers/33-alter-configs.ts'
import { alterReplicaLogDirsHandler } from './handlers/34-alter-replica-log-dirs.ts'
import { describeLogDirsHandler } from './handlers/35-describe-log-dirs.ts'
import { saslAuthenticateHandler } from './handlers/36-sasl-authenticate.ts'
import { createPartitionsHandler } from './handlers/37-create-partitions.ts'
import { deleteGroupsHandler } from './handlers/42-delete-groups.ts'
import { electLeadersHandler } from './handlers/43-elect-leaders.ts'
import { incrementalAlterConfigsHandler } from './handlers/44-incremental-alter-configs.ts'
import { alterPartitionReassignmentsHandler } from './handlers/45-alter-partition-reassignments.ts'
import { listPartitionReassignmentsHandler } from './handlers/46-list-partition-reassignments.ts'
import { offsetDeleteHandler } from './handlers/47-offset-delete.ts'
import { describeClientQuotasHandler } from './handlers/48-describe-client-quotas.ts'
import { alterClientQuotasHandler } from './handlers/49-alter-client-quotas.ts'
import { describeUserScramCredentialsHandler } from './handlers/50-describe-user-scram-credentials.ts'
import { alterUserScramCredentialsHandler } from './handlers/51-alter-user-scram-credentials.ts'
import { describeQuorumHandler } from './handlers/55-describe-quorum.ts'
import { updateFeaturesHandler } from './handlers/57-update-features.ts'
import { describeClusterHandler } from './handlers/60-describe-cluster.ts'
import { type ActiveProducer, describeProducersHandler } from './handlers/61-describe-producers.ts'
import { unregisterBrokerHandler } from './handlers/64-unregister-broker.ts'
import { describeTransactionsHandler } from './handlers/65-describe-transactions.ts'
import { listTransactionsHandler } from './handlers/66-list-transactions.ts'
import { consumerGroupHeartbeatHandler } from './handlers/68-consumer-group-heartbeat.ts'
import { consumerGroupDescribeHandler } from './handlers/69-consumer-group-describe.ts'
import { listConfigResourcesHandler } from './handlers/74-list-config-resources.ts'
import { describeTopicPartitionsHandler } from './handlers/75-describe-topic-partitions.ts'
import { shareGroupHeartbeatHandler } from './handlers/76-share-group-heartbeat.ts'
import { shareGroupDescribeHandler } from './handlers/77-share-group-describe.ts'
import { shareFetchHandler } from './handlers/78-share-fetch.ts'
import { shareAcknowledgeHandler } from './handlers/79-share-acknowledge.ts'
import { addRaftVoterHandler } from './handlers/80-add-raft-voter.ts'
import { removeRaftVoterHandler } from './handlers/81-remove-raft-voter.ts'
import { initializeShareGroupStateHandler } from './handlers/83-initialize-share-group-state.ts'
import { readShareGroupStateHandler } from './handlers/84-read-share-group-state.ts'
import { writeShareGroupStateHandler } from './handlers/85-write-share-group-state.ts'
import { deleteShareGroupStateHandler } from './handlers/86-delete-share-group-state.ts'
import { readShareGroupStateSummaryHandler } from './handlers/87-read-share-group-state-summary.ts'
import { describeShareGroupOffsetsHandler } from './handlers/90-describe-share-group-offsets.ts'
import { alterShareGroupOffsetsHandler } from './handlers/91-alter-share-group-offsets.ts'
import { deleteShareGroupOffsetsHandler } from './handlers/92-delete-share-group-offsets.ts'
import type { BrokerProofs } from './handlers/broker-proofs.ts'
import { withElementLimit } from './handlers/element-limits.ts'
import type { ApiHandler } from './handlers/handler.ts'
import { LeaderHints } from './handlers/leader-hints.ts'
import type { LoggerLevels } from './handlers/logger-levels.ts'
import { type DeclaredApi, servedApis } from './handlers/served-apis.ts'
import type { NextTurn } from './handlers/slices.ts'
import type { Logger } from './logger.ts'
import type { MetadataService } from './metadata/metadata-service.ts'
import type { TopicAutoCreation } from './metadata/topic-auto-creation.ts'
import type { TopicMetrics } from './metrics/topic-metrics.ts'
import type { RawHandler } from './network/request-dispatcher.ts'
import type { FetchLimits } from './partition/fetch-limits.ts'
import type { FetchReplication } from './partition/fetch-operation.ts'
import type { FetchSessionCache } from './partition/fetch-session-cache.ts'
import type { PartitionManager } from './partition/partition-manager.ts'
import type { Shares } from './share/shares.ts'

/** What the handlers are made of. */
export interface HandlerParts {
  readonly configuration: Configuration
  readonly metadata: MetadataService
  readonly partitions: PartitionManager
  readonly sessions: FetchSessionCache
  readonly fetchLimits: FetchLimits
  /** Left out where there are no other brokers. */
  readonly replication?: FetchReplication
  readonly proofs: BrokerProofs
  /** Null: everybody may do everything. */
  readonly authorizer: Authorizer | null
  readonly groups: GroupCoordinator
  readonly transactions: Transactions
  readonly shares: Shares
  readonly coordinators: CoordinatorFinder
  readonly topicCreation: TopicAutoCreation
  readonly loggers: LoggerLevels
  readonly random: Random
  readonly logs: LogManager
  readonly topicMetrics: TopicMetrics
  readonly timers: Timers
  readonly clock: Clock
  readonly logger: Logger
  readonly nextTurn: NextTurn
  /** Served besides, by handlers of their own kind. */
  readonly rawHandlers: readonly RawHandler[]
}

/** Advertised from 0 so that old versions of librdkafka take the broker for a Kafka; versions below 3 are not served (KIP-896). */
const PRODUCE_ADVERTISED_FROM = 0

/** One handler per API that is served, Produce aside. What is not declared in `served-apis.ts` is not advertised. */
export function brokerHandlers(parts: HandlerParts): ApiHandler[] {
  const served = servedApis()
  const handlers = [
    ...dataHandlers(parts),
    ...groupHandlers(parts),
    ...transactionHandlers(parts),
    ...shareHandlers(parts),
    ...adminHandlers(parts),
    ...accessHandlers(parts),
  ] as ApiHandler[]
  handlers.push(
    saslHandshakeHandler(parts) as ApiHandler,
    saslAuthenticateHandler(parts) as ApiHandler,
    apiVersionsHandler({
      servedApis: () => served.map(advertised),
      image: () => parts.metadata.image,
      nodeId: parts.configuration.nodeId,
      supportedFeatures: SUPPORTED_FEATURES,
    }) as ApiHandler,
  )
  checkDeclared(served, [...handlers, ...parts.rawHandlers])
  return handlers.map((handler) => withElementLimit(guarded(handler, parts)))
}

function guarded(handler: ApiHandler, { authorizer, metadata, configuration, nextTurn }: HandlerParts): ApiHandler {
  if (authorizer === null) return handler
  return withGuard(handler, authorizer, {
    image: () => metadata.image,
    nextTurn,
    autoCreateTopics: () => configuration.broker.autoCreateTopicsEnable,
    deleteTopics: () => configuration.broker.deleteTopicEnable,
  })
}

function advertised({ key, minVersion, maxVersion }: DeclaredApi): ServedApi {
  return { apiKey: key, minVersion: key === ApiKey.PRODUCE ? PRODUCE_ADVERTISED_FROM : minVersion, maxVersion }
}

/** What is declared is what is there: an API that is advertised and has no handler would close connections. */
function checkDeclared(
  served: readonly DeclaredApi[],
  handlers: readonly Pick<ApiHandler, 'apiKey' | 'minVersion' | 'maxVersion'>[],
): void {
  const declared = new Map(served.map((api) => [api.key, api]))
  for (const { apiKey, minVersion, maxVersion } of handlers) {
    const api = declared.get(apiKey)
    declared.delete(apiKey)
    const same = api !== undefined && api.minVersion === minVersion && api.maxVersion === maxVersion
    assert(same, `API ${apiKey} is served in versions ${minVersion} to ${maxVersion} and declared otherwise`)
  }
  assert(declared.size === 0, 'an API is declared and not served')
}

function dataHandlers({
  configuration,
  metadata,
  partitions,
  sessions,
  fetchLimits,
  replication,
  proofs,
  authorizer,
  timers,
  topicMetrics,
  nextTurn,
}: HandlerParts) {
  const { total } = topicMetrics
  return [
    fetchHandler({
      partitions,
      sessions,
      timers,
      fetchMaxBytes: configuration.broker.fetchMaxBytes,
      limits: fetchLimits,
      leaderHints: new LeaderHints(() => metadata.image),
      ...(replication === undefined ? {} : { replication }),
      isReplica(connection, replicaId) {
        if (proofs.areAskedFor) return connection.brokerId === replicaId
        return authorizer === null || authorizer.accessOf(connection).allowsCluster(NEEDS[ApiKey.FETCH].follower)
      },
      authorizer,
      onFetched(topic, sizeBytes) {
        total.fetchRequests++
        total.bytesOut += sizeBytes
        topicMetrics.of(topic).bytesOut += sizeBytes
      },
      onFailed() {
        total.failedFetchRequests++
      },
    }),
    listOffsetsHandler({ partitions, nextTurn }),
    deleteRecordsHandler({ partitions, timers, nextTurn }),
    offsetForLeaderEpochHandler({ partitions }),
  ]
}

function groupHandlers({ groups, coordinators, authorizer }: HandlerParts) {
  return [
    offsetCommitHandler({ groups }),
    offsetFetchHandler({ groups }),
    findCoordinatorHandler({ coordinators }),
    joinGroupHandler({ groups }),
    heartbeatHandler({ groups }),
    leaveGroupHandler({ groups }),
    syncGroupHandler({ groups }),
    describeGroupsHandler({ groups }),
    listGroupsHandler({ groups }),
    deleteGroupsHandler({ groups }),
    offsetDeleteHandler({ groups }),
    consumerGroupHeartbeatHandler({ groups, authorizer }),
    consumerGroupDescribeHandler({ groups }),
  ]
}

function transactionHandlers({ transactions, groups, partitions, configuration, clock, nextTurn }: HandlerParts) {
  const { coordinator, verifier, markers, producerIds } = transactions
  return [
    initProducerIdHandler({ producerIds, transactions: coordinator }),
    addPartitionsToTxnHandler({ transactions: coordinator }),
    addOffsetsToTxnHandler({ transactions: coordinator }),
    endTxnHandler({ transactions: coordinator }),
    writeTxnMarkersHandler({ markers, requestTimeoutMs: configuration.broker.requestTimeoutMs, nextTurn }),
    txnOffsetCommitHandler({
      groups,
      verifier,
      find: (topic, partition) => partitions.find(topic, partition),
      isVerificationRequired: () => configuration.broker.transactionPartitionVerificationEnable,
    }),
    describeTransactionsHandler({ transactions: coordinator, nextTurn }),
    listTransactionsHandler({ transactions: coordinator, clock, nextTurn }),
  ]
}

function shareHandlers({
  groups,
  shares,
  metadata,
  authorizer,
  fetchLimits,
  timers,
  configuration,
  partitions,
}: HandlerParts) {
  const shareStates = new ShareStateRequests(shares.coordinator)
  const data = {
    shares,
    timers,
    partitions,
    authorizer,
    image: () => metadata.image,
    leaderHints: new LeaderHints(() => metadata.image),
  }
  return [
    shareGroupHeartbeatHandler({ groups }),
    shareGroupDescribeHandler({ groups }),
    shareFetchHandler({ ...data, limits: fetchLimits, fetchMaxBytes: configuration.broker.fetchMaxBytes }),
    shareAcknowledgeHandler(data),
    initializeShareGroupStateHandler({ shareStates }),
    readShareGroupStateHandler({ shareStates }),
    writeShareGroupStateHandler({ shareStates }),
    deleteShareGroupStateHandler({ shareStates }),
    readShareGroupStateSummaryHandler({ shareStates }),
    describeShareGroupOffsetsHandler({ groups }),
    alterShareGroupOffsetsHandler({ groups }),
    deleteShareGroupOffsetsHandler({ groups }),
  ]
}

function adminHandlers(parts: HandlerParts) {
  const { configuration, metadata, partitions, topicCreation, loggers, random, nextTurn } = parts
  const image = (): MetadataImage => metadata.image
  const listener = (): string | null => configuration.broker.controllerListenerNames[0]?.toUpperCase() ?? null
  return [
    metadataHandler({
      image,
      autoCreateTopics: () => configuration.broker.autoCreateTopicsEnable,
      createTopic: (name) => topicCreation.start(name),
      random,
      nextTurn,
    }),
    createTopicsHandler({ metadata }),
    deleteTopicsHandler({ metadata, isEnabled: () => configuration.broker.deleteTopicEnable }),
    describeConfigsHandler({ image, configuration, loggers, nextTurn }),
    alterConfigsHandler({ metadata, image, configuration }),
    alterReplicaLogDirsHandler({ move: (topic, number, path) => partitions.move(topic, number, path) }),
    describeLogDirsHandler({ logDirs: () => describeLogDirs(parts), nextTurn }),
    createPartitionsHandler({ metadata }),
    electLeadersHandler({ metadata }),
    incrementalAlterConfigsHandler({ metadata, image, configuration, loggers }),
    alterPartitionReassignmentsHandler({ metadata }),
    listPartitionReassignmentsHandler({ image }),
    describeQuorumHandler({ metadata, listener }),
    updateFeaturesHandler({ metadata }),
    describeClusterHandler({ image, random }),
    describeProducersHandler({
      image,
      producersOf: (topic, partition) => describeProducers(parts, topic, partition),
      nextTurn,
    }),
    unregisterBrokerHandler({ metadata }),
    listConfigResourcesHandler({ image }),
    describeTopicPartitionsHandler({
      image,
      maxPartitions: () => configuration.broker.maxRequestPartitionSizeLimit,
      authorizer: parts.authorizer,
    }),
    addRaftVoterHandler({ metadata, image, listener }),
    removeRaftVoterHandler({ metadata, image }),
  ]
}

/** Who may do what, and how much of it. */
function accessHandlers({ metadata, authorizer, logger, nextTurn }: HandlerParts) {
  const image = (): MetadataImage => metadata.image
  const isEnabled = authorizer !== null
  return [
    describeAclsHandler({ isEnabled, image, nextTurn }),
    createAclsHandler({ isEnabled, metadata, logger }),
    deleteAclsHandler({ isEnabled, metadata, logger }),
    describeClientQuotasHandler({ image }),
    alterClientQuotasHandler({ metadata }),
    describeUserScramCredentialsHandler({ image }),
    alterUserScramCredentialsHandler({ metadata, nextTurn }),
  ]
}

function describeLogDirs({ logs, partitions }: HandlerParts) {
  const replicas = [...partitions.all()].map(({ log }) => describeLog(log, log.highWatermark))
  for (const future of logs.futures.all()) {
    const current = partitions.find(future.topic, future.partition)?.log
    replicas.push(describeLog(future, current?.failed === false ? current.logEndOffset : -1))
  }
  return logs.directories().map(({ path, online, totalBytes, usableBytes }) => ({
    path,
    error: online ? ErrorCode.NONE : ErrorCode.KAFKA_STORAGE_ERROR,
    totalBytes,
    usableBytes,
    replicas: replicas.filter(({ directory }) => directory === path),
  }))
}

/** `wantedEnd`: where it should end; -1 if nobody can tell. */
function describeLog({ topic, partition, directory, sizeBytes, logEndOffset, isFuture }: Log, wantedEnd: number) {
  const offsetLag = wantedEnd < 0 ? -1 : Math.max(0, wantedEnd - logEndOffset)
  return { topic, partition, directory, sizeBytes, offsetLag, isFuture }
}

function describeProducers(
  { partitions }: HandlerParts,
  topic: string,
  partition: number,
): Iterable<ActiveProducer> | { readonly errorCode: number } {
  const found = partitions.find(topic, partition)
  if (found === null) return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
  const errorCode = found.checkLeader(-1)
  if (errorCode !== ErrorCode.NONE) return { errorCode }
  return activeProducers(found.log)
}

/** As they are when it is their turn: what was asked for may take several. */
function* activeProducers(log: Log): Generator<ActiveProducer> {
  for (const entry of log.producers()) {
    yield {
      producerId: entry.producerId,
      producerEpoch: entry.producerEpoch,
      lastSequence: entry.lastSequence,
      lastTimestamp: entry.lastTimestamp,
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTxnStartOffset: entry.currentTransactionFirstOffset,
    }
  }
}
