import type { RandomStream } from '../world/random-stream.ts'
import type { World } from '../world/world.ts'
import type { ClientHost } from './client-host.ts'
import type { ClusterOptions } from './cluster-scenario.ts'
import type { LeaderView } from './leader-view.ts'
import type { ReplicaGhost } from './replica-ghost.ts'
import type { SideName } from './side-names.ts'
import type { SimulatedNode } from './simulated-node.ts'

/** What a side workload is given: clients of its own, randomness of its own, and a view of the nodes for its judges. */
export interface SideStage {
  readonly world: World
  readonly host: ClientHost
  readonly options: ClusterOptions
  /** What clients draw; a judge draws nothing. */
  readonly random: RandomStream
  readonly nodes: () => readonly SimulatedNode[]
  /** Who leads what, as a judge must see it. */
  readonly leaders: LeaderView<SimulatedNode>
  /** Has the replicas of a topic judged as those of the main one are; what clients are told of it goes to the ghost. Before the nodes start. */
  watchReplicas(topic: string, partitionCount: number): ReplicaGhost
}

/**
 * Clients and judges of one part of what brokers promise (transactions, a kind of group, compaction), on topics of their own, beside the
 * main workload and under the same faults. Each seed draws which take part. Everything happens in virtual time and by `stage.host`.
 */
export interface SideWorkload {
  readonly name: SideName
  /** Makes its topics, before the faults begin. */
  prepare(): Promise<void>
  /** Begins its courses, by `host.own`; each ends soon after {@link end}. */
  start(): void
  /** No new calls from now on. */
  end(): void
  /** Called ten times a virtual second: looks into brokers, throws what it finds by `must`. */
  observe(): void
  /** Faults are over, all replicas are in sync, no call is open: what is still to happen has time until here, then all is read and compared. */
  checkAtRest(): Promise<void>
}

/** What makes a side workload, and what it needs of brokers. */
export interface SideKind {
  /** Settings of all nodes in seeds in which it takes part. */
  readonly settings: Readonly<Record<string, string>>
  create(stage: SideStage): SideWorkload
}
