import type { Uuid } from '@millrace/base'
import type { TopicPartition } from '../cluster/topic-partition.ts'

/** A partition with the id of its topic. */
export interface SharePartition extends TopicPartition {
  topicId: Uuid
}

/** What the next request must say so that exactly the wanted partitions are in the session. */
export interface ShareSessionStep {
  epoch: number
  added: SharePartition[]
  forgotten: SharePartition[]
}

const NEW_EPOCH = 0
/** Ends the session: the broker gives everything back that is not acknowledged. */
export const FINAL_EPOCH = -1
const MAX_EPOCH = 2_147_483_647

/**
 * The client's half of a share session with one broker (KIP-932): the broker remembers the partitions, and counts requests. Whatever
 * was acquired in a session is lost with it. Pure.
 */
export class ShareSession {
  #epoch = NEW_EPOCH
  #known = new Map<string, SharePartition>()
  #ordinal = 0

  /** Whether the broker knows of none: acknowledgements mean nothing then. */
  get isNew(): boolean {
    return this.#epoch === NEW_EPOCH
  }

  /** Counts sessions with this broker: what was acquired under another number is not ours any more. */
  get ordinal(): number {
    return this.#ordinal
  }

  /** The epoch of a request that changes nothing in the session. */
  get epoch(): number {
    return this.#epoch
  }

  /** Counts as known from now on; any failure forgets it. */
  next(wanted: readonly SharePartition[]): ShareSessionStep {
    const next = new Map(wanted.map((place) => [keyOf(place), place]))
    const added = wanted.filter((place) => !this.#known.has(keyOf(place)))
    const forgotten = [...this.#known].filter(([key]) => !next.has(key)).map(([, place]) => place)
    this.#known = next
    return { epoch: this.#epoch, added, forgotten }
  }

  /** The broker took the request. */
  onAnswer(): void {
    this.#epoch = this.#epoch === MAX_EPOCH ? 1 : this.#epoch + 1
  }

  /** The session is gone, or nobody knows: the next request begins another. */
  onFailure(): void {
    this.#epoch = NEW_EPOCH
    this.#known = new Map()
    this.#ordinal++
  }
}

function keyOf({ topicId, partition }: SharePartition): string {
  return `${topicId}/${partition}`
}
