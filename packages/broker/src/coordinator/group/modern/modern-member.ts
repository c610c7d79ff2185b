import { type Assignment, partitionCountOf } from './assignment.ts'

/** A member that does not take part: its epoch in a heartbeat that leaves (-1), or that leaves for a while (-2, static members). */
export const LEAVE_GROUP_MEMBER_EPOCH = -1
export const LEAVE_GROUP_STATIC_MEMBER_EPOCH = -2
/** Epoch of a member that joins. */
export const JOIN_GROUP_MEMBER_EPOCH = 0

/**
 * What members of all groups have whose partitions the coordinator assigns (KIP-848, KIP-932). Never changed: every change is another
 * object, so that a step that fails can be taken back.
 */
export interface ModernMember {
  readonly memberId: string
  /** Not null: a static member. */
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** Ascending, each once. */
  readonly subscribedTopics: readonly string[]
  readonly memberEpoch: number
  readonly previousMemberEpoch: number
  /** Whether it has all of its target, and nothing besides. */
  readonly isStable: boolean
  readonly assigned: Assignment
  /** What it was told to give up and may still use. */
  readonly pendingRevocation: Assignment
  /** What the client has the group keep, about. */
  readonly keptBytes: number
  /** Whose share of the node's members it takes (`group-usage.ts`); null: nobody's. */
  readonly owner: string | null
}

/** What an entry of a list takes besides the text: a pointer, the head of a string, and its place in the index of names. */
const ENTRY_BYTES = 64
/** A number in a list, and its place in the index of owners. */
const PARTITION_BYTES = 64
const MEMBER_BYTES = 512

/** Of the fields that all members have, but for the names that it subscribes to: its group counts each list once. */
export function modernMemberBytes(
  member: Pick<
    ModernMember,
    'memberId' | 'instanceId' | 'rackId' | 'clientId' | 'clientHost' | 'assigned' | 'pendingRevocation'
  >,
): number {
  const { memberId, instanceId, rackId, clientId, clientHost, assigned, pendingRevocation } = member
  const names = memberId.length + (instanceId?.length ?? 0) + (rackId?.length ?? 0)
  const client = clientId.length + clientHost.length
  return MEMBER_BYTES + names + client + assignmentBytes(assigned) + assignmentBytes(pendingRevocation)
}

/** Of a list of names. */
export function namesBytes(names: readonly string[]): number {
  let bytes = 0
  for (const name of names) bytes += ENTRY_BYTES + name.length
  return bytes
}

export function assignmentBytes(assignment: Assignment): number {
  return partitionCountOf(assignment) * PARTITION_BYTES
}

/** The list that a member keeps of the names it sent: ascending, each once. */
export function subscriptionOf(names: readonly string[]): readonly string[] {
  return [...new Set(names)].sort()
}

/** Of two such lists. */
export function isSameNames(left: readonly string[], right: readonly string[]): boolean {
  return left === right || (left.length === right.length && left.every((name, slot) => name === right[slot]))
}
