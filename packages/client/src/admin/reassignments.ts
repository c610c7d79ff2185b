import {
  alterPartitionReassignmentsApi,
  createAlterPartitionReassignmentsRequest,
  createListPartitionReassignmentsRequest,
  createListPartitionReassignmentsTopics,
  createReassignablePartition,
  createReassignableTopic,
  listPartitionReassignmentsApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { comparePartitions, groupByTopic, type TopicPartition } from '../cluster/topic-partition.ts'
import { throwIfError } from '../errors/protocol-error.ts'
import { type AdminCallOptions, askController, errorOf, limitOf, type Outcome } from './outcome.ts'

/** Where a partition is to lie. */
export interface Reassignment extends TopicPartition {
  /** Brokers in order of preference, or null to cancel the move that is under way. */
  replicas: readonly number[] | null
}

/** A move that is under way (KIP-455). */
export interface OngoingReassignment extends TopicPartition {
  /** All that have a part in it, those to be removed included. */
  replicas: number[]
  addingReplicas: number[]
  removingReplicas: number[]
}

/** Begins or cancels moves of partitions. An outcome says that the move is begun, not that it is done: {@link listReassignments}. */
export async function alterReassignments(
  core: ClientCore,
  reassignments: readonly Reassignment[],
  options: AdminCallOptions & { allowReplicationFactorChange?: boolean },
): Promise<Outcome<TopicPartition>[]> {
  const timeoutMs = limitOf(core, options)
  const byTopic = Map.groupBy(reassignments, ({ topic }) => topic)
  const message = createAlterPartitionReassignmentsRequest({
    timeoutMs: Math.min(timeoutMs, core.options.requestTimeoutMs),
    allowReplicationFactorChange: options.allowReplicationFactorChange ?? true,
    topics: [...byTopic].map(([name, list]) =>
      createReassignableTopic({
        name,
        partitions: list.map(({ partition, replicas }) =>
          createReassignablePartition({
            partitionIndex: partition,
            replicas: replicas === null ? null : [...replicas],
          }),
        ),
      }),
    ),
  })
  const response = await askController(
    core,
    'moving partitions',
    alterPartitionReassignmentsApi,
    message,
    timeoutMs,
    ({ errorCode, responses }) => [
      errorCode,
      ...responses.flatMap(({ partitions }) => partitions.map((answer) => answer.errorCode)),
    ],
    // Before version 1 a change of the replication factor cannot be forbidden, and it would be made.
    options.allowReplicationFactorChange === false ? { minVersion: 1 } : {},
  )
  throwIfError(response.errorCode, { subject: 'moving partitions', message: response.errorMessage })
  return response.responses
    .flatMap(({ name: topic, partitions }) =>
      partitions.map(({ partitionIndex: partition, errorCode, errorMessage }) => ({
        topic,
        partition,
        error: errorOf(errorCode, { topic, partition, message: errorMessage }),
      })),
    )
    .sort(comparePartitions)
}

/** Moves that are under way, of some partitions or all. */
export async function listReassignments(
  core: ClientCore,
  options: AdminCallOptions & { partitions?: readonly TopicPartition[] },
): Promise<OngoingReassignment[]> {
  const timeoutMs = limitOf(core, options)
  const topics =
    options.partitions === undefined
      ? null
      : [...groupByTopic(options.partitions)].map(([name, partitions]) =>
          createListPartitionReassignmentsTopics({ name, partitionIndexes: [...partitions] }),
        )
  const message = createListPartitionReassignmentsRequest({
    timeoutMs: Math.min(timeoutMs, core.options.requestTimeoutMs),
    topics,
  })
  const response = await askController(
    core,
    'listing moves of partitions',
    listPartitionReassignmentsApi,
    message,
    timeoutMs,
    ({ errorCode }) => [errorCode],
  )
  throwIfError(response.errorCode, { subject: 'listing moves of partitions', message: response.errorMessage })
  return response.topics
    .flatMap(({ name: topic, partitions }) =>
      partitions.map(({ partitionIndex: partition, replicas, addingReplicas, removingReplicas }) => {
        return { topic, partition, replicas, addingReplicas, removingReplicas }
      }),
    )
    .sort(comparePartitions)
}
