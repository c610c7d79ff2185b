import { hostname } from 'node:os'
import { join } from 'node:path'
import { AssertionError, type DiskError, randomUuid } from '@millrace/base'
import {
  type BrokerRegistration,
  ConfigResourceType,
  configKey,
  type EndpointImage,
  type MetadataDelta,
  type MetadataImage,
  SUPPORTED_FEATURES,
} from '@millrace/consensus'
import { type Log, LogManager } from '@millrace/storage'
import type { Authorizer } from './authorization/authorizer.ts'
import { createAuthorizer } from './authorization/create-authorizer.ts'
import { brokerHandlers } from './broker-handlers.ts'
import { brokerHealth } from './broker-health.ts'
import {
  budgetBytes,
  checkpointIntervalMs,
  connectionLimits,
  maxOpenSegments,
  RESERVED_DESCRIPTORS,
} from './broker-limits.ts'
import { ANONYMOUS, type BrokerOptions, type BrokerPorts } from './broker-ports.ts'
import { type ClusterAccess, ClusterMembership } from './cluster/cluster-membership.ts'
import type { Membership } from './cluster/membership.ts'
import { SingleMembership } from './cluster/single-membership.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import { createConfigRules } from './config/config-rules.ts'
import { controllerSettings } from './config/controller-settings.ts'
import { CoordinatorFinder, CoordinatorKeyType } from './coordinator/coordinator-finder.ts'
import { GroupCoordinator } from './coordinator/group/group-coordinator.ts'
import { GroupLeadership } from './coordinator/group-leadership.ts'
import { ProduceHandler } from './handlers/00-produce.ts'
import { BrokerProofs } from './handlers/broker-proofs.ts'
import { LeaderHints } from './handlers/leader-hints.ts'
import { TurnQueue } from './handlers/turn-queue.ts'
import { IdleWork } from './idle-work.ts'
import { GROUP_METADATA_TOPIC } from './metadata/internal-topics.ts'
import { LocalMetadata } from './metadata/local-metadata.ts'
import type { MetadataService } from './metadata/metadata-service.ts'
import { TopicAutoCreation } from './metadata/topic-auto-creation.ts'
import { DiskActivity } from './metrics/disk-activity.ts'
import { MeasuredDisk } from './metrics/measured-disk.ts'
import { brokerMetricSources } from './metrics/metric-sources.ts'
import { NetworkMetrics } from './metrics/network-metrics.ts'
import { TopicMetrics } from './metrics/topic-metrics.ts'
import { AnswerBudget } from './network/answer-budget.ts'
import { AnswersInMaking } from './network/answers-in-making.ts'
import type { Connection } from './network/connection.ts'
import { HttpServer } from './network/http-server.ts'
import { Dispatcher } from './network/request-dispatcher.ts'
import type { Scrape } from './network/scrapes.ts'
import { type ListenerEndpoint, SocketServer } from './network/socket-server.ts'
import { connectTcp } from './network/tcp-connect.ts'
import { TcpListener } from './network/tcp-listener.ts'
import { Turn } from './network/turn.ts'
import { type BatchChecks, LocalBatchChecks } from './partition/batch-checks.ts'
import { FetchPurgatory } from './partition/fetch-limits.ts'
import { FetchSessionCache } from './partition/fetch-session-cache.ts'
import type { Partition } from './partition/partition.ts'
import { PartitionManager, type PartitionManagerOptions } from './partition/partition-manager.ts'
import { PartitionSettings } from './partition/partition-settings.ts'
import { ProduceAppender } from './partition/produce-appender.ts'
import { ProducerLimit } from './partition/producer-limit.ts'
import { ReplicaManager } from './replication/replica-manager.ts'
import { replicationSettingsOf } from './replication/replication-settings.ts'

/** Directory of the metadata journal in the first data directory. */
const METADATA_DIRECTORY = 'metadata'

