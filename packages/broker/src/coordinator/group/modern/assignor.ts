import type { Uuid } from '@millrace/base'
import { type Assignment, isSameAssignment } from './assignment.ts'

/** A member as an assignor sees it. */
export interface AssignorMember {
  readonly memberId: string
  /** Not null: a static member. */
  readonly instanceId: string | null
  readonly rackId: string | null
  /** Topics that it subscribes to and that exist. Members with the same subscription share one set. */
  readonly topicIds: ReadonlySet<Uuid>
  /** What was its target before, perhaps of topics and partitions that are gone, or never were (also below 0): what it should keep if that is fair. */
  readonly previous: Assignment
}

/** A topic that exists. */
export interface AssignorTopic {
  readonly id: Uuid
  readonly partitionCount: number
  /** Racks of the replicas of each partition; null: no broker says where it stands. */
  readonly racks: readonly (readonly string[])[] | null
}

export interface AssignorInput {
  readonly members: readonly AssignorMember[]
  /** All that any member subscribes to. */
  readonly topics: ReadonlyMap<Uuid, AssignorTopic>
  /** Every member subscribes to all of them. */
  readonly isHomogeneous: boolean
}

/**
 * Says who of a group has which partitions (KIP-848). A pure function of its input, and fast: it runs within one turn of the loop.
 * What it throws is a bug of its own, and is told to the member that asked.
 */
export interface PartitionAssignor {
  readonly name: string
  /** An assignment for each member. */
  assign(input: AssignorInput): Map<string, Assignment>
}

/** The assignments that drafts came to. A member that keeps what it had keeps the very object, which is then no change. */
export function finishDrafts(
  members: readonly AssignorMember[],
  drafts: readonly Map<Uuid, number[]>[],
): Map<string, Assignment> {
  const assignments = new Map<string, Assignment>()
  members.forEach(({ memberId, previous }, slot) => {
    const draft = drafts[slot]!
    for (const partitions of draft.values()) partitions.sort((left, right) => left - right)
    assignments.set(memberId, isSameAssignment(draft, previous) ? previous : draft)
  })
  return assignments
}

export function addTo(draft: Map<Uuid, number[]>, topicId: Uuid, partition: number): void {
  const partitions = draft.get(topicId)
  if (partitions === undefined) draft.set(topicId, [partition])
  else partitions.push(partition)
}
