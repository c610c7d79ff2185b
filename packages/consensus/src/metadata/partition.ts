import { assert, type Uuid } from '@millrace/base'
import { DirectoryId, type PartitionImage } from './image.ts'
import type { PartitionChangeRecord, PartitionRecord } from './records.ts'

/** The state that a `PartitionRecord` sets. Absent directories mean that the placement is not known (`MIGRATING`). */
export function partitionOf(record: PartitionRecord): PartitionImage {
  return {
    partition: record.partitionId,
    leader: record.leader,
    leaderEpoch: record.leaderEpoch,
    partitionEpoch: record.partitionEpoch,
    leaderRecoveryState: record.leaderRecoveryState,
    replicas: record.replicas,
    isr: record.isr,
    elr: record.eligibleLeaderReplicas,
    lastKnownElr: record.lastKnownElr,
    addingReplicas: record.addingReplicas,
    removingReplicas: record.removingReplicas,
    directories: directoriesFor(record.replicas.length, record.directories),
  }
}

/** The record that recreates the state; `partitionOf` inverts it. */
export function partitionRecord(topicId: Uuid, partition: PartitionImage): PartitionRecord {
  return {
    type: 'PartitionRecord',
    topicId,
    partitionId: partition.partition,
    replicas: partition.replicas,
    directories: partition.directories,
    isr: partition.isr,
    removingReplicas: partition.removingReplicas,
    addingReplicas: partition.addingReplicas,
    leader: partition.leader,
    leaderRecoveryState: partition.leaderRecoveryState,
    leaderEpoch: partition.leaderEpoch,
    partitionEpoch: partition.partitionEpoch,
    eligibleLeaderReplicas: partition.elr,
    lastKnownElr: partition.lastKnownElr,
  }
}

/** The state after a change. The partition epoch always rises; the leader epoch rises if the record names a leader. */
export function mergePartition(partition: PartitionImage, change: PartitionChangeRecord): PartitionImage {
  const replicas = change.replicas ?? partition.replicas
  return {
    partition: partition.partition,
    leader: change.leader ?? partition.leader,
    leaderEpoch: change.leader === undefined ? partition.leaderEpoch : partition.leaderEpoch + 1,
    partitionEpoch: partition.partitionEpoch + 1,
    leaderRecoveryState: change.leaderRecoveryState ?? partition.leaderRecoveryState,
    replicas,
    isr: change.isr ?? partition.isr,
    elr: change.eligibleLeaderReplicas ?? partition.elr,
    lastKnownElr: change.lastKnownElr ?? partition.lastKnownElr,
    addingReplicas: change.addingReplicas ?? partition.addingReplicas,
    removingReplicas: change.removingReplicas ?? partition.removingReplicas,
    directories: directoriesFor(replicas.length, change.directories ?? partition.directories),
  }
}

/** Whether replicas are being moved (`controller.md`, 3.4). */
export function isReassigning(partition: PartitionImage): boolean {
  return partition.addingReplicas.length > 0 || partition.removingReplicas.length > 0
}

function directoriesFor(replicaCount: number, directories: readonly Uuid[]): readonly Uuid[] {
  if (directories.length === replicaCount) return directories
  const unknown = directories.every((directory) => directory === DirectoryId.MIGRATING)
  assert(unknown, 'partition record: one directory per replica')
  return new Array<Uuid>(replicaCount).fill(DirectoryId.MIGRATING)
}
