import type { MetadataRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import { assignmentError, newPartitionRecord } from './assignments.ts'
import {
  type ControllerContext,
  MAX_RECORDS_PER_OPERATION,
  type Outcome,
  PartitionRoom,
  tooManyRecords,
} from './context.ts'
import { placeReplicas } from './placement.ts'

export interface CreatePartitionsRequest {
  readonly topics: readonly TopicToGrow[]
  readonly validateOnly: boolean
}

export interface TopicToGrow {
  readonly name: string
  /** Partitions that the topic shall have in all. */
  readonly count: number
  /** Replicas of the new partitions; null: the controller chooses. */
  readonly assignments: readonly { readonly brokerIds: readonly number[] }[] | null
}

export interface CreatePartitionsResult {
  readonly name: string
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** Works out new partitions of existing topics (`controller.md`, 4). Each topic succeeds or fails by itself. */
export function createPartitions(
  context: ControllerContext,
  request: CreatePartitionsRequest,
): Outcome<readonly CreatePartitionsResult[]> {
  const counts = new Map<string, number>()
  for (const { name } of request.topics) counts.set(name, (counts.get(name) ?? 0) + 1)
  const results: CreatePartitionsResult[] = []
  for (const [name, count] of counts) {
    if (count > 1) results.push(result(name, apiError(MetadataErrorCode.INVALID_REQUEST, 'Duplicate topic name.')))
  }
  const records: MetadataRecord[] = []
  const room = new PartitionRoom(context)
  for (const topic of request.topics) {
    if (counts.get(topic.name) !== 1) continue
    const added: MetadataRecord[] = []
    const error = growTopic(context, topic, room, added)
    if (error === null) {
      room.take(added.length)
      for (const record of added) records.push(record)
    }
    results.push(result(topic.name, error))
    // Not only at the end: each topic may grow by as much as all together, and there may be thousands of topics.
    const tooMany = tooManyRecords(records)
    if (tooMany !== null) return { records: [], response: [...counts.keys()].map((name) => result(name, tooMany)) }
  }
  return { records: request.validateOnly ? [] : records, response: results }
}

function growTopic(
  context: ControllerContext,
  grown: TopicToGrow,
  room: PartitionRoom,
  records: MetadataRecord[],
): ApiError | null {
  const { image } = context
  const topic = image.topics.get(grown.name)
  if (topic === undefined) return apiError(MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  const existing = topic.partitions.length
  if (grown.count === existing) {
    return apiError(MetadataErrorCode.INVALID_PARTITIONS, `Topic already has ${existing} partition(s).`)
  }
  if (grown.count < existing) {
    return apiError(
      MetadataErrorCode.INVALID_PARTITIONS,
      `The topic ${grown.name} currently has ${existing} partition(s); ${grown.count} would not be an increase.`,
    )
  }
  const added = grown.count - existing
  if (grown.assignments !== null && grown.assignments.length !== added) {
    return apiError(
      MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT,
      `Attempted to add ${added} partition(s), but ${grown.assignments.length} assignment(s) were specified.`,
    )
  }
  if (added > MAX_RECORDS_PER_OPERATION) {
    const message = `The request asks for ${added} partitions, but one may create at most ${MAX_RECORDS_PER_OPERATION}`
    return apiError(MetadataErrorCode.POLICY_VIOLATION, message)
  }
  const tooMany = room.refusal(added)
  if (tooMany !== null) return tooMany
  const replicationFactor = topic.partitions[0]!.replicas.length
  const lists = replicaLists(context, grown, added, replicationFactor)
  if (!Array.isArray(lists)) return lists
  for (const [slot, replicas] of lists.entries()) {
    const record = newPartitionRecord(image, topic.id, existing + slot, replicas)
    if (record === null) {
      const message = `All brokers assigned to partition ${existing + slot} are fenced or in controlled shutdown.`
      return apiError(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
    }
    records.push(record)
  }
  return null
}

function replicaLists(
  context: ControllerContext,
  grown: TopicToGrow,
  added: number,
  replicationFactor: number,
): (readonly number[])[] | ApiError {
  if (grown.assignments !== null) {
    for (const { brokerIds } of grown.assignments) {
      const error = assignmentError(context.image, brokerIds, replicationFactor)
      if (error !== null) return error
    }
    return grown.assignments.map((assignment) => assignment.brokerIds)
  }
  const placement = placeReplicas(context.image, context.random, added, replicationFactor)
  if ('replicas' in placement) return [...placement.replicas]
  return apiError(
    MetadataErrorCode.INVALID_REPLICATION_FACTOR,
    `Unable to replicate the partition ${replicationFactor} time(s): ${placement.complaint}`,
  )
}

function result(name: string, error: ApiError | null): CreatePartitionsResult {
  return { name, errorCode: error?.code ?? MetadataErrorCode.NONE, errorMessage: error?.message ?? null }
}
