import { ZERO_UUID } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import {
  createOffsetCommitResponse,
  createOffsetCommitResponsePartition,
  createOffsetCommitResponseTopic,
  createOffsetDeleteResponse,
  createOffsetDeleteResponsePartition,
  createOffsetDeleteResponseTopic,
  createOffsetFetchResponseGroup,
  createOffsetFetchResponsePartitions,
  createOffsetFetchResponseTopics,
  ErrorCode,
  type OffsetCommitRequest,
  type OffsetCommitRequestTopic,
  type OffsetCommitResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type OffsetFetchRequestGroup,
  type OffsetFetchResponseGroup,
  type OffsetFetchResponseTopics,
} from '@millrace/protocol'
import type {
  CommitAnswer,
  CommitInput,
  CommitPartition,
  CommitTopic,
  DeleteTopic,
  FetchedTopic,
  FetchTopic,
} from './offset-operations.ts'

const COMMIT_GROUP_ID_NOT_FOUND_VERSION = 9
const COMMIT_TOPIC_ID_VERSION = 10
const FETCH_TOPIC_ID_VERSION = 10

/**
 * An OffsetCommit request on its way: what of it the state machine decides, and the answers that are settled before. The response
 * keeps the order of the request.
 */
export class CommitPlan {
  readonly #request: OffsetCommitRequest
  readonly #topics: readonly CommitTopic[]
  /** Error codes by topic and partition of the request; null: the machine decides, in order. */
  readonly #settled: readonly (readonly (number | null)[])[]
  readonly #names: readonly string[]

  constructor(request: OffsetCommitRequest, apiVersion: number, image: MetadataImage) {
    this.#request = request
    const topics: CommitTopic[] = []
    const settled: (number | null)[][] = []
    const names: string[] = []
    for (const topic of request.topics) {
      const useIds = apiVersion >= COMMIT_TOPIC_ID_VERSION
      const known = useIds ? image.topicsById.get(topic.topicId) : image.topics.get(topic.name)
      names.push(known?.name ?? topic.name)
      if (known === undefined) {
        const errorCode = useIds ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        settled.push(topic.partitions.map(() => errorCode))
        continue
      }
      const partitions: CommitPartition[] = []
      settled.push(settlePartitions(topic, known.partitions.length, partitions))
      if (partitions.length > 0) topics.push({ topic: known.name, topicId: known.id, partitions })
    }
    this.#topics = topics
    this.#settled = settled
    this.#names = names
  }

  /** Null: nothing is left for the machine to decide. */
  input(apiVersion: number, clientAddress: string): CommitInput | null {
    if (this.#topics.length === 0) return null
    const { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch, retentionTimeMs } = this.#request
    return {
      groupId,
      memberId,
      groupInstanceId,
      clientAddress,
      generationId: generationIdOrMemberEpoch,
      // A bigint is 285,000 years.
      retentionTimeMs: typeof retentionTimeMs === 'number' ? retentionTimeMs : Number.MAX_SAFE_INTEGER,
      knowsGroupIdNotFound: apiVersion >= COMMIT_GROUP_ID_NOT_FOUND_VERSION,
      topics: this.#topics,
    }
  }

  response(answer: CommitAnswer): OffsetCommitResponse {
    let decidedTopics = 0
    const topics = this.#request.topics.map((topic, topicSlot) => {
      const settled = this.#settled[topicSlot]!
      const isDecided = settled.includes(null)
      const decided = isDecided ? (answer.partitionErrors[decidedTopics++] ?? []) : []
      let decidedPartitions = 0
      const partitions = topic.partitions.map(({ partitionIndex }, slot) => {
        const errorCode = settled[slot] ?? decided[decidedPartitions++] ?? answer.errorCode
        return createOffsetCommitResponsePartition({ partitionIndex, errorCode })
      })
      return createOffsetCommitResponseTopic({ name: this.#names[topicSlot]!, topicId: topic.topicId, partitions })
    })
    return createOffsetCommitResponse({ topics })
  }
}

function settlePartitions(
  topic: OffsetCommitRequestTopic,
  partitionCount: number,
  partitions: CommitPartition[],
): (number | null)[] {
  return topic.partitions.map(({ partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata }) => {
    if (partitionIndex < 0 || partitionIndex >= partitionCount) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (typeof committedOffset !== 'number') return ErrorCode.OFFSET_OUT_OF_RANGE
    const metadata = committedMetadata ?? ''
    partitions.push({ partition: partitionIndex, committedOffset, leaderEpoch: committedLeaderEpoch, metadata })
    return null
  })
}

/** One group of an OffsetFetch request on its way: topics of unknown id are answered beside what the machine finds. */
export class FetchPlan {
  /** Null: all topics with an offset. */
  readonly topics: readonly FetchTopic[] | null
  /** Of `topics`. */
  readonly partitionCount: number
  readonly #group: OffsetFetchRequestGroup
  readonly #answered: OffsetFetchResponseTopics[] = []
  readonly #unknown: readonly OffsetFetchResponseTopics[]
  readonly #image: MetadataImage
  readonly #useIds: boolean

