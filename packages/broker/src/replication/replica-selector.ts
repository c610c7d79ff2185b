import type { Offset } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import type { Partition } from '../partition/partition.ts'
import type { FollowerState } from './follower-state.ts'

/**
 * Broker that a consumer in `rackId` does better to read a partition from, by the rack alone (KIP-392); -1: the leader, which this is.
 * Only in-sync replicas that hold the wanted offset count; of several in the rack, the one that is furthest.
 */
export function replicaInRack(
  partition: Partition,
  fetchOffset: Offset,
  rackId: string,
  nodeId: number,
  image: MetadataImage,
): number {
  if (image.brokers.get(nodeId)?.rack === rackId) return -1
  let best: FollowerState | null = null
  for (const follower of partition.leading?.followers ?? []) {
    const broker = image.brokers.get(follower.brokerId)
    if (!follower.isInSync || broker === undefined || broker.fenced || broker.rack !== rackId) continue
    if (fetchOffset < follower.logStartOffset || fetchOffset > follower.endOffset) continue
    if (best === null || follower.endOffset > best.endOffset) best = follower
  }
  return best?.brokerId ?? -1
}
