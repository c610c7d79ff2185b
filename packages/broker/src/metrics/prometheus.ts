import type { Clock } from '@millrace/base'
import { apis } from '@millrace/protocol'
import type { Registry } from 'prom-client'
import type { GroupCounters } from '../coordinator/group/group-counters.ts'
import type { NextTurn } from '../handlers/slices.ts'
import type { Scrape } from '../network/scrapes.ts'
import { type AuthorizationSources, defineAuthorizationMetrics } from './authorization-metrics.ts'
import { type CleanerSources, defineCleanerMetrics } from './cleaner-metrics.ts'
import { type ClusterSources, defineClusterMetrics } from './cluster-metrics.ts'
import type { CollectValues, DefineMetric, SetValue } from './define-metric.ts'
import { defineHealthMetrics, type HealthSources, healthHistograms } from './health-metrics.ts'
import type { NetworkMetrics } from './network-metrics.ts'
import { defineReplicationMetrics, type ReplicaSample, type ReplicationSources } from './replication-metrics.ts'
import { defineShareMetrics, type ShareSources } from './share-metrics.ts'
import type { TopicCounters, TopicMetrics } from './topic-metrics.ts'
import { defineTransactionMetrics, type TransactionSources } from './transaction-metrics.ts'

/** What the rest of the broker tells when somebody scrapes. Every call is cheap and gives the state of now. */
export interface MetricSources
  extends CleanerSources,
    HealthSources,
    ReplicationSources,
    AuthorizationSources,
    TransactionSources,
    ShareSources {
  network: NetworkMetrics
  topics: TopicMetrics
  connectionCount(): number
  requestBufferBytes(): number
  fetchSessions(): { count: number; partitions: number; evictions: number }
  /** Fetches that wait for records, and those that were answered early for want of room. */
  parkedFetches(): { count: number; evictions: number }
  /** Connections closed because answers that their peers did not read took the memory of others. */
  answersShed(): number
  /** Connections closed because their frames took long and others waited for the memory. */
  framesShed(): number
  groups(): readonly { readonly protocol: string; readonly state: string; readonly count: number }[]
  groupCounters: GroupCounters
  partitions(): Iterable<PartitionSample>
  cluster: ClusterSources
  /** Bytes of each log directory, whether it works, and what lies set aside in it. */
  directories(): { path: string; online: boolean; totalBytes: number; usableBytes: number; strayBytes: number }[]
}

export interface PartitionSample extends ReplicaSample {
  topic: string
  partition: number
  failed: boolean
  sizeBytes: number
  logStartOffset: number
  logEndOffset: number
}

/** Loads the client library, which {@link createPrometheus} would load at the first scrape. Nothing is measured yet. */
export function preloadPrometheus(): Promise<unknown> {
  return import('prom-client')
}

/**
 * Metrics of prom-client that walk every socket of the process on the loop: of ten thousand connections each took 5 to 10 ms. What they
 * count is told by others (`kafka_server_socket_server_metrics_connection_count`, `millrace_open_files`), the descriptors off the loop.
 */
const WALKING_DEFAULTS: readonly string[] = [
  'nodejs_active_handles',
  'nodejs_active_handles_total',
  'nodejs_active_requests',
  'nodejs_active_requests_total',
  'nodejs_active_resources',
  'nodejs_active_resources_total',
  'process_open_fds',
]

/** Of prom-client's own metrics those that count from the first scrape on; ours count from the start of the process. */
const LATE_DEFAULTS = [
  'process_cpu_user_seconds_total',
  'process_cpu_system_seconds_total',
  'process_cpu_seconds_total',
]

/**
 * `/metrics` in the names that dashboards of Kafka expect (those of the usual JMX exporter), next to Node's own process metrics.
 * Each metric is collected and written in a turn of its own, so that those who produce meanwhile wait for one of them, not for all; values
 * of different metrics can therefore be some milliseconds apart. prom-client is loaded by whoever makes this, at the first scrape.
 */
