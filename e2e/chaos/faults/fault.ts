import type { SeededRandom } from '@millrace/base'
import type { ChaosCluster } from '../cluster/chaos-cluster.ts'
import type { Workload } from '../workload/workload.ts'

/** What faults act on. */
export interface Target {
  readonly cluster: ChaosCluster
  readonly workload: Workload
  readonly random: SeededRandom
  readonly topics: readonly string[]
  readonly signal: AbortSignal
}

/** What was broken, and how it is undone. */
export interface Broken {
  /** For people: what was done, to whom. */
  readonly detail: string
  /** Ids of the nodes that were hit themselves; left out: none. */
  readonly nodes?: readonly number[]
  /** How long it stays so. */
  readonly holdMs: number
  /** Undoes it; what comes back by itself does nothing. */
  mend(): Promise<void>
}

/** One way to break a cluster. */
export interface Fault {
  /** As on the command line. */
  readonly name: string
  /** Faults of one family are asked for together. */
  readonly family: Family
  /** Fewest nodes with which it makes sense. */
  readonly leastNodes: number
  /** How often it comes for one time of another of its family; left out: once. */
  readonly weight?: number
  /** Why it cannot be done on this machine; null or left out: it can. */
  whyNot?(): string | null
  /** Null: there is nothing to break just now. */
  inflict(target: Target): Promise<Broken | null>
}

export const families = ['kill', 'pause', 'network', 'disk', 'rolling', 'membership', 'client'] as const
export type Family = (typeof families)[number]

export const nothingToMend = (): Promise<void> => Promise.resolve()
