import { setTimeout as delay } from 'node:timers/promises'
import type { ChaosCluster } from './cluster/chaos-cluster.ts'
import type { Recorder } from './history/recorder.ts'

/** Who led what at some moment, as an onlooker was told. */
export interface LeaderSample {
  readonly ms: number
  /** Node id of the active controller, null if nobody told. */
  readonly controller: number | null
  /** By log: node id of the leader (-1: none) and how many replicas are in sync. Empty if nobody told. */
  readonly leaders: ReadonlyMap<string, { readonly leader: number; readonly inSync: number }>
}

const PERIOD_MS = 500

/** Asks the cluster again and again, until the signal, who leads what. */
export async function watchLeaders(
  cluster: ChaosCluster,
  recorder: Recorder,
  topics: readonly string[],
  signal: AbortSignal,
): Promise<LeaderSample[]> {
  const samples: LeaderSample[] = []
  while (!signal.aborted) {
    const [states, controller] = await Promise.all([cluster.partitions(topics), cluster.activeController()])
    const leaders = new Map(
      (states ?? []).map(({ topic, partition, leader, isr }) => [
        `${topic}/${partition}`,
        { leader, inSync: isr.length },
      ]),
    )
    samples.push({ ms: recorder.nowMs, controller, leaders })
    await delay(PERIOD_MS)
  }
  return samples
}
