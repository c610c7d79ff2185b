import type { BrokerSettings } from './broker-definitions.ts'
import type { ClusterSettings } from './cluster-settings.ts'
import type { ListenerEndpoint } from './listeners.ts'

/**
 * The settings of one broker: every key as a typed property in camel case, and what follows from several of them. It never changes;
 * a change at run time makes a new one. Read once and keep what a hot path needs: the object is too large for fast property access.
 */
export interface BrokerConfig extends BrokerSettings {
  /** `log.dirs`, else `log.dir`. At least one, without repetitions. */
  readonly dataDirectories: readonly string[]
  /** Listeners for clients and brokers, to bind. */
  readonly endpoints: readonly ListenerEndpoint[]
  /** Listeners named by `controller.listener.names`. */
  readonly controllerEndpoints: readonly ListenerEndpoint[]
  /** What clients are told; a port of 0 is still to be replaced by the bound one. */
  readonly advertisedEndpoints: readonly ListenerEndpoint[]
  /** Name of the listener that brokers use among themselves. */
  readonly interBrokerListener: string
  /** Limits for single addresses. */
  readonly connectionLimitsByAddress: ReadonlyMap<string, number>
  /** Part in a cluster; null: the node keeps its own metadata. */
  readonly cluster: ClusterSettings | null
  /** Nodes of the cluster as far as the start settings tell; at least one. */
  readonly nodeCount: number
  /** Keys that were given, in whatever layer; the rest are defaults. */
  readonly givenKeys: ReadonlySet<string>
}
