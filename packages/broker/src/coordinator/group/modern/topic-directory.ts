import type { Uuid } from '@millrace/base'
import type { BrokerImage, MetadataImage, TopicImage } from '@millrace/consensus'
import type { AssignorTopic } from './assignor.ts'
import { type TopicHash, topicHash } from './topic-hash.ts'

/**
 * The topics of the cluster as groups see them: which there are, how many partitions they have, and where these stand. What of this a
 * group depends on is told apart by a hash, which stands in the group's record: it must be the same after every restart.
 */
export class TopicDirectory {
  readonly #image: () => MetadataImage
  #createdCount = 0
  #brokers: ReadonlyMap<number, BrokerImage> | null = null
  /** By broker; empty: nobody says where it stands. */
  #racks = new Map<number, string>()
  /** An image of a topic never changes, but racks may. */
  #hashes = new WeakMap<TopicImage, TopicHash>()

  constructor(image: () => MetadataImage) {
    this.#image = image
  }

  /** Grows with every topic that is created: what matched nothing yet may match it. */
  get createdCount(): number {
    return this.#createdCount
  }

  /** Some topic was created. */
  onCreated(): void {
    this.#createdCount++
  }

  /** Another object whenever any topic or any broker may have changed, and so what {@link hashOf} gives. */
  get version(): MetadataImage {
    return this.#image()
  }

  /** Whether something changed between two versions that a group can depend on. */
  static isSame(left: MetadataImage | null, right: MetadataImage): boolean {
    return left !== null && left.topics === right.topics && left.brokers === right.brokers
  }

  topicNames(): Iterable<string> {
    return this.#image().topics.keys()
  }

  idOf(name: string): Uuid | null {
    return this.#image().topics.get(name)?.id ?? null
  }

  nameOf(topicId: Uuid): string | null {
    return this.#image().topicsById.get(topicId)?.name ?? null
  }

  /** Partitions of a topic, 0 if it does not exist. */
  partitionCountOf(topicId: Uuid): number {
    return this.#image().topicsById.get(topicId)?.partitions.length ?? 0
  }

  /** The topics among these names that exist. */
  idsOf(names: Iterable<string>): Set<Uuid> {
    const { topics } = this.#image()
    const ids = new Set<Uuid>()
    for (const name of names) {
      const topic = topics.get(name)
      if (topic !== undefined) ids.add(topic.id)
    }
    return ids
  }

  /** For an assignor. Null: it does not exist. */
  describe(topicId: Uuid): AssignorTopic | null {
    const topic = this.#image().topicsById.get(topicId)
    if (topic === undefined) return null
    const racksByBroker = this.#racksByBroker()
    const { partitions } = topic
    return {
      id: topicId,
      partitionCount: partitions.length,
      racks: racksByBroker.size === 0 ? null : partitions.map(({ replicas }) => racksOf(replicas, racksByBroker)),
    }
  }

  /** Of the topics among these names that exist, each counted once; 0 for none. In no order: the names may come in any. */
  hashOf(names: Iterable<string>): bigint {
    const racksByBroker = this.#racksByBroker()
    const { topics } = this.#image()
    let high = 0
    let low = 0
    for (const name of names) {
      const topic = topics.get(name)
      if (topic === undefined) continue
      let hash = this.#hashes.get(topic)
      if (hash === undefined) {
        hash = topicHash(topic, (replicas) => racksOf(replicas, racksByBroker))
        this.#hashes.set(topic, hash)
      }
      high = (high + hash.high) | 0
      low = (low + hash.low) | 0
    }
    return BigInt.asIntN(64, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0))
  }

  #racksByBroker(): ReadonlyMap<number, string> {
    const { brokers } = this.#image()
    if (brokers === this.#brokers) return this.#racks
    this.#brokers = brokers
    const racks = new Map<number, string>()
    for (const { id, rack } of brokers.values()) if (rack !== null) racks.set(id, rack)
    if (!isSameMap(racks, this.#racks)) {
      this.#racks = racks
      this.#hashes = new WeakMap()
    }
    return this.#racks
  }
}

/** Racks of some brokers, each once. */
function racksOf(brokerIds: readonly number[], racksByBroker: ReadonlyMap<number, string>): string[] {
  const racks: string[] = []
  for (const id of brokerIds) {
    const rack = racksByBroker.get(id)
    if (rack !== undefined && !racks.includes(rack)) racks.push(rack)
  }
  return racks.sort()
}

function isSameMap(left: ReadonlyMap<number, string>, right: ReadonlyMap<number, string>): boolean {
  if (left.size !== right.size) return false
  for (const [id, rack] of left) if (right.get(id) !== rack) return false
  return true
}
