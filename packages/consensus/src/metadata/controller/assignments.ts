import type { Uuid } from '@millrace/base'
import { isActiveBroker, type MetadataImage } from '../image.ts'
import { partitionRecord } from '../partition.ts'
import type { PartitionRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import { newReplicaDirectory } from './placement.ts'

/**
 * Checks replicas that a user chose: a list that is not empty, registered brokers, each once, and as many as
 * `replicationFactor` if that is given. Null: fine.
 */
export function assignmentError(
  image: MetadataImage,
  replicas: readonly number[],
  replicationFactor: number | null,
): ApiError | null {
  const refuse = (message: string) => apiError(MetadataErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
  if (replicas.length === 0) return refuse('The manual partition assignment includes an empty replica list.')
  const sorted = [...replicas].sort((a, b) => a - b)
  for (const [slot, brokerId] of sorted.entries()) {
    if (!image.brokers.has(brokerId)) {
      return refuse(`The manual partition assignment includes broker ${brokerId}, which is not registered.`)
    }
    if (sorted[slot - 1] === brokerId) {
      return refuse(`The manual partition assignment includes broker ${brokerId} more than once.`)
    }
  }
  if (replicationFactor === null || replicas.length === replicationFactor) return null
  return refuse(
    `The manual partition assignment has a partition with ${replicas.length} replica(s) among others with ${replicationFactor}.`,
  )
}

/**
 * The record of a new partition, led by its first active replica; null if none of the replicas is active: a partition must not
 * begin without a leader.
 */
export function newPartitionRecord(
  image: MetadataImage,
  topicId: Uuid,
  partition: number,
  replicas: readonly number[],
): PartitionRecord | null {
  const isr = replicas.filter((replica) => isActiveBroker(image, replica))
  const leader = isr[0]
  if (leader === undefined) return null
  return partitionRecord(topicId, {
    partition,
    leader,
    leaderEpoch: 0,
    partitionEpoch: 0,
    leaderRecoveryState: 0,
    replicas,
    isr,
    elr: [],
    lastKnownElr: [],
    addingReplicas: [],
    removingReplicas: [],
    directories: replicas.map((replica) => newReplicaDirectory(image, replica)),
  })
}
