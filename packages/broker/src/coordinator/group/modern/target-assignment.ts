import type { Uuid } from '@millrace/base'
import { type Assignment, EMPTY_ASSIGNMENT, isSameAssignment } from './assignment.ts'
import type { AssignorMember, AssignorTopic, PartitionAssignor } from './assignor.ts'
import type { TopicDirectory } from './topic-directory.ts'

/** A member for whom a target is to be found. */
export interface TargetMember {
  readonly memberId: string
  readonly instanceId: string | null
  readonly rackId: string | null
  /** By name, each once. Members that subscribe to the same share one list if they can: it is looked up once then. */
  readonly topics: readonly string[]
  readonly previous: Assignment
}

/** Runs the assignor, and gives the targets that differ from the ones before. Throws what the assignor throws. */
export function computeTargets(
  members: readonly TargetMember[],
  assignor: PartitionAssignor,
  directory: TopicDirectory,
): Map<string, Assignment> {
  const idsByList = new Map<readonly string[], ReadonlySet<Uuid>>()
  const assignorMembers: AssignorMember[] = members.map(({ memberId, instanceId, rackId, topics, previous }) => {
    let topicIds = idsByList.get(topics)
    if (topicIds === undefined) {
      topicIds = sharedSet(idsByList, directory.idsOf(topics))
      idsByList.set(topics, topicIds)
    }
    return { memberId, instanceId, rackId, topicIds, previous }
  })
  const assigned = assignor.assign({
    members: assignorMembers,
    topics: describeAll(idsByList.values(), directory),
    isHomogeneous: new Set(idsByList.values()).size <= 1,
  })
  const changed = new Map<string, Assignment>()
  for (const { memberId, previous } of members) {
    const target = assigned.get(memberId) ?? EMPTY_ASSIGNMENT
    if (!isSameAssignment(target, previous)) changed.set(memberId, target)
  }
  return changed
}

/** One that is the same as another is that other one: so it can be told that all members subscribe to the same. */
function sharedSet(
  known: ReadonlyMap<readonly string[], ReadonlySet<Uuid>>,
  topicIds: ReadonlySet<Uuid>,
): ReadonlySet<Uuid> {
  const first = known.values().next().value
  if (first === undefined || first.size !== topicIds.size) return topicIds
  for (const topicId of topicIds) if (!first.has(topicId)) return topicIds
  return first
}

/** In order of their ids, so that the result depends on nothing else. */
function describeAll(sets: Iterable<ReadonlySet<Uuid>>, directory: TopicDirectory): Map<Uuid, AssignorTopic> {
  const ids = new Set<Uuid>()
  for (const set of new Set(sets)) for (const topicId of set) ids.add(topicId)
  const topics = new Map<Uuid, AssignorTopic>()
  for (const topicId of [...ids].sort()) {
    const topic = directory.describe(topicId)
    if (topic !== null) topics.set(topicId, topic)
  }
  return topics
}
