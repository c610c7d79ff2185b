import { assert, randomUuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { ClassicGroup } from '../classic-group.ts'
import { clientAddressOf } from '../client-host.ts'
import type { GroupContext } from '../group-context.ts'
import { noteModernGroup, shortened } from '../group-notes.ts'
import type { GroupStep } from '../group-protocol.ts'
import { type Assignment, holds, isSameAssignment } from '../modern/assignment.ts'
import { type HeartbeatAnswer, heartbeatError } from '../modern/heartbeat-answer.ts'
import {
  isSameNames,
  JOIN_GROUP_MEMBER_EPOCH,
  LEAVE_GROUP_MEMBER_EPOCH,
  LEAVE_GROUP_STATIC_MEMBER_EPOCH,
  namesBytes,
} from '../modern/modern-member.ts'
import { ConsumerGroup } from './consumer-group.ts'
import type { ConsumerHeartbeatInput } from './consumer-inputs.ts'
import { leaveConsumerGroup } from './consumer-leave.ts'
import { ConsumerMember, isSameCurrent, isSameMetadata, NOTHING_ASSIGNED } from './consumer-member.ts'
import { type CurrentAssignment, type MemberMetadata, MemberState } from './consumer-record.ts'
import { write } from './consumer-replay.ts'
import { assignorNames, bumpEpoch, maybeAssign, maybeRefreshMetadata } from './group-epochs.ts'
import { installUpgrade, upgradeOf } from './group-upgrade.ts'
import {
  awaitMembers,
  cancelMemberTimers,
  restartMemberSession,
  scheduleRevocation,
  writeMemberRemoval,
} from './member-writes.ts'
import { reconcile } from './reconcile.ts'
import { dropUnusedRegexes, maybeResolveRegexes, regexError } from './regex-resolution.ts'

/**
 * Handles ConsumerGroupHeartbeat (`coordinators.md`, 3.2): all that can be refused is refused before anything changes. A request was
 * found to be well formed before it came here.
 */
export function consumerHeartbeat(
  context: GroupContext,
  input: ConsumerHeartbeatInput,
  step: GroupStep,
): HeartbeatAnswer {
  if (input.memberEpoch === LEAVE_GROUP_MEMBER_EPOCH || input.memberEpoch === LEAVE_GROUP_STATIC_MEMBER_EPOCH) {
    return leaveConsumerGroup(context, input, step)
  }
  const entry = enter(context, input, step)
  if (!('group' in entry)) return entry
  const { group, classic } = entry
  const memberId = input.memberId === '' ? randomUuid(context.random) : input.memberId
  const refusal = refuse(context, group, { ...input, memberId }, entry.isNew)
  if (refusal !== null) return refusal
  if (classic !== null) installUpgrade(context, classic, group, step)
  else if (entry.isNew) context.groups.set(input.groupId, group)
  return proceed(context, group, { ...input, memberId }, step)
}

/** The group that the member is in, or joins. Not among the groups yet if it is new, or a classic group that is upgraded. */
interface Entry {
  readonly group: ConsumerGroup
  readonly isNew: boolean
  /** The group that it is to be made of. */
  readonly classic: ClassicGroup | null
}

function enter(context: GroupContext, input: ConsumerHeartbeatInput, _step: GroupStep): Entry | HeartbeatAnswer {
  const { groupId, memberEpoch } = input
  const found = context.groups.get(groupId)
  if (found?.type === 'consumer') return { group: found, isNew: false, classic: null }
  const notFound = (message: string) => heartbeatError(ErrorCode.GROUP_ID_NOT_FOUND, message)
  if (memberEpoch !== JOIN_GROUP_MEMBER_EPOCH) {
    return notFound(
      found === undefined
        ? `Group ${shortened(groupId)} not found.`
        : `Group ${shortened(groupId)} is not a consumer group.`,
    )
  }
  const owner = context.limits.ownerAt(clientAddressOf(input.clientHost))
  if (found === undefined) {
    const group = new ConsumerGroup(groupId, context.timeline, owner)
    return { group, isNew: true, classic: null }
  }
  if (found.type !== 'classic') return notFound(`Group ${shortened(groupId)} is not a consumer group.`)
  const refusal = refuseUpgrade(context, found, input)
  if (refusal !== null) return refusal
  const upgrade = upgradeOf(context, found)
  return typeof upgrade === 'string' ? notFound(upgrade) : { group: upgrade, isNew: true, classic: found }
}

/** What can be told without all that the classic group's members say: to read it takes time that grows with the group. */
function refuseUpgrade(
  context: GroupContext,
  classic: ClassicGroup,
  input: ConsumerHeartbeatInput,
): HeartbeatAnswer | null {
  const refusal = refuseAssignor(context, input) ?? refuseRegex(null, input)
  if (refusal !== null || classic.members.has(input.memberId)) return refusal
  const owner = context.limits.ownerAt(clientAddressOf(input.clientHost))
  return context.limits.hasRoomFor(1, 0, owner) ? null : noRoom(context)
}

/** Why the heartbeat is refused, null if it is not. */
function refuse(
  context: GroupContext,
  group: ConsumerGroup,
  input: ConsumerHeartbeatInput,
  isNewGroup: boolean,
): HeartbeatAnswer | null {
  const { memberId, memberEpoch } = input
  const { config } = context
  const assignorRefusal = refuseAssignor(context, input)
  if (assignorRefusal !== null) return assignorRefusal
  if (group.members.size >= config.groupConsumerMaxSize && !group.members.has(memberId)) {
    const message = `The consumer group has reached its maximum capacity of ${config.groupConsumerMaxSize} members.`
    return heartbeatError(ErrorCode.GROUP_MAX_SIZE_REACHED, message)
  }
  const memberRefusal = memberEpoch === JOIN_GROUP_MEMBER_EPOCH ? refuseJoin(group, input) : refuseMember(group, input)
  return memberRefusal ?? refuseRegex(group, input) ?? refuseForRoom(context, group, input, isNewGroup)
}

function refuseAssignor({ config }: GroupContext, { serverAssignor }: ConsumerHeartbeatInput): HeartbeatAnswer | null {
  const names = assignorNames(config.groupConsumerAssignors)
  if (serverAssignor === null || names.includes(serverAssignor)) return null
  const supported = `Supported assignors: ${names.join(', ')}.`
  const message = `ServerAssignor ${shortened(serverAssignor)} is not supported. ${supported}`
  return heartbeatError(ErrorCode.UNSUPPORTED_ASSIGNOR, message)
}

/** Null: of a group that is not there yet. */
function refuseRegex(group: ConsumerGroup | null, { topicRegex }: ConsumerHeartbeatInput): HeartbeatAnswer | null {
  if (topicRegex === null || topicRegex === '' || regexError(group, topicRegex) === 0) return null
  const message = `SubscribedTopicRegex \`${shortened(topicRegex)}\` is not a valid regular expression.`
  return heartbeatError(ErrorCode.INVALID_REGULAR_EXPRESSION, message)
}

function refuseJoin(group: ConsumerGroup, { memberId, instanceId }: ConsumerHeartbeatInput): HeartbeatAnswer | null {
  if (instanceId === null) return null
  const currentId = group.staticMemberId(instanceId)
  const existing = currentId === undefined ? undefined : group.members.get(currentId)
  if (existing === undefined || existing.classic !== null) return null
  if (existing.memberEpoch === LEAVE_GROUP_STATIC_MEMBER_EPOCH) return null
  return heartbeatError(
    ErrorCode.UNRELEASED_INSTANCE_ID,
    `Static member ${memberId} with instance id ${shortened(instanceId)} cannot join the group because the instance id is in use.`,
  )
}

function refuseMember(group: ConsumerGroup, input: ConsumerHeartbeatInput): HeartbeatAnswer | null {
  const { memberId, memberEpoch, instanceId, owned } = input
  if (instanceId !== null) {
    const currentId = group.staticMemberId(instanceId)
    if (currentId === undefined) return unknownMember(`Instance id ${shortened(instanceId)} is unknown.`)
    if (currentId !== memberId) {
      const message = `Static member ${memberId} with instance id ${shortened(instanceId)} was fenced by another one.`
      return heartbeatError(ErrorCode.FENCED_INSTANCE_ID, message)
    }
  }
  const member = group.members.get(memberId)
  if (member === undefined) {
    return unknownMember(`Member ${memberId} is not a member of group ${shortened(group.groupId)}.`)
  }
  const ownsNoMore = (): boolean => owned !== null && isWithin(owned, member.assigned)
  const errorCode = group.checkEpoch(member, memberEpoch, ownsNoMore)
  if (errorCode === 0) {
    if (member.state !== MemberState.UNKNOWN || (owned !== null && owned.size === 0)) return null
    const message =
      'The member is in a state that this broker does not know: it must abandon all its partitions and rejoin.'
    return heartbeatError(ErrorCode.FENCED_MEMBER_EPOCH, message)
  }
  const which = memberEpoch > member.memberEpoch ? 'larger' : 'smaller'
  return heartbeatError(
    errorCode,
    `The member has a ${which} member epoch (${memberEpoch}) than the one known by the group (${member.memberEpoch}): it must abandon all its partitions and rejoin.`,
  )
}

function unknownMember(message: string): HeartbeatAnswer {
  return heartbeatError(ErrorCode.UNKNOWN_MEMBER_ID, message)
}

/** New members need room, and longer names; who is there and asks for no more is never turned away. */
function refuseForRoom(
  context: GroupContext,
  group: ConsumerGroup,
  input: ConsumerHeartbeatInput,
  isNewGroup: boolean,
): HeartbeatAnswer | null {
  const { limits } = context
  const { groupId, memberId, clientHost } = input
  const known = group.members.get(memberId)
  const bytes = addedBytes(group, known, input)
  if (known !== undefined && bytes <= 0) return null
  const owner = limits.ownerAt(clientAddressOf(clientHost))
  const hasGroup = !isNewGroup || context.groups.has(groupId) || limits.hasRoomForGroup(owner)
  if (hasGroup && limits.hasRoomFor(known === undefined ? 1 : 0, bytes, owner)) return null
  return noRoom(context)
}

function noRoom({ counters }: GroupContext): HeartbeatAnswer {
  counters.limitRefusals++
  // A client looks for its coordinator again and comes back: nothing here is for ever.
  return heartbeatError(ErrorCode.COORDINATOR_NOT_AVAILABLE, 'The groups of this broker hold as much as they may.')
}

/** How much more the group has to keep after the heartbeat, about. */
function addedBytes(group: ConsumerGroup, known: ConsumerMember | undefined, input: ConsumerHeartbeatInput): number {
  const { groupId, memberId, clientId, clientHost, instanceId, rackId, serverAssignor } = input
  const { subscribedTopics, topicRegex } = input
  const before = known?.metadata
  const grown = (now: string | null, then: string | null | undefined): number =>
    now === null ? 0 : now.length - (then?.length ?? 0)
  let bytes = known === undefined ? groupId.length + memberId.length : 0
  bytes += grown(clientId, before?.clientId) + grown(clientHost, before?.clientHost)
  bytes += grown(instanceId, before?.instanceId) + grown(rackId, before?.rackId)
  bytes += grown(serverAssignor, before?.serverAssignor) + grown(topicRegex, before?.topicRegex)
  if (subscribedTopics === null || group.shareNames(subscribedTopics) !== subscribedTopics) return bytes
  return bytes + namesBytes(subscribedTopics) - namesBytes(before?.subscribedTopics ?? [])
}

/** The heartbeat of a member that may have it. */
function proceed(
  context: GroupContext,
  group: ConsumerGroup,
  input: ConsumerHeartbeatInput,
  step: GroupStep,
): HeartbeatAnswer {
  const { groupId, memberEpoch, mayDescribe } = input
  const before = memberBefore(context, group, input, step)
  const { member, isBumping, hasSubscriptionChanged } = updateMember(context, group, before, input, step)
  maybeResolveRegexes(context, group, mayDescribe, step)
  if (isBumping) bumpEpoch(context, group, `member ${member.memberId} subscribes to something else`, step)
  else maybeRefreshMetadata(context, group, step)
  const assignError = maybeAssign(context, group, step)
  const reconciled = reconcileMember(context, group, member, hasSubscriptionChanged, input.owned, step)
  const { memberId } = member
  restartMemberSession(context, group, group.members.get(memberId)!, step)
  if (step.records.length > 0) awaitMembers(groupId, [memberId], step)
  if (assignError !== 0) return heartbeatError(assignError, 'The assignor of the group failed.')
  assert(reconciled !== null, 'a member in an unknown state was not refused')
  const isToldAll =
    memberEpoch === JOIN_GROUP_MEMBER_EPOCH ||
    isFullRequest(input) ||
    !isSameAssignment(before.assigned, reconciled.assigned)
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    memberId,
    memberEpoch: reconciled.memberEpoch,
    heartbeatIntervalMs: context.settings.consumer(groupId).heartbeatIntervalMs,
    assignment: isToldAll ? reconciled.assigned : null,
  }
}

