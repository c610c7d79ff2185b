import { ErrorCode } from '@millrace/protocol'
import type { ClassicGroup } from '../classic-group.ts'
import {
  type GroupContext,
  memberSyncTimerKey,
  rejoinTimerKey,
  revocationTimerKey,
  sessionTimerKey,
} from '../group-context.ts'
import { consumerGroupOf } from '../group-lookup.ts'
import { namedMembers, noteModernGroup, shortened } from '../group-notes.ts'
import type { GroupStep } from '../group-protocol.ts'
import { type HeartbeatAnswer, heartbeatError } from '../modern/heartbeat-answer.ts'
import { LEAVE_GROUP_STATIC_MEMBER_EPOCH } from '../modern/modern-member.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import type { ConsumerHeartbeatInput } from './consumer-inputs.ts'
import { type ConsumerMember, leftForAWhile } from './consumer-member.ts'
import { MemberState } from './consumer-record.ts'
import { write } from './consumer-replay.ts'
import { canDowngradeWithout, downgrade } from './group-downgrade.ts'
import { bumpEpoch } from './group-epochs.ts'
import { awaitMembers, awaitTimer, cancelMemberTimers, writeMemberRemoval } from './member-writes.ts'
import { dropUnusedRegexes } from './regex-resolution.ts'

/** A heartbeat by which a member leaves, for good or, if it is static, for a while. */
export function leaveConsumerGroup(
  context: GroupContext,
  input: ConsumerHeartbeatInput,
  step: GroupStep,
): HeartbeatAnswer {
  const { groupId, memberId, memberEpoch, instanceId } = input
  const group = consumerGroupOf(context, groupId)
  if (group === undefined) return heartbeatError(ErrorCode.GROUP_ID_NOT_FOUND, `Group ${shortened(groupId)} not found.`)
  if (instanceId !== null) {
    const currentId = group.staticMemberId(instanceId)
    if (currentId === undefined) {
      return heartbeatError(ErrorCode.UNKNOWN_MEMBER_ID, `Instance id ${shortened(instanceId)} is unknown.`)
    }
    if (currentId !== memberId) {
      const message = `Static member ${memberId} with instance id ${shortened(instanceId)} was fenced by another one.`
      return heartbeatError(ErrorCode.FENCED_INSTANCE_ID, message)
    }
  }
  const member = group.members.get(memberId)
  if (member === undefined) {
    const message = `Member ${memberId} is not a member of group ${shortened(groupId)}.`
    return heartbeatError(ErrorCode.UNKNOWN_MEMBER_ID, message)
  }
  if (memberEpoch === LEAVE_GROUP_STATIC_MEMBER_EPOCH) {
    leaveForAWhile(context, group, member, step)
  } else {
    noteModernGroup(group, 'consumer group member left', { member: memberId, instanceId }, step)
    fenceMembers(context, group, [member], step)
  }
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    memberId,
    memberEpoch,
    heartbeatIntervalMs: 0,
    assignment: null,
  }
}

/** It keeps its target, and its session runs on: until then it may come back, under another id if it likes. */
function leaveForAWhile(context: GroupContext, group: ConsumerGroup, member: ConsumerMember, step: GroupStep): void {
  const { groupId } = group
  const { memberId, instanceId } = member
  noteModernGroup(group, 'static consumer group member left for a while', { member: memberId, instanceId }, step)
  const value = leftForAWhile(member.current, LEAVE_GROUP_STATIC_MEMBER_EPOCH)
  write(context, { type: 'consumer-current', groupId, memberId, value }, step)
  awaitMembers(groupId, [memberId], step)
}

/**
 * Takes members out of their group, which has another epoch then. If only members are left that speak the classic protocol it becomes a
 * classic group, if it may.
 */
export function fenceMembers(
  context: GroupContext,
  group: ConsumerGroup,
  members: readonly ConsumerMember[],
  step: GroupStep,
): ClassicGroup | null {
  if (members.length === 0) return null
  const { groupId } = group
  const memberIds = members.map(({ memberId }) => memberId)
  for (const memberId of memberIds) cancelMemberTimers(groupId, memberId, step)
  if (canDowngradeWithout(context, group, members)) {
    return downgrade(context, group, members, `members left: ${namedMembers(memberIds)}`, step)
  }
  for (const memberId of memberIds) writeMemberRemoval(context, groupId, memberId, step)
  dropUnusedRegexes(context, group, step)
  bumpEpoch(context, group, `members left: ${namedMembers(memberIds)}`, step)
  awaitMembers(groupId, memberIds, step)
  return null
}

/** No heartbeat came for the time of a session. */
export function onMemberSessionExpired(
  context: GroupContext,
  group: ConsumerGroup,
  memberId: string,
  step: GroupStep,
): void {
  fenceById(context, group, memberId, sessionTimerKey(group.groupId, memberId), 'its session timed out', step)
}

/** A member had to give partitions up, and did not say in time that it has. */
export function onRevocationExpired(
  context: GroupContext,
  group: ConsumerGroup,
  memberId: string,
  memberEpoch: number,
  step: GroupStep,
): void {
  const member = group.members.get(memberId)
  // It has moved on, and its timer was left from a step that was taken back.
  if (member?.state !== MemberState.UNREVOKED_PARTITIONS || member.memberEpoch !== memberEpoch) return
  const key = revocationTimerKey(group.groupId, memberId)
  fenceById(context, group, memberId, key, 'it did not give up its partitions in time', step)
}

/** A member that speaks the classic protocol did not join again in time. */
export function onRejoinExpired(context: GroupContext, group: ConsumerGroup, memberId: string, step: GroupStep): void {
  if (group.members.get(memberId)?.classic == null) return
  fenceById(context, group, memberId, rejoinTimerKey(group.groupId, memberId), 'it did not join again in time', step)
}

/** A member that speaks the classic protocol did not ask for its assignment in time. */
export function onMemberSyncExpired(
  context: GroupContext,
  group: ConsumerGroup,
  memberId: string,
  step: GroupStep,
): void {
  if (group.members.get(memberId)?.classic == null) return
  fenceById(context, group, memberId, memberSyncTimerKey(group.groupId, memberId), 'it sent no SyncGroup in time', step)
}

function fenceById(
  context: GroupContext,
  group: ConsumerGroup,
  memberId: string,
  firedKey: string,
  why: string,
  step: GroupStep,
): void {
  const member = group.members.get(memberId)
  if (member === undefined) return
  const fields = { member: memberId, instanceId: member.instanceId }
  noteModernGroup(group, `consumer group member removed: ${why}`, fields, step)
  fenceMembers(context, group, [member], step)
  awaitTimer(firedKey, step)
}
