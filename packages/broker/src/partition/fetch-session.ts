import type { LeaderEpoch, Offset, Uuid } from '@millrace/base'
import type { Partition } from './partition.ts'

/** Largest epoch before it wraps to 1 (KIP-227). */
const MAX_SESSION_EPOCH = 2147483647

export const INITIAL_FETCH_EPOCH = 0
export const FINAL_FETCH_EPOCH = -1

export function nextFetchEpoch(epoch: number): number {
  if (epoch < 0) return FINAL_FETCH_EPOCH
  return epoch === MAX_SESSION_EPOCH ? 1 : epoch + 1
}

/** One partition that a fetch wants, and what its reader was told last. */
export class FetchPartition {
  /** Empty while only the id is known and no topic has it. */
  topic: string
  readonly topicId: Uuid
  readonly partition: number
  fetchOffset: Offset
  currentLeaderEpoch: LeaderEpoch
  lastFetchedEpoch: LeaderEpoch
  maxBytes: number
  /** Where a follower's own log starts; -1 of a consumer. */
  logStartOffset: Offset
  /** Why a follower's fetch of it is refused although it could be read, or 0. */
  refusal = 0
  /** -1 until an answer was sent, and after an error, so that the next answer names it again. */
  sentHighWatermark: Offset = -1
  sentLogStartOffset: Offset = -1
  /** As found last: a fetch looks for each of its partitions several times. Not the one that is wanted any more once it is `deleted`. */
  found: Partition | null = null

  constructor(
    topic: string,
    topicId: Uuid,
    partition: number,
    fetchOffset: Offset,
    currentLeaderEpoch: LeaderEpoch,
    lastFetchedEpoch: LeaderEpoch,
    maxBytes: number,
    logStartOffset: Offset = -1,
  ) {
    this.topic = topic
    this.topicId = topicId
    this.partition = partition
    this.fetchOffset = fetchOffset
    this.currentLeaderEpoch = currentLeaderEpoch
    this.lastFetchedEpoch = lastFetchedEpoch
    this.maxBytes = maxBytes
    this.logStartOffset = logStartOffset
  }

  /** Takes over what a later request of the session says. */
  update(from: FetchPartition): void {
    this.fetchOffset = from.fetchOffset
    this.currentLeaderEpoch = from.currentLeaderEpoch
    this.lastFetchedEpoch = from.lastFetchedEpoch
    this.maxBytes = from.maxBytes
    this.logStartOffset = from.logStartOffset
  }
}

/** The same partition of a session has one key, by id where the session uses ids. */
export function fetchPartitionKey(topic: string, topicId: Uuid, partition: number, usesTopicIds: boolean): string {
  return usesTopicIds ? `${topicId}${partition}` : `${topic}/${partition}`
}

/**
 * What a client that fetches the same partitions again and again need not repeat (KIP-227). The order of `partitions` is the
 * order of reading: those that returned records go to the back, so that none starves.
 */
export class FetchSession {
  readonly id: number
  /** Of a follower: may displace consumers' sessions when the cache is full. */
  readonly privileged: boolean
  readonly usesTopicIds: boolean
  readonly createdMs: number
  lastUsedMs: number
  /** The epoch that the next request must carry. */
  nextEpoch: number
  readonly partitions: Map<string, FetchPartition>

  constructor(
    id: number,
    privileged: boolean,
    usesTopicIds: boolean,
    nowMs: number,
    partitions: Map<string, FetchPartition>,
  ) {
    this.id = id
    this.privileged = privileged
    this.usesTopicIds = usesTopicIds
    this.createdMs = nowMs
    this.lastUsedMs = nowMs
    this.nextEpoch = 1
    this.partitions = partitions
  }

  /** Adds or updates the wanted ones, drops the forgotten. */
  apply(wanted: readonly FetchPartition[], forgottenKeys: readonly string[]): void {
    for (const partition of wanted) {
      const key = fetchPartitionKey(partition.topic, partition.topicId, partition.partition, this.usesTopicIds)
      const known = this.partitions.get(key)
      if (known === undefined) this.partitions.set(key, partition)
      else known.update(partition)
    }
    for (const key of forgottenKeys) this.partitions.delete(key)
  }

  /** The partition returned records: it goes last next time. */
  moveToBack(partition: FetchPartition): void {
    const key = fetchPartitionKey(partition.topic, partition.topicId, partition.partition, this.usesTopicIds)
    if (!this.partitions.delete(key)) return
    this.partitions.set(key, partition)
  }
}