export async function createPrometheus(
  sources: MetricSources,
  { nextTurn, clock }: { nextTurn: NextTurn; clock: Clock },
): Promise<() => Promise<Scrape>> {
  // A CommonJS package: bundled, it has its default export only.
  const { Registry: RegistryClass, collectDefaultMetrics, Counter, Gauge } = (await import('prom-client')).default
  const registry: Registry = new RegistryClass()
  collectDefaultMetrics({ register: registry })
  for (const name of [...WALKING_DEFAULTS, ...LATE_DEFAULTS]) registry.removeSingleMetric(name)

  const counter = (name: string, help: string, labelNames: string[], collect: CollectValues): void => {
    const metric: InstanceType<typeof Counter> = new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      // The totals live in the broker; a scrape replaces what the last one showed.
      collect: (): void | Promise<void> => collectInto(metric, collect, (labels, value) => metric.inc(labels, value)),
    })
  }
  const gauge = (name: string, help: string, labelNames: string[], collect: CollectValues): void => {
    const metric: InstanceType<typeof Gauge> = new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect: (): void | Promise<void> => collectInto(metric, collect, (labels, value) => metric.set(labels, value)),
    })
  }
  defineTopicMetrics(sources.topics, counter)
  defineNetworkMetrics(sources, counter, gauge)
  defineAuthorizationMetrics(sources, counter, gauge)
  defineGroupMetrics(sources, counter, gauge)
  defineTransactionMetrics(sources, counter, gauge)
  defineShareMetrics(sources, counter, gauge)
  defineLogMetrics(sources, gauge)
  defineReplicationMetrics(sources, counter, gauge)
  defineClusterMetrics(sources.cluster, gauge)
  defineCleanerMetrics(sources, counter, gauge)
  defineHealthMetrics(sources, counter, gauge)

  const writers = [
    ...registry.getMetricsAsArray().map((metric) => () => registry.getSingleMetricAsString(metric.name)),
    async () => healthHistograms(sources),
  ]
  return async () => {
    const texts: string[] = []
    let workMs = 0
    for (const write of writers) {
      await nextTurn()
      const startMs = clock.monotonicMs()
      texts.push(await write())
      workMs += clock.monotonicMs() - startMs
    }
    return { contentType: registry.contentType, body: texts.join('\n\n'), workMs }
  }
}

function collectInto(
  metric: { reset(): void; remove(labels: object): void },
  collect: CollectValues,
  set: SetValue,
): void | Promise<void> {
  metric.reset()
  // A reset makes the one series of a metric without labels 0: where nobody knows the value, there must be none.
  metric.remove({})
  return collect(set)
}

function defineTopicMetrics(topics: TopicMetrics, counter: DefineMetric): void {
  const one = (name: string, help: string, value: (counters: TopicCounters) => number): void => {
    counter(`kafka_server_brokertopicmetrics_${name}_total`, help, ['topic'], (set) => {
      set({}, value(topics.total))
      for (const [topic, counters] of topics.byTopic()) set({ topic }, value(counters))
    })
  }
  one('messagesin', 'Records appended.', (c) => c.messagesIn)
  one('bytesin', 'Bytes of record batches appended.', (c) => c.bytesIn)
  one('bytesout', 'Bytes of record batches sent to consumers.', (c) => c.bytesOut)
  one('bytesrejected', 'Bytes of record batches refused.', (c) => c.bytesRejected)
  one('totalproducerequests', 'Produce requests, counted per partition group.', (c) => c.produceRequests)
  one('totalfetchrequests', 'Fetch answers, counted per partition.', (c) => c.fetchRequests)
  one('failedproducerequests', 'Partitions of produce requests that were refused.', (c) => c.failedProduceRequests)
  one('failedfetchrequests', 'Partitions of fetch requests that were refused.', (c) => c.failedFetchRequests)
}

function defineNetworkMetrics(sources: MetricSources, counter: DefineMetric, gauge: DefineMetric): void {
  const { network } = sources
  const perApi = (name: string, help: string, values: Float64Array): void => {
    counter(name, help, ['request'], (set) => {
      for (let apiKey = 0; apiKey < values.length; apiKey++) {
        if (network.requests[apiKey]! > 0) set({ request: apis[apiKey]?.name ?? String(apiKey) }, values[apiKey]!)
      }
    })
  }
  perApi('kafka_network_requestmetrics_requests_total', 'Requests by API.', network.requests)
  perApi('kafka_network_requestmetrics_errors_total', 'Requests whose handling failed by API.', network.handlerErrors)
  perApi('millrace_request_answered_total', 'Answers by API, Produce aside.', network.answers)
  perApi('millrace_request_answer_milliseconds_total', 'Time from request to answer, summed, by API.', network.answerMs)
  counter('millrace_connections_total', 'Connections by what became of them.', ['state'], (set) => {
    set({ state: 'accepted' }, network.connectionsAccepted)
    set({ state: 'refused' }, network.connectionsRefused)
    set({ state: 'closed-idle' }, network.connectionsClosed.idle)
    set({ state: 'closed-stalled' }, network.connectionsClosed['stalled-frame'])
    set({ state: 'closed-unread' }, network.connectionsClosed['unread-answers'])
    set({ state: 'closed-shed' }, sources.answersShed())
    set({ state: 'closed-slow-frame' }, sources.framesShed())
  })
  counter('millrace_bad_requests_total', 'Connections closed for what they sent, by kind.', ['kind'], (set) => {
    for (const [kind, count] of network.refusals) set({ kind }, count)
  })
  counter('millrace_request_bytes_total', 'Bytes of requests.', [], (set) => set({}, network.requestBytes))
  gauge('kafka_server_socket_server_metrics_connection_count', 'Open connections.', [], (set) => {
    set({}, sources.connectionCount())
  })
  gauge('millrace_request_buffer_bytes', 'Memory of request frames that are not complete.', [], (set) => {
    set({}, sources.requestBufferBytes())
  })
  gauge('kafka_server_fetchsessioncache_numincrementalfetchsessions', 'Fetch sessions.', [], (set) => {
    set({}, sources.fetchSessions().count)
  })
  gauge(
    'kafka_server_fetchsessioncache_numincrementalfetchpartitionscached',
    'Partitions in fetch sessions.',
    [],
    (set) => {
      set({}, sources.fetchSessions().partitions)
    },
  )
  gauge(
    'kafka_server_delayedoperationpurgatory_purgatorysize',
    'Requests that wait for something.',
    ['delayedOperation'],
    (set) => set({ delayedOperation: 'Fetch' }, sources.parkedFetches().count),
  )
  counter('millrace_fetches_answered_early_total', 'Waiting fetches answered for want of room.', [], (set) => {
    set({}, sources.parkedFetches().evictions)
  })
  counter(
    'kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total',
    'Fetch sessions displaced.',
    [],
    (set) => {
      set({}, sources.fetchSessions().evictions)
    },
  )
}

