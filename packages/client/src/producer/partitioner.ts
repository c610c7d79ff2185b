import type { Random } from '@millrace/base'
import { partitionForKey } from '@millrace/protocol'
import type { TopicView } from '../cluster/cluster-view.ts'

/** Chooses a partition for a record that names none. Must give a number in `[0, topic.partitions.length)`. */
export type Partitioner = (topic: TopicView, key: Buffer | null, value: Buffer | string | null) => number

/**
 * Where records without a key go (KIP-794): one partition until about a batch of bytes went there, then another. Of two random
 * candidates the one with less waiting is taken, so slow brokers get less.
 */
export class StickyChoice {
  readonly #random: Random
  readonly #switchAfterBytes: number
  readonly #queuedBytes: (partition: number) => number
  #partition = -1
  #sentBytes = 0

  /** `queuedBytes` tells what waits for a partition. */
  constructor(random: Random, switchAfterBytes: number, queuedBytes: (partition: number) => number) {
    this.#random = random
    this.#switchAfterBytes = switchAfterBytes
    this.#queuedBytes = queuedBytes
  }

  /** The partition for a record of that size. */
  choose(topic: TopicView, sizeBytes: number): number {
    const gone = this.#partition >= topic.partitions.length || topic.partitions[this.#partition]?.leaderId === -1
    if (this.#partition === -1 || gone || this.#sentBytes >= this.#switchAfterBytes) {
      this.#partition = this.#next(topic)
      this.#sentBytes = 0
    }
    this.#sentBytes += sizeBytes
    return this.#partition
  }

  #next(topic: TopicView): number {
    const withLeader = topic.partitions.filter((partition) => partition.leaderId !== -1)
    const candidates = withLeader.length > 0 ? withLeader : topic.partitions
    const others = candidates.filter((candidate) => candidate.partition !== this.#partition)
    if (others.length === 0) return candidates[0]!.partition
    const first = others[this.#random.uint32() % others.length]!.partition
    const second = others[this.#random.uint32() % others.length]!.partition
    return this.#queuedBytes(second) < this.#queuedBytes(first) ? second : first
  }
}

/** Java's default for records with a key: murmur2 of the key, so that all clients agree where a key lives. */
export function keyPartition(topic: TopicView, key: Buffer): number {
  return partitionForKey(key, topic.partitions.length)
}
