import { randomUuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { responseErrorOf } from '../../runtime/operation-errors.ts'
import type { ReplyToken } from '../../runtime/step.ts'
import { metadataBytesOf } from '../classic-member.ts'
import type { HeartbeatInput, LeaveAnswer, LeavingMember } from '../classic-membership.ts'
import { clientAddressOf } from '../client-host.ts'
import {
  CONSUMER_PROTOCOL_TYPE,
  encodeAssignment,
  type ParsedSubscription,
  parseSubscription,
  partitionsOf,
} from '../consumer-protocol.ts'
import { type GroupContext, memberSyncTimerKey, rejoinTimerKey } from '../group-context.ts'
import { consumerGroupOf } from '../group-lookup.ts'
import { clientReason, noteModernGroup } from '../group-notes.ts'
import {
  type ConsumerJoinWritten,
  type GroupEvent,
  type GroupStep,
  type JoinAnswer,
  type JoinInput,
  joinError,
  type SyncAnswer,
  type SyncInput,
  syncError,
} from '../group-protocol.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { changeMember, reconcileMember, replaceStaticMember } from './consumer-heartbeat.ts'
import { fenceMembers } from './consumer-leave.ts'
import { ConsumerMember } from './consumer-member.ts'
import { MemberState } from './consumer-record.ts'
import { canDowngradeReplacing, downgrade } from './group-downgrade.ts'
import { bumpEpoch, maybeAssign, maybeRefreshMetadata } from './group-epochs.ts'
import { restartMemberSession, scheduleMemberSync, scheduleRejoin } from './member-writes.ts'

/**
 * JoinGroup of a member that speaks the classic protocol, to a consumer group (`coordinators.md`, 3.8). It takes no part in a rebalance of
 * its own: the coordinator assigns as for everybody, and what the member gets it fetches with SyncGroup.
 */
export function joinConsumerGroup(
  context: GroupContext,
  group: ConsumerGroup,
  input: JoinInput,
  token: ReplyToken,
  step: GroupStep,
): void {
  const memberId = input.memberId === '' ? randomUuid(context.random) : input.memberId
  const subscription = input.protocols.length === 0 ? null : parseSubscription(input.protocols[0]!.metadata)
  const refusal = refuseJoin(context, group, input, memberId, subscription)
  if (refusal !== null) {
    step.reply(token, refusal)
    return
  }
  const isKnown = takeIn(context, group, input, memberId, subscription!, step)
  if (!isKnown) {
    step.reply(token, joinError(ErrorCode.UNKNOWN_MEMBER_ID, input.memberId))
    return
  }
  const answer: JoinAnswer = {
    kind: 'join',
    errorCode: ErrorCode.NONE,
    memberId,
    generationId: group.members.get(memberId)!.memberEpoch,
    protocolType: CONSUMER_PROTOCOL_TYPE,
    protocolName: input.protocols[0]!.name,
    leader: '',
    skipAssignment: false,
    members: [],
  }
  const { rebalanceTimeoutMs } = input
  step.continuation = { type: 'consumer-join-written', groupId: group.groupId, token, answer, rebalanceTimeoutMs }
}

/** Why the member may not join, null if it may. Nothing has changed by then. */
function refuseJoin(
  context: GroupContext,
  group: ConsumerGroup,
  input: JoinInput,
  memberId: string,
  subscription: ParsedSubscription | null,
): JoinAnswer | null {
  const { config } = context
  const refuse = (errorCode: number, id = input.memberId): JoinAnswer => joinError(errorCode, id)
  const isDisabled = config.groupConsumerMigrationPolicy.toUpperCase() === 'DISABLED'
  const isFull = group.members.size >= config.groupConsumerMaxSize && !group.members.has(memberId)
  if (isDisabled) return refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  if (isFull) return refuse(ErrorCode.GROUP_MAX_SIZE_REACHED, '')
  const isConsumer = input.protocolType === CONSUMER_PROTOCOL_TYPE && subscription !== null
  if (!isConsumer || !group.supportsProtocols(input.protocols.map(({ name }) => name))) {
    return refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  }
  if (input.groupInstanceId === null && input.memberId === '' && input.requiresKnownMemberId) {
    return refuse(ErrorCode.MEMBER_ID_REQUIRED, memberId)
  }
  const errorCode = existingError(group, input, subscription)
  if (errorCode !== 0) return refuse(errorCode)
  if (hasRoom(context, group, input, memberId)) return null
  context.counters.limitRefusals++
  return refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE)
}

