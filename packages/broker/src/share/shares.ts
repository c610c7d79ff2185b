import type { Clock, Timers } from '@millrace/base'
import { SHARE_VERSION } from '@millrace/consensus'
import type { Configuration } from '../config/configuration.ts'
import { ShareCoordinator } from '../coordinator/share/share-coordinator.ts'
import type { ShareStateStore } from '../coordinator/share/share-state.ts'
import type { NextTurn } from '../handlers/next-turn.ts'
import type { Logger } from '../logger.ts'
import { SHARE_GROUP_STATE_TOPIC } from '../metadata/internal-topics.ts'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { TopicAutoCreation } from '../metadata/topic-auto-creation.ts'
import type { BudgetSample } from '../metrics/budget.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { BrokerConnections } from '../replication/broker-connections.ts'
import { DeadLetters } from './dead-letters/dead-letters.ts'
import { DeadLetterTopicWriter } from './dead-letters/topic-writer.ts'
import { ShareGroupConfigs } from './group-settings.ts'
import { initialOffset } from './initial-offset.ts'
import { ClusterLatestOffsets } from './latest-offsets.ts'
import { ShareMemberSessions } from './share-member-sessions.ts'
import { SharePartitions } from './share-partitions.ts'
import { ShareTotals } from './share-totals.ts'
import { StateRouter } from './state/state-router.ts'

/** Level of `share.version` from which on share groups are served. */
const SHARE_VERSION_SERVED = 1

/** What share groups need of the rest of the broker. */
export interface SharesDeps {
  readonly configuration: Configuration
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  readonly metadata: MetadataService
  readonly partitions: PartitionManager
  /** Null where there are no other brokers. */
  readonly connections: BrokerConnections | null
  /** Runs the callback once, when the requests at hand were all handled: `Turn.beforeFlush`. */
  enqueueEndOfTurn(callback: () => void): void
  readonly nextTurn: NextTurn
  /** A bug of ours surfaced. The process should stop. */
  onFault(error: unknown): void
}

/** Share groups on this node, apart from their membership: the coordinator of their state, and what members fetch and acknowledge. */
export class Shares {
  readonly coordinator: ShareCoordinator
  /** The state of share partitions, wherever it is coordinated. */
  readonly store: ShareStateStore
  readonly latestOffsets: ClusterLatestOffsets
  readonly partitions: SharePartitions
  readonly sessions: ShareMemberSessions
  readonly totals = new ShareTotals()
  readonly clock: Clock
  readonly configs: ShareGroupConfigs
  readonly #deps: SharesDeps
  readonly #router: StateRouter
  readonly #writer: DeadLetterTopicWriter
  readonly #deadLetters: DeadLetters

  constructor(deps: SharesDeps) {
    this.#deps = deps
    this.clock = deps.clock
    const { configuration, metadata } = deps
    const { broker } = configuration
    this.configs = new ShareGroupConfigs(
      () => metadata.image,
      () => configuration.broker,
    )
    this.coordinator = this.#createCoordinator()
    this.#router = this.#createRouter()
    this.store = this.#router
    this.latestOffsets = this.#createLatestOffsets()
    this.#writer = this.#createWriter()
    this.#deadLetters = new DeadLetters({ ...deps, totals: this.totals, topics: this.#writer })
    this.partitions = new SharePartitions({
      ...deps,
      store: this.store,
      totals: this.totals,
      limits: {
        maxPartitions: broker.groupShareMaxPartitions,
        maxInFlightRecords: broker.groupShareMaxInFlightRecords,
      },
      settings: (groupId) => this.configs.of(groupId),
      initialOffset: (partition, settings) => initialOffset(partition, settings, deps.clock),
      onDeadLetters: (share) => this.#deadLetters.onDeadLetters(share),
    })
    this.sessions = new ShareMemberSessions(
      { maxSessions: broker.groupShareMaxShareSessions, maxPartitions: broker.groupShareMaxSessionPartitions },
      this.partitions,
    )
  }

  /** Share groups are switched on. */
  get isServed(): boolean {
    return (this.#deps.metadata.image.features.get(SHARE_VERSION) ?? 0) >= SHARE_VERSION_SERVED
  }

  /** What members have the broker hold, and how much that may be. */
  budgets(): BudgetSample[] {
    const { sessions } = this.sessions
    return [
      { name: 'share-sessions', unit: 'count', used: sessions.size, limit: sessions.maxSessions },
      {
        name: 'share-session-partitions',
        unit: 'count',
        used: sessions.partitionCount,
        limit: sessions.maxPartitions,
      },
      ...this.partitions.budgets(),
      ...this.coordinator.budgets(),
    ]
  }

  /** For metrics. */
  figures(): { totals: ShareTotals; sessionCount: number; pausedPartitions: number } {
    let pausedPartitions = 0
    for (const { pauseLeftMs } of this.partitions.all()) if (pauseLeftMs > 0) pausedPartitions++
    return { totals: this.totals, sessionCount: this.sessions.sessions.size, pausedPartitions }
  }

  shutdown(): void {
    this.#deadLetters.close()
    this.partitions.close()
    this.#writer.close()
    this.#router.close()
    this.latestOffsets.close()
    this.coordinator.shutdown()
  }

  #createCoordinator(): ShareCoordinator {
    const { configuration, metadata, partitions } = this.#deps
    return new ShareCoordinator({
      ...this.#deps,
      config: configuration.broker,
      metadata: () => metadata.image,
      pruneLog(number, offset) {
        const partition = partitions.find(SHARE_GROUP_STATE_TOPIC, number)
        if (partition?.isLeader !== true || offset > partition.log.highWatermark) return
        partition.log.raiseLogStart(offset)
        partition.onLogStartRaised()
      },
    })
  }

  #createRouter(): StateRouter {
    const { configuration, metadata, connections, clock, timers, logger } = this.#deps
    const topics = new TopicAutoCreation({ metadata, config: () => configuration.broker, logger })
    return new StateRouter({
      nodeId: configuration.nodeId,
      clock,
      timers,
      local: this.coordinator,
      metadata: () => metadata.image,
      ensureTopic: () => topics.ensure(SHARE_GROUP_STATE_TOPIC),
      open: connections === null ? null : (brokerId, timeoutMs) => connections.open(brokerId, timeoutMs),
    })
  }

  #createLatestOffsets(): ClusterLatestOffsets {
    const { configuration, metadata, partitions, connections, timers } = this.#deps
    return new ClusterLatestOffsets({
      nodeId: configuration.nodeId,
      timers,
      partitions,
      metadata: () => metadata.image,
      open: connections === null ? null : (brokerId, timeoutMs) => connections.open(brokerId, timeoutMs),
    })
  }

  #createWriter(): DeadLetterTopicWriter {
    const { configuration, metadata, partitions, connections, clock, timers, logger } = this.#deps
    return new DeadLetterTopicWriter({
      configuration,
      metadata,
      partitions,
      timers,
      logger,
      nodeId: configuration.nodeId,
      monotonicMs: () => clock.monotonicMs(),
      open: connections === null ? null : (brokerId, timeoutMs) => connections.open(brokerId, timeoutMs),
    })
  }
}
