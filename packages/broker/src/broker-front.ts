import { AssertionError } from '@millrace/base'
import type { Log, LogManager } from '@millrace/storage'
import type { Authorizer } from './authorization/authorizer.ts'
import { createAuthorizer } from './authorization/create-authorizer.ts'
import { brokerHandlers } from './broker-handlers.ts'
import { brokerHealth } from './broker-health.ts'
import { budgetBytes, connectionLimits, RESERVED_DESCRIPTORS } from './broker-limits.ts'
import { ANONYMOUS, type BrokerOptions } from './broker-ports.ts'
import type { Membership } from './cluster/membership.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import { CoordinatorFinder, CoordinatorKeyType } from './coordinator/coordinator-finder.ts'
import type { GroupCoordinator } from './coordinator/group/group-coordinator.ts'
import { partitionOfKeyText } from './coordinator/share/share-coordinator.ts'
import { parseShareKey } from './coordinator/share/share-state.ts'
import type { Transactions } from './coordinator/transaction/transactions.ts'
import { ProduceHandler } from './handlers/00-produce.ts'
import { BrokerProofs } from './handlers/broker-proofs.ts'
import { LeaderHints } from './handlers/leader-hints.ts'
import type { NextTurn } from './handlers/slices.ts'
import { IdleWork } from './idle-work.ts'
import { GROUP_METADATA_TOPIC, SHARE_GROUP_STATE_TOPIC, TRANSACTION_STATE_TOPIC } from './metadata/internal-topics.ts'
import type { MetadataService } from './metadata/metadata-service.ts'
import { TopicAutoCreation } from './metadata/topic-auto-creation.ts'
import type { DiskActivity } from './metrics/disk-activity.ts'
import { brokerMetricSources } from './metrics/metric-sources.ts'
import { NetworkMetrics } from './metrics/network-metrics.ts'
import type { TopicMetrics } from './metrics/topic-metrics.ts'
import { AnswerBudget } from './network/answer-budget.ts'
import { AnswersInMaking } from './network/answers-in-making.ts'
import type { Connection } from './network/connection.ts'
import { HttpServer } from './network/http-server.ts'
import { Dispatcher } from './network/request-dispatcher.ts'
import type { Scrape } from './network/scrapes.ts'
import { type ListenerEndpoint, SocketServer } from './network/socket-server.ts'
import { TcpListener } from './network/tcp-listener.ts'
import type { Turn } from './network/turn.ts'
import { type BatchChecks, LocalBatchChecks } from './partition/batch-checks.ts'
import { FetchPurgatory } from './partition/fetch-limits.ts'
import { FetchSessionCache } from './partition/fetch-session-cache.ts'
import type { PartitionManager } from './partition/partition-manager.ts'
import { ProduceAppender } from './partition/produce-appender.ts'
import { ProducerLimit } from './partition/producer-limit.ts'
import type { ReplicaManager } from './replication/replica-manager.ts'
import type { Shares } from './share/shares.ts'

/** What the front needs of the node behind it. */
export interface BrokerNode {
  readonly options: BrokerOptions
  readonly turn: Turn
  readonly nextTurn: NextTurn
  readonly disk: DiskActivity
  readonly topicMetrics: TopicMetrics
  readonly logs: LogManager
  readonly membership: Membership
  readonly partitions: PartitionManager
  /** Null where all replicas are here. */
  readonly replicas: ReplicaManager | null
  readonly groups: GroupCoordinator
  readonly transactions: Transactions
  readonly shares: Shares
  /** By which the nodes of a cluster know each other. */
  readonly secret: Buffer | null
  /** The start is over. */
  isReady(): boolean
  isStopping(): boolean
}

/**
 * What clients meet of a broker: listeners, the HTTP server on the same port, the dispatcher with all handlers, and the budgets that bound
 * what clients can make it hold.
 */
export class BrokerFront {
  readonly #node: BrokerNode
  readonly #networkMetrics = new NetworkMetrics()
  readonly #answers: AnswerBudget
  readonly #making: AnswersInMaking
  readonly #purgatory: FetchPurgatory
  readonly #sessions: FetchSessionCache
  readonly #checks: BatchChecks
  readonly #producers: ProducerLimit
  /** Null: everybody may do everything. */
  readonly #authorizer: Authorizer | null
  readonly #produce: ProduceHandler
  readonly #http: HttpServer
  readonly #sockets: SocketServer
  readonly #preloading: IdleWork

