import { ErrorCode } from '@millrace/protocol'
import type { ClassicGroup } from './classic-group.ts'
import { maybeCompleteJoin, rebalanceOrCompleteJoin, removeMember, restartSession } from './classic-rebalance.ts'
import { type GroupContext, sessionTimerKey } from './group-context.ts'
import { classicGroupOf } from './group-lookup.ts'
import { clientReason, namedMembers, noteGroup } from './group-notes.ts'
import type { GroupStep } from './group-protocol.ts'

/** A Heartbeat request, freed of its version. */
export interface HeartbeatInput {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
}

/** One member of a LeaveGroup request: by its id or, for administrators, by its instance id alone. */
export interface LeavingMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** What the client says, for the log (v5). */
  readonly reason?: string | null
}

/** The answer to LeaveGroup: an error of the group, or one of each member. */
export interface LeaveAnswer {
  readonly errorCode: number
  /** In the order of the request; empty under an error of the group. */
  readonly memberErrors: readonly number[]
}

/** Handles Heartbeat and gives its error code. Every valid one restarts the member's session. */
export function heartbeat(context: GroupContext, input: HeartbeatInput, step: GroupStep): number {
  const group = classicGroupOf(context, input.groupId)
  if (group === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
  if (group.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
  const errorCode = group.validateMember(input.memberId, input.groupInstanceId)
  if (errorCode !== 0) return errorCode
  if (input.generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION
  restartSession(group, group.members.get(input.memberId)!, step)
  // In CompletingRebalance too a member is a member: clients heartbeat as soon as their join is answered.
  return group.state === 'PreparingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
}

/** Handles LeaveGroup: removes those who may be removed, then at most one rebalance for all of them. */
export function leaveGroup(
  context: GroupContext,
  groupId: string,
  members: readonly LeavingMember[],
  step: GroupStep,
): LeaveAnswer {
  const group = classicGroupOf(context, groupId)
  if (group === undefined) return { errorCode: 0, memberErrors: members.map(() => ErrorCode.UNKNOWN_MEMBER_ID) }
  if (group.state === 'Dead') return { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, memberErrors: [] }
  const memberErrors = members.map((member) => leaveMember(group, member, step))
  if (memberErrors.includes(ErrorCode.NONE)) {
    const left = members.filter((_, slot) => memberErrors[slot] === ErrorCode.NONE)
    const names = namedMembers(left.map(({ memberId, groupInstanceId }) => memberId || (groupInstanceId ?? '')))
    if (group.state === 'Stable' || group.state === 'CompletingRebalance') {
      rebalanceOrCompleteJoin(context, group, `members left: ${names}`, step)
    } else {
      maybeCompleteJoin(group, step)
    }
  }
  return { errorCode: 0, memberErrors }
}

function leaveMember(group: ClassicGroup, leaving: LeavingMember, step: GroupStep): number {
  let { memberId } = leaving
  if (memberId === '') {
    const currentId = leaving.groupInstanceId === null ? undefined : group.staticMemberId(leaving.groupInstanceId)
    if (currentId === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    memberId = currentId
  } else if (!group.isPendingJoin(memberId)) {
    const errorCode = group.validateMember(memberId, leaving.groupInstanceId)
    if (errorCode !== 0) return errorCode
  }
  step.cancel(sessionTimerKey(group.groupId, memberId))
  removeMember(group, memberId, ErrorCode.UNKNOWN_MEMBER_ID, step)
  const { groupInstanceId } = leaving
  const reason = clientReason(leaving.reason)
  noteGroup(group, 'group member left', { member: memberId, groupInstanceId, reason }, step)
  return ErrorCode.NONE
}
