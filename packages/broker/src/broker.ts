import { hostname } from 'node:os'
import { join } from 'node:path'
import { type DiskError, randomUuid } from '@millrace/base'
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
import { BrokerFront } from './broker-front.ts'
import { budgetBytes, checkpointIntervalMs, maxOpenSegments } from './broker-limits.ts'
import type { BrokerOptions, BrokerPorts } from './broker-ports.ts'
import { type ClusterAccess, ClusterMembership } from './cluster/cluster-membership.ts'
import { refuseLostDirectories, refuseLostMetadata } from './cluster/lost-directories.ts'
import type { Membership } from './cluster/membership.ts'
import { SingleMembership } from './cluster/single-membership.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import { createConfigRules } from './config/config-rules.ts'
import { controllerSettings } from './config/controller-settings.ts'
import { CoordinatorLeadership } from './coordinator/coordinator-leadership.ts'
import { GroupCoordinator } from './coordinator/group/group-coordinator.ts'
import { Transactions } from './coordinator/transaction/transactions.ts'
import { TurnQueue } from './handlers/turn-queue.ts'
import { GROUP_METADATA_TOPIC, SHARE_GROUP_STATE_TOPIC, TRANSACTION_STATE_TOPIC } from './metadata/internal-topics.ts'
import { LocalMetadata } from './metadata/local-metadata.ts'
import { journalPath } from './metadata/metadata-journal.ts'
import type { MetadataService } from './metadata/metadata-service.ts'
import { DiskActivity } from './metrics/disk-activity.ts'
import { MeasuredDisk } from './metrics/measured-disk.ts'
import { TopicMetrics } from './metrics/topic-metrics.ts'
import type { ListenerEndpoint } from './network/socket-server.ts'
import { connectTcp } from './network/tcp-connect.ts'
import { Turn } from './network/turn.ts'
import { cleanerSettings } from './partition/cleaner-settings.ts'
import type { Partition } from './partition/partition.ts'
import { PartitionManager, type PartitionManagerOptions } from './partition/partition-manager.ts'
import { PartitionSettings } from './partition/partition-settings.ts'
import { ReplicaManager } from './replication/replica-manager.ts'
import { replicationSettingsOf } from './replication/replication-settings.ts'
import { Shares } from './share/shares.ts'

/** Directory of the metadata journal in the first data directory. */
const METADATA_DIRECTORY = 'metadata'

/** A broker: one node's logs, metadata, coordinators and listeners, wired together. Made by {@link Broker.start}. */
export class Broker {
  readonly #options: BrokerOptions
  readonly #turn: Turn
  readonly #topicMetrics = new TopicMetrics()
  readonly #logs: LogManager
  readonly #membership: Membership
  /** Null where all replicas are here. */
  readonly #replicas: ReplicaManager | null
  readonly #partitions: PartitionManager
  readonly #groups: GroupCoordinator
  readonly #transactions: Transactions
  readonly #shares: Shares
  /** By internal topic. */
  readonly #leaderships: ReadonlyMap<string, CoordinatorLeadership>
  readonly #front: BrokerFront
  readonly #nextTurn = new TurnQueue((callback) => this.#options.ports.scheduleTurn(callback)).next
  #endpoints: readonly ListenerEndpoint[] = []
  /** The start is over. */
  #isReady = false
  #stopping: Promise<void> | null = null

