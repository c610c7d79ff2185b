import type { Uuid } from '@millrace/base'
import { holds } from '../modern/assignment.ts'
import type { StatePartitions, StateTopic } from './share-group-record.ts'

/** Partitions by topic. */
export type PartitionLists = ReadonlyMap<Uuid, StateTopic>

/**
 * The share coordinator is asked to begin with these partitions. Those that it has begun with before stay so: if it cannot be asked now, or
 * whoever asks dies, what it has of them still counts, and nobody must have it begin at the end of the log.
 */
export function withInitializing(state: StatePartitions, added: PartitionLists): StatePartitions {
  return {
    initializing: union(state.initializing, added),
    initialized: state.initialized,
    deleting: withoutTopics(state.deleting, added.keys()),
  }
}

/** Of these partitions, those that it is still to begin with, and has not begun with yet. */
export function stillToBegin({ initializing, initialized }: StatePartitions, asked: PartitionLists): PartitionLists {
  return without(intersection(asked, initializing), initialized)
}

/** It has begun with these, of which some may not be wanted any more. */
export function withInitialized(state: StatePartitions, done: PartitionLists): StatePartitions {
  const wanted = intersection(state.initializing, done)
  return {
    ...state,
    initializing: without(state.initializing, done),
    initialized: union(state.initialized, wanted),
  }
}

/** It could not begin with these: they are asked for again when somebody wants them. */
export function withoutInitializing(state: StatePartitions, failed: PartitionLists): StatePartitions {
  return { ...state, initializing: without(state.initializing, failed) }
}

/** The state of whole topics is to go. */
export function withDeleting(state: StatePartitions, topics: ReadonlyMap<Uuid, string>): StatePartitions {
  return {
    initializing: withoutTopics(state.initializing, topics.keys()),
    initialized: withoutTopics(state.initialized, topics.keys()),
    deleting: new Map([...state.deleting, ...topics]),
  }
}

/** The state of these topics is gone. */
export function withoutDeleting(state: StatePartitions, topicIds: Iterable<Uuid>): StatePartitions {
  return { ...state, deleting: withoutTopics(state.deleting, topicIds) }
}

/** Topics that do not exist any more: their state goes without anybody's asking. */
export function withoutGone(state: StatePartitions, topicIds: readonly Uuid[]): StatePartitions {
  return {
    initializing: withoutTopics(state.initializing, topicIds),
    initialized: withoutTopics(state.initialized, topicIds),
    deleting: withoutTopics(state.deleting, topicIds),
  }
}

export function isNone({ initializing, initialized, deleting }: StatePartitions): boolean {
  return initializing.size === 0 && initialized.size === 0 && deleting.size === 0
}

/** Of which topics there is, or may be, any state. */
export function stateTopics({ initializing, initialized, deleting }: StatePartitions): Map<Uuid, string> {
  const topics = new Map(deleting)
  for (const [topicId, { name }] of [...initializing, ...initialized]) topics.set(topicId, name)
  return topics
}

export function union(left: PartitionLists, right: PartitionLists): PartitionLists {
  const all = new Map(left)
  for (const [topicId, { name, partitions }] of right) {
    const known = all.get(topicId)
    const merged = known === undefined ? partitions : [...new Set([...known.partitions, ...partitions])]
    all.set(topicId, { name, partitions: merged.toSorted((a, b) => a - b) })
  }
  return all
}

function without(from: PartitionLists, taken: PartitionLists): PartitionLists {
  return filtered(from, (topicId, partition) => !has(taken, topicId, partition))
}

function intersection(left: PartitionLists, right: PartitionLists): PartitionLists {
  return filtered(left, (topicId, partition) => has(right, topicId, partition))
}

function filtered(from: PartitionLists, isKept: (topicId: Uuid, partition: number) => boolean): PartitionLists {
  const kept = new Map<Uuid, StateTopic>()
  for (const [topicId, { name, partitions }] of from) {
    const left = partitions.filter((partition) => isKept(topicId, partition))
    if (left.length > 0) kept.set(topicId, { name, partitions: left })
  }
  return kept
}

export function has(lists: PartitionLists, topicId: Uuid, partition: number): boolean {
  return holds(lists.get(topicId)?.partitions, partition)
}

function withoutTopics<Value>(from: ReadonlyMap<Uuid, Value>, topicIds: Iterable<Uuid>): Map<Uuid, Value> {
  const left = new Map(from)
  for (const topicId of topicIds) left.delete(topicId)
  return left
}
