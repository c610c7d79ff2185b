import { isLogLost, type MetadataImage, type PartitionImage, type TopicImage } from '../image.ts'
import { isReassigning } from '../partition.ts'
import type { MetadataRecord, PartitionChangeRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import { assignmentError } from './assignments.ts'
import { type ControllerContext, type Outcome, tooManyRecords } from './context.ts'
import { isElrEnabled } from './partition-change.ts'
import { changeOf, findPartition } from './partition-events.ts'

export interface AlterReassignmentsRequest {
  /** Whether a target may have more or fewer replicas than the partition has. */
  readonly allowReplicationFactorChange: boolean
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly partitionIndex: number
      /** Null cancels the move. */
      readonly replicas: readonly number[] | null
    }[]
  }[]
}

export interface ReassignmentTopicResult {
  readonly name: string
  readonly partitions: readonly {
    readonly partitionIndex: number
    readonly errorCode: number
    readonly errorMessage: string | null
  }[]
}

/** A partition whose replicas are on the move. */
export interface OngoingReassignment {
  readonly partitionIndex: number
  readonly replicas: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
}

/** Starts and cancels moves of replicas (`controller.md`, 3.4). Errors are per partition; the rest is one batch. */
export function alterPartitionReassignments(
  context: ControllerContext,
  request: AlterReassignmentsRequest,
): Outcome<readonly ReassignmentTopicResult[]> {
  const records: MetadataRecord[] = []
  const changed = new Set<string>()
  const response = request.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex, replicas }) => {
      const key = `${partitionIndex}:${name}`
      // Worked out against the same state, two records would leave lists that do not belong together.
      const outcome = changed.has(key)
        ? apiError(MetadataErrorCode.INVALID_REQUEST, `The request names ${name}:${partitionIndex} more than once.`)
        : alterOne(context, name, partitionIndex, replicas, request.allowReplicationFactorChange)
      const error = outcome !== null && 'code' in outcome ? outcome : null
      if (outcome !== null && 'type' in outcome) {
        records.push(outcome)
        changed.add(key)
      }
      return { partitionIndex, errorCode: error?.code ?? MetadataErrorCode.NONE, errorMessage: error?.message ?? null }
    }),
  }))
  const tooMany = tooManyRecords(records)
  if (tooMany === null) return { records, response }
  const refused = { errorCode: tooMany.code, errorMessage: tooMany.message }
  const refuse = (topic: ReassignmentTopicResult) => ({
    name: topic.name,
    partitions: topic.partitions.map(({ partitionIndex }) => ({ partitionIndex, ...refused })),
  })
  return { records: [], response: response.map(refuse) }
}

/** Moves under way, of the named partitions or (null) of all. Names and numbers that do not exist are left out. */
export function listPartitionReassignments(
  image: MetadataImage,
  topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null,
): { name: string; partitions: OngoingReassignment[] }[] {
  const asked =
    topics === null
      ? [...image.topics.values()].map((topic) => ({ topic, partitions: topic.partitions }))
      : topics.flatMap(({ name, partitionIndexes }) => {
          const topic = image.topics.get(name)
          if (topic === undefined) return []
          return [{ topic, partitions: partitionIndexes.flatMap((index) => topic.partitions[index] ?? []) }]
        })
  const listed: { name: string; partitions: OngoingReassignment[] }[] = []
  for (const { topic, partitions } of asked) {
    const moving = partitions.filter(isReassigning).map((partition) => ({
      partitionIndex: partition.partition,
      replicas: partition.replicas,
      addingReplicas: partition.addingReplicas,
      removingReplicas: partition.removingReplicas,
    }))
    if (moving.length > 0) listed.push({ name: topic.name, partitions: moving })
  }
  return listed
}

function alterOne(
  context: ControllerContext,
  name: string,
  partitionIndex: number,
  target: readonly number[] | null,
  allowReplicationFactorChange: boolean,
): PartitionChangeRecord | ApiError | null {
  const found = findPartition(context.image, name, partitionIndex)
  if (found === null) {
    const what = context.image.topics.has(name) ? `partition ${name}:${partitionIndex}` : `a topic named ${name}`
    return apiError(MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `Unable to find ${what}.`)
  }
  if (target === null) return cancel(context, found.topic, found.partition)
  return (
    assignmentError(context.image, target, null) ??
    (allowReplicationFactorChange ? null : factorError(found.partition, target)) ??
    start(context, found.topic, found.partition, target)
  )
}

/** The size to keep is the one that the move under way, if any, is going to. */
function factorError(partition: PartitionImage, target: readonly number[]): ApiError | null {
  const current = partition.replicas.length - partition.removingReplicas.length
  if (target.length === current) return null
  return apiError(
    MetadataErrorCode.INVALID_REPLICATION_FACTOR,
    `The replication factor is changed from ${current} to ${target.length}, which the request does not allow.`,
  )
}

function start(
  context: ControllerContext,
  topic: TopicImage,
  partition: PartitionImage,
  target: readonly number[],
): PartitionChangeRecord | null {
  const removing = difference(partition.replicas, target)
  const underWay = partition.addingReplicas.filter((replica) => target.includes(replica))
  const adding = [...difference(target, partition.replicas), ...underWay].sort((left, right) => left - right)
  return changeOf(context, topic, partition, {
    election: 'ONLINE',
    targetReplicas: [...target, ...removing],
    // Also where empty: what is left over from a move under way would keep this one from ending, or take away what it keeps.
    targetRemoving: removing,
    targetAdding: adding,
  })
}

function cancel(
  context: ControllerContext,
  topic: TopicImage,
  partition: PartitionImage,
): PartitionChangeRecord | ApiError | null {
  if (!isReassigning(partition)) return apiError(MetadataErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
  const replicas = partition.replicas.filter((replica) => !partition.addingReplicas.includes(replica))
  let isr = partition.isr.filter((replica) => !partition.addingReplicas.includes(replica))
  if (isr.length === 0) {
    const first = replicas.find((replica) => !isLogLost(partition, replica))
    if (first === undefined || !context.configRules.uncleanLeaderElectionEnable(context.image, topic.name)) {
      return apiError(
        MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT,
        `Unable to revert ${topic.name}:${partition.partition}: only new replicas are in sync, and an unclean election is not allowed, or no former one has its log.`,
      )
    }
    // With eligible replicas the set may be empty, and the unclean election finds a member that is alive.
    isr = isElrEnabled(context.image) ? [] : [first]
  }
  return changeOf(context, topic, partition, {
    targetIsr: isr,
    targetReplicas: replicas,
    targetAdding: [],
    targetRemoving: [],
  })
}

/** Sorted members of `a` that are not in `b`. */
function difference(a: readonly number[], b: readonly number[]): number[] {
  return a.filter((item) => !b.includes(item)).sort((left, right) => left - right)
}
