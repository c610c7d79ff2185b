import {
  type Assignor,
  emptyAssignment,
  type GroupAssignment,
  type MemberSubscription,
  membersByTopic,
} from './assignor.ts'

/**
 * Per topic, consecutive partitions to members in order; the first members get one more if it does not divide. Equal numbers of
 * one key's partition in several topics so land on one member, which joins need. Racks are not considered.
 */
export const rangeAssignor: Assignor = {
  name: 'range',
  rebalanceProtocol: 'eager',
  assign(members: readonly MemberSubscription[], partitionCounts: ReadonlyMap<string, number>): GroupAssignment {
    const assignment = emptyAssignment(members)
    for (const [topic, topicMembers] of membersByTopic(members, partitionCounts)) {
      if (topicMembers.length === 0) continue
      const partitionCount = partitionCounts.get(topic)!
      const share = Math.floor(partitionCount / topicMembers.length)
      const extraCount = partitionCount % topicMembers.length
      let partition = 0
      for (let slot = 0; slot < topicMembers.length; slot++) {
        const target = assignment.get(topicMembers[slot]!.memberId)!
        const end = partition + share + (slot < extraCount ? 1 : 0)
        for (; partition < end; partition++) target.push({ topic, partition })
      }
    }
    return assignment
  },
}
