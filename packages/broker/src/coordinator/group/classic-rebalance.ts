import { ErrorCode } from '@millrace/protocol'
import type { ClassicGroup } from './classic-group.ts'
import type { ClassicMember } from './classic-member.ts'
import { type GroupContext, joinTimerKey, sessionTimerKey, syncTimerKey } from './group-context.ts'
import { namedMembers, noteGroup } from './group-notes.ts'
import { EMPTY_BYTES, type GroupStep, joinError, syncError } from './group-protocol.ts'

/**
 * Begins a rebalance where the state allows one; in a running one, ends the phase of joining if this was the last to wait for. The
 * reason is for the log.
 */
export function rebalanceOrCompleteJoin(
  context: GroupContext,
  group: ClassicGroup,
  reason: string,
  step: GroupStep,
): void {
  if (group.canRebalance) prepareRebalance(context, group, reason, step)
  else maybeCompleteJoin(group, step)
}

/**
 * Begins a rebalance. From Empty the members get `groupInitialRebalanceDelayMs` to gather, extended while more of them come, so
 * that a group that starts up rebalances once and not once per member.
 */
export function prepareRebalance(context: GroupContext, group: ClassicGroup, reason: string, step: GroupStep): void {
  const { groupId } = group
  noteGroup(group, 'group rebalance begins', { state: group.state, reason }, step)
  if (group.state === 'CompletingRebalance') failAssignment(group, ErrorCode.REBALANCE_IN_PROGRESS, step)
  group.pendingSyncs.clear()
  step.cancel(syncTimerKey(groupId))
  const isInitial = group.isEmpty
  if (isInitial) {
    const delayMs = context.config.groupInitialRebalanceDelayMs
    const remainingMs = Math.max(group.rebalanceTimeoutMs() - delayMs, 0)
    step.schedule(joinTimerKey(groupId), delayMs, { type: 'initial-join-expired', groupId, delayMs, remainingMs })
  }
  group.transitionTo('PreparingRebalance', step.nowMs)
  if (isInitial) return
  if (group.hasAllMembersJoined) completeJoin(group, step)
  else step.schedule(joinTimerKey(groupId), group.rebalanceTimeoutMs(), { type: 'join-expired', groupId })
}

/** Ends the phase of joining if all members are there; never early when the group was Empty before. */
export function maybeCompleteJoin(group: ClassicGroup, step: GroupStep): void {
  if (group.state !== 'PreparingRebalance' || group.previousState === 'Empty') return
  if (group.hasAllMembersJoined) completeJoin(group, step)
}

/** The delay of a rebalance from Empty is over: it begins again if a member came meanwhile and time remains. */
export function onInitialJoinExpired(
  context: GroupContext,
  group: ClassicGroup,
  delayMs: number,
  remainingMs: number,
  step: GroupStep,
): void {
  if (!group.hasNewMember || remainingMs === 0) {
    completeJoin(group, step)
    return
  }
  group.hasNewMember = false
  const { groupId } = group
  const nextDelayMs = Math.min(context.config.groupInitialRebalanceDelayMs, remainingMs)
  const nextRemainingMs = Math.max(remainingMs - delayMs, 0)
  step.schedule(joinTimerKey(groupId), nextDelayMs, {
    type: 'initial-join-expired',
    groupId,
    delayMs: nextDelayMs,
    remainingMs: nextRemainingMs,
  })
}

/** Ends the phase of joining: who did not come is dropped, unless static, and the next generation begins. */
export function completeJoin(group: ClassicGroup, step: GroupStep): void {
  const { groupId } = group
  // A timer may be left from a group of the same id whose creation was taken back.
  if (group.state !== 'PreparingRebalance') return
  step.cancel(joinTimerKey(groupId))
  removeAbsentMembers(group, step)
  if (!group.maybeElectJoinedLeader() && group.members.size > 0) {
    noteGroup(group, 'group rebalance waits: only static members are left, and none has joined again', {}, step)
    // Only absent static members are left. Their sessions decide; until then the group cannot have a leader.
    step.schedule(joinTimerKey(groupId), group.rebalanceTimeoutMs(), { type: 'join-expired', groupId })
    return
  }
  group.beginGeneration(step.nowMs)
  if (group.isEmpty) {
    noteGroup(group, 'group is empty', {}, step)
    // If this record is lost, the generation before it comes back on load and dies of its session timeouts.
    step.writeApplied({ type: 'group-metadata', groupId, value: group.toMetadata(null) })
    return
  }
  const { leaderId, protocolName } = group
  noteGroup(group, 'group has a new generation', { leader: leaderId, protocol: protocolName }, step)
  for (const member of group.members.values()) {
    answerJoin(group, member, false, step)
    restartSession(group, member, step)
    member.isNew = false
    group.pendingSyncs.add(member.memberId)
  }
  const { generationId } = group
  step.schedule(syncTimerKey(groupId), group.rebalanceTimeoutMs(), { type: 'sync-expired', groupId, generationId })
}

