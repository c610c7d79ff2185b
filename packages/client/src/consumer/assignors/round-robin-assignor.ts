import {
  type Assignor,
  compareMembers,
  emptyAssignment,
  type GroupAssignment,
  type MemberSubscription,
  membersByTopic,
} from './assignor.ts'

/** All partitions of all topics, in order, to the members in a circle; a member that did not ask for the topic is passed over. */
export const roundRobinAssignor: Assignor = {
  name: 'roundrobin',
  rebalanceProtocol: 'eager',
  assign(members: readonly MemberSubscription[], partitionCounts: ReadonlyMap<string, number>): GroupAssignment {
    const assignment = emptyAssignment(members)
    const sorted = [...members].sort(compareMembers)
    let slot = 0
    for (const [topic, topicMembers] of membersByTopic(members, partitionCounts)) {
      if (topicMembers.length === 0) continue
      const eligible = new Set(topicMembers)
      const partitionCount = partitionCounts.get(topic)!
      for (let partition = 0; partition < partitionCount; partition++) {
        while (!eligible.has(sorted[slot % sorted.length]!)) slot++
        assignment.get(sorted[slot % sorted.length]!.memberId)!.push({ topic, partition })
        slot++
      }
    }
    return assignment
  },
}
