import { type MetadataImage, type PartitionImage, topicNameComplaint } from '@millrace/consensus'
import {
  createDescribeTopicPartitionsResponse,
  createDescribeTopicPartitionsResponseCursor,
  createDescribeTopicPartitionsResponsePartition,
  createDescribeTopicPartitionsResponseTopic,
  type DescribeTopicPartitionsRequest,
  type DescribeTopicPartitionsResponse,
  type DescribeTopicPartitionsResponsePartition,
  type DescribeTopicPartitionsResponseTopic,
  describeTopicPartitionsApi,
  ErrorCode,
} from '@millrace/protocol'
import { TOPIC_OPERATIONS } from '../metadata/authorized-operations.ts'
import { offlineReplicas, reachableLeader } from '../metadata/broker-nodes.ts'
import { isInternalTopic } from '../metadata/internal-topics.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

export interface DescribeTopicPartitionsDeps {
  image(): MetadataImage
  /** `max.request.partition.size.limit`. */
  maxPartitions(): number
}

/**
 * DescribeTopicPartitions 0: partitions page by page, topics by name (KIP-966). The cursor of an answer says where the next page
 * begins; it need not exist any more.
 */
export function describeTopicPartitionsHandler(
  deps: DescribeTopicPartitionsDeps,
): ApiHandler<DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse> {
  return defineHandler(describeTopicPartitionsApi, (request, context) => {
    const image = deps.image()
    const { cursor } = request
    const all = request.topics.length === 0
    const names = all ? image.topics.keys() : new Set(request.topics.map((topic) => topic.name))
    const sorted = [...names].filter((name) => cursor === null || name >= cursor.topicName).sort()
    const cursorMissing = cursor !== null && !all && !sorted.includes(cursor.topicName)
    if (cursorMissing || (cursor !== null && cursor.partitionIndex < 0)) return refused(request)
    const limit = Math.max(1, Math.min(deps.maxPartitions(), request.responsePartitionLimit))
    const page = new Page(image, context.connection.listener, limit)
    for (const name of sorted) {
      if (page.isFull(name)) break
      page.add(name, name === cursor?.topicName ? cursor.partitionIndex : 0, !all)
    }
    return page.response()
  })
}

function refused(request: DescribeTopicPartitionsRequest): DescribeTopicPartitionsResponse {
  return createDescribeTopicPartitionsResponse({
    topics: request.topics.map(({ name }) =>
      createDescribeTopicPartitionsResponseTopic({ errorCode: ErrorCode.INVALID_REQUEST, name }),
    ),
    nextCursor: null,
  })
}

/** One answer being filled up to a number of partitions. */
class Page {
  readonly #image: MetadataImage
  readonly #listener: string
  readonly #topics: DescribeTopicPartitionsResponseTopic[] = []
  #left: number
  #next: { topicName: string; partitionIndex: number } | null = null

  constructor(image: MetadataImage, listener: string, limit: number) {
    this.#image = image
    this.#listener = listener
    this.#left = limit
  }

  /** Whether nothing more fits; `name` is then where the next page begins. */
  isFull(name: string): boolean {
    if (this.#next === null && this.#left === 0) this.#next = { topicName: name, partitionIndex: 0 }
    return this.#next !== null
  }

  add(name: string, startIndex: number, tellAbsent: boolean): void {
    const topic = this.#image.topics.get(name)
    if (topic === undefined) {
      if (tellAbsent) this.#topics.push(absentTopic(name))
      return
    }
    const end = Math.min(topic.partitions.length, startIndex + this.#left)
    const partitions = topic.partitions.slice(startIndex, end).map((partition) => this.#view(partition))
    this.#topics.push(
      createDescribeTopicPartitionsResponseTopic({
        name,
        topicId: topic.id,
        isInternal: isInternalTopic(name),
        partitions,
        topicAuthorizedOperations: TOPIC_OPERATIONS,
      }),
    )
    this.#left -= partitions.length
    if (end < topic.partitions.length) this.#next = { topicName: name, partitionIndex: end }
  }

  response(): DescribeTopicPartitionsResponse {
    const next = this.#next
    return createDescribeTopicPartitionsResponse({
      topics: this.#topics,
      nextCursor: next === null ? null : createDescribeTopicPartitionsResponseCursor(next),
    })
  }

  #view(partition: PartitionImage): DescribeTopicPartitionsResponsePartition {
    return createDescribeTopicPartitionsResponsePartition({
      partitionIndex: partition.partition,
      leaderId: reachableLeader(this.#image, partition, this.#listener),
      leaderEpoch: partition.leaderEpoch,
      replicaNodes: [...partition.replicas],
      isrNodes: [...partition.isr],
      eligibleLeaderReplicas: [...partition.elr],
      lastKnownElr: [...partition.lastKnownElr],
      offlineReplicas: offlineReplicas(this.#image, partition, this.#listener),
    })
  }
}

function absentTopic(name: string): DescribeTopicPartitionsResponseTopic {
  const legal = topicNameComplaint(name) === null
  return createDescribeTopicPartitionsResponseTopic({
    errorCode: legal ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.INVALID_TOPIC_EXCEPTION,
    name,
    isInternal: isInternalTopic(name),
    topicAuthorizedOperations: TOPIC_OPERATIONS,
  })
}
