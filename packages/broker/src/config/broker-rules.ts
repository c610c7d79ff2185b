import { ConfigurationError } from '@millrace/base'
import { checkAuthorizer } from './authorizer-rules.ts'
import type { BrokerConfig } from './broker-config.ts'
import { checkCluster } from './cluster-rules.ts'
import { GROUP_KINDS, groupBounds } from './group-bounds.ts'
import { checkInterBrokerSecurity, checkListenerSecurity, securityWarnings } from './listener-rules.ts'

/**
 * Rules that bind several settings. Throws `ConfigurationError` for the first that is broken; returns warnings about what is legal
 * but hardly meant.
 */
export function checkBrokerConfig(config: BrokerConfig): string[] {
  checkLogs(config)
  checkConnections(config)
  // First: what the other rules would ask for could not be had.
  checkListenerSecurity(config)
  checkInterBrokerSecurity(config)
  checkListeners(config)
  checkReplication(config)
  checkGroups(config)
  const warnings = [
    ...checkCluster(config),
    ...checkAuthorizer(config),
    ...securityWarnings(config),
    ...retentionWarnings(config),
  ]
  if (config.brokerHeartbeatIntervalMs * 2 > config.brokerSessionTimeoutMs) {
    warnings.push('broker.heartbeat.interval.ms should be at most half of broker.session.timeout.ms')
  }
  if (config.offsetsTopicSegmentBytes > config.logSegmentBytes) {
    warnings.push('offsets.topic.segment.bytes is larger than log.segment.bytes, so compaction of offsets starts late')
  }
  return warnings
}

function require(condition: boolean, key: string, message: string): void {
  if (!condition) throw new ConfigurationError(key, message)
}

function retentionsOf(config: BrokerConfig): readonly (readonly [key: string, value: number | null])[] {
  return [
    ['log.retention.ms', config.logRetentionMs],
    ['log.retention.minutes', config.logRetentionMinutes],
    ['log.retention.hours', config.logRetentionHours],
  ]
}

/** Kafka takes every negative number for "no limit", so it is no error; but a slip of the pen fills the disk. */
function retentionWarnings(config: BrokerConfig): string[] {
  return retentionsOf(config)
    .filter(([, value]) => value !== null && value < -1)
    .map(([key, value]) => `${key}=${value} keeps records for ever, as -1 does`)
}

function checkLogs(config: BrokerConfig): void {
  const { logRollMs, logRollJitterMs, logCleanerThreads } = config
  require(logRollMs === null || logRollMs >= 1, 'log.roll.ms', 'log.roll.ms must be at least 1')
  require(logRollJitterMs === null ||
    logRollJitterMs >= 0, 'log.roll.jitter.ms', 'log.roll.jitter.ms must be at least 0')
  for (const [key, value] of retentionsOf(config)) {
    require(value !== 0, key, `${key} must be at least 1, or -1 to keep records for ever`)
  }
  require(config.logCleanerDedupeBufferSize / Math.max(1, logCleanerThreads) >
    1024 *
      1024, 'log.cleaner.dedupe.buffer.size', 'log.cleaner.dedupe.buffer.size must be more than 1 MiB per thread of log.cleaner.threads')
  require(config.logCleanerMinCompactionLagMs <=
    config.logCleanerMaxCompactionLagMs, 'log.cleaner.min.compaction.lag.ms', 'log.cleaner.min.compaction.lag.ms must not be more than log.cleaner.max.compaction.lag.ms')
}

function checkConnections(config: BrokerConfig): void {
  const { queuedMaxRequestBytes, socketRequestMaxBytes, connectionsMaxIdleMs } = config
  require(queuedMaxRequestBytes <= 0 ||
    queuedMaxRequestBytes >=
      socketRequestMaxBytes, 'queued.max.request.bytes', 'queued.max.request.bytes must be at least socket.request.max.bytes, or not positive for no limit')
  require(config.maxConnectionsPerIp > 0 ||
    config.connectionLimitsByAddress.size >
      0, 'max.connections.per.ip', 'max.connections.per.ip may be 0 only if max.connections.per.ip.overrides names addresses')
  require(connectionsMaxIdleMs < 0 ||
    config.connectionFailedAuthenticationDelayMs <
      connectionsMaxIdleMs, 'connection.failed.authentication.delay.ms', 'connection.failed.authentication.delay.ms must be less than connections.max.idle.ms')
}

function checkListeners(config: BrokerConfig): void {
  const bound = new Set([...config.endpoints, ...config.controllerEndpoints].map((endpoint) => endpoint.listener))
  if (config.cluster?.isBroker === false) {
    const [client] = config.endpoints
    require(client ===
      undefined, 'listeners', `Listener ${client?.listener} is for clients, and this node is only a controller: take it out of listeners`)
    return
  }
  require(config.endpoints.length >
    0, 'listeners', 'listeners must name one that is not in controller.listener.names: clients would have nowhere to connect')
  for (const { listener, host } of config.advertisedEndpoints) {
    require(bound.has(
      listener,
    ), 'advertised.listeners', `advertised.listeners names ${listener}, which is not in listeners (${[...bound].join(', ')})`)
    require(host !== '0.0.0.0' && host !== '::', config.advertisedListeners === null
      ? 'listeners'
      : 'advertised.listeners', `Clients cannot connect to ${host}: set advertised.listeners to an address that they can reach`)
  }
  require(config.advertisedEndpoints.some(
    (endpoint) => endpoint.listener === config.interBrokerListener,
  ), 'inter.broker.listener.name', `The listener between brokers, ${config.interBrokerListener}, must be among advertised.listeners: ` +
    `set inter.broker.listener.name to one of ${config.advertisedEndpoints.map((e) => e.listener).join(', ')}`)
}

function checkReplication(config: BrokerConfig): void {
  require(config.replicaFetchWaitMaxMs <=
    config.replicaSocketTimeoutMs, 'replica.fetch.wait.max.ms', 'replica.fetch.wait.max.ms must not be more than replica.socket.timeout.ms')
  require(config.replicaFetchWaitMaxMs <=
    config.replicaLagTimeMaxMs, 'replica.fetch.wait.max.ms', 'replica.fetch.wait.max.ms must not be more than replica.lag.time.max.ms, or followers leave the in-sync replicas idly')
}

function checkGroups(config: BrokerConfig): void {
  require(config.groupCoordinatorRebalanceProtocols.includes(
    'classic',
  ), 'group.coordinator.rebalance.protocols', 'group.coordinator.rebalance.protocols must contain classic')
  require(config.groupMinSessionTimeoutMs <=
    config.groupMaxSessionTimeoutMs, 'group.min.session.timeout.ms', 'group.min.session.timeout.ms must not be more than group.max.session.timeout.ms')
  const bounds = groupBounds(config)
  for (const { key: suffix, default: value, min, max } of bounds) {
    const key = `group.${suffix}`
    require(min <= max, key, `The smallest value of ${key} (${min}) must not be more than the largest (${max})`)
    require(value >= min && value <= max, key, `${key} (${value}) must be between its bounds, ${min} and ${max}`)
  }
  const valueFor = (suffix: string) => bounds.find((bound) => bound.key === suffix)!.default
  for (const kind of GROUP_KINDS) {
    const key = `group.${kind}.session.timeout.ms`
    const longer = valueFor(`${kind}.session.timeout.ms`) > valueFor(`${kind}.heartbeat.interval.ms`)
    require(longer, key, `${key} must be more than group.${kind}.heartbeat.interval.ms`)
  }
}