/** The member comes in or goes on, and as near to its target as it gets. False: it cannot, and must come anew. */
function takeIn(
  context: GroupContext,
  group: ConsumerGroup,
  input: JoinInput,
  memberId: string,
  subscription: ParsedSubscription,
  step: GroupStep,
): boolean {
  const { member: before, isDowngrade } = memberBefore(context, group, input, memberId, step)
  const metadata = {
    instanceId: input.groupInstanceId ?? before.instanceId,
    rackId: subscription.rackId ?? before.rackId,
    clientId: input.clientId,
    clientHost: input.clientHost,
    subscribedTopics: group.shareNames(subscription.topics),
    topicRegex: null,
    rebalanceTimeoutMs: input.rebalanceTimeoutMs,
    serverAssignor: before.metadata.serverAssignor,
    classic: { sessionTimeoutMs: input.sessionTimeoutMs, protocols: input.protocols },
  }
  const { isBumping, hasSubscriptionChanged } = changeMember(context, group, before, metadata, step)
  if (isBumping) bumpEpoch(context, group, `classic member ${memberId} subscribes to something else`, step)
  else maybeRefreshMetadata(context, group, step)
  const isStale = group.target.epoch < group.epoch.epoch
  if (!isDowngrade) maybeAssign(context, group, step)
  if (!(isDowngrade && isStale)) {
    const member = group.members.get(memberId)!
    const owned = partitionsOf(subscription.owned, context.directory)
    if (reconcileMember(context, group, member, hasSubscriptionChanged, owned, step) === null) {
      // The state is one of a later version; without the member the group goes on, and it may join anew.
      fenceMembers(context, group, [member], step)
      return false
    }
  }
  if (isDowngrade) {
    // Targets may go out as assignments only if nobody still has what is another's by now.
    const isSettled = group.state === 'Stable'
    downgrade(context, group, [], isSettled ? null : 'its members had not come to their targets', step)
  }
  return true
}

/**
 * A static member that names an id must be the one that has the instance. A dynamic one that is unknown may join under the id that it was
 * told; but if it has partitions it was removed without having heard of it, and must give them up first: they are others' by now. (Kafka
 * 4.3 takes it in as it is.)
 */
