import { partitionKey, type TopicPartition } from '../cluster/topic-partition.ts'
import { StateError } from '../errors/client-errors.ts'
import type { CommittedOffset } from '../offsets/committed-offsets.ts'
import type { ConsumerBatch } from './consumer-record.ts'
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

  paused(): TopicPartition[] {
    return this.all()
      .filter(({ paused }) => paused)
      .map(({ topic, partition }) => ({ topic, partition }))
  }

  /** How many records of each are still to be read, as of the last fetch; null where none was answered yet. */
  lag(readCommitted: boolean): (TopicPartition & { lag: bigint | null })[] {
    return this.all().map(({ topic, partition, position, highWatermark, lastStableOffset }) => {
      const end = readCommitted ? lastStableOffset : highWatermark
      const lag = position === null || end < 0 ? null : BigInt(Math.max(0, end - position.offset))
      return { topic, partition, lag }
    })
  }

  /** Where each goes on, of those that know. */
  positions(): CommittedOffset[] {
    return this.all().flatMap(({ topic, partition, position }) =>
      position === null
        ? []
        : [{ topic, partition, offset: position.offset, leaderEpoch: position.leaderEpoch, metadata: '' }],
    )
  }

  /** Everything handed out so far is dealt with. */
  markProcessed(): void {
    for (const state of this.#states.values()) {
      if (state.position === null) continue
      state.processedOffset = state.position.offset
      state.processedEpoch = state.position.leaderEpoch
    }
  }

  /** Everything below these offsets is dealt with. */
  noteProcessed(offsets: readonly CommittedOffset[]): void {
    for (const { topic, partition, offset, leaderEpoch } of offsets) {
      const state = this.find(topic, partition)
      if (state === null) continue
      state.processedOffset = offset
      state.processedEpoch = leaderEpoch
    }
  }

  /** Records of a batch from `slot + 1` on were never handed out: reading goes on with them; that at `slot` is not dealt with. */
  takeBack(batch: ConsumerBatch, slot: number): void {
    const state = this.find(batch.topic, batch.partition)
    if (state === null || state.position?.offset !== Number(batch.nextOffset)) return
    const record = batch.records[slot]!
    const { processedEpoch } = state
    state.moveTo({ offset: Number(record.offset) + 1, leaderEpoch: record.leaderEpoch })
    state.processedOffset = Number(record.offset)
    state.processedEpoch = processedEpoch
  }

  /** Bytes fetched ahead. */
  bufferedBytes(): number {
    let bytes = 0
    for (const state of this.#states.values()) bytes += state.bufferedBytes
    return bytes
  }
}