/** A broker: one node's logs, metadata, coordinators and listeners, wired together. Made by {@link Broker.start}. */
export class Broker {
  readonly #options: BrokerOptions
  readonly #turn: Turn
  readonly #topicMetrics = new TopicMetrics()
  readonly #networkMetrics = new NetworkMetrics()
  readonly #disk: DiskActivity
  readonly #answers: AnswerBudget
  readonly #making: AnswersInMaking
  readonly #producers: ProducerLimit
  /** Null: everybody may do everything. */
  readonly #authorizer: Authorizer | null
  readonly #produce: ProduceHandler
  readonly #purgatory: FetchPurgatory
  readonly #logs: LogManager
  readonly #membership: Membership
  /** Null where all replicas are here. */
  readonly #replicas: ReplicaManager | null
  readonly #partitions: PartitionManager
  readonly #groups: GroupCoordinator
  readonly #groupLeadership: GroupLeadership
  readonly #sessions: FetchSessionCache
  readonly #http: HttpServer
  readonly #sockets: SocketServer
  readonly #checks: BatchChecks
  readonly #preloading: IdleWork
  readonly #nextTurn = new TurnQueue((callback) => this.#options.ports.scheduleTurn(callback)).next
  #endpoints: readonly ListenerEndpoint[] = []
  #stopping: Promise<void> | null = null

  /** Recovers the logs, replays the metadata, binds the listeners and serves. Rejects with the error that says why it cannot. */
  static async start(options: BrokerOptions): Promise<Broker> {
    const { configuration } = options
    const activity = new DiskActivity(options.ports.clock)
    const ports: BrokerPorts = { ...options.ports, disk: new MeasuredDisk(options.ports.disk, activity) }
    // The storage reports to a broker that exists only once the storage does.
    let broker: Broker | null = null
    const config = configuration.broker
    const logs = await LogManager.open({
      disk: ports.disk,
      clock: ports.clock,
      timers: ports.timers,
      random: ports.random,
      logger: options.logger,
      directories: [...config.dataDirectories],
      nodeId: configuration.nodeId,
      clusterId: ports.cluster?.clusterId ?? null,
      // Changes at run time.
      get producerIdExpirationMs() {
        return configuration.broker.producerIdExpirationMs
      },
      retentionCheckIntervalMs: config.logRetentionCheckIntervalMs,
      checkpointIntervalMs: checkpointIntervalMs(config, ports.cluster !== undefined),
      defaultConfig: new PartitionSettings(configuration.topicDefaults).log,
      configOf: () => new PartitionSettings(configuration.topicDefaults).log,
      onDurable: (log) => broker?.onDurable(log),
      onDamaged: (log) => broker?.onDamaged(log),
      onDirectoryFailed: (directory, error) => broker?.onDirectoryFailed(directory, error),
      maxOpenSegments: maxOpenSegments(ports.descriptorLimit),
      ...(ports.health === undefined ? {} : { poolThreadCount: ports.health.poolThreadCount }),
    })
    const turn = new Turn(
      (callback) => ports.scheduleTurn(callback),
      () => logs.flushStaged(),
      ports.clock,
    )
    try {
      const started = new Broker({ ...options, ports }, activity, turn, logs)
      broker = started
      await started.#open()
      return started
    } catch (error) {
      // Whoever started it may try again: directories and ports must be free.
      await (broker === null ? logs.shutdown() : broker.stop()).catch((failure: unknown) => {
        options.logger.error('a broker that did not start could not be stopped', { error: String(failure) })
      })
      throw error
    }
  }