/** A client sends everything when it joins, and when it does not know what became of its last request. */
function isFullRequest({ rebalanceTimeoutMs, subscribedTopics, topicRegex, owned }: ConsumerHeartbeatInput): boolean {
  return rebalanceTimeoutMs !== -1 && (subscribedTopics !== null || topicRegex !== null) && owned !== null
}

/** The member as it was: one that joins is nobody yet, or takes the place of the static member that it was before. */
function memberBefore(
  context: GroupContext,
  group: ConsumerGroup,
  input: ConsumerHeartbeatInput,
  step: GroupStep,
): ConsumerMember {
  const { memberId, instanceId, memberEpoch, clientHost } = input
  const formerId = instanceId === null ? undefined : group.staticMemberId(instanceId)
  if (memberEpoch !== JOIN_GROUP_MEMBER_EPOCH) return group.members.get(memberId)!
  if (formerId !== undefined) return replaceStaticMember(context, group, group.members.get(formerId)!, memberId, step)
  const known = group.members.get(memberId)
  if (known !== undefined) return known
  const fields = { member: memberId, instanceId, clientId: input.clientId, clientHost }
  noteModernGroup(group, 'consumer group member joins', fields, step)
  return ConsumerMember.unknown(memberId, context.limits.ownerAt(clientAddressOf(clientHost)))
}

