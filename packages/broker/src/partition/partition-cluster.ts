import type { Uuid } from '@millrace/base'
import type { PartitionImage } from '@millrace/consensus'
import type { Partition, ReplicationPorts } from './partition.ts'

/** The rest of the cluster, for partitions whose replicas are on several nodes. */
export interface PartitionCluster {
  readonly ports: ReplicationPorts
  /**
   * Whether the metadata knows this life of the node. Before, what it says of the node's leaderships is of an earlier life: to go on with
   * one of those, even later, would put other records where followers have some of the same epoch. Who registers gets new epochs.
   */
  mayLead(): boolean
  /** Path of a directory of this node, or null if it has none by that id that is online. */
  directoryPath(id: Uuid): string | null
  /** The partition is here, or what the metadata says of it has changed. */
  onHosted(partition: Partition, image: PartitionImage): void
  /** It is here no more. */
  onDropped(partition: Partition): void
  /** Its log is in another directory than before, which the metadata does not know yet. */
  onMoved(partition: Partition): void
  /** The only log of a replica of this node was moved to the directory with this id, which is not here, and the metadata may not know it. */
  onMovedAway(topicId: Uuid, partition: number, directory: Uuid): void
}
