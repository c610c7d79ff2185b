import { AclResourceType, type MetadataImage, type PartitionImage, topicNameComplaint } from '@millrace/consensus'
import {
  ApiKey,
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
import type { Access, Authorizer } from '../authorization/authorizer.ts'
import { NEEDS } from '../authorization/needs.ts'
import { TOPIC_OPERATIONS } from '../metadata/authorized-operations.ts'
import { offlineReplicas, reachableLeader } from '../metadata/broker-nodes.ts'
import { isInternalTopic } from '../metadata/internal-topics.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

export interface DescribeTopicPartitionsDeps {
  image(): MetadataImage
  /** `max.request.partition.size.limit`. */
  maxPartitions(): number
  /** Null: everybody may see all topics. */
  readonly authorizer: Authorizer | null
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
    const access = deps.authorizer?.accessOf(context.connection) ?? null
    const { topic: need } = NEEDS[ApiKey.DESCRIBE_TOPIC_PARTITIONS]
    const page = new Page(image, context.connection.listener, limit, access)
    for (const name of sorted) {
      // First, or the cursor of an answer would tell the name.
      if (access !== null && !(all ? access.passes(need, name) : access.allows(need, name))) {
        if (!all) page.refuse(name, need.errorCode)
        continue
      }
      if (!page.isFull(name)) page.add(name, name === cursor?.topicName ? cursor.partitionIndex : 0, !all)
      else if (access === null || all) break
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
  /** Of topics that may not be seen; they stand at the end. */
  readonly #refused: DescribeTopicPartitionsResponseTopic[] = []
  readonly #access: Access | null
  #left: number
  #next: { topicName: string; partitionIndex: number } | null = null

  constructor(image: MetadataImage, listener: string, limit: number, access: Access | null) {
    this.#image = image
    this.#access = access
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
      if (tellAbsent) this.#topics.push(absentTopic(name, this.#operationsOn(name)))
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
        topicAuthorizedOperations: this.#operationsOn(name),
      }),
    )
    this.#left -= partitions.length
    if (end < topic.partitions.length) this.#next = { topicName: name, partitionIndex: end }
  }

  /** Neither id nor partitions: whether there is such a topic is not told. */
  refuse(name: string, errorCode: number): void {
    this.#refused.push(createDescribeTopicPartitionsResponseTopic({ errorCode, name }))
  }

  #operationsOn(name: string): number {
    return this.#access?.authorizedOperations(AclResourceType.TOPIC, name) ?? TOPIC_OPERATIONS
  }

  response(): DescribeTopicPartitionsResponse {
    const next = this.#next
    return createDescribeTopicPartitionsResponse({
      topics: [...this.#topics, ...this.#refused],
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

function absentTopic(name: string, topicAuthorizedOperations: number): DescribeTopicPartitionsResponseTopic {
  const legal = topicNameComplaint(name) === null
  return createDescribeTopicPartitionsResponseTopic({
    errorCode: legal ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.INVALID_TOPIC_EXCEPTION,
    name,
    isInternal: isInternalTopic(name),
    topicAuthorizedOperations,
  })
}