  constructor(group: OffsetFetchRequestGroup, apiVersion: number, image: MetadataImage) {
    this.#group = group
    this.#image = image
    this.#useIds = apiVersion >= FETCH_TOPIC_ID_VERSION
    const topics: FetchTopic[] = []
    const unknown: OffsetFetchResponseTopics[] = []
    for (const { name, topicId, partitionIndexes } of group.topics ?? []) {
      const topic = this.#useIds ? image.topicsById.get(topicId)?.name : name
      if (topic !== undefined) topics.push({ topic, topicId, partitions: partitionIndexes })
      else unknown.push(unknownTopic(name, topicId, partitionIndexes))
    }
    this.topics = group.topics === null ? null : topics
    this.partitionCount = topics.reduce((count, { partitions }) => count + partitions.length, 0)
    this.#unknown = unknown
  }

  /** Takes what the machine found of some topics. `goesOn`: the first of them is the rest of the last one before. */
  add(topics: readonly FetchedTopic[], goesOn: boolean): void {
    for (const [slot, { topic, topicId, partitions }] of topics.entries()) {
      // Of a question for all, what was deleted between two portions is no part of the answer.
      const isThere = ({ committedOffset, errorCode }: FetchedTopic['partitions'][number]): boolean =>
        this.topics !== null || committedOffset >= 0 || errorCode !== ErrorCode.NONE
      const found = partitions.filter(isThere).map(({ partition, committedOffset, leaderEpoch, metadata, errorCode }) =>
        createOffsetFetchResponsePartitions({
          partitionIndex: partition,
          committedOffset,
          committedLeaderEpoch: leaderEpoch,
          metadata,
          errorCode,
        }),
      )
      const id = topicId === ZERO_UUID ? (this.#image.topics.get(topic)?.id ?? ZERO_UUID) : topicId
      // Offsets of a topic that is gone cannot be told by an id.
      if (this.#useIds && id === ZERO_UUID) continue
      const last = this.#answered.at(-1)
      if (slot === 0 && goesOn && last?.name === topic) last.partitions.push(...found)
      else if (found.length > 0 || this.topics !== null)
        this.#answered.push(createOffsetFetchResponseTopics({ name: topic, topicId: id, partitions: found }))
    }
  }

  response(): OffsetFetchResponseGroup {
    const topics = [...this.#answered, ...this.#unknown]
    return createOffsetFetchResponseGroup({ groupId: this.#group.groupId, topics })
  }
}

/** Some of the topics of a fetch. */
interface TopicPortion {
  readonly topics: readonly FetchTopic[]
  /** The first of them is the rest of the last one of the portion before. */
  readonly goesOn: boolean
}

/** The topics in portions of at most so many partitions; those without any count as one. */
export function* portionsOf(topics: readonly FetchTopic[], maxPartitions: number): Generator<TopicPortion> {
  let portion: FetchTopic[] = []
  let room = maxPartitions
  let goesOn = false
  for (const topic of topics) {
    const { partitions } = topic
    let from = 0
    do {
      const to = Math.min(partitions.length, from + room)
      portion.push({ ...topic, partitions: partitions.slice(from, to) })
      room -= Math.max(1, to - from)
      from = to
      if (room > 0) continue
      yield { topics: portion, goesOn }
      goesOn = from < partitions.length
      portion = []
      room = maxPartitions
    } while (from < partitions.length)
  }
  if (portion.length > 0) yield { topics: portion, goesOn }
}

function unknownTopic(
  name: string,
  topicId: OffsetFetchResponseTopics['topicId'],
  partitionIndexes: readonly number[],
): OffsetFetchResponseTopics {
  return createOffsetFetchResponseTopics({
    name,
    topicId,
    partitions: partitionIndexes.map((partitionIndex) =>
      createOffsetFetchResponsePartitions({
        partitionIndex,
        committedOffset: -1,
        metadata: '',
        errorCode: ErrorCode.UNKNOWN_TOPIC_ID,
      }),
    ),
  })
}

/** An OffsetDelete request on its way, as {@link CommitPlan}. */
export class DeletePlan {
  readonly topics: readonly DeleteTopic[]
  readonly #request: OffsetDeleteRequest
  readonly #image: MetadataImage

  constructor(request: OffsetDeleteRequest, image: MetadataImage) {
    this.#request = request
    this.#image = image
    this.topics = request.topics.map(({ name, partitions }) => ({
      topic: name,
      partitions: partitions.map(({ partitionIndex }) => partitionIndex).filter((index) => this.#exists(name, index)),
    }))
  }

  response(errorCode: number, topicErrors: readonly number[]): OffsetDeleteResponse {
    if (errorCode !== 0) return createOffsetDeleteResponse({ errorCode })
    const topics = this.#request.topics.map(({ name, partitions }, slot) =>
      createOffsetDeleteResponseTopic({
        name,
        partitions: partitions.map(({ partitionIndex }) => {
          const exists = this.#exists(name, partitionIndex)
          const partitionError = exists ? topicErrors[slot]! : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
          return createOffsetDeleteResponsePartition({ partitionIndex, errorCode: partitionError })
        }),
      }),
    )
    return createOffsetDeleteResponse({ topics })
  }

  #exists(topic: string, partition: number): boolean {
    return this.#image.topics.get(topic)?.partitions[partition] !== undefined
  }
}
