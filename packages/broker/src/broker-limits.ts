import { getHeapStatistics } from 'node:v8'
import type { BrokerConfig } from './config/broker-config.ts'
import type { ConnectionLimits } from './network/connection-limiter.ts'

/** Descriptors that clients may not take: for segments and indexes that are opened, metadata, standard streams. */
export const RESERVED_DESCRIPTORS = 256
/** Segments that may be open where there are hardly more descriptors than that. */
const MIN_OPEN_SEGMENTS = 64

/** One writer writes all checkpoints. Of high watermarks, a broker whose replicas are all here needs none. */
export function checkpointIntervalMs(config: BrokerConfig, isClustered: boolean): number {
  const { logFlushOffsetCheckpointIntervalMs, replicaHighWatermarkCheckpointIntervalMs } = config
  if (!isClustered) return logFlushOffsetCheckpointIntervalMs
  return Math.min(logFlushOffsetCheckpointIntervalMs, replicaHighWatermarkCheckpointIntervalMs)
}

/** Half of the descriptors are left to clients, however many partitions are busy. */
export function maxOpenSegments(descriptorLimit = Number.POSITIVE_INFINITY): number {
  return Math.max(MIN_OPEN_SEGMENTS, Math.floor((descriptorLimit - RESERVED_DESCRIPTORS) / 2))
}

/**
 * A bound on memory as it is set; without that a share of what the JavaScript heap may take, a quarter (`reliability.md`, 6.2) unless told
 * otherwise, but so much that the largest single one has room.
 */
export function budgetBytes(setBytes: number, largestBytes: number, divisor = 4): number {
  if (setBytes > 0) return setBytes
  return Math.max(largestBytes, Math.floor(getHeapStatistics().heap_size_limit / divisor))
}

/** Read for each new connection, since they change at run time. */
export function connectionLimits(config: BrokerConfig, maxByDescriptors: number): ConnectionLimits {
  return {
    maxConnections: config.maxConnections,
    maxConnectionsPerIp: config.maxConnectionsPerIp,
    maxConnectionsByAddress: config.connectionLimitsByAddress,
    maxConnectionsPerSecond: config.maxConnectionCreationRate,
    maxByDescriptors,
  }
}
