import type { Partition } from '@millrace/broker'
import type { SimulatedNode } from './simulated-node.ts'

/** What a node that may lead shows of it. */
export interface LeadingNode {
  readonly id: number
  readonly lifeCount: number
  /** Null: its process is down, or does not serve yet. */
  readonly broker: {
    partitions(): Iterable<Pick<Partition, 'topic' | 'partition' | 'isLeader' | 'leaderEpoch'>>
  } | null
}

/** What is known of epochs, of those who are down too. */
export interface KnownEpochs {
  /** The newest leader epoch of the partition that anybody has been told, -1 before the first. */
  leaderEpochOf(topic: string, partition: number): number
}

/**
 * Who leads partitions, for judges. A leader that was replaced and does not know it gets nothing committed, but goes on telling, and giving
 * away, what was once so, as with Kafka. It may be the only one in sight: whoever replaced it may have died since. So epochs decide.
 */
export class LeaderView<Node extends LeadingNode = LeadingNode> {
  readonly #nodes: () => readonly Node[]
  readonly #epochs: KnownEpochs

  constructor(nodes: () => readonly Node[], epochs: KnownEpochs) {
    this.#nodes = nodes
    this.#epochs = epochs
  }

  /** All nodes that take themselves for the leader of a partition: those that are starting cannot be seen. */
  all(topic: string, number = 0): Node[] {
    return this.#nodes().filter((node) => leadOf(node, topic, number) !== undefined)
  }

  /** Changes whenever there is another leader. */
  epoch(topic: string, number = 0): number {
    return this.#epochs.leaderEpochOf(topic, number)
  }

  /** Whether one that was replaced takes itself for the leader. */
  hasReplaced(topic: string, number = 0): boolean {
    const newest = this.epoch(topic, number)
    return this.#nodes().some((node) => (leadOf(node, topic, number)?.leaderEpoch ?? newest) < newest)
  }

  /** Who leads, and for how long without a break, as text; null: nobody is in sight, or one that was replaced and does not know it. */
  sole(topic: string, number = 0): string | null {
    const [leader] = this.all(topic, number)
    if (leader === undefined || this.hasReplaced(topic, number)) return null
    return `node ${leader.id} in life ${leader.lifeCount} and epoch ${this.epoch(topic, number)}`
  }
}

/** The name of a topic as some node has it in its metadata, or its id: nobody in sight knows of it. */
export function topicNameOf(nodes: readonly SimulatedNode[], topicId: string): string {
  for (const { controller } of nodes) {
    for (const { id, name } of controller?.image.topics.values() ?? []) if (id === topicId) return name
  }
  return topicId
}

function leadOf({ broker }: LeadingNode, topic: string, number: number): { readonly leaderEpoch: number } | undefined {
  for (const one of broker?.partitions() ?? []) {
    if (one.isLeader && one.partition === number && one.topic === topic) return one
  }
  return undefined
}
