import type { StreamNetwork } from '../network/stream-network.ts'
import type { World } from '../world/world.ts'
import type { ClusterOptions } from './cluster-scenario.ts'
import type { SimulatedNode } from './simulated-node.ts'

/** What faults need of the cluster that they strike. */
export interface StruckCluster {
  readonly world: World
  readonly network: StreamNetwork
  readonly nodes: readonly SimulatedNode[]
  readonly scenario: { readonly options: ClusterOptions }
  readonly dataLeader: SimulatedNode | null
  readonly activeController: SimulatedNode | null
  readonly isPeaceful: boolean
  /** All replicas but this node's are in sync and up: its disk may be lost. */
  isSafeWithout(node: SimulatedNode): boolean
  /** The node holds nothing any more. `directory`: in the log directory with this id. */
  onDiskLost(node: SimulatedNode, directory?: string): void
  /** Some of its records cannot be read any more. */
  onRecordsRotten(node: SimulatedNode): void
  /** What it holds is to be seen. */
  onDiskDamaged(node: SimulatedNode): void
  restartLater(node: SimulatedNode, afterMs: number): void
}