function defineGroupMetrics(
  { groups, groupCounters }: MetricSources,
  counter: DefineMetric,
  gauge: DefineMetric,
): void {
  const ofKind = (name: string, help: string, kind: string): void => {
    gauge(name, help, ['state'], (set) => {
      for (const { protocol, state, count } of groups()) if (protocol === kind) set({ state }, count)
    })
  }
  ofKind('kafka_coordinator_group_groupcoordinatormetrics_numgroups', 'Classic groups by state.', 'classic')
  const prefix = 'kafka_server_group_coordinator_metrics'
  ofKind(`${prefix}_consumer_group_count`, 'Consumer groups (KIP-848) by state.', 'consumer')
  gauge(`${prefix}_group_count`, 'Groups by protocol.', ['protocol'], (set) => {
    const counts = new Map<string, number>()
    for (const { protocol, count } of groups()) counts.set(protocol, (counts.get(protocol) ?? 0) + count)
    for (const [protocol, count] of counts) set({ protocol }, count)
  })
  const one = (name: string, help: string, value: () => number): void => {
    counter(`kafka_server_group_coordinator_metrics_${name}_total`, help, [], (set) => set({}, value()))
  }
  one('offset_commit', 'Offsets committed.', () => groupCounters.offsetCommits)
  one('offset_expiration', 'Offsets that expired.', () => groupCounters.offsetExpirations)
  one('offset_deletion', 'Offsets that were deleted.', () => groupCounters.offsetDeletions)
  one('classic_group_completed_rebalance', 'Rebalances of classic groups that completed.', () => {
    return groupCounters.completedRebalances
  })
  one('consumer_group_rebalance', 'New epochs of consumer groups.', () => groupCounters.consumerGroupRebalances)
}

function defineLogMetrics(sources: MetricSources, gauge: DefineMetric): void {
  gauge('kafka_server_replicamanager_partitioncount', 'Partitions on this broker.', [], (set) => {
    let count = 0
    for (const _ of sources.partitions()) count++
    set({}, count)
  })
  gauge('kafka_server_replicamanager_leadercount', 'Partitions that this broker leads.', [], (set) => {
    let count = 0
    for (const sample of sources.partitions()) if (sample.leader) count++
    set({}, count)
  })
  gauge('kafka_server_replicamanager_offlinereplicacount', 'Replicas whose log directory failed.', [], (set) => {
    let count = 0
    for (const sample of sources.partitions()) if (sample.failed) count++
    set({}, count)
  })
  const perPartition = (name: string, help: string, value: (sample: PartitionSample) => number): void => {
    gauge(name, help, ['topic', 'partition'], (set) => {
      for (const sample of sources.partitions()) {
        set({ topic: sample.topic, partition: String(sample.partition) }, value(sample))
      }
    })
  }
  perPartition('kafka_log_log_size', 'Bytes of a partition.', (sample) => sample.sizeBytes)
  perPartition('kafka_log_log_logstartoffset', 'First offset of a partition.', (sample) => sample.logStartOffset)
  perPartition('kafka_log_log_logendoffset', 'Next offset of a partition.', (sample) => sample.logEndOffset)
  gauge('kafka_log_logmanager_offlinelogdirectorycount', 'Log directories that failed.', [], (set) => {
    set({}, sources.directories().filter((directory) => !directory.online).length)
  })
  gauge('millrace_log_directory_usable_bytes', 'Free space of a log directory.', ['path'], (set) => {
    for (const { path, usableBytes } of sources.directories()) set({ path }, usableBytes)
  })
  gauge('millrace_log_directory_stray_bytes', 'Set aside, for the operator to remove.', ['path'], (set) => {
    for (const { path, strayBytes } of sources.directories()) set({ path }, strayBytes)
  })
}