  private constructor(options: BrokerOptions, disk: DiskActivity, turn: Turn, logs: LogManager) {
    this.#options = options
    this.#disk = disk
    this.#turn = turn
    this.#logs = logs
    const { configuration, ports, logger } = options
    const config = configuration.broker
    this.#membership = this.#createMembership(config)
    logs.adoptClusterId(this.#metadata.image.clusterId)
    configuration.update(this.#metadata.image)
    this.#replicas = ports.cluster === undefined ? null : this.#createReplicas(ports.cluster)
    this.#partitions = this.#replicas?.partitions ?? new PartitionManager(this.#partitionOptions())
    this.#groups = new GroupCoordinator({
      config: { ...config, groupCoordinatorMaxBytes: budgetBytes(config.groupCoordinatorMaxBytes, 0, 8) },
      clock: ports.clock,
      timers: ports.timers,
      random: ports.random,
      logger,
      metadata: () => this.#metadata.image,
      enqueueEndOfTurn: (callback) => turn.beforeFlush(callback),
      nextTurn: this.#nextTurn,
      onFault: (error) => this.#onFault(error),
    })
    this.#groupLeadership = new GroupLeadership(this.#groups, this.#partitions, logger)
    this.#answers = new AnswerBudget(budgetBytes(config.queuedMaxResponseBytes, config.fetchMaxBytes))
    this.#making = new AnswersInMaking(this.#answers.maxBytes, this.#nextTurn)
    this.#purgatory = new FetchPurgatory(config.fetchPurgatoryMaxPartitions)
    this.#sessions = new FetchSessionCache(ports.clock, ports.random, config.maxIncrementalFetchSessionCacheSlots)
    this.#checks = ports.batchChecks ?? new LocalBatchChecks(this.#nextTurn)
    this.#producers = new ProducerLimit(
      config.producerIdMaxCount,
      () => logsOf(this.#partitions),
      () => configuration.broker.producerIdExpirationMs,
      ports.clock,
      logger,
    )
    this.#authorizer = createAuthorizer(config, () => this.#metadata.image.acls, ports.clock, logger)
    this.#produce = this.#createProduce(config)
    this.#http = this.#createHttp(config)
    this.#sockets = this.#createSockets(config)
    this.#preloading = this.#createPreloading()
  }

