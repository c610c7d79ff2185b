import type { Partition } from '@millrace/broker'

/** Topics with one partition each, whose leader is the coordinator. */
export const COORDINATOR_TOPICS = ['__transaction_state', '__consumer_offsets'] as const
export type CoordinatorTopic = (typeof COORDINATOR_TOPICS)[number]

/** A node as far as this onlooker sees it. */
export interface CoordinatorNode {
  /** Null: its process is down, or does not serve yet. */
  readonly broker: { partitions(): Iterable<Pick<Partition, 'topic' | 'isLeader' | 'leaderEpoch'>> } | null
}

/**
 * Who takes itself for a coordinator. One that was replaced and does not know it can get nothing written, but tells what once was so, as
 * with Kafka: what clients are told then may be old.
 */
export class CoordinatorWatch {
  readonly #nodes: () => readonly CoordinatorNode[]
  readonly #newest = new Map<string, number>()

  constructor(nodes: () => readonly CoordinatorNode[]) {
    this.#nodes = nodes
  }

  /** The newest leader epoch that any node has ever known. Changes whenever there is another coordinator. */
  epoch(topic: CoordinatorTopic): number {
    let newest = this.#newest.get(topic) ?? 0
    for (const { leaderEpoch } of this.#replicas(topic)) newest = Math.max(newest, leaderEpoch)
    this.#newest.set(topic, newest)
    return newest
  }

  /** Whether one that was replaced takes itself for the coordinator. */
  hasReplaced(topic: CoordinatorTopic): boolean {
    const newest = this.epoch(topic)
    for (const { isLeader, leaderEpoch } of this.#replicas(topic)) if (isLeader && leaderEpoch < newest) return true
    return false
  }

  /** Remembers epochs, at any moment. */
  observe(): void {
    for (const topic of COORDINATOR_TOPICS) this.epoch(topic)
  }

  *#replicas(topic: string): Iterable<Pick<Partition, 'isLeader' | 'leaderEpoch'>> {
    for (const { broker } of this.#nodes()) {
      for (const partition of broker?.partitions() ?? []) if (partition.topic === topic) yield partition
    }
  }
}
