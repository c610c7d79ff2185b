import type { Uuid } from '@millrace/base'
import { DirectoryId, isDirectoryOnline, isReservedDirectory } from '../image.ts'
import type { PartitionChangeRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import type { ControllerContext, Outcome } from './context.ts'
import { changeOf } from './partition-events.ts'

/** A broker tells in which of its directories replicas lie (KIP-858). */
export interface AssignDirectoriesRequest {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly partitions: readonly { readonly topicId: Uuid; readonly partition: number; readonly directory: Uuid }[]
}

export interface AssignDirectoriesResponse {
  readonly partitions: readonly { readonly topicId: Uuid; readonly partition: number; readonly errorCode: number }[]
}

/** Notes the directories (`controller.md`, 2.4). A replica in a directory that is offline also leaves the in-sync set. */
export function assignReplicasToDirs(
  context: ControllerContext,
  request: AssignDirectoriesRequest,
): Outcome<AssignDirectoriesResponse | ApiError> {
  const { brokerId, brokerEpoch } = request
  const broker = context.image.brokers.get(brokerId)
  if (broker === undefined || broker.epoch !== brokerEpoch) {
    return { records: [], response: apiError(MetadataErrorCode.STALE_BROKER_EPOCH) }
  }
  // Of several assignments of one replica the last counts, as if they had come one after the other.
  const records = new Map<string, PartitionChangeRecord>()
  const partitions = request.partitions.map(({ topicId, partition: partitionId, directory }) => {
    const answer = (errorCode: number) => ({ topicId, partition: partitionId, errorCode })
    const topic = context.image.topicsById.get(topicId)
    if (topic === undefined) return answer(MetadataErrorCode.UNKNOWN_TOPIC_ID)
    const partition = topic.partitions[partitionId]
    if (partition === undefined) return answer(MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    const slot = partition.replicas.indexOf(brokerId)
    if (slot === -1) return answer(MetadataErrorCode.NOT_LEADER_OR_FOLLOWER)
    if (isReservedDirectory(directory) && directory !== DirectoryId.LOST)
      return answer(MetadataErrorCode.INVALID_REQUEST)
    const isOnline = isDirectoryOnline(broker, directory)
    const targetDirectories = partition.directories.with(slot, directory)
    const targetIsr = isOnline ? partition.isr : partition.isr.filter((replica) => replica !== brokerId)
    const record = changeOf(context, topic, partition, { targetDirectories, targetIsr })
    const key = `${topicId}:${partitionId}`
    if (record === null) records.delete(key)
    else records.set(key, record)
    return answer(MetadataErrorCode.NONE)
  })
  return { records: [...records.values()], response: { partitions } }
}
