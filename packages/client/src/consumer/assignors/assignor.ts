import type { TopicPartition } from '../../cluster/topic-partition.ts'

/** What a group's leader knows of one member. */
export interface MemberSubscription {
  memberId: string
  /** Null for dynamic members. */
  groupInstanceId: string | null
  topics: readonly string[]
  /** What the member says it owns; empty for eager protocols. */
  ownedPartitions: readonly TopicPartition[]
  /** Generation in which it came to own them; -1 if unknown. */
  generationId: number
}

/** Partitions by member id. Every member has an entry, maybe an empty one. */
export type GroupAssignment = Map<string, TopicPartition[]>

/**
 * A rule that shares partitions among members. Pure: every leader must reach the same answer from the same input. Names are those
 * of the Java client, since members of one group may be written in any language.
 */
export interface Assignor {
  readonly name: string
  /** `eager`: members give everything up before they join. `cooperative`: they keep what they have (KIP-429). */
  readonly rebalanceProtocol: 'eager' | 'cooperative'
  /** `partitionCounts` holds the topics that exist; a subscribed topic that is absent gets no partitions. */
  assign(members: readonly MemberSubscription[], partitionCounts: ReadonlyMap<string, number>): GroupAssignment
}

/**
 * The order in which the Java client walks members: static members before dynamic ones, by instance id; dynamic ones by member id.
 * Static members thus keep their place when their member id changes.
 */
export function compareMembers(a: MemberSubscription, b: MemberSubscription): number {
  if (a.groupInstanceId !== null && b.groupInstanceId !== null) return compareText(a.groupInstanceId, b.groupInstanceId)
  if (a.groupInstanceId !== null) return -1
  if (b.groupInstanceId !== null) return 1
  return compareText(a.memberId, b.memberId)
}

/** Members of each topic that exists, in {@link compareMembers} order; topics in name order. */
export function membersByTopic(
  members: readonly MemberSubscription[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, MemberSubscription[]> {
  const sorted = [...members].sort(compareMembers)
  const byTopic = new Map<string, MemberSubscription[]>()
  for (const topic of [...partitionCounts.keys()].sort(compareText)) byTopic.set(topic, [])
  for (const member of sorted) {
    for (const topic of new Set(member.topics)) byTopic.get(topic)?.push(member)
  }
  return byTopic
}

/** An assignment in which every member has nothing yet. */
export function emptyAssignment(members: readonly MemberSubscription[]): GroupAssignment {
  const assignment: GroupAssignment = new Map()
  for (const member of members) assignment.set(member.memberId, [])
  return assignment
}

/** Order by UTF-16 code units, as Java's `String.compareTo`. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
