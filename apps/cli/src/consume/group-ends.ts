import type { Clock } from '@millrace/base'
import type { Consumer, RebalanceListener, TopicPartition } from '@millrace/client'
import { placeKey, positionOf } from './range-reader.ts'

/**
 * A new member gets nothing while the others still hold what it is to have; they hear of it with a heartbeat, three seconds apart, and
 * the round in which they give it up is the next one. Who has nothing after this long gets nothing.
 */
const EMPTY_LIMIT_MS = 10_000

/** Where each partition of a group member ended when it was first assigned: `--exit` reads up to there, and never chases new records. */
export class GroupEnds {
  readonly #consumer: Consumer
  readonly #clock: Clock
  readonly #ends = new Map<string, bigint>()
  /** When the assignment in use was made; null while there is none. */
  #assignedAtMs: number | null = null
  /** For {@link Consumer.subscribe}. */
  readonly listener: RebalanceListener

  constructor(consumer: Consumer, clock: Clock) {
    this.#consumer = consumer
    this.#clock = clock
    const onGone = () => {
      this.#assignedAtMs = null
    }
    this.listener = {
      onPartitionsAssigned: (places) => this.#onAssigned(places),
      onPartitionsRevoked: onGone,
      onPartitionsLost: onGone,
    }
  }

  /** Whether the member has nothing to read. */
  get isWithoutPartitions(): boolean {
    return this.#consumer.assignment().length === 0
  }

  /** Reading ends before this offset. Null if the partition was not assigned by the group. */
  endOf(place: TopicPartition): bigint | null {
    return this.#ends.get(placeKey(place)) ?? null
  }

  /** Whether every partition is read up to its end. Those that are get paused. */
  async areReached(): Promise<boolean> {
    if (this.#assignedAtMs === null) return false
    const places = this.#consumer.assignment()
    if (places.length === 0) return this.#clock.monotonicMs() - this.#assignedAtMs >= EMPTY_LIMIT_MS
    let leftCount = places.length
    for (const place of places) {
      const end = this.endOf(place)
      const position = await positionOf(this.#consumer, place)
      if (end === null || position === null || position < end) continue
      this.#consumer.pause([place])
      leftCount--
    }
    return leftCount === 0
  }

  async #onAssigned(places: readonly TopicPartition[]): Promise<void> {
    const unknown = places.filter((place) => !this.#ends.has(placeKey(place)))
    const found = unknown.length === 0 ? [] : await this.#consumer.findOffsets(unknown, 'latest')
    for (const { topic, partition, offset } of found) this.#ends.set(placeKey({ topic, partition }), offset)
    this.#assignedAtMs = this.#clock.monotonicMs()
  }
}