/** Static members may come back; dynamic ones that did not join in time would only hold the group up. */
function removeAbsentMembers(group: ClassicGroup, step: GroupStep): void {
  const memberIds: string[] = []
  for (const { memberId, isStatic } of group.notYetRejoined()) {
    if (isStatic) continue
    removeMember(group, memberId, ErrorCode.UNKNOWN_MEMBER_ID, step)
    step.cancel(sessionTimerKey(group.groupId, memberId))
    memberIds.push(memberId)
  }
  if (memberIds.length === 0) return
  noteGroup(group, 'group goes on without members that did not join again', { removed: namedMembers(memberIds) }, step)
}

/** Answers the member's parked JoinGroup, if there is one, with the current generation. The leader gets all members. */
export function answerJoin(group: ClassicGroup, member: ClassicMember, skipAssignment: boolean, step: GroupStep): void {
  const token = member.joinToken
  if (token === null) return
  group.setJoinToken(member, null)
  const { memberId } = member
  step.reply(token, {
    kind: 'join',
    errorCode: ErrorCode.NONE,
    memberId,
    generationId: group.generationId,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    leader: group.leaderId ?? '',
    skipAssignment,
    members: group.isLeader(memberId) ? group.memberList() : [],
  })
}

/** Takes the assignments into the group and answers the parked SyncGroups. */
export function propagateAssignment(
  group: ClassicGroup,
  assignments: ReadonlyMap<string, Buffer>,
  step: GroupStep,
): void {
  for (const member of group.members.values()) {
    group.assign(member, assignments.get(member.memberId) ?? EMPTY_BYTES)
    const token = member.syncToken
    if (token === null) continue
    member.syncToken = null
    const { protocolType, protocolName } = group
    const { assignment } = member
    step.reply(token, { kind: 'sync', errorCode: ErrorCode.NONE, protocolType, protocolName, assignment })
    // An expiry while the call was parked was ignored and has left no timer.
    restartSession(group, member, step)
  }
}

/** Drops the assignments of a generation that will not become Stable and answers the parked SyncGroups with the error. */
export function failAssignment(group: ClassicGroup, errorCode: number, step: GroupStep): void {
  for (const member of group.members.values()) {
    group.assign(member, EMPTY_BYTES)
    const token = member.syncToken
    if (token === null) continue
    member.syncToken = null
    step.reply(token, syncError(errorCode))
    restartSession(group, member, step)
  }
}

/** Members of the generation that did not fetch their assignment in time are dropped. */
export function onSyncExpired(context: GroupContext, group: ClassicGroup, generationId: number, step: GroupStep): void {
  if (generationId !== group.generationId || group.pendingSyncs.size === 0) return
  if (group.state !== 'CompletingRebalance' && group.state !== 'Stable') return
  const memberIds = [...group.pendingSyncs]
  for (const memberId of memberIds) {
    removeMember(group, memberId, ErrorCode.UNKNOWN_MEMBER_ID, step)
    step.cancel(sessionTimerKey(group.groupId, memberId))
  }
  prepareRebalance(context, group, `members sent no SyncGroup in time: ${namedMembers(memberIds)}`, step)
}

/** A session timed out, of a member or of an id that was given out. */
export function onSessionExpired(context: GroupContext, group: ClassicGroup, memberId: string, step: GroupStep): void {
  if (group.state === 'Dead') return
  const member = group.members.get(memberId)
  if (group.isPendingJoin(memberId)) group.remove(memberId)
  else if (member === undefined || member.hasSatisfiedHeartbeat) return
  else removeMember(group, memberId, ErrorCode.UNKNOWN_MEMBER_ID, step)
  const groupInstanceId = member?.groupInstanceId ?? null
  noteGroup(group, 'group member removed: its session timed out', { member: memberId, groupInstanceId }, step)
  if (group.state === 'PreparingRebalance') {
    if (group.hasAllMembersJoined) completeJoin(group, step)
  } else if (member !== undefined && (group.state === 'Stable' || group.state === 'CompletingRebalance')) {
    rebalanceOrCompleteJoin(context, group, `the session of member ${memberId} timed out`, step)
  }
}

/** Takes a member out of the group, its parked requests answered with the error. Its timer is the caller's business. */
export function removeMember(group: ClassicGroup, memberId: string, errorCode: number, step: GroupStep): void {
  const member = group.members.get(memberId)
  if (member !== undefined) failParkedRequests(group, member, errorCode, '', step)
  group.remove(memberId)
}

/** Answers what the member has parked with an error of the log, of the coordinator or of the group. */
export function failParkedRequests(
  group: ClassicGroup,
  member: ClassicMember,
  errorCode: number,
  memberId: string,
  step: GroupStep,
): void {
  if (member.joinToken !== null) step.reply(member.joinToken, joinError(errorCode, memberId))
  if (member.syncToken !== null) step.reply(member.syncToken, syncError(errorCode))
  group.setJoinToken(member, null)
  member.syncToken = null
}

export function restartSession(group: ClassicGroup, member: ClassicMember, step: GroupStep): void {
  restartSessionWith(group, member, member.sessionTimeoutMs, step)
}

export function restartSessionWith(
  group: ClassicGroup,
  member: ClassicMember,
  timeoutMs: number,
  step: GroupStep,
): void {
  const { groupId } = group
  const { memberId } = member
  step.schedule(sessionTimerKey(groupId, memberId), timeoutMs, { type: 'session-expired', groupId, memberId })
}
