import type { LeaderEpoch, Offset, Uuid } from '@millrace/base'
import {
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createFetchRequestForgottenTopic,
  createFetchRequestReplicaState,
  ErrorCode,
  type FetchRequest,
  type FetchResponse,
} from '@millrace/protocol'
import { FINAL_FETCH_EPOCH, INITIAL_FETCH_EPOCH, nextFetchEpoch } from '../partition/fetch-session.ts'
import type { FollowerReplica } from './follower-replica.ts'

/** What a leader was told of a partition. */
interface SentPartition {
  readonly leaderEpoch: LeaderEpoch
  readonly fetchOffset: Offset
  readonly lastFetchedEpoch: LeaderEpoch
  readonly logStartOffset: Offset
}

/** What all fetches of a follower have in common. */
export interface FollowerFetchParameters {
  readonly replicaId: number
  readonly brokerEpoch: number
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly partitionMaxBytes: number
}

/**
 * The follower's side of a fetch session (KIP-227): only what changed is sent. A partition that must not be fetched now, since its records
 * are not durable yet, is taken out of the session and put in again later.
 */
export class FollowerSession {
  #id = 0
  #epoch = INITIAL_FETCH_EPOCH
  readonly #sent = new Map<FollowerReplica, SentPartition>()

  /** The leader does not know the session any more, or the connection is gone. The next fetch names all, and ends the old session. */
  reset(): void {
    this.#epoch = INITIAL_FETCH_EPOCH
  }

  /** Offset that the last request asked from, also once the session is over; -1: it asked for nothing of this replica. */
  sentOffset(replica: FollowerReplica): Offset {
    return this.#sent.get(replica)?.fetchOffset ?? -1
  }

  request(wanted: readonly FollowerReplica[], parameters: FollowerFetchParameters): FetchRequest {
    const { replicaId, brokerEpoch, maxWaitMs, minBytes, maxBytes, partitionMaxBytes } = parameters
    if (this.#epoch === INITIAL_FETCH_EPOCH) this.#sent.clear()
    const topics = new Map<Uuid, FetchRequest['topics'][number]>()
    for (const replica of wanted) {
      const before = this.#sent.get(replica)
      // Of thousands of partitions nearly all are idle.
      if (before !== undefined && isStill(before, replica)) continue
      const sent = sentOf(replica)
      this.#sent.set(replica, sent)
      const { topicId, partition } = replica.partition
      let topic = topics.get(topicId)
      if (topic === undefined) {
        topic = createFetchRequestFetchTopic({ topicId, partitions: [] })
        topics.set(topicId, topic)
      }
      topic.partitions.push(
        createFetchRequestFetchPartition({
          partition,
          currentLeaderEpoch: sent.leaderEpoch,
          fetchOffset: sent.fetchOffset,
          lastFetchedEpoch: sent.lastFetchedEpoch,
          logStartOffset: sent.logStartOffset,
          partitionMaxBytes,
        }),
      )
    }
    return createFetchRequest({
      replicaState: createFetchRequestReplicaState({ replicaId, replicaEpoch: brokerEpoch }),
      maxWaitMs,
      minBytes,
      maxBytes,
      sessionId: this.#id,
      sessionEpoch: this.#epoch,
      topics: [...topics.values()],
      forgottenTopicsData: this.#forget(wanted),
    })
  }

  /** 0, or why the whole fetch came to nothing; the next one then begins a new session. */
  onAnswer(answer: FetchResponse): number {
    if (answer.errorCode !== ErrorCode.NONE) {
      this.reset()
      return answer.errorCode
    }
    if (answer.sessionId === 0) {
      // The leader has no room for the session.
      this.reset()
      this.#id = 0
      return ErrorCode.NONE
    }
    this.#id = answer.sessionId
    this.#epoch = this.#epoch === FINAL_FETCH_EPOCH ? INITIAL_FETCH_EPOCH : nextFetchEpoch(this.#epoch)
    return ErrorCode.NONE
  }

  #forget(wanted: readonly FollowerReplica[]): FetchRequest['forgottenTopicsData'] {
    if (this.#sent.size === wanted.length) return []
    const kept = new Set(wanted)
    const keptPartitions = new Set(wanted.map(({ partition }) => partition))
    const forgotten = new Map<Uuid, FetchRequest['forgottenTopicsData'][number]>()
    for (const replica of this.#sent.keys()) {
      if (kept.has(replica)) continue
      this.#sent.delete(replica)
      const { topicId, partition } = replica.partition
      // The same partition in a later epoch is no other one.
      if (keptPartitions.has(replica.partition)) continue
      let topic = forgotten.get(topicId)
      if (topic === undefined) {
        topic = createFetchRequestForgottenTopic({ topicId, partitions: [] })
        forgotten.set(topicId, topic)
      }
      topic.partitions.push(partition)
    }
    return this.#epoch === INITIAL_FETCH_EPOCH ? [] : [...forgotten.values()]
  }
}

function sentOf(replica: FollowerReplica): SentPartition {
  return {
    leaderEpoch: replica.leaderEpoch,
    fetchOffset: replica.fetchOffset,
    lastFetchedEpoch: replica.lastFetchedEpoch,
    logStartOffset: replica.partition.log.logStartOffset,
  }
}

/** Whether {@link sentOf} would say the same again. */
function isStill(sent: SentPartition, replica: FollowerReplica): boolean {
  return (
    sent.leaderEpoch === replica.leaderEpoch &&
    sent.fetchOffset === replica.fetchOffset &&
    sent.lastFetchedEpoch === replica.lastFetchedEpoch &&
    sent.logStartOffset === replica.partition.log.logStartOffset
  )
}
