import { partitionKey } from '../../cluster/topic-partition.ts'
import type { Assignor, GroupAssignment, MemberSubscription } from './assignor.ts'
import { assignSticky } from './sticky-assignment.ts'

/**
 * Sticky assignment under the cooperative protocol (KIP-429): a partition that must change hands is given to nobody in this round.
 * Its owner sees it missing, gives it up and joins again; the next round gives it away. Others never stop.
 */
export const cooperativeStickyAssignor: Assignor = {
  name: 'cooperative-sticky',
  rebalanceProtocol: 'cooperative',
  assign(members: readonly MemberSubscription[], partitionCounts: ReadonlyMap<string, number>): GroupAssignment {
    const assignment = assignSticky(members, partitionCounts)
    withholdTransfers(assignment, members)
    return assignment
  },
}

function withholdTransfers(assignment: GroupAssignment, members: readonly MemberSubscription[]): void {
  const ownedBy = new Map<string, Set<string>>()
  for (const member of members) {
    for (const { topic, partition } of member.ownedPartitions) {
      const key = partitionKey(topic, partition)
      const owners = ownedBy.get(key)
      if (owners === undefined) ownedBy.set(key, new Set([member.memberId]))
      else owners.add(member.memberId)
    }
  }
  for (const [memberId, partitions] of assignment) {
    const allowed = partitions.filter(({ topic, partition }) => {
      const owners = ownedBy.get(partitionKey(topic, partition))
      return owners === undefined || owners.has(memberId)
    })
    assignment.set(memberId, allowed)
  }
}
