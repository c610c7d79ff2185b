import { partitionKey, type TopicPartition } from '../cluster/topic-partition.ts'
import { StateError } from '../errors/client-errors.ts'
import { PartitionState } from './partition-state.ts'

/** The partitions a consumer reads now, by name and number. */
export class AssignedPartitions {
  readonly #states = new Map<string, PartitionState>()

  get size(): number {
    return this.#states.size
  }

  /** In the order of assignment. */
  all(): PartitionState[] {
    return [...this.#states.values()]
  }

  list(): TopicPartition[] {
    return this.all().map(({ topic, partition }) => ({ topic, partition }))
  }

  find(topic: string, partition: number): PartitionState | null {
    return this.#states.get(partitionKey(topic, partition)) ?? null
  }

  /** Throws {@link StateError} if the partition is not assigned. */
  get({ topic, partition }: TopicPartition): PartitionState {
    const state = this.find(topic, partition)
    if (state === null) throw new StateError(`${topic}-${partition} is not assigned to this consumer`)
    return state
  }

  /** Makes exactly these the assigned ones. Partitions that stay keep their state. */
  replace(partitions: readonly TopicPartition[]): { added: PartitionState[]; removed: PartitionState[] } {
    const wanted = new Set(partitions.map(({ topic, partition }) => partitionKey(topic, partition)))
    const removed: PartitionState[] = []
    for (const [key, state] of this.#states) {
      if (wanted.has(key)) continue
      this.#states.delete(key)
      // Answers under way must not find it alive.
      state.dropBuffered()
      removed.push(state)
    }
    const added: PartitionState[] = []
    for (const { topic, partition } of partitions) {
      const key = partitionKey(topic, partition)
      if (this.#states.has(key)) continue
      const state = new PartitionState(topic, partition)
      this.#states.set(key, state)
      added.push(state)
    }
    return { added, removed }
  }

  /** Bytes fetched ahead. */
  bufferedBytes(): number {
    let bytes = 0
    for (const state of this.#states.values()) bytes += state.bufferedBytes
    return bytes
  }
}