/** The new one has what the former one had, and comes to it from epoch 0 on. */
export function replaceStaticMember(
  context: GroupContext,
  group: ConsumerGroup,
  former: ConsumerMember,
  memberId: string,
  step: GroupStep,
): ConsumerMember {
  const { groupId } = group
  const target = group.targets.get(former.memberId)
  const current = { ...former.current, memberEpoch: 0, previousMemberEpoch: 0 }
  cancelMemberTimers(groupId, former.memberId, step)
  writeMemberRemoval(context, groupId, former.memberId, step)
  write(context, { type: 'consumer-member', groupId, memberId, value: former.metadata, owner: former.owner }, step)
  if (target !== undefined) write(context, { type: 'consumer-target', groupId, memberId, value: target }, step)
  write(context, { type: 'consumer-current', groupId, memberId, value: current }, step)
  awaitMembers(groupId, [former.memberId, memberId], step)
  const fields = { member: memberId, formerMember: former.memberId, instanceId: former.instanceId }
  noteModernGroup(group, 'static consumer group member came back', fields, step)
  return group.members.get(memberId)!
}

function updateMember(
  context: GroupContext,
  group: ConsumerGroup,
  before: ConsumerMember,
  input: ConsumerHeartbeatInput,
  step: GroupStep,
): { member: ConsumerMember; isBumping: boolean; hasSubscriptionChanged: boolean } {
  return changeMember(context, group, before, mergedMetadata(group, before.metadata, input), step)
}