  constructor(node: BrokerNode) {
    this.#node = node
    const { configuration, ports, logger } = node.options
    const config = configuration.broker
    this.#answers = new AnswerBudget(budgetBytes(config.queuedMaxResponseBytes, config.fetchMaxBytes))
    this.#making = new AnswersInMaking(this.#answers.maxBytes, node.nextTurn)
    this.#purgatory = new FetchPurgatory(config.fetchPurgatoryMaxPartitions)
    this.#sessions = new FetchSessionCache(ports.clock, ports.random, config.maxIncrementalFetchSessionCacheSlots)
    this.#checks = ports.batchChecks ?? new LocalBatchChecks(node.nextTurn)
    this.#producers = new ProducerLimit(
      config.producerIdMaxCount,
      () => logsOf(node.partitions),
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

  get #metadata(): MetadataService {
    return this.#node.membership.metadata
  }

  /** Takes the ports, and serves HTTP on them. Rejects where one of them is taken. */
  bind(): Promise<readonly ListenerEndpoint[]> {
    return this.#sockets.bind()
  }

  /** Answers requests from now on, those of clients that have connected since {@link bind} too. */
  serve(): void {
    this.#sockets.serve(this.#createDispatcher())
  }

  /** Loads what is needed later, while nobody needs anything. */
  startPreloading(): void {
    this.#preloading.start()
  }

  stopPreloading(): void {
    this.#preloading.stop()
  }

  closeConnections(): void {
    this.#sockets.stopAccepting()
    this.#sockets.closeAll()
  }

  async close(): Promise<void> {
    this.#checks.close()
    await this.#http.close()
  }

