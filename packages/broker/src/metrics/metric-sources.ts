import type { Clock } from '@millrace/base'
import type { Log, LogManager } from '@millrace/storage'
import type { Authorizer } from '../authorization/authorizer.ts'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import type { TransactionCoordinator } from '../coordinator/transaction/transaction-coordinator.ts'
import type { ProduceHandler } from '../handlers/00-produce.ts'
import type { AnswerBudget } from '../network/answer-budget.ts'
import type { SocketServer } from '../network/socket-server.ts'
import type { FetchPurgatory } from '../partition/fetch-limits.ts'
import type { FetchSessionCache } from '../partition/fetch-session-cache.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { ProducerLimit } from '../partition/producer-limit.ts'
import type { Shares } from '../share/shares.ts'
import type { BudgetSample } from './budget.ts'
import type { ClusterSources } from './cluster-metrics.ts'
import type { DiskActivity } from './disk-activity.ts'
import type { NetworkMetrics } from './network-metrics.ts'
import type { ProcessHealth } from './process-health.ts'
import type { MetricSources, PartitionSample } from './prometheus.ts'
import { NO_REPLICATION_FIGURES, type ReplicationFigures } from './replication-metrics.ts'
import type { TopicMetrics } from './topic-metrics.ts'

/** The parts of a broker that have something to tell. */
export interface MeasuredBroker {
  network: NetworkMetrics
  topics: TopicMetrics
  sockets: SocketServer
  sessions: FetchSessionCache
  purgatory: FetchPurgatory
  answers: AnswerBudget
  disk: DiskActivity
  produce: ProduceHandler
  producers: ProducerLimit
  /** `max.partitions`. */
  maxPartitions: number
  /** Null: nobody can tell. */
  health: ProcessHealth | null
  partitions: PartitionManager
  /** Null where all replicas are here. */
  replication: ReplicationFigures | null
  isReady(): boolean
  cluster: ClusterSources
  /** Null: there is none. */
  authorizer: Authorizer | null
  groups: GroupCoordinator
  shares: Shares
  transactions: TransactionCoordinator
  /** `transaction.max.timeout.ms`. */
  transactionMaxTimeoutMs: number
  clock: Clock
  logs: LogManager
}

/** Reads a broker's state for a scrape. */
export function brokerMetricSources(broker: MeasuredBroker): MetricSources {
  const alone: ReplicationFigures = {
    ...NO_REPLICATION_FIGURES,
    // Counted for its own metric, not for each of the others.
    get damagedCount() {
      return broker.partitions.damagedCount
    },
  }
  return {
    network: broker.network,
    topics: broker.topics,
    connectionCount: () => broker.sockets.connectionCount,
    requestBufferBytes: () => broker.sockets.assemblyBytes,
    fetchSessions: () => ({
      count: broker.sessions.size,
      partitions: broker.sessions.partitionCount,
      evictions: broker.sessions.evictions,
    }),
    authorization: () => broker.authorizer?.figures() ?? null,
    groups: () => broker.groups.countByState(),
    groupCounters: broker.groups.counters,
    transactions: broker.transactions,
    lateTransactions: () => countLate(broker),
    shares: () => broker.shares.figures(),
    partitions: () => samples(broker.partitions),
    isReady: () => broker.isReady(),
    cluster: broker.cluster,
    replication: () => broker.replication ?? alone,
    moves: () => broker.partitions.moves,
    directories: () => broker.logs.directories(),
    cleaner: () => broker.logs.cleanerStatus,
    parkedFetches: () => ({ count: broker.purgatory.size, evictions: broker.purgatory.evictions }),
    answersShed: () => broker.answers.shedCount,
    framesShed: () => broker.sockets.framesShed,
    health: broker.health,
    disk: broker.disk,
    budgets: () => [
      ...broker.sockets.budgets(),
      ...fetchBudgets(broker.sessions, broker.purgatory),
      { name: 'partitions', unit: 'count', used: countOf(broker.partitions.all()), limit: broker.maxPartitions },
      segmentBudget(broker.logs),
      { name: 'producers', unit: 'count', used: broker.producers.count(), limit: broker.producers.maxCount },
      broker.produce.budget(),
      ...broker.groups.budgets(),
      ...broker.shares.budgets(),
      ...broker.transactions.budgets(),
    ],
  }
}

/** Beyond the longest time that a producer may ask for: by then its coordinator must have ended a transaction. */
const LATE_AFTER_MS = 5 * 60_000

function countLate({ partitions, clock, transactionMaxTimeoutMs }: MeasuredBroker): number {
  const lateMs = clock.wallMs() - transactionMaxTimeoutMs - LATE_AFTER_MS
  let count = 0
  for (const { log } of partitions.all()) if (oldestTransactionMs(log) < lateMs) count++
  return count
}

/** When the oldest open transaction was last written to. Logs whose producers nobody has asked for are not read for this. */
function oldestTransactionMs(log: Log): number {
  if (!log.producerStates.isLoaded || log.producerStates.isKnownEmpty) return Number.POSITIVE_INFINITY
  const [oldest] = log.openTransactions()
  const entry = oldest === undefined ? null : log.currentProducers().entry(oldest.producerId)
  return entry === null ? Number.POSITIVE_INFINITY : entry.lastTimestamp
}

function countOf(items: Iterable<unknown>): number {
  let count = 0
  for (const _ of items) count++
  return count
}

function fetchBudgets(sessions: FetchSessionCache, purgatory: FetchPurgatory): BudgetSample[] {
  return [
    { name: 'fetch-sessions', unit: 'count', used: sessions.size, limit: sessions.maxSessions },
    {
      name: 'fetch-session-partitions',
      unit: 'count',
      used: sessions.partitionCount,
      limit: sessions.maxPartitions,
    },
    {
      name: 'parked-fetch-partitions',
      unit: 'count',
      used: purgatory.partitionCount,
      limit: purgatory.maxPartitions,
    },
  ]
}

function segmentBudget(logs: LogManager): BudgetSample {
  const { count, maxCount } = logs.openSegments()
  return { name: 'open-segments', unit: 'count', used: count, limit: maxCount }
}

function* samples(partitions: PartitionManager): Iterable<PartitionSample> {
  for (const partition of partitions.all()) {
    yield {
      topic: partition.topic,
      partition: partition.partition,
      leader: partition.isLeader,
      underReplicated: partition.isrCount < partition.replicaCount,
      underMinIsr: partition.isrCount < partition.minIsr,
      atMinIsr: partition.isrCount === partition.minIsr,
      failed: partition.log.failed,
      sizeBytes: partition.log.sizeBytes,
      logStartOffset: partition.log.logStartOffset,
      logEndOffset: partition.log.logEndOffset,
    }
  }
}