  /** By which the nodes of a cluster know each other. */
  get #secret(): Buffer | null {
    const { controllerPeerSecret } = this.#options.configuration.broker
    return this.#options.ports.cluster === undefined || controllerPeerSecret === null
      ? null
      : Buffer.from(controllerPeerSecret)
  }

  get #metadata(): MetadataService {
    return this.#membership.metadata
  }

  #createMembership(config: BrokerConfig): Membership {
    const { configuration, ports, logger } = this.#options
    const { cluster } = ports
    if (cluster !== undefined) {
      return new ClusterMembership({
        ...cluster,
        ...ports,
        configuration,
        logger,
        logs: this.#logs,
        endpoints: () => this.#advertised(),
        onBrokerEpoch: (epoch) => this.#onBrokerEpoch(epoch),
        onFatal: (error) => this.#options.onFatal(error),
      })
    }
    const metadata = LocalMetadata.open({
      disk: ports.disk,
      random: ports.random,
      logger,
      directory: join(config.dataDirectories[0]!, METADATA_DIRECTORY),
      clusterId: this.#logs.clusterId,
      configRules: createConfigRules(configuration),
      settings: () => controllerSettings(configuration),
      maxBytesBetweenSnapshots: config.metadataLogMaxRecordBytesBetweenSnapshots,
      nextTurn: this.#nextTurn,
      onFatal: (error) => this.#options.onFatal(error),
    })
    return new SingleMembership(metadata, configuration.nodeId, () => this.#registration())
  }

  #createReplicas({ port }: ClusterAccess): ReplicaManager {
    const { configuration, ports } = this.#options
    const replicas = new ReplicaManager({
      ...this.#partitionOptions(),
      random: ports.random,
      secret: this.#secret,
      settings: () => replicationSettingsOf(configuration.broker),
      connect: ports.connect ?? connectTcp,
      onFatal: (error) => this.#options.onFatal(error),
    })
    replicas.onControllerPort(port)
    return replicas
  }

  #partitionOptions(): PartitionManagerOptions {
    const { configuration, ports, logger } = this.#options
    return {
      nodeId: configuration.nodeId,
      logs: this.#logs,
      turn: this.#turn,
      clock: ports.clock,
      timers: ports.timers,
      logger,
      metrics: this.#topicMetrics,
      moveSettings: () => configuration.broker,
      onFault: (error) => this.#onFault(error),
      settingsOf: (topic) => new PartitionSettings(configuration.topic(this.#metadata.image, topic)),
      onAckScan: () => this.#expireAcks(),
      onPlaced: () => this.#groupLeadership.update(),
    }
  }

  /** What clients connect to, with the bound ports. */
  get endpoints(): readonly ListenerEndpoint[] {
    return this.#endpoints
  }

  get nodeId(): number {
    return this.#options.configuration.nodeId
  }

  /** Every partition of this node, as it stands; nobody's to change. For onlookers, such as the simulator's checkers. */
  partitions(): Iterable<Partition> {
    return this.#partitions.all()
  }

  /** From the storage: records of this log became durable. */
  onDurable(log: Log): void {
    if (this.#replicas === null) this.#partitions.onDurable(log)
    else this.#replicas.onDurable(log)
  }

  /** From the storage, which has told of it in the log: where all replicas are here nobody has the records again. */
  onDamaged(log: Log): void {
    this.#replicas?.onDamaged(log)
  }

  /** From the storage. With its last directory gone a broker has nothing left to serve. */
  onDirectoryFailed(directory: string, error: DiskError): void {
    if (this.#replicas === null) this.#partitions.onDirectoryFailed(directory, error)
    else this.#replicas.onDirectoryFailed(directory, error)
    this.#membership.onDirectoryFailed()
    if (this.#logs.directories().every(({ online }) => !online)) this.#options.onFatal(error)
  }

  /**
   * Stops in order: leaderships go to others, no new connections, live ones closed, coordinators, metadata, then the logs, which are synced and marked as
   * cleanly closed. May be called again; the same promise comes back.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#preloading.stop()
    await this.#membership.leave()
    this.#sockets.stopAccepting()
    this.#sockets.closeAll()
    await this.#partitions.moves.close()
    if (this.#replicas === null) this.#partitions.close()
    else this.#replicas.stop()
    this.#groups.shutdown()
    this.#checks.close()
    await this.#http.close()
    await this.#membership.close()
    await this.#logs.shutdown()
  }

  async #open(): Promise<void> {
    const { configuration, logger } = this.#options
    // First, since a port that is taken should not be told of only after others were waited for.
    this.#endpoints = await this.#sockets.bind()
    // Only by all that was committed can be told which logs have no place here any more.
    await this.#membership.catchUp()
    this.#startPartitions()
    await this.#membership.register()
    this.#groups.startup()
    this.#groupLeadership.update()
    this.#sockets.serve(this.#createDispatcher())
    await this.#membership.unfence()
    for (const warning of configuration.warnings) logger.warn(warning)
    if (this.#options.ports.preloads === true) this.#preloading.start()
  }

  #startPartitions(): void {
    const { image } = this.#metadata
    this.#options.configuration.update(image)
    const partitions = this.#replicas ?? this.#partitions
    partitions.start(image, this.#membership.takeRemovedTopics())
    this.#metadata.subscribe((next, delta) => this.#onMetadata(next, delta))
  }

  #onBrokerEpoch(epoch: number): void {
    if (this.#replicas === null) return
    this.#replicas.brokerEpoch = epoch
    this.#groupLeadership.update()
  }

  /** Where others reach this broker, with the bound ports. */
  #advertised(): EndpointImage[] {
    return this.#options.configuration.broker.advertisedEndpoints.map((advertised) => {
      const bound = this.#endpoints.find((endpoint) => endpoint.name === advertised.listener)
      return {
        ...advertised,
        host: advertised.host === '' ? hostname() : advertised.host,
        port: advertised.port === 0 && bound !== undefined ? bound.port : advertised.port,
      }
    })
  }

  /** What a single node tells its metadata of itself. */
  #registration(): BrokerRegistration {
    const { configuration, ports } = this.#options
    return {
      brokerId: configuration.nodeId,
      incarnationId: randomUuid(ports.random),
      rack: configuration.broker.brokerRack,
      endpoints: this.#advertised(),
      features: SUPPORTED_FEATURES,
      directories: this.#logs
        .directories()
        .filter((directory) => directory.online)
        .map((directory) => directory.id),
      recoveredCleanly: !this.#logs.recoveredUncleanly,
    }
  }

  #onMetadata(image: MetadataImage, delta: MetadataDelta): void {
    const changed = new Set(delta.changedTopics)
    for (const topic of delta.removedTopics) {
      changed.add(topic.name)
      this.#topicMetrics.forget(topic.name)
    }
    this.#options.configuration.update(image)
    if (this.#replicas !== null) this.#replicas.apply(image, delta)
    else if (changed.size > 0) this.#partitions.apply(image, changed)
    this.#applyConfigs(delta)
    this.#groupLeadership.update()
    if (delta.removedTopics.length > 0) this.#groups.onTopicsDeleted(delta.removedTopics)
  }

  #applyConfigs(delta: MetadataDelta): void {
    const topics = new Set<string>()
    const topicPrefix = configKey(ConfigResourceType.TOPIC, '')
    const brokerPrefix = configKey(ConfigResourceType.BROKER, '')
    let all = false
    for (const key of delta.changedConfigs) {
      if (key.startsWith(topicPrefix)) topics.add(key.slice(topicPrefix.length))
      else if (key.startsWith(brokerPrefix)) all = true
    }
    if (all) this.#partitions.updateConfigs(null)
    else if (topics.size > 0) this.#partitions.updateConfigs(topics)
    if (all || topics.has(GROUP_METADATA_TOPIC)) this.#groupLeadership.retryFailed()
  }

  #expireAcks(): void {
    const nowMs = this.#options.ports.clock.monotonicMs()
    let waiting = false
    for (const connection of this.#sockets.connections()) waiting = connection.expireSlots(nowMs) || waiting
    if (waiting) this.#partitions.requestAckScan()
  }

  #createDispatcher(): Dispatcher {
    const { configuration, ports, logger } = this.#options
    const config = configuration.broker
    const topicCreation = new TopicAutoCreation({
      metadata: this.#metadata,
      config: () => configuration.broker,
      logger,
    })
    const coordinators = new CoordinatorFinder(
      {
        logger,
        metadata: () => this.#metadata.image,
        ensureInternalTopic: (name) => topicCreation.ensure(name),
        nextTurn: this.#nextTurn,
      },
      new Map([
        [
          CoordinatorKeyType.GROUP,
          { topic: GROUP_METADATA_TOPIC, partitionFor: (groupId: string) => this.#groups.partitionFor(groupId) },
        ],
      ]),
    )
    return new Dispatcher({
      handlers: brokerHandlers({
        configuration,
        metadata: this.#metadata,
        partitions: this.#partitions,
        sessions: this.#sessions,
        fetchLimits: { memory: this.#answers, purgatory: this.#purgatory },
        ...(this.#replicas === null ? {} : { replication: this.#replicas }),
        authorizer: this.#authorizer,
        proofs: new BrokerProofs({
          nodeId: this.nodeId,
          clusterId: () => this.#metadata.image.clusterId,
          secret: this.#secret,
          random: ports.random,
          clock: ports.clock,
          logger,
        }),
        groups: this.#groups,
        coordinators,
        topicCreation,
        loggers: this.#options.loggers,
        random: ports.random,
        logs: this.#logs,
        topicMetrics: this.#topicMetrics,
        timers: ports.timers,
        logger,
        nextTurn: this.#nextTurn,
        rawHandlers: [this.#produce],
      }),
      rawHandlers: [this.#produce],
      maxRequestBytes: config.socketRequestMaxBytes,
      clock: ports.clock,
      logger,
      metrics: this.#networkMetrics,
      nextTurn: this.#nextTurn,
      making: this.#making,
      onFatal: (error) => this.#options.onFatal(error),
      onClosed: (connection) => this.#sockets.onConnectionClosed(connection),
    })
  }

  #createProduce(config: BrokerConfig): ProduceHandler {
    const { clock } = this.#turn
    return new ProduceHandler({
      partitions: this.#partitions,
      appender: new ProduceAppender(this.#partitions, clock, this.#topicMetrics, this.#producers),
      clock,
      metrics: this.#topicMetrics,
      checks: this.#checks,
      maxCheckBytes: config.queuedMaxCheckBytes,
      authorizer: this.#authorizer,
      leaderHints: new LeaderHints(() => this.#metadata.image),
      onFailed: (connection, error) => this.#onProduceFailed(connection, error),
    })
  }

  #onFault(error: unknown): void {
    this.#options.onFatal(error instanceof Error ? error : new Error(String(error)))
  }

  #onProduceFailed(connection: Connection, error: unknown): void {
    if (error instanceof AssertionError) this.#options.onFatal(error)
    const { clientAddress } = connection.context
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#options.logger.error('request failed', { api: 'Produce', clientAddress, error: reason })
    connection.close()
  }

  #createSockets(config: BrokerConfig): SocketServer {
    const { ports, logger } = this.#options
    return new SocketServer({
      listeners: config.endpoints.map((endpoint) => ({
        name: endpoint.listener,
        host: endpoint.host,
        port: endpoint.port,
      })),
      backlog: config.socketListenBacklogSize,
      limits: () => connectionLimits(this.#options.configuration.broker, this.#descriptorsForClients()),
      maxIdleMs: config.connectionsMaxIdleMs,
      answerReadTimeoutMs: config.answerReadTimeoutMs,
      maxQueuedRequestBytes: budgetBytes(config.queuedMaxRequestBytes, config.socketRequestMaxBytes),
      answers: this.#answers,
      making: this.#making,
      maxQueuedResponses: config.queuedMaxResponses,
      maxHttpConnections: config.httpMaxConnections,
      principalOf: ports.principalOf ?? (() => ANONYMOUS),
      listen: ports.listen ?? ((options) => TcpListener.listen(options)),
      turn: this.#turn,
      clock: ports.clock,
      timers: ports.timers,
      logger,
      metrics: this.#networkMetrics,
      http: this.#http,
    })
  }

  /** What cannot open a file is refused: clients get what the files leave. */
  #descriptorsForClients(): number {
    const { descriptorLimit = Number.POSITIVE_INFINITY } = this.#options.ports
    return descriptorLimit - this.#disk.openFileCount - RESERVED_DESCRIPTORS
  }

  #createPreloading(): IdleWork {
    const { ports, logger } = this.#options
    const loadMetrics = () => import('./metrics/prometheus.ts').then(({ preloadPrometheus }) => preloadPrometheus())
    return new IdleWork([...this.#http.preloadSteps(), loadMetrics], {
      timers: ports.timers,
      logger,
      turnCount: () => this.#turn.reads.turnNumber,
      isWanted: () => this.#networkMetrics.connectionsAccepted > 0,
    })
  }

  #createHttp(config: BrokerConfig): HttpServer {
    const advertised = config.advertisedEndpoints.map((endpoint) => endpoint.host.toLowerCase())
    let metrics: Promise<() => Promise<Scrape>> | null = null
    return new HttpServer({
      clock: this.#options.ports.clock,
      timers: this.#options.ports.timers,
      rules: {
        allowedHosts: [...advertised.filter((host) => host !== ''), ...config.httpAllowedHosts],
        allowedOrigins: config.httpAllowedOrigins,
      },
      metrics: async () => {
        metrics ??= import('./metrics/prometheus.ts').then(({ createPrometheus }) =>
          createPrometheus(
            brokerMetricSources({
              network: this.#networkMetrics,
              topics: this.#topicMetrics,
              sockets: this.#sockets,
              sessions: this.#sessions,
              purgatory: this.#purgatory,
              answers: this.#answers,
              disk: this.#disk,
              produce: this.#produce,
              producers: this.#producers,
              maxPartitions: config.maxPartitions,
              health: this.#options.ports.health ?? null,
              partitions: this.#partitions,
              replication: this.#replicas,
              cluster: {
                image: () => this.#metadata.image,
                brokerState: () => this.#membership.state,
                quorum: () => this.#options.ports.cluster?.quorumFigures?.() ?? null,
                isClustered: this.#options.ports.cluster !== undefined,
              },
              authorizer: this.#authorizer,
              groups: this.#groups,
              logs: this.#logs,
            }),
            { nextTurn: this.#nextTurn, clock: this.#options.ports.clock },
          ),
        )
        return (await metrics)()
      },
      health: () =>
        brokerHealth({
          nodeId: this.nodeId,
          clusterId: this.#metadata.image.clusterId,
          isStopping: this.#stopping !== null,
          membership: this.#membership,
          directories: this.#logs.directories(),
        }),
    })
  }
}

function* logsOf(partitions: PartitionManager): Iterable<Log> {
  for (const { log } of partitions.all()) yield log
}
