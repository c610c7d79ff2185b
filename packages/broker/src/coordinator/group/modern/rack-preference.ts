import type { AssignorInput, AssignorTopic } from './assignor.ts'

/**
 * Whether it matters in which rack a member stands: some partition has a replica in the rack of one member, and none in that of
 * another. Otherwise nothing is gained by choosing, and assignments stay as they are without racks.
 */
export function racksMatter({ members, topics }: AssignorInput): boolean {
  const memberRacks = new Set<string>()
  for (const { rackId } of members) if (rackId !== null) memberRacks.add(rackId)
  if (memberRacks.size === 0) return false
  for (const { racks } of topics.values()) {
    for (const partitionRacks of racks ?? []) {
      let hits = 0
      for (const rack of memberRacks) if (partitionRacks.includes(rack)) hits++
      if (hits > 0 && (hits < memberRacks.size || members.some(({ rackId }) => rackId === null))) return true
    }
  }
  return false
}

/** Whether the partition has a replica in the rack. */
export function isInRack(topic: AssignorTopic, partition: number, rackId: string | null): boolean {
  return rackId !== null && topic.racks?.[partition]?.includes(rackId) === true
}
