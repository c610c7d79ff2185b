import type { Uuid } from '@millrace/base'
import {
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createFetchRequestForgottenTopic,
  type FetchRequestFetchTopic,
  type FetchRequestForgottenTopic,
} from '@millrace/protocol'
import { partitionKey } from '../cluster/topic-partition.ts'

/** One partition as a fetch asks for it. */
export interface FetchTarget {
  topic: string
  topicId: Uuid
  partition: number
  fetchOffset: number
  currentLeaderEpoch: number
  maxBytes: number
}

/** What goes into one request. */
export interface SessionRequest {
  sessionId: number
  sessionEpoch: number
  topics: FetchRequestFetchTopic[]
  forgotten: FetchRequestForgottenTopic[]
}

const FULL_EPOCH = 0
const MAX_EPOCH = 2_147_483_647

/**
 * The client's half of an incremental fetch session with one broker (KIP-227): after one full request only differences are sent.
 * What the broker remembers must equal what we think it remembers, so any failure starts over with a full request.
 */
export class FetchSession {
  #sessionId = 0
  #epoch = FULL_EPOCH
  #known = new Map<string, FetchTarget>()

  /** What the next request must say so that exactly `targets` are fetched. */
  next(targets: readonly FetchTarget[]): SessionRequest {
    const wanted = new Map(targets.map((target) => [partitionKey(target.topic, target.partition), target]))
    const isFull = this.#epoch === FULL_EPOCH
    const changed = isFull ? targets : targets.filter((target) => !this.#remembers(target))
    const forgotten: FetchTarget[] = []
    if (!isFull) {
      for (const [key, known] of this.#known) {
        const target = wanted.get(key)
        // A topic that was deleted and made again has another id: the old one must go before the new one can be added.
        if (target === undefined || target.topicId !== known.topicId) forgotten.push(known)
      }
    }
    this.#known = wanted
    return {
      sessionId: this.#sessionId,
      sessionEpoch: this.#epoch,
      topics: toTopics(changed),
      forgotten: toForgotten(forgotten),
    }
  }

  /** A good answer came: the session goes on. */
  onAnswer(sessionId: number): void {
    if (sessionId === 0) {
      // The broker keeps no session (none free, or none wanted): every request is a full one.
      this.#sessionId = 0
      this.#epoch = FULL_EPOCH
      return
    }
    this.#sessionId = sessionId
    this.#epoch = this.#epoch === MAX_EPOCH ? 1 : this.#epoch + 1
  }

  /** Nobody knows what the broker remembers: close that session and begin another with the next request. */
  onFailure(isUnknownToBroker: boolean): void {
    if (isUnknownToBroker) this.#sessionId = 0
    this.#epoch = FULL_EPOCH
  }

  #remembers(target: FetchTarget): boolean {
    const known = this.#known.get(partitionKey(target.topic, target.partition))
    return (
      known !== undefined &&
      known.topicId === target.topicId &&
      known.fetchOffset === target.fetchOffset &&
      known.currentLeaderEpoch === target.currentLeaderEpoch &&
      known.maxBytes === target.maxBytes
    )
  }
}

function toTopics(targets: readonly FetchTarget[]): FetchRequestFetchTopic[] {
  const topics = new Map<string, FetchRequestFetchTopic>()
  for (const { topic, topicId, partition, fetchOffset, currentLeaderEpoch, maxBytes } of targets) {
    let entry = topics.get(topic)
    if (entry === undefined) {
      entry = createFetchRequestFetchTopic({ topic, topicId })
      topics.set(topic, entry)
    }
    entry.partitions.push(
      createFetchRequestFetchPartition({ partition, fetchOffset, currentLeaderEpoch, partitionMaxBytes: maxBytes }),
    )
  }
  return [...topics.values()]
}

function toForgotten(targets: readonly FetchTarget[]): FetchRequestForgottenTopic[] {
  const topics = new Map<string, FetchRequestForgottenTopic>()
  for (const { topic, topicId, partition } of targets) {
    let entry = topics.get(topicId + topic)
    if (entry === undefined) {
      entry = createFetchRequestForgottenTopic({ topic, topicId })
      topics.set(topicId + topic, entry)
    }
    entry.partitions.push(partition)
  }
  return [...topics.values()]
}