/** What a member says of itself from now on. Its group has another epoch then if it subscribes to something else. */
export function changeMember(
  context: GroupContext,
  group: ConsumerGroup,
  before: ConsumerMember,
  metadata: MemberMetadata,
  step: GroupStep,
): { member: ConsumerMember; isBumping: boolean; hasSubscriptionChanged: boolean } {
  const { groupId } = group
  const { memberId, owner } = before
  const isKnown = group.members.has(memberId)
  const haveNamesChanged = !isSameNames(before.metadata.subscribedTopics, metadata.subscribedTopics)
  const { topicRegex } = metadata
  const hasRegexChanged = before.metadata.topicRegex !== topicRegex
  // One that is not known yet changes nothing for the others until it is.
  const isResolved = topicRegex === null || group.regexes.has(topicRegex)
  if (!isKnown || !isSameMetadata(before.metadata, metadata)) {
    write(context, { type: 'consumer-member', groupId, memberId, value: metadata, owner }, step)
  }
  if (hasRegexChanged) dropUnusedRegexes(context, group, step)
  return {
    member: group.members.get(memberId)!,
    isBumping: haveNamesChanged || (hasRegexChanged && isResolved) || group.epoch.epoch === 0,
    hasSubscriptionChanged: haveNamesChanged || hasRegexChanged,
  }
}

