import type { Uuid } from '@millrace/base'
import { isNotedAsLost, type MetadataImage, type PartitionImage } from '@millrace/consensus'
import type { LogManager } from '@millrace/storage'
import type { Logger } from '../logger.ts'

/** Of lost logs, so many are named. */
const NAMED = 10

/** A replica of this node, as the controller knows it. */
export interface ReplicaName {
  readonly topicId: Uuid
  readonly partition: number
}

interface LostReplica extends ReplicaName {
  readonly topic: string
  /** Nothing committed rests on it: the metadata has said so to this life of the broker. */
  isOut: boolean
}

/**
 * Replicas here whose logs held records and were not found by this start: set aside for damage, or gone (`LostLogs`). An empty log in such a
 * place would pass for a whole one, be elected, and have the others cut theirs to it. So none is made before the metadata says that the
 * replica is neither in sync nor eligible, which the registration asks for, nor before there is a leader to fetch from: until then what
 * the disk tells of the loss stays, for the next start, and what is left of the log, for the operator. On a node that is its own cluster the
 * partition has no leader until the operator has the node elected, or has mended the log.
 */
export class LostReplicas {
  readonly #nodeId: number
  readonly #logger: Logger
  readonly #isOnly: boolean
  readonly #lost = new Map<string, LostReplica>()

  /** `isOnly`: there is no other node to fetch from. */
  constructor(nodeId: number, logger: Logger, isOnly: boolean) {
    this.#nodeId = nodeId
    this.#logger = logger
    this.#isOnly = isOnly
  }

  /** Once the logs are loaded, and before one is made. `isRegistered` as in {@link apply}. */
  start(metadata: MetadataImage, logs: LogManager, isRegistered: boolean): void {
    const found = logs.lostLogs(metadata.brokers.get(this.#nodeId)?.directories)
    for (const { name: topic, id: topicId, partitions } of metadata.topics.values()) {
      for (const image of partitions) {
        const { partition, replicas } = image
        // Of moves something else is known (docs/adr/0009).
        if (!replicas.includes(this.#nodeId) || logs.futures.movedAwayTo(topicId, partition) !== null) continue
        // Where the durable mark is lost, too, nothing else tells.
        const isKnownAsLost = this.#isOnly && isNotedAsLost(image) && !found.isHere(topicId, partition)
        if (!isKnownAsLost && !found.has(topic, topicId, partition)) continue
        this.#lost.set(keyOf(topicId, partition), { topic, topicId, partition, isOut: false })
      }
    }
    this.apply(metadata, isRegistered)
    if (this.#lost.size === 0) return
    const names = this.#names().slice(0, NAMED)
    const fields = { count: this.#lost.size, partitions: names }
    if (this.#isOnly)
      this.#logger.error('logs of partitions are lost: these are offline until you mend or give up their logs', fields)
    else this.#logger.error('logs of replicas are lost: they count for nothing before they are fetched again', fields)
  }

  /**
   * What the metadata does not place here any more is nobody's loss. `isRegistered`: the image knows this life. Once such an image has had a
   * replica out that is remembered: where this node leads it after that, someone has elected it although it has nothing. Returns whether some
   * are nobody's loss now.
   */
  apply({ topicsById }: MetadataImage, isRegistered: boolean): boolean {
    const count = this.#lost.size
    for (const [key, lost] of this.#lost) {
      const image = topicsById.get(lost.topicId)?.partitions[lost.partition]
      if (image?.replicas.includes(this.#nodeId) !== true) this.#lost.delete(key)
      else if (isRegistered && !image.isr.includes(this.#nodeId) && !image.elr.includes(this.#nodeId)) lost.isOut = true
    }
    return this.#lost.size < count
  }

  get count(): number {
    return this.#lost.size
  }

  /** For the registration. */
  all(): ReplicaName[] {
    return [...this.#lost.values()].map(({ topicId, partition }) => ({ topicId, partition }))
  }

  has(topicId: Uuid, partition: number): boolean {
    return this.#lost.has(keyOf(topicId, partition))
  }

  /** Whether no log may be made for it yet, by an image that was applied. */
  isBarred(topicId: Uuid, { partition, leader }: PartitionImage): boolean {
    const lost = this.#lost.get(keyOf(topicId, partition))
    return lost !== undefined && (!lost.isOut || leader < 0)
  }

  /** It has a log again. */
  onBegun(topicId: Uuid, { partition, leader }: PartitionImage): void {
    const lost = this.#lost.get(keyOf(topicId, partition))
    if (lost === undefined) return
    this.#lost.delete(keyOf(topicId, partition))
    const fields = { topic: lost.topic, partition, leaderId: leader }
    if (leader === this.#nodeId) this.#logger.error('a lost log is begun anew, empty: it was elected to lead', fields)
    else this.#logger.warn('a lost log is begun anew, and fetched from its leader', fields)
  }

  #names(): string[] {
    return [...this.#lost.values()].map(({ topic, partition }) => `${topic}-${partition}`)
  }
}

function keyOf(topicId: Uuid, partition: number): string {
  return `${topicId}-${partition}`
}