  /**
   * Recovers the logs, replays the metadata, binds the listeners, waits for its cluster and serves. Rejects with the error that says why
   * it cannot.
   */
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
      cleaner: {
        settings: () => cleanerSettings(configuration.broker),
        ...(ports.createCleanEngine === undefined ? {} : { createEngine: ports.createCleanEngine }),
      },
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
      await (broker === null ? logs.shutdown(ports.cluster === undefined) : broker.stop()).catch((failure: unknown) => {
        options.logger.error('a broker that did not start could not be stopped', { error: String(failure) })
      })
      throw error
    }
  }

  private constructor(options: BrokerOptions, disk: DiskActivity, turn: Turn, logs: LogManager) {
    this.#options = options
    this.#turn = turn
    this.#logs = logs
    const { configuration, ports, logger } = options
    const config = configuration.broker
    this.#membership = this.#createMembership(config)
    logs.adoptClusterId(this.#metadata.image.clusterId)
    configuration.update(this.#metadata.image)
    this.#replicas = ports.cluster === undefined ? null : this.#createReplicas(ports.cluster)
    this.#partitions = this.#replicas?.partitions ?? new PartitionManager(this.#partitionOptions())
    this.#shares = this.#createShares()
    this.#groups = new GroupCoordinator({
      config: { ...config, groupCoordinatorMaxBytes: budgetBytes(config.groupCoordinatorMaxBytes, 0, 8) },
      clock: ports.clock,
      timers: ports.timers,
      random: ports.random,
      logger,
      metadata: () => this.#metadata.image,
      enqueueEndOfTurn: (callback) => turn.beforeFlush(callback),
      nextTurn: this.#nextTurn,
      shareStates: this.#shares.store,
      latestOffsets: this.#shares.latestOffsets,
      onFault: (error) => this.#onFault(error),
    })
    this.#transactions = this.#createTransactions()
    this.#leaderships = this.#createLeaderships()
    this.#front = new BrokerFront({
      options,
      turn,
      nextTurn: this.#nextTurn,
      disk,
      topicMetrics: this.#topicMetrics,
      logs,
      membership: this.#membership,
      partitions: this.#partitions,
      replicas: this.#replicas,
      groups: this.#groups,
      transactions: this.#transactions,
      shares: this.#shares,
      secret: this.#secret,
      isReady: () => this.#isReady,
      isStopping: () => this.#stopping !== null,
    })
  }

  #createTransactions(): Transactions {
    const { configuration, ports, logger } = this.#options
    return new Transactions({
      configuration,
      ...{ clock: ports.clock, timers: ports.timers, logger },
      metadata: this.#metadata,
      partitions: this.#partitions,
      groups: this.#groups,
      connections: this.#replicas?.connections ?? null,
      enqueueEndOfTurn: (callback) => this.#turn.beforeFlush(callback),
      nextTurn: this.#nextTurn,
      onFault: (error) => this.#onFault(error),
    })
  }

  #createShares(): Shares {
    const { configuration, ports, logger } = this.#options
    return new Shares({
      configuration,
      ...{ clock: ports.clock, timers: ports.timers, logger },
      metadata: this.#metadata,
      partitions: this.#partitions,
      connections: this.#replicas?.connections ?? null,
      enqueueEndOfTurn: (callback) => this.#turn.beforeFlush(callback),
      nextTurn: this.#nextTurn,
      onFault: (error) => this.#onFault(error),
    })
  }

  #createLeaderships(): ReadonlyMap<string, CoordinatorLeadership> {
    const { configuration, logger } = this.#options
    const isVerificationRequired = (): boolean => configuration.broker.transactionPartitionVerificationEnable
    const common = { partitions: this.#partitions, logger, isVerificationRequired }
    const coordinators = [
      { topic: GROUP_METADATA_TOPIC, coordinator: this.#groups },
      { topic: TRANSACTION_STATE_TOPIC, coordinator: this.#transactions.coordinator },
      { topic: SHARE_GROUP_STATE_TOPIC, coordinator: this.#shares.coordinator },
    ]
    return new Map(coordinators.map((led) => [led.topic, new CoordinatorLeadership({ ...led, ...common })]))
  }

  #updateLeaderships(): void {
    for (const leadership of this.#leaderships.values()) leadership.update()
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
        lostReplicas: () => this.#partitions.lost.all(),
        endpoints: () => this.#advertised(),
        onBrokerEpoch: (epoch) => this.#onBrokerEpoch(epoch),
        onFatal: (error) => this.#options.onFatal(error),
      })
    }
    const metadataIn = (directory: string): string => join(directory, METADATA_DIRECTORY)
    refuseLostMetadata(
      ports.disk,
      config.dataDirectories,
      (directory) => journalPath(metadataIn(directory)),
      this.#logs,
    )
    const metadata = LocalMetadata.open({
      disk: ports.disk,
      random: ports.random,
      logger,
      directory: metadataIn(config.dataDirectories[0]!),
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
      onAckScan: () => this.#front.expireAcks(),
      onPlaced: () => this.#updateLeaderships(),
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

  /** From the storage: records of this log are damaged. */
  onDamaged(log: Log): void {
    if (this.#replicas === null) this.#partitions.onDamaged(log)
    else this.#replicas.onDamaged(log)
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
    this.#front.stopPreloading()
    await this.#membership.leave()
    this.#front.closeConnections()
    await this.#partitions.moves.close()
    if (this.#replicas === null) this.#partitions.close()
    else this.#replicas.stop()
    this.#groups.shutdown()
    this.#transactions.shutdown()
    this.#shares.shutdown()
    await this.#front.close()
    await this.#membership.close()
    await this.#logs.shutdown(this.#replicas === null || this.#logs.brokerEpoch >= 0)
  }

  async #open(): Promise<void> {
    const { configuration, logger } = this.#options
    // First, since a port that is taken should not be told of only after others were waited for, and `/healthz` says for whom.
    this.#endpoints = await this.#front.bind()
    // Only by all that was committed can be told which logs have no place here any more.
    await this.#membership.catchUp()
    if (this.#replicas === null) {
      const { nodeId, broker } = configuration
      refuseLostDirectories(this.#metadata.image, nodeId, this.#logs, broker.logDirsForgotten)
    }
    this.#startPartitions()
    this.#logs.startRetention()
    await this.#membership.register()
    this.#groups.startup()
    this.#transactions.coordinator.startup()
    this.#shares.coordinator.startup()
    this.#updateLeaderships()
    this.#front.serve()
    await this.#membership.unfence()
    this.#isReady = true
    for (const warning of configuration.warnings) logger.warn(warning)
    if (this.#options.ports.preloads === true) this.#front.startPreloading()
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
    this.#updateLeaderships()
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
      lostReplicas: this.#partitions.lost.all(),
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
    this.#updateLeaderships()
    this.#transactions.coordinator.onMetadata()
    this.#groups.onMetadata(image, delta.changedTopics)
    if (delta.removedTopics.length === 0) return
    this.#groups.onTopicsDeleted(delta.removedTopics)
    this.#shares.coordinator.onTopicsDeleted(delta.removedTopics)
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
    for (const [topic, leadership] of this.#leaderships) if (all || topics.has(topic)) leadership.retryFailed()
  }

  #onFault(error: unknown): void {
    this.#options.onFatal(error instanceof Error ? error : new Error(String(error)))
  }
}