function existingError(
  group: ConsumerGroup,
  { memberId, groupInstanceId }: JoinInput,
  { owned }: ParsedSubscription,
): number {
  if (memberId === '') return ErrorCode.NONE
  if (groupInstanceId === null) {
    return group.members.has(memberId) || owned.length === 0 ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
  }
  const currentId = group.staticMemberId(groupInstanceId)
  if (currentId === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
  return currentId === memberId ? ErrorCode.NONE : ErrorCode.FENCED_INSTANCE_ID
}

function hasRoom(context: GroupContext, group: ConsumerGroup, input: JoinInput, memberId: string): boolean {
  const { limits } = context
  const isNew = !group.members.has(memberId)
  const names = isNew ? memberId.length + input.clientId.length + (input.groupInstanceId?.length ?? 0) : 0
  const former = group.members.get(memberId)?.classic?.protocols ?? []
  // The names that it subscribes to are kept beside the bytes that have them.
  const bytes = names + 2 * (metadataBytesOf(input.protocols) - metadataBytesOf(former))
  return limits.hasRoomFor(isNew ? 1 : 0, bytes, limits.ownerAt(clientAddressOf(input.clientHost)))
}

function memberBefore(
  context: GroupContext,
  group: ConsumerGroup,
  input: JoinInput,
  memberId: string,
  step: GroupStep,
): { member: ConsumerMember; isDowngrade: boolean } {
  const { groupInstanceId, memberId: givenId, clientId, clientHost } = input
  const formerId = groupInstanceId === null ? undefined : group.staticMemberId(groupInstanceId)
  const former = formerId === undefined ? undefined : group.members.get(formerId)
  const isDowngrade = former !== undefined && canDowngradeReplacing(context, group, former)
  if (former !== undefined && givenId === '') {
    return { member: replaceStaticMember(context, group, former, memberId, step), isDowngrade }
  }
  const known = group.members.get(memberId)
  if (known !== undefined) return { member: known, isDowngrade }
  const reason = clientReason(input.reason)
  const fields = { member: memberId, instanceId: groupInstanceId, clientId, clientHost, protocol: 'classic', reason }
  noteModernGroup(group, 'consumer group member joins', fields, step)
  const owner = context.limits.ownerAt(clientAddressOf(clientHost))
  return { member: ConsumerMember.unknown(memberId, owner), isDowngrade }
}

/** The join is written, or could not be: only now the member hears of it, and its time begins to run. */
export function onConsumerJoinWritten(
  context: GroupContext,
  { groupId, token, answer, rebalanceTimeoutMs }: ConsumerJoinWritten,
  logError: number,
  step: GroupStep,
): void {
  const group = consumerGroupOf(context, groupId)
  if (logError !== 0) {
    if (group !== undefined) group.seenMetadata = null
    for (const member of group?.members.values() ?? []) {
      // A static member that was to be replaced has lost its timer.
      if (member.instanceId !== null || member.memberId === answer.memberId) {
        restartMemberSession(context, group!, member, step)
      }
    }
    step.reply(token, joinError(responseErrorOf(logError), ''))
    return
  }
  const { memberId } = answer
  step.cancel(rejoinTimerKey(groupId, memberId))
  const member = group?.members.get(memberId)
  if (group !== undefined && member !== undefined) {
    restartMemberSession(context, group, member, step)
    scheduleMemberSync(group, memberId, rebalanceTimeoutMs, step)
  }
  step.reply(token, answer)
}

/** The member that a classic request names, or the error that it gets. */
function classicMember(
  group: ConsumerGroup,
  memberId: string,
  groupInstanceId: string | null,
  generationId: number,
): ConsumerMember | number {
  if (groupInstanceId !== null) {
    const currentId = group.staticMemberId(groupInstanceId)
    if (currentId === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    if (currentId !== memberId) return ErrorCode.FENCED_INSTANCE_ID
  }
  const member = group.members.get(memberId)
  if (member === undefined || member.classic === null) return ErrorCode.UNKNOWN_MEMBER_ID
  return member.memberEpoch === generationId ? member : ErrorCode.ILLEGAL_GENERATION
}

/** SyncGroup of such a member: its own assignment, as soon as all that it rests on is committed. */
export function syncConsumerGroup(
  context: GroupContext,
  group: ConsumerGroup,
  input: SyncInput,
  token: ReplyToken,
  step: GroupStep,
): void {
  const { memberId, protocolType, protocolName } = input
  const member = syncingMember(group, input, step)
  if (typeof member === 'number') {
    step.reply(token, syncError(member))
    return
  }
  const assignment = encodeAssignment(member.assigned, context.directory, member.classic!.protocols[0]!.metadata)
  const answer: SyncAnswer = { kind: 'sync', errorCode: ErrorCode.NONE, protocolType, protocolName, assignment }
  step.continuation = { type: 'consumer-sync-written', groupId: group.groupId, memberId, token, answer }
}

function syncingMember(group: ConsumerGroup, input: SyncInput, step: GroupStep): ConsumerMember | number {
  const { memberId, groupInstanceId, generationId, protocolType, protocolName } = input
  const member = classicMember(group, memberId, groupInstanceId, generationId)
  if (typeof member === 'number') return member
  const isOtherProtocol =
    (protocolType !== null && protocolType !== CONSUMER_PROTOCOL_TYPE) ||
    (protocolName !== null && protocolName !== member.classic!.protocols[0]!.name)
  if (isOtherProtocol) return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
  if (group.target.epoch <= member.memberEpoch || member.state === MemberState.UNREVOKED_PARTITIONS) return member
  scheduleRejoin(group, member, step)
  return ErrorCode.REBALANCE_IN_PROGRESS
}

export function onConsumerSyncWritten(
  context: GroupContext,
  event: Extract<GroupEvent, { type: 'consumer-sync-written' }>,
  logError: number,
  step: GroupStep,
): void {
  const { groupId, memberId, token, answer } = event
  if (logError !== 0) {
    step.reply(token, syncError(responseErrorOf(logError)))
    return
  }
  const group = consumerGroupOf(context, groupId)
  const member = group?.members.get(memberId)
  if (group !== undefined && member !== undefined) {
    step.cancel(memberSyncTimerKey(groupId, memberId))
    restartMemberSession(context, group, member, step)
  }
  step.reply(token, answer)
}

/** Heartbeat of such a member, which hears by it that it should join again. */
export function heartbeatConsumerGroup(
  context: GroupContext,
  group: ConsumerGroup,
  input: HeartbeatInput,
  step: GroupStep,
): number {
  const member = classicMember(group, input.memberId, input.groupInstanceId, input.generationId)
  if (typeof member === 'number') return member
  restartMemberSession(context, group, member, step)
  const hasMore = member.state === MemberState.UNRELEASED_PARTITIONS && !group.isWaitingForOthers(member)
  const isBehind = member.memberEpoch < group.target.epoch
  if (!isBehind && member.state !== MemberState.UNREVOKED_PARTITIONS && !hasMore) return ErrorCode.NONE
  scheduleRejoin(group, member, step)
  return ErrorCode.REBALANCE_IN_PROGRESS
}

/** LeaveGroup: members of either protocol, since administrators use it too. */
export function leaveAsClassicMembers(
  context: GroupContext,
  group: ConsumerGroup,
  leaving: readonly LeavingMember[],
  step: GroupStep,
): LeaveAnswer {
  const found = new Set<ConsumerMember>()
  const memberErrors = leaving.map(({ memberId, groupInstanceId, reason }) => {
    const currentId = groupInstanceId === null ? memberId : group.staticMemberId(groupInstanceId)
    const member = currentId === undefined ? undefined : group.members.get(currentId)
    if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    if (memberId !== '' && currentId !== memberId) return ErrorCode.FENCED_INSTANCE_ID
    found.add(member)
    const fields = { member: currentId, instanceId: groupInstanceId, reason: clientReason(reason) }
    noteModernGroup(group, 'consumer group member left', fields, step)
    return ErrorCode.NONE
  })
  fenceMembers(context, group, [...found], step)
  return { errorCode: ErrorCode.NONE, memberErrors }
}
