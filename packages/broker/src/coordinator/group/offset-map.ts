import { numberKey } from '@millrace/base'
import { type Timeline, TimelineMap, type ValueTally } from '../runtime/timeline.ts'

/** By the keys of their numbers: a client commits offsets for whatever numbers it likes. */
type Partitions<Value> = TimelineMap<number, Value>
type Topics<Value> = TimelineMap<string, Partitions<Value>>

/** Values by group, topic and partition, versioned. Groups and topics are there only while they hold a partition. */
export class OffsetMap<Value> {
  readonly #timeline: Timeline
  readonly #groups: TimelineMap<string, Topics<Value>>
  readonly #tally: ValueTally<Value> | null

  constructor(timeline: Timeline, tally: ValueTally<Value> | null = null) {
    this.#timeline = timeline
    this.#tally = tally
    this.#groups = new TimelineMap(timeline)
  }

  get(groupId: string, topic: string, partition: number): Value | undefined {
    return this.#groups.get(groupId)?.get(topic)?.get(numberKey(partition))
  }

  hasGroup(groupId: string): boolean {
    return this.#groups.has(groupId)
  }

  set(groupId: string, topic: string, partition: number, value: Value): void {
    let topics = this.#groups.get(groupId)
    if (topics === undefined) {
      topics = new TimelineMap(this.#timeline)
      this.#groups.set(groupId, topics)
    }
    let partitions = topics.get(topic)
    if (partitions === undefined) {
      partitions = new TimelineMap(this.#timeline, this.#tally)
      topics.set(topic, partitions)
    }
    partitions.set(numberKey(partition), value)
  }

  delete(groupId: string, topic: string, partition: number): void {
    const topics = this.#groups.get(groupId)
    const partitions = topics?.get(topic)
    if (topics === undefined || partitions === undefined || !partitions.delete(numberKey(partition))) return
    if (partitions.size > 0) return
    topics.delete(topic)
    if (topics.size === 0) this.#groups.delete(groupId)
  }

  /** How many values a group has, in its newest state. Looks at each of its topics. */
  countOf(groupId: string): number {
    let count = 0
    for (const partitions of this.#groups.get(groupId)?.values() ?? []) count += partitions.size
    return count
  }

  groupIds(): Iterable<string> {
    return this.#groups.keys()
  }

  /** The newest values of a group, each with its place. */
  *entries(groupId: string): Generator<{ topic: string; partition: number; value: Value }> {
    const topics = this.#groups.get(groupId)
    if (topics === undefined) return
    for (const [topic, partitions] of topics.entries()) {
      for (const [key, value] of partitions.entries()) yield { topic, partition: numberKey(key), value }
    }
  }

  /** The newest values of one topic in a group. */
  *partitions(groupId: string, topic: string): Generator<[number, Value]> {
    for (const [key, value] of this.#groups.get(groupId)?.get(topic)?.entries() ?? []) yield [numberKey(key), value]
  }

  /** As {@link get}, from the last committed version if `committed`. */
  view(groupId: string, topic: string, committed: boolean): PartitionView<Value> {
    const topics = committed ? this.#groups.getCommitted(groupId) : this.#groups.get(groupId)
    const partitions = committed ? topics?.getCommitted(topic) : topics?.get(topic)
    return new PartitionView(partitions, committed)
  }

  /** The topics of a group with their values, from the last committed version if `committed`. */
  *topicViews(groupId: string, committed: boolean): Generator<[string, PartitionView<Value>]> {
    const topics = committed ? this.#groups.getCommitted(groupId) : this.#groups.get(groupId)
    if (topics === undefined) return
    for (const [topic, partitions] of committed ? topics.committedEntries() : topics.entries()) {
      yield [topic, new PartitionView(partitions, committed)]
    }
  }
}

/** The partitions of one topic in one group, newest or committed. Valid until the next step. */
export class PartitionView<Value> {
  readonly #partitions: Partitions<Value> | undefined
  readonly #committed: boolean

  constructor(partitions: Partitions<Value> | undefined, committed: boolean) {
    this.#partitions = partitions
    this.#committed = committed
  }

  get(partition: number): Value | undefined {
    if (this.#partitions === undefined) return undefined
    const key = numberKey(partition)
    return this.#committed ? this.#partitions.getCommitted(key) : this.#partitions.get(key)
  }

  *entries(): Generator<[number, Value]> {
    if (this.#partitions === undefined) return
    const entries = this.#committed ? this.#partitions.committedEntries() : this.#partitions.entries()
    for (const [key, value] of entries) yield [numberKey(key), value]
  }
}