/** What the heartbeat does not say stays as it was. */
function mergedMetadata(group: ConsumerGroup, before: MemberMetadata, input: ConsumerHeartbeatInput): MemberMetadata {
  const { subscribedTopics, topicRegex, instanceId, rackId, rebalanceTimeoutMs, serverAssignor } = input
  const isSame = subscribedTopics === null || isSameNames(before.subscribedTopics, subscribedTopics)
  return {
    instanceId: instanceId ?? before.instanceId,
    rackId: rackId ?? before.rackId,
    clientId: input.clientId,
    clientHost: input.clientHost,
    subscribedTopics: isSame ? before.subscribedTopics : group.shareNames(subscribedTopics),
    topicRegex: topicRegex === null ? before.topicRegex : topicRegex === '' ? null : topicRegex,
    rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? before.rebalanceTimeoutMs : rebalanceTimeoutMs,
    serverAssignor: serverAssignor ?? before.serverAssignor,
    classic: null,
  }
}

/** Brings the member a step nearer to its target and gives it as it is then; null: it must begin anew. */
export function reconcileMember(
  context: GroupContext,
  group: ConsumerGroup,
  member: ConsumerMember,
  hasSubscriptionChanged: boolean,
  owned: Assignment | null,
  step: GroupStep,
): ConsumerMember | null {
  const targetEpoch = group.target.epoch
  const { groupId } = group
  const { memberId } = member
  if (!hasSubscriptionChanged && member.isStable && member.memberEpoch === targetEpoch) return member
  const current = reconcile({
    member,
    targetEpoch,
    target: group.targetOf(memberId),
    hasSubscriptionChanged,
    owned,
    isSubscribed: (topicId) => group.isMemberSubscribedTo(member, topicId, context.directory),
    ownerOf: (topicId, partition) => group.ownerOf(topicId, partition),
  })
  if (current === null) return null
  if (isStep(member.current, current)) {
    write(context, { type: 'consumer-current', groupId, memberId, value: current }, step)
    scheduleRevocation(group, group.members.get(memberId)!, step)
  }
  return group.members.get(memberId)!
}

/** Whether there is something to write. That the former epoch is further back now is nothing that the member could tell by. */
function isStep(before: CurrentAssignment, after: CurrentAssignment): boolean {
  if (before === NOTHING_ASSIGNED) return true
  return !isSameCurrent(before, { ...after, previousMemberEpoch: before.previousMemberEpoch })
}

/** Whether all that is listed is assigned. */
function isWithin(owned: Assignment, assigned: Assignment): boolean {
  for (const [topicId, partitions] of owned) {
    const list = assigned.get(topicId)
    if (list === undefined || !partitions.every((partition) => holds(list, partition))) return false
  }
  return true
}
