import { randomUuidHex } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { responseErrorOf } from '../runtime/operation-errors.ts'
import type { ReplyToken } from '../runtime/step.ts'
import { ClassicGroup } from './classic-group.ts'
import { ClassicMember, metadataBytesOf } from './classic-member.ts'
import {
  answerJoin,
  failParkedRequests,
  maybeCompleteJoin,
  prepareRebalance,
  rebalanceOrCompleteJoin,
  removeMember,
  restartSession,
  restartSessionWith,
} from './classic-rebalance.ts'
import { clientAddressOf } from './client-host.ts'
import { deleteConsumerGroup } from './consumer/group-downgrade.ts'
import { NEW_MEMBER_JOIN_TIMEOUT_MS } from './group-config.ts'
import { type GroupContext, sessionTimerKey } from './group-context.ts'
import { classicGroupOf, consumerGroupOf } from './group-lookup.ts'
import { clientReason, noteGroup } from './group-notes.ts'
import { EMPTY_BYTES, type GroupStep, type JoinInput, joinError, type StaticMemberWritten } from './group-protocol.ts'

/** Longest part of a member id that comes from the client: with the id's own 37 characters it is a name that the broker takes back. */
const MAX_MEMBER_ID_PREFIX_LENGTH = 2000

/**
 * Handles JoinGroup (`coordinators.md` 2, "in check order"). The answer comes through the token: at once, when the rebalance
 * completes, or when the member leaves the group by other means.
 */
export function joinGroup(context: GroupContext, input: JoinInput, token: ReplyToken, step: GroupStep): void {
  const { groupId, memberId } = input
  step.continuation = { type: 'join-written', groupId, token }
  let group = classicGroupOf(context, groupId)
  if (group === undefined && memberId !== '') {
    step.reply(token, joinError(ErrorCode.UNKNOWN_MEMBER_ID, memberId))
    return
  }
  const owner = context.limits.ownerAt(clientAddressOf(input.clientHost))
  if (!isAdmitted(context, group, input, owner)) {
    // A client looks for its coordinator again and comes back: nothing here is for ever.
    context.counters.limitRefusals++
    step.reply(token, joinError(ErrorCode.COORDINATOR_NOT_AVAILABLE, memberId))
    return
  }
  if (group === undefined) {
    // An empty group of the other kind gives way; the committed offsets stay. Only here, where another takes its place: offsets without a
    // group are told to nobody, and never expire.
    const former = consumerGroupOf(context, groupId)
    if (former !== undefined) deleteConsumerGroup(context, former, step)
    group = new ClassicGroup(groupId, step.nowMs, owner)
    context.groups.set(groupId, group)
    step.writeApplied({ type: 'group-metadata', groupId, value: group.toMetadata(null) })
  }
  if (!hasRoomFor(context, group, memberId)) {
    removeMember(group, memberId, ErrorCode.GROUP_MAX_SIZE_REACHED, step)
    step.reply(token, joinError(ErrorCode.GROUP_MAX_SIZE_REACHED, ''))
  } else if (group.state === 'Dead') {
    step.reply(token, joinError(ErrorCode.COORDINATOR_NOT_AVAILABLE, memberId))
  } else if (!group.supportsProtocols(input.protocolType, input.protocols)) {
    step.reply(token, joinError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, memberId))
  } else if (memberId === '') {
    joinWithoutId(context, group, input, token, step)
  } else if (group.isPendingJoin(memberId) && input.groupInstanceId === null) {
    addMember(context, group, memberId, input, token, step)
  } else {
    rejoin(context, group, input, token, step)
  }
}

/** Whether the node has room for what the join adds to it. Members that are there are turned away for nothing but growing metadata. */
function isAdmitted(
  context: GroupContext,
  group: ClassicGroup | undefined,
  input: JoinInput,
  owner: string | null,
): boolean {
  const { limits } = context
  const { groupId, memberId, groupInstanceId, clientId, protocols } = input
  // An empty consumer group gives way to it: that is one group as before.
  const isNewGroup = group === undefined && consumerGroupOf(context, groupId) === undefined
  if (isNewGroup && !limits.hasRoomForGroup(owner)) return false
  const staticId = groupInstanceId === null ? undefined : group?.staticMemberId(groupInstanceId)
  const existing = group?.members.get(memberId === '' ? (staticId ?? '') : memberId)
  const metadataBytes = metadataBytesOf(protocols)
  if (existing !== undefined) {
    return limits.hasRoomFor(0, metadataBytes - metadataBytesOf(existing.protocols), owner)
  }
  // An id is made of one of the names.
  const names = 2 * (clientId.length + (groupInstanceId?.length ?? 0)) + (isNewGroup ? groupId.length : 0)
  return limits.hasRoomFor(memberId === '' ? 1 : 0, names + metadataBytes, owner)
}

