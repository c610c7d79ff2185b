import type { Uuid } from '@millrace/base'
import { type Assignment, holds } from '../modern/assignment.ts'
import type { ConsumerMember } from './consumer-member.ts'
import { type CurrentAssignment, MemberState } from './consumer-record.ts'
import { EMPTY_EPOCH_ASSIGNMENT, type EpochAssignment, EpochAssignmentDraft, entriesOf } from './epoch-assignment.ts'

/** What a member is to come to, and what is known of it and of the others. */
export interface Reconciliation {
  readonly member: ConsumerMember
  readonly targetEpoch: number
  readonly target: Assignment
  /** Since its last heartbeat the member subscribes to something else. */
  readonly hasSubscriptionChanged: boolean
  /** What the member says that it has; null: it does not say. */
  readonly owned: Assignment | null
  isSubscribed(topicId: Uuid): boolean
  /** Who has a partition or has not given it up yet; undefined: nobody. */
  ownerOf(topicId: Uuid, partition: number): string | undefined
}

/**
 * Brings a member one step nearer to its target (`coordinators.md`, 3.3): first it gives up what it must not have any more, and only
 * when it says that it has done so it moves to the epoch of the target and gets what others have given up by then. Gives the member's
 * own object if nothing changes, and null if the member is in a state that only a later version knows and must begin anew.
 */
export function reconcile(given: Reconciliation): CurrentAssignment | null {
  const { member, targetEpoch, owned, hasSubscriptionChanged } = given
  switch (member.state) {
    case MemberState.STABLE:
      if (member.memberEpoch !== targetEpoch) return next(given, member.memberEpoch)
      return hasSubscriptionChanged ? trim(given) : member.current
    case MemberState.UNREVOKED_PARTITIONS:
      if (!mayStillOwn(owned, member.current.pendingRevocation)) return next(given, member.memberEpoch)
      return hasSubscriptionChanged ? trim(given) : member.current
    case MemberState.UNRELEASED_PARTITIONS:
      return next(given, member.memberEpoch)
    case MemberState.UNKNOWN:
      return owned === null || owned.size > 0 ? null : next(given, targetEpoch)
  }
}

/** Whether the member says that it still has any of these, or does not say. */
function mayStillOwn(owned: Assignment | null, { partitions }: EpochAssignment): boolean {
  if (owned === null) return true
  for (const [topicId, list] of owned) {
    const revoked = partitions.get(topicId)
    if (revoked !== undefined && list.some((partition) => holds(revoked, partition))) return true
  }
  return false
}

/** Takes away what the member does not subscribe to any more, ahead of any new target. */
function trim({ member, owned, isSubscribed }: Reconciliation): CurrentAssignment {
  const { current } = member
  const kept = new EpochAssignmentDraft()
  const pending = new EpochAssignmentDraft()
  pending.addAll(current.pendingRevocation)
  for (const { topicId, partition, epoch } of entriesOf(current.assigned)) {
    if (isSubscribed(topicId)) kept.add(topicId, partition, epoch)
    else pending.add(topicId, partition, epoch)
  }
  const assigned = kept.finish(current.assigned)
  if (assigned === current.assigned) return current
  const { memberEpoch } = member
  const pendingRevocation = pending.finish(current.pendingRevocation)
  if (mayStillOwn(owned, pendingRevocation)) {
    return {
      memberEpoch,
      previousMemberEpoch: memberEpoch,
      state: MemberState.UNREVOKED_PARTITIONS,
      assigned,
      pendingRevocation,
    }
  }
  return { ...current, previousMemberEpoch: memberEpoch, assigned }
}

function next(given: Reconciliation, memberEpoch: number): CurrentAssignment {
  const { member, targetEpoch, owned, isSubscribed } = given
  const { current } = member
  const assigned = new EpochAssignmentDraft()
  const revoked = new EpochAssignmentDraft()
  for (const { topicId, partition, epoch } of entriesOf(current.assigned)) {
    const stays = holds(given.target.get(topicId), partition) && isSubscribed(topicId)
    if (stays) assigned.add(topicId, partition, epoch)
    else revoked.add(topicId, partition, epoch)
  }
  if (!revoked.isEmpty) {
    const pendingRevocation = revoked.finish(current.pendingRevocation)
    if (mayStillOwn(owned, pendingRevocation)) {
      return {
        memberEpoch,
        previousMemberEpoch: member.memberEpoch,
        state: MemberState.UNREVOKED_PARTITIONS,
        assigned: assigned.finish(current.assigned),
        pendingRevocation,
      }
    }
  }
  const isWaiting = addReleased(given, assigned)
  return {
    memberEpoch: targetEpoch,
    previousMemberEpoch: member.memberEpoch,
    state: isWaiting ? MemberState.UNRELEASED_PARTITIONS : MemberState.STABLE,
    assigned: assigned.finish(current.assigned),
    pendingRevocation: EMPTY_EPOCH_ASSIGNMENT,
  }
}

/** Adds what of the target nobody else has any more. True: somebody still has some of it. */
function addReleased(
  { member, target, targetEpoch, isSubscribed, ownerOf }: Reconciliation,
  assigned: EpochAssignmentDraft,
): boolean {
  let isWaiting = false
  for (const [topicId, partitions] of target) {
    if (!isSubscribed(topicId)) continue
    const kept = member.assigned.get(topicId)
    for (const partition of partitions) {
      if (holds(kept, partition)) continue
      const owner = ownerOf(topicId, partition)
      if (owner === undefined || owner === member.memberId) assigned.add(topicId, partition, targetEpoch)
      else isWaiting = true
    }
  }
  return isWaiting
}
