import type { LeaderEpoch } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'

export interface LeaderHint {
  readonly leaderId: number
  readonly leaderEpoch: LeaderEpoch
}

/** A broker as the clients of one listener reach it. */
export interface NodeHint {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** Tells clients that asked the wrong broker who leads, so that they need not ask for metadata first (KIP-951). */
export class LeaderHints {
  readonly #image: () => MetadataImage

  constructor(image: () => MetadataImage) {
    this.#image = image
  }

  /** For one answer over the named listener. */
  collect(listener: string): LeaderHintCollection {
    return new LeaderHintCollection(this.#image(), listener)
  }
}

/** The hints of one answer. */
export class LeaderHintCollection {
  readonly #image: MetadataImage
  readonly #listener: string
  readonly #nodes = new Map<number, NodeHint>()

  constructor(image: MetadataImage, listener: string) {
    this.#image = image
    this.#listener = listener
  }

  /** Null if nobody is known to lead it who could be reached by this listener. */
  leaderOf(topic: string, partition: number): LeaderHint | null {
    const image = this.#image.topics.get(topic)?.partitions[partition]
    const broker = image === undefined ? undefined : this.#image.brokers.get(image.leader)
    const endpoint = broker?.endpoints.find(({ listener }) => listener === this.#listener)
    if (image === undefined || broker === undefined || endpoint === undefined) return null
    this.#nodes.set(broker.id, { nodeId: broker.id, host: endpoint.host, port: endpoint.port, rack: broker.rack })
    return { leaderId: image.leader, leaderEpoch: image.leaderEpoch }
  }

  /** The leaders that were named. */
  nodes(): NodeHint[] {
    return [...this.#nodes.values()]
  }
}