/** The write of a step that took a JoinGroup failed: what is still parked of it is answered, and counts as not rejoined. */
export function onJoinWritten(
  context: GroupContext,
  groupId: string,
  token: ReplyToken,
  logError: number,
  step: GroupStep,
): void {
  if (logError === 0) return
  for (const member of classicGroupOf(context, groupId)?.members.values() ?? []) {
    if (member.joinToken !== token) continue
    failParkedRequests(classicGroupOf(context, groupId)!, member, responseErrorOf(logError), member.memberId, step)
    return
  }
  step.reply(token, joinError(responseErrorOf(logError), ''))
}

/**
 * Whether the group can take the join. While joining, those who wait are counted rather than the members, so that a limit that
 * was lowered drops the last to rejoin; pending ids never count.
 */
function hasRoomFor(context: GroupContext, group: ClassicGroup, memberId: string): boolean {
  const { groupMaxSize } = context.config
  switch (group.state) {
    case 'Empty':
    case 'Dead':
      return true
    case 'PreparingRebalance':
      return group.members.get(memberId)?.isAwaitingJoin === true || group.awaitingJoinCount < groupMaxSize
    case 'CompletingRebalance':
    case 'Stable':
      return group.members.has(memberId) || group.members.size < groupMaxSize
  }
}

function joinWithoutId(
  context: GroupContext,
  group: ClassicGroup,
  input: JoinInput,
  token: ReplyToken,
  step: GroupStep,
): void {
  const { groupId, groupInstanceId } = input
  const prefix = (groupInstanceId ?? input.clientId).slice(0, MAX_MEMBER_ID_PREFIX_LENGTH)
  const memberId = `${prefix}-${randomUuidHex(context.random)}`
  if (groupInstanceId !== null) {
    const currentId = group.staticMemberId(groupInstanceId)
    if (currentId === undefined) addMember(context, group, memberId, input, token, step)
    else replaceStaticMember(context, group, currentId, memberId, input, token, step)
  } else if (input.requiresKnownMemberId) {
    group.addPendingJoin(memberId, context.limits.ownerAt(clientAddressOf(input.clientHost)))
    step.schedule(sessionTimerKey(groupId, memberId), input.sessionTimeoutMs, {
      type: 'session-expired',
      groupId,
      memberId,
    })
    step.reply(token, joinError(ErrorCode.MEMBER_ID_REQUIRED, memberId))
  } else {
    addMember(context, group, memberId, input, token, step)
  }
}

function addMember(
  context: GroupContext,
  group: ClassicGroup,
  memberId: string,
  input: JoinInput,
  token: ReplyToken,
  step: GroupStep,
): void {
  const { groupInstanceId, clientId, clientHost, protocolType, protocols } = input
  const { rebalanceTimeoutMs, sessionTimeoutMs } = input
  const member = new ClassicMember({
    memberId,
    groupInstanceId,
    clientId,
    clientHost,
    rebalanceTimeoutMs,
    sessionTimeoutMs,
    protocolType,
    protocols,
    assignment: EMPTY_BYTES,
    // An id that came back goes on in the share that it was given in.
    owner: group.isPendingJoin(memberId)
      ? group.pendingOwner(memberId)
      : context.limits.ownerAt(clientAddressOf(clientHost)),
  })
  member.isNew = true
  if (group.state === 'PreparingRebalance' && group.previousState === 'Empty') group.hasNewMember = true
  group.add(member, token)
  restartSessionWith(group, member, NEW_MEMBER_JOIN_TIMEOUT_MS, step)
  const reason = clientReason(input.reason)
  noteGroup(group, 'group member joins', { member: memberId, groupInstanceId, clientId, clientHost, reason }, step)
  rebalanceOrCompleteJoin(context, group, `member ${memberId} is new; client reason: ${reason}`, step)
}

/** A member that says who it is. */
function rejoin(
  context: GroupContext,
  group: ClassicGroup,
  input: JoinInput,
  token: ReplyToken,
  step: GroupStep,
): void {
  const { memberId, protocols } = input
  const errorCode = group.validateMember(memberId, input.groupInstanceId)
  if (errorCode !== 0 || group.state === 'Empty') {
    step.reply(token, joinError(errorCode === 0 ? ErrorCode.UNKNOWN_MEMBER_ID : errorCode, memberId))
    return
  }
  const member = group.members.get(memberId)!
  if (member.joinToken !== null) {
    // The request before this one was given up by the client, or it could not have sent another.
    step.reply(member.joinToken, joinError(ErrorCode.REBALANCE_IN_PROGRESS, memberId))
  }
  const changes = !member.matches(protocols)
  // A leader that joins again in Stable wants a new assignment, perhaps for reasons that its metadata does not show.
  if (group.state === 'PreparingRebalance' || changes || (group.state === 'Stable' && group.isLeader(memberId))) {
    group.updateMember(member, protocols, input.rebalanceTimeoutMs, input.sessionTimeoutMs, token)
    const why = changes ? `member ${memberId} changed its metadata` : `leader ${memberId} joined again`
    rebalanceOrCompleteJoin(context, group, `${why}; client reason: ${clientReason(input.reason)}`, step)
  } else {
    // The answer was lost, or a follower joins without need. In CompletingRebalance the leader is told the members again.
    group.setJoinToken(member, token)
    answerJoin(group, member, false, step)
  }
}

