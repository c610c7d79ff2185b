import { ErrorCode, errorInfo } from '@millrace/protocol'
import { responseErrorOf } from '../runtime/operation-errors.ts'
import type { ReplyToken } from '../runtime/step.ts'
import type { ClassicGroup } from './classic-group.ts'
import { failAssignment, propagateAssignment, rebalanceOrCompleteJoin, restartSession } from './classic-rebalance.ts'
import { clientAddressOf } from './client-host.ts'
import { type GroupContext, syncTimerKey } from './group-context.ts'
import { classicGroupOf } from './group-lookup.ts'
import { noteGroup } from './group-notes.ts'
import { EMPTY_BYTES, type GroupEvent, type GroupStep, type SyncInput, syncError } from './group-protocol.ts'

/**
 * Handles SyncGroup. Members wait until the leader's assignment is committed: an assignment that a failing coordinator could
 * forget must never be acted on.
 */
export function syncGroup(context: GroupContext, input: SyncInput, token: ReplyToken, step: GroupStep): void {
  const { groupId, memberId } = input
  const group = classicGroupOf(context, groupId)
  const errorCode = group === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : validateSync(group, input)
  if (group === undefined || errorCode !== 0) {
    step.reply(token, syncError(errorCode))
    return
  }
  const member = group.members.get(memberId)!
  if (
    group.state === 'CompletingRebalance' &&
    group.isLeader(memberId) &&
    !hasRoomForAssignment(context, group, input)
  ) {
    // A client looks for its coordinator again and comes back; the time-out of the phase stands.
    context.counters.limitRefusals++
    step.reply(token, syncError(ErrorCode.COORDINATOR_NOT_AVAILABLE))
    return
  }
  group.pendingSyncs.delete(memberId)
  if (group.pendingSyncs.size === 0) step.cancel(syncTimerKey(groupId))
  if (group.state === 'Stable') {
    const { generationId } = group
    step.continuation = { type: 'stable-sync-written', groupId, generationId, memberId, token }
    return
  }
  if (member.syncToken !== null) {
    // The request before this one was given up by the client, or it could not have sent another.
    step.reply(member.syncToken, syncError(ErrorCode.REBALANCE_IN_PROGRESS))
  }
  member.syncToken = token
  if (!group.isLeader(memberId)) {
    step.continuation = { type: 'sync-written', groupId, token }
    return
  }
  noteGroup(group, 'group assignment received from its leader', { leader: memberId }, step)
  const assignments = new Map<string, Buffer>()
  for (const id of group.members.keys()) assignments.set(id, input.assignments.get(id) ?? EMPTY_BYTES)
  group.beginAssignment(assignments)
  step.writeApplied({ type: 'group-metadata', groupId, value: group.toMetadata(assignments) })
  step.continuation = { type: 'assignment-written', groupId, generationId: group.generationId, assignments }
}

/** Whether the node has room for what the assignment is more than the one before it. Those of strangers are dropped. */
function hasRoomForAssignment(context: GroupContext, group: ClassicGroup, input: SyncInput): boolean {
  const { limits } = context
  let bytes = 0
  for (const member of group.members.values()) {
    bytes += (input.assignments.get(member.memberId)?.length ?? 0) - member.assignment.length
  }
  const { clientHost } = group.members.get(input.memberId)!
  return limits.hasRoomFor(0, bytes, limits.ownerAt(clientAddressOf(clientHost)))
}

function validateSync(group: ClassicGroup, input: SyncInput): number {
  if (group.state === 'Empty') return ErrorCode.UNKNOWN_MEMBER_ID
  if (group.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
  const errorCode = group.validateMember(input.memberId, input.groupInstanceId)
  if (errorCode !== 0) return errorCode
  if (input.generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION
  if (input.protocolType !== null && input.protocolType !== group.protocolType) {
    return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
  }
  if (input.protocolName !== null && input.protocolName !== group.protocolName) {
    return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
  }
  return group.state === 'PreparingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
}

/** The leader's assignment is committed, or could not be: all members hear of it. A rebalance in between makes it void. */
export function onAssignmentWritten(
  context: GroupContext,
  groupId: string,
  generationId: number,
  assignments: ReadonlyMap<string, Buffer>,
  logError: number,
  step: GroupStep,
): void {
  const group = classicGroupOf(context, groupId)
  group?.endAssignment(assignments)
  if (group?.state !== 'CompletingRebalance' || group.generationId !== generationId) return
  if (logError !== 0) {
    failAssignment(group, responseErrorOf(logError), step)
    rebalanceOrCompleteJoin(context, group, `its assignment was not stored: ${errorInfo(logError).name}`, step)
    return
  }
  propagateAssignment(group, assignments, step)
  group.transitionTo('Stable', step.nowMs)
  context.counters.completedRebalances++
}

/**
 * A member may have the assignment of a Stable group. Not before the writes ahead of it are committed: right after a load the group
 * itself may stand above the high watermark, where it can still be lost with its generation.
 */
export function onStableSyncWritten(
  context: GroupContext,
  event: Extract<GroupEvent, { type: 'stable-sync-written' }>,
  logError: number,
  step: GroupStep,
): void {
  const group = classicGroupOf(context, event.groupId)
  const member = group?.members.get(event.memberId)
  if (logError !== 0) step.reply(event.token, syncError(responseErrorOf(logError)))
  else if (group === undefined || member === undefined) step.reply(event.token, syncError(ErrorCode.UNKNOWN_MEMBER_ID))
  else if (group.state !== 'Stable' || group.generationId !== event.generationId) {
    step.reply(event.token, syncError(ErrorCode.REBALANCE_IN_PROGRESS))
  } else {
    const { protocolType, protocolName } = group
    const { assignment } = member
    step.reply(event.token, { kind: 'sync', errorCode: ErrorCode.NONE, protocolType, protocolName, assignment })
  }
}

/** Writes that a follower's SyncGroup had to wait for failed: the follower is told, and may ask again. */
export function onSyncWritten(
  context: GroupContext,
  groupId: string,
  token: ReplyToken,
  logError: number,
  step: GroupStep,
): void {
  if (logError === 0) return
  const group = classicGroupOf(context, groupId)
  for (const member of group?.members.values() ?? []) {
    if (member.syncToken !== token) continue
    member.syncToken = null
    group!.pendingSyncs.add(member.memberId)
    // An expiry while the call was parked was ignored and has left no timer.
    restartSession(group!, member, step)
  }
  step.reply(token, syncError(responseErrorOf(logError)))
}
