import type { BrokerConfig } from '../config/broker-config.ts'

/** What replication needs of a broker's configuration; some of it changes at run time. */
export interface ReplicationSettings {
  readonly replicaLagTimeMaxMs: number
  /** Fetchers for each broker that leads. */
  readonly numReplicaFetchers: number
  readonly replicaFetchMinBytes: number
  readonly replicaFetchWaitMaxMs: number
  readonly replicaFetchMaxBytes: number
  readonly replicaFetchResponseMaxBytes: number
  readonly replicaFetchBackoffMs: number
  readonly replicaSocketTimeoutMs: number
  /** Bytes per second of throttled replicas. */
  readonly leaderReplicationThrottledRate: number
  readonly followerReplicationThrottledRate: number
  /** Consumers are sent to a replica in their own rack (KIP-392). */
  readonly isRackAware: boolean
  /** Name of the listener that brokers use among themselves. */
  readonly interBrokerListener: string
}

/** Ends of class names that select the one rule there is, Kafka's own among them. */
const RACK_AWARE = /(^|[.$])RackAwareReplicaSelector$/

/** They are asked for at each fetch, and a configuration never changes. */
const known = new WeakMap<BrokerConfig, ReplicationSettings>()

export function replicationSettingsOf(config: BrokerConfig): ReplicationSettings {
  let settings = known.get(config)
  if (settings === undefined) {
    settings = settingsOf(config)
    known.set(config, settings)
  }
  return settings
}

function settingsOf(config: BrokerConfig): ReplicationSettings {
  return {
    replicaLagTimeMaxMs: config.replicaLagTimeMaxMs,
    numReplicaFetchers: config.numReplicaFetchers,
    replicaFetchMinBytes: config.replicaFetchMinBytes,
    replicaFetchWaitMaxMs: config.replicaFetchWaitMaxMs,
    replicaFetchMaxBytes: config.replicaFetchMaxBytes,
    replicaFetchResponseMaxBytes: config.replicaFetchResponseMaxBytes,
    replicaFetchBackoffMs: config.replicaFetchBackoffMs,
    replicaSocketTimeoutMs: config.replicaSocketTimeoutMs,
    leaderReplicationThrottledRate: config.leaderReplicationThrottledRate,
    followerReplicationThrottledRate: config.followerReplicationThrottledRate,
    isRackAware: config.replicaSelectorClass !== null && RACK_AWARE.test(config.replicaSelectorClass),
    interBrokerListener: config.interBrokerListener,
  }
}