/**
 * A static member comes back without its id (KIP-345): it takes the place of its former self. In Stable that costs no
 * rebalance as long as the protocol stays the same.
 */
function replaceStaticMember(
  context: GroupContext,
  group: ClassicGroup,
  oldMemberId: string,
  newMemberId: string,
  input: JoinInput,
  token: ReplyToken,
  step: GroupStep,
): void {
  const groupInstanceId = input.groupInstanceId!
  const oldLeader = group.leaderId ?? ''
  const old = group.members.get(oldMemberId)!
  failParkedRequests(group, old, ErrorCode.FENCED_INSTANCE_ID, oldMemberId, step)
  const member = group.replaceStaticMember(groupInstanceId, newMemberId)
  restartSession(group, member, step)
  group.updateMember(member, input.protocols, input.rebalanceTimeoutMs, input.sessionTimeoutMs, token)
  const reason = clientReason(input.reason)
  const names = { member: newMemberId, formerMember: oldMemberId, groupInstanceId, state: group.state, reason }
  noteGroup(group, 'static group member came back', names, step)
  if (group.state === 'CompletingRebalance') {
    // The leader may be assigning to the old id already.
    prepareRebalance(context, group, `static member ${groupInstanceId} came back during a rebalance`, step)
  } else if (group.state === 'PreparingRebalance') {
    maybeCompleteJoin(group, step)
  } else if (group.selectProtocol() !== group.protocolName) {
    rebalanceOrCompleteJoin(context, group, `static member ${groupInstanceId} came back with other protocols`, step)
  } else {
    step.writeApplied({ type: 'group-metadata', groupId: group.groupId, value: group.toMetadata(null) })
    step.continuation = {
      type: 'static-member-written',
      groupId: group.groupId,
      groupInstanceId,
      generationId: group.generationId,
      token,
      newMemberId,
      supportsSkippingAssignment: input.supportsSkippingAssignment,
      oldMemberId,
      oldLeader,
      oldProtocols: old.protocols,
      oldRebalanceTimeoutMs: old.rebalanceTimeoutMs,
      oldSessionTimeoutMs: old.sessionTimeoutMs,
    }
  }
}

/** The record of a static member's new id is committed, or failed and the old id comes back. */
export function onStaticMemberWritten(
  context: GroupContext,
  event: StaticMemberWritten,
  logError: number,
  step: GroupStep,
): void {
  const group = classicGroupOf(context, event.groupId)
  const member = group?.members.get(event.newMemberId)
  // Removed, replaced again, or answered with a later generation meanwhile.
  if (group === undefined || member === undefined || member.joinToken !== event.token) {
    if (logError !== 0) step.reply(event.token, joinError(responseErrorOf(logError), ''))
    return
  }
  if (logError !== 0) {
    failParkedRequests(group, member, responseErrorOf(logError), '', step)
    const { oldProtocols, oldRebalanceTimeoutMs, oldSessionTimeoutMs } = event
    group.updateMember(member, oldProtocols, oldRebalanceTimeoutMs, oldSessionTimeoutMs, null)
    restartSession(group, group.replaceStaticMember(event.groupInstanceId, event.oldMemberId), step)
  } else if (group.state === 'Stable' && group.generationId === event.generationId) {
    answerStaticMember(group, member, event, step)
  }
  // Else a rebalance has begun, which the parked request takes part in.
}

/**
 * Below version 9 the leader is not told that it need not assign, so it is told the id it had before: it takes itself for a
 * follower and asks for its assignment.
 */
function answerStaticMember(
  group: ClassicGroup,
  member: ClassicMember,
  event: StaticMemberWritten,
  step: GroupStep,
): void {
  if (event.supportsSkippingAssignment) {
    answerJoin(group, member, group.isLeader(member.memberId), step)
    return
  }
  group.setJoinToken(member, null)
  step.reply(event.token, {
    kind: 'join',
    errorCode: ErrorCode.NONE,
    memberId: member.memberId,
    generationId: group.generationId,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    leader: event.oldLeader,
    skipAssignment: false,
    members: [],
  })
}