  /** Lets produces time out that wait for other replicas. */
  expireAcks(): void {
    const nowMs = this.#node.options.ports.clock.monotonicMs()
    let waiting = false
    for (const connection of this.#sockets.connections()) waiting = connection.expireSlots(nowMs) || waiting
    if (waiting) this.#node.partitions.requestAckScan()
  }

  #createDispatcher(): Dispatcher {
    const { configuration, ports, logger } = this.#node.options
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
        nextTurn: this.#node.nextTurn,
      },
      new Map([
        [
          CoordinatorKeyType.GROUP,
          { topic: GROUP_METADATA_TOPIC, partitionFor: (groupId: string) => this.#node.groups.partitionFor(groupId) },
        ],
        [
          CoordinatorKeyType.TRANSACTION,
          {
            topic: TRANSACTION_STATE_TOPIC,
            partitionFor: (id: string) => this.#node.transactions.coordinator.partitionFor(id),
          },
        ],
        [
          CoordinatorKeyType.SHARE,
          {
            topic: SHARE_GROUP_STATE_TOPIC,
            isKey: (key: string) => parseShareKey(key) !== null,
            partitionFor: (key: string) => partitionOfKeyText(this.#node.shares.coordinator, key),
          },
        ],
      ]),
    )
    return new Dispatcher({
      handlers: brokerHandlers({
        configuration,
        metadata: this.#metadata,
        partitions: this.#node.partitions,
        sessions: this.#sessions,
        fetchLimits: { memory: this.#answers, purgatory: this.#purgatory },
        ...(this.#node.replicas === null ? {} : { replication: this.#node.replicas }),
        authorizer: this.#authorizer,
        proofs: new BrokerProofs({
          nodeId: this.#node.options.configuration.nodeId,
          clusterId: () => this.#metadata.image.clusterId,
          secret: this.#node.secret,
          random: ports.random,
          clock: ports.clock,
          logger,
        }),
        groups: this.#node.groups,
        transactions: this.#node.transactions,
        clock: ports.clock,
        shares: this.#node.shares,
        coordinators,
        topicCreation,
        loggers: this.#node.options.loggers,
        random: ports.random,
        logs: this.#node.logs,
        topicMetrics: this.#node.topicMetrics,
        timers: ports.timers,
        logger,
        nextTurn: this.#node.nextTurn,
        rawHandlers: [this.#produce],
      }),
      rawHandlers: [this.#produce],
      maxRequestBytes: config.socketRequestMaxBytes,
      clock: ports.clock,
      logger,
      metrics: this.#networkMetrics,
      nextTurn: this.#node.nextTurn,
      making: this.#making,
      onFatal: (error) => this.#node.options.onFatal(error),
      onClosed: (connection) => {
        this.#sockets.onConnectionClosed(connection)
        this.#node.shares.sessions.onConnectionClosed(connection.context.connectionId)
      },
    })
  }

  #createProduce(config: BrokerConfig): ProduceHandler {
    const { clock } = this.#node.turn
    const { configuration } = this.#node.options
    const isVerificationRequired = (): boolean => configuration.broker.transactionPartitionVerificationEnable
    return new ProduceHandler({
      partitions: this.#node.partitions,
      appender: new ProduceAppender(
        this.#node.partitions,
        clock,
        this.#node.topicMetrics,
        this.#producers,
        isVerificationRequired,
      ),
      verifier: this.#node.transactions.verifier,
      isVerificationRequired,
      clock,
      metrics: this.#node.topicMetrics,
      checks: this.#checks,
      maxCheckBytes: config.queuedMaxCheckBytes,
      authorizer: this.#authorizer,
      leaderHints: new LeaderHints(() => this.#metadata.image),
      onFailed: (connection, error) => this.#onProduceFailed(connection, error),
    })
  }

  #onProduceFailed(connection: Connection, error: unknown): void {
    if (error instanceof AssertionError) this.#node.options.onFatal(error)
    const { clientAddress } = connection.context
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#node.options.logger.error('request failed', { api: 'Produce', clientAddress, error: reason })
    connection.close()
  }

  #createSockets(config: BrokerConfig): SocketServer {
    const { ports, logger } = this.#node.options
    return new SocketServer({
      listeners: config.endpoints.map((endpoint) => ({
        name: endpoint.listener,
        host: endpoint.host,
        port: endpoint.port,
      })),
      backlog: config.socketListenBacklogSize,
      limits: () => connectionLimits(this.#node.options.configuration.broker, this.#descriptorsForClients()),
      maxIdleMs: config.connectionsMaxIdleMs,
      answerReadTimeoutMs: config.answerReadTimeoutMs,
      maxQueuedRequestBytes: budgetBytes(config.queuedMaxRequestBytes, config.socketRequestMaxBytes),
      answers: this.#answers,
      making: this.#making,
      maxQueuedResponses: config.queuedMaxResponses,
      maxHttpConnections: config.httpMaxConnections,
      principalOf: ports.principalOf ?? (() => ANONYMOUS),
      listen: ports.listen ?? ((options) => TcpListener.listen(options)),
      turn: this.#node.turn,
      clock: ports.clock,
      timers: ports.timers,
      logger,
      metrics: this.#networkMetrics,
      http: this.#http,
    })
  }

  /** What cannot open a file is refused: clients get what the files leave. */
  #descriptorsForClients(): number {
    const { descriptorLimit = Number.POSITIVE_INFINITY } = this.#node.options.ports
    return descriptorLimit - this.#node.disk.openFileCount - RESERVED_DESCRIPTORS
  }

  #createPreloading(): IdleWork {
    const { ports, logger } = this.#node.options
    const loadMetrics = () => import('./metrics/prometheus.ts').then(({ preloadPrometheus }) => preloadPrometheus())
    return new IdleWork([...this.#http.preloadSteps(), loadMetrics], {
      timers: ports.timers,
      logger,
      turnCount: () => this.#node.turn.reads.turnNumber,
      isWanted: () => this.#networkMetrics.connectionsAccepted > 0,
    })
  }

  #createHttp(config: BrokerConfig): HttpServer {
    const advertised = config.advertisedEndpoints.map((endpoint) => endpoint.host.toLowerCase())
    let metrics: Promise<() => Promise<Scrape>> | null = null
    return new HttpServer({
      clock: this.#node.options.ports.clock,
      timers: this.#node.options.ports.timers,
      rules: {
        allowedHosts: [...advertised.filter((host) => host !== ''), ...config.httpAllowedHosts],
        allowedOrigins: config.httpAllowedOrigins,
      },
      metrics: async () => {
        metrics ??= import('./metrics/prometheus.ts').then(({ createPrometheus }) =>
          createPrometheus(
            brokerMetricSources({
              network: this.#networkMetrics,
              topics: this.#node.topicMetrics,
              sockets: this.#sockets,
              sessions: this.#sessions,
              purgatory: this.#purgatory,
              answers: this.#answers,
              disk: this.#node.disk,
              produce: this.#produce,
              producers: this.#producers,
              maxPartitions: config.maxPartitions,
              health: this.#node.options.ports.health ?? null,
              partitions: this.#node.partitions,
              replication: this.#node.replicas,
              isReady: () => this.#node.isReady() && !this.#node.isStopping(),
              cluster: {
                image: () => this.#metadata.image,
                brokerState: () => this.#node.membership.state,
                quorum: () => this.#node.options.ports.cluster?.quorumFigures?.() ?? null,
                isClustered: this.#node.options.ports.cluster !== undefined,
              },
              authorizer: this.#authorizer,
              groups: this.#node.groups,
              shares: this.#node.shares,
              transactions: this.#node.transactions.coordinator,
              transactionMaxTimeoutMs: config.transactionMaxTimeoutMs,
              clock: this.#node.options.ports.clock,
              logs: this.#node.logs,
            }),
            { nextTurn: this.#node.nextTurn, clock: this.#node.options.ports.clock },
          ),
        )
        return (await metrics)()
      },
      health: () =>
        brokerHealth({
          nodeId: this.#node.options.configuration.nodeId,
          clusterId: this.#metadata.image.clusterId,
          isReady: this.#node.isReady(),
          isStopping: this.#node.isStopping(),
          membership: this.#node.membership,
          directories: this.#node.logs.directories(),
        }),
    })
  }
}

function* logsOf(partitions: PartitionManager): Iterable<Log> {
  for (const { log } of partitions.all()) yield log
}
