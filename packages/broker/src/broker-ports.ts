import type { Clock, Disk, Random, Timers } from '@millrace/base'
import type { CleanEngine } from '@millrace/storage'
import type { ClusterAccess } from './cluster/cluster-membership.ts'
import type { Configuration } from './config/configuration.ts'
import type { LoggerLevels } from './handlers/logger-levels.ts'
import type { Logger } from './logger.ts'
import type { ProcessHealth } from './metrics/process-health.ts'
import type { Connect, Listen } from './network/transport.ts'
import type { BatchChecks } from './partition/batch-checks.ts'

/** Who comes over a connection that asks for no proof of it. */
export const ANONYMOUS = 'User:ANONYMOUS'

/** The world, as a broker is given it. */
export interface BrokerPorts {
  readonly disk: Disk
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  /** Opens the ports that clients connect to; TCP if left out. */
  readonly listen?: Listen
  /** Opens connections to other brokers; TCP if left out. */
  readonly connect?: Connect
  /** Who comes from an address, as far as can be told; {@link ANONYMOUS} if left out: listeners do not authenticate clients yet. */
  readonly principalOf?: (remoteAddress: string) => string
  /** What can be told about the process, for metrics; nothing if left out. */
  readonly health?: ProcessHealth
  /** How many files and sockets the process may open; no bound if left out. */
  readonly descriptorLimit?: number
  /** Runs a callback once, after the sockets that are readable now: `setImmediate`. */
  scheduleTurn(callback: () => void): void
  /** Loads what is needed seldom, and takes long to load, in quiet moments after the first client came; at its first use if left out. */
  readonly preloads?: boolean
  /** The way to the other nodes of a cluster; without it the broker is its own cluster, and keeps its metadata itself. */
  readonly cluster?: ClusterAccess
  /** Checks large batches beside the event loop; on it, a batch a turn, if left out. Closed by the broker. */
  readonly batchChecks?: BatchChecks
  /** Makes what compacts logs beside the event loop; on it, a piece at a time, if left out. Closed by the broker. */
  readonly createCleanEngine?: () => CleanEngine
}

export interface BrokerOptions {
  readonly configuration: Configuration
  readonly ports: BrokerPorts
  readonly logger: Logger
  readonly loggers: LoggerLevels
  /** Something happened after which nothing may go on: the process must end at once. */
  onFatal(error: Error): void
}
