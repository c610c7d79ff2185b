import type { Offset, ProducerId } from '@millrace/base'
import { type Timeline, TimelineMap, type ValueTally } from '../runtime/timeline.ts'
import type { OffsetValue } from './group-record.ts'
import type { GroupUsage } from './group-usage.ts'
import { OffsetMap } from './offset-map.ts'

/** A committed offset in memory. */
export interface StoredOffset {
  readonly value: OffsetValue
  /** Offset of its record in the log, which decides between two commits whose order of taking effect differs. */
  readonly recordOffset: Offset
  /** Whose share of the node's offsets it takes; null: nobody's. */
  readonly owner: string | null
}

/** The offsets of all groups of a shard: committed ones, and those of open transactions. A function of the records applied. */
export class OffsetStore {
  readonly committed: OffsetMap<StoredOffset>
  readonly #timeline: Timeline
  readonly #tally: OffsetTally
  readonly #pendingByProducer: TimelineMap<ProducerId, OffsetMap<StoredOffset>>
  /** Producers with an open transaction by the partition whose offset it holds: a map as a set, since that is versioned. */
  readonly #openTransactions: OffsetMap<TimelineMap<ProducerId, true>>

  constructor(timeline: Timeline, usage: GroupUsage) {
    this.#timeline = timeline
    this.#tally = new OffsetTally(usage)
    this.committed = new OffsetMap(timeline, this.#tally)
    this.#pendingByProducer = new TimelineMap(timeline)
    this.#openTransactions = new OffsetMap(timeline)
  }

  put(groupId: string, topic: string, partition: number, stored: StoredOffset): void {
    this.committed.set(groupId, topic, partition, stored)
  }

  /** Keeps an offset aside until the producer's transaction ends. */
  putPending(producerId: ProducerId, groupId: string, topic: string, partition: number, stored: StoredOffset): void {
    let pending = this.#pendingByProducer.get(producerId)
    if (pending === undefined) {
      pending = new OffsetMap(this.#timeline, this.#tally)
      this.#pendingByProducer.set(producerId, pending)
    }
    pending.set(groupId, topic, partition, stored)
    let producers = this.#openTransactions.get(groupId, topic, partition)
    if (producers === undefined) {
      producers = new TimelineMap(this.#timeline)
      this.#openTransactions.set(groupId, topic, partition, producers)
    }
    if (!producers.has(producerId)) producers.set(producerId, true)
  }

  /** What the producer's open transaction holds for a partition. */
  pending(producerId: ProducerId, groupId: string, topic: string, partition: number): StoredOffset | undefined {
    return this.#pendingByProducer.get(producerId)?.get(groupId, topic, partition)
  }

  /** Deletes a committed offset and what open transactions hold for the same partition. */
  delete(groupId: string, topic: string, partition: number): void {
    this.committed.delete(groupId, topic, partition)
    for (const producerId of this.#openTransactions.get(groupId, topic, partition)?.keys() ?? []) {
      this.#pendingByProducer.get(producerId)?.delete(groupId, topic, partition)
    }
    this.#openTransactions.delete(groupId, topic, partition)
  }

  /** Commits or drops what the producer's transaction holds. A newer commit outside of it stays. */
  endTransaction(producerId: ProducerId, committed: boolean): void {
    const pending = this.#pendingByProducer.get(producerId)
    if (pending === undefined) return
    this.#pendingByProducer.delete(producerId)
    for (const groupId of [...pending.groupIds()]) {
      for (const { topic, partition, value } of [...pending.entries(groupId)]) {
        // One by one, since each was counted.
        pending.delete(groupId, topic, partition)
        this.#closeTransaction(producerId, groupId, topic, partition)
        if (!committed) continue
        const existing = this.committed.get(groupId, topic, partition)
        if (existing !== undefined && existing.recordOffset > value.recordOffset) continue
        this.committed.set(groupId, topic, partition, value)
      }
    }
  }

  hasOpenTransaction(groupId: string): boolean {
    return this.#openTransactions.hasGroup(groupId)
  }

  isInOpenTransaction(groupId: string, topic: string, partition: number): boolean {
    return this.#openTransactions.get(groupId, topic, partition) !== undefined
  }

  /** Partitions for which open transactions hold an offset. */
  *openPartitions(groupId: string): Generator<{ topic: string; partition: number }> {
    for (const { topic, partition } of this.#openTransactions.entries(groupId)) yield { topic, partition }
  }

  /** Groups with a pending offset of any open transaction, with the offsets of one topic. */
  *pendingPartitions(topic: string): Generator<{ groupId: string; partition: number; stored: StoredOffset }> {
    for (const pending of this.#pendingByProducer.values()) {
      for (const groupId of pending.groupIds()) {
        for (const [partition, stored] of pending.partitions(groupId, topic)) yield { groupId, partition, stored }
      }
    }
  }

  #closeTransaction(producerId: ProducerId, groupId: string, topic: string, partition: number): void {
    const producers = this.#openTransactions.get(groupId, topic, partition)
    if (producers?.delete(producerId) !== true || producers.size > 0) return
    this.#openTransactions.delete(groupId, topic, partition)
  }
}

/** Counts the offsets of maps, committed and pending ones alike, and the texts beside them. */
class OffsetTally implements ValueTally<StoredOffset> {
  readonly #usage: GroupUsage

  constructor(usage: GroupUsage) {
    this.#usage = usage
  }

  onAdded({ value, owner }: StoredOffset): void {
    this.#usage.countOffset(1, owner)
    this.#usage.countBytes(value.metadata.length, owner)
  }

  onRemoved({ value, owner }: StoredOffset): void {
    this.#usage.countOffset(-1, owner)
    this.#usage.countBytes(-value.metadata.length, owner)
  }
}
