import type { TimestampMs, Uuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { clientAddressOf } from '../client-host.ts'
import { type GroupContext, sessionTimerKey } from '../group-context.ts'
import { shareGroupOf } from '../group-lookup.ts'
import { noteModernGroup, shortened } from '../group-notes.ts'
import type { GroupStep } from '../group-protocol.ts'
import { EMPTY_ASSIGNMENT, isSameAssignment } from '../modern/assignment.ts'
import { type HeartbeatAnswer, heartbeatError } from '../modern/heartbeat-answer.ts'
import { isSameNames, JOIN_GROUP_MEMBER_EPOCH, LEAVE_GROUP_MEMBER_EPOCH, namesBytes } from '../modern/modern-member.ts'
import { TopicDirectory } from '../modern/topic-directory.ts'
import { heartbeatIntervalOf } from './heartbeat-interval.ts'
import { type Settled, ShareGroup } from './share-group.ts'
import type { StateTopic } from './share-group-record.ts'
import { writeShare } from './share-group-replay.ts'
import { isSameShareMetadata, ShareMember } from './share-member.ts'
import { assignSimply } from './simple-assignor.ts'
import { has, type PartitionLists, stillToBegin, withInitializing } from './state-partitions.ts'

/** A timer whose write failed fires again after so long. */
const TIMER_RETRY_MS = 500
/** Partitions whose states were asked for so long ago are asked for again: whoever asked may be gone (Kafka's default). */
const INITIALIZE_RETRY_MS = 30_000

/** A ShareGroupHeartbeat request, freed of its version. */
export interface ShareHeartbeatInput {
  readonly groupId: string
  readonly memberId: string
  /** 0: the member joins; -1: it leaves. */
  readonly memberEpoch: number
  /** Null here and below: as it was. */
  readonly rackId: string | null
  /** Ascending, each once. */
  readonly subscribedTopics: readonly string[] | null
  readonly clientId: string
  readonly clientHost: string
}

/** Partitions whose state is to begin, once the step that says so is written. */
export interface Initialization {
  readonly stateEpoch: number
  readonly partitions: PartitionLists
}

/** The answer to ShareGroupHeartbeat. */
export interface ShareAnswer extends HeartbeatAnswer {
  /** Not part of the answer: what the coordinator has to do then. */
  readonly initialization: Initialization | null
}

export function shareError(errorCode: number, errorMessage: string | null): ShareAnswer {
  return { ...heartbeatError(errorCode, errorMessage), initialization: null }
}

/**
 * Handles ShareGroupHeartbeat (`coordinators.md`, 4.1): all that can be refused is refused before anything changes. The first heartbeat of a
 * member usually brings it nothing: partitions are assigned once the share coordinator has a state for them.
 */
export function shareHeartbeat(context: GroupContext, input: ShareHeartbeatInput, step: GroupStep): ShareAnswer {
  const { groupId, memberId, memberEpoch } = input
  const found = context.groups.get(groupId)
  if (found !== undefined && found.type !== 'share') {
    return shareError(ErrorCode.GROUP_ID_NOT_FOUND, `Group ${shortened(groupId)} is not a share group.`)
  }
  if (memberEpoch === LEAVE_GROUP_MEMBER_EPOCH) return leave(context, found, input, step)
  if (found === undefined && memberEpoch !== JOIN_GROUP_MEMBER_EPOCH) {
    return shareError(ErrorCode.GROUP_ID_NOT_FOUND, `Group ${shortened(groupId)} not found.`)
  }
  const owner = context.limits.ownerAt(clientAddressOf(input.clientHost))
  const group = found ?? new ShareGroup(groupId, context.timeline, owner)
  const refusal = refuse(context, group, input, found === undefined) ?? refuseForRoom(context, group, input, owner)
  if (refusal !== null) return refusal
  if (found === undefined) context.groups.set(groupId, group)
  const known = group.members.get(memberId)
  if (known === undefined) noteModernGroup(group, 'share group member joins', { member: memberId }, step)
  return proceed(context, group, known ?? ShareMember.unknown(memberId, owner), input, step)
}

function refuse(
  { config }: GroupContext,
  group: ShareGroup,
  { memberId, memberEpoch }: ShareHeartbeatInput,
  isNew: boolean,
): ShareAnswer | null {
  const member = group.members.get(memberId)
  if (member === undefined && group.members.size >= config.groupShareMaxSize) {
    const message = `The share group has reached its maximum capacity of ${config.groupShareMaxSize} members.`
    return shareError(ErrorCode.GROUP_MAX_SIZE_REACHED, message)
  }
  if (memberEpoch === JOIN_GROUP_MEMBER_EPOCH || isNew) return null
  if (member === undefined) return unknownMember(group.groupId, memberId)
  // A share group's member owns nothing that others wait for: the epoch before is always good enough.
  const errorCode = group.checkEpoch(member, memberEpoch, () => true)
  if (errorCode === ErrorCode.NONE) return null
  const message = `The member epoch ${memberEpoch} is not that of the group (${member.memberEpoch}): the member must rejoin.`
  return shareError(errorCode, message)
}

function unknownMember(groupId: string, memberId: string): ShareAnswer {
  return shareError(ErrorCode.UNKNOWN_MEMBER_ID, `Member ${memberId} is not a member of group ${shortened(groupId)}.`)
}

/** New members and longer subscriptions need room; who is there and asks for no more is never turned away. */
function refuseForRoom(
  { limits, counters, groups }: GroupContext,
  group: ShareGroup,
  { groupId, memberId, subscribedTopics, clientId, rackId }: ShareHeartbeatInput,
  owner: string | null,
): ShareAnswer | null {
  const known = group.members.get(memberId)
  if (known !== undefined && subscribedTopics === null) return null
  let bytes = known === undefined ? memberId.length + clientId.length + (rackId?.length ?? 0) + groupId.length : 0
  if (subscribedTopics !== null && group.shareNames(subscribedTopics) === subscribedTopics) {
    bytes += namesBytes(subscribedTopics) - namesBytes(known?.subscribedTopics ?? [])
  }
  const hasGroup = groups.has(groupId) || limits.hasRoomForGroup(owner)
  if (hasGroup && limits.hasRoomFor(known === undefined ? 1 : 0, bytes, owner)) return null
  counters.limitRefusals++
  return shareError(ErrorCode.COORDINATOR_NOT_AVAILABLE, 'The groups of this broker hold as much as they may.')
}

function proceed(
  context: GroupContext,
  group: ShareGroup,
  before: ShareMember,
  input: ShareHeartbeatInput,
  step: GroupStep,
): ShareAnswer {
  const { groupId, memberId, memberEpoch, subscribedTopics } = input
  const isSame = subscribedTopics === null || isSameNames(before.subscribedTopics, subscribedTopics)
  const metadata = {
    rackId: input.rackId ?? before.rackId,
    clientId: input.clientId,
    clientHost: input.clientHost,
    subscribedTopics: isSame ? before.subscribedTopics : group.shareNames(subscribedTopics),
  }
  const isNew = !group.members.has(memberId)
  if (isNew || !isSameShareMetadata(before.metadata, metadata)) {
    writeShare(context, { type: 'share-member', groupId, memberId, value: metadata, owner: before.owner }, step)
  }
  if (isNew || !isSame) bumpEpoch(context, group, `member ${memberId} subscribes to something else`, step)
  else maybeBump(context, group, step)
  maybeAssign(context, group, step)
  const member = reconcile(context, group, memberId, step)
  const initialization = maybeInitialize(context, group, step)
  restartShareSession(context, group, memberId, step)
  if (step.records.length > 0) awaitShareMembers(groupId, [memberId], step)
  const isToldAll =
    memberEpoch === JOIN_GROUP_MEMBER_EPOCH ||
    subscribedTopics !== null ||
    !isSameAssignment(before.assigned, member.assigned)
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    memberId,
    memberEpoch: member.memberEpoch,
    heartbeatIntervalMs: heartbeatIntervalOf(context, group, member, step.nowMs),
    assignment: isToldAll ? member.assigned : null,
    initialization,
  }
}

/** The next epoch of the group, with what its topics are like now. */
function bumpEpoch(context: GroupContext, group: ShareGroup, reason: string, step: GroupStep): void {
  const { groupId } = group
  const metadataHash = context.directory.hashOf(group.subscribedTopics())
  writeShare(context, { type: 'share-group', groupId, value: { epoch: group.epoch.epoch + 1, metadataHash } }, step)
  group.seenMetadata = context.directory.version
  noteModernGroup(group, 'share group has a new epoch', { reason }, step)
}

/** A topic of the group is not what it was, or partitions that can be assigned by now are nobody's. */
function maybeBump(context: GroupContext, group: ShareGroup, step: GroupStep): void {
  const { directory } = context
  if (!TopicDirectory.isSame(group.seenMetadata, directory.version)) {
    group.seenMetadata = directory.version
    if (directory.hashOf(group.subscribedTopics()) !== group.epoch.metadataHash) {
      bumpEpoch(context, group, 'a topic of the group changed', step)
      return
    }
  }
  if (group.epoch.epoch > group.target.epoch || isSettled(context, group)) return
  if (hasUnassigned(context, group)) bumpEpoch(context, group, 'partitions can be consumed now', step)
}

/** Since the last look at all partitions nothing has changed that it depends on: heartbeats come often, and partitions are many. */
function isSettled({ directory }: GroupContext, { settled, partitions, epoch, target }: ShareGroup): boolean {
  return (
    settled !== null &&
    settled.partitions === partitions &&
    settled.topics === directory.version.topics &&
    settled.epoch === epoch.epoch &&
    settled.targetEpoch === target.epoch
  )
}

function hasUnassigned({ directory }: GroupContext, group: ShareGroup): boolean {
  const assigned = new Map<Uuid, Set<number>>()
  for (const target of group.targets.values()) {
    for (const [topicId, partitions] of target) {
      const known = assigned.get(topicId)
      if (known === undefined) assigned.set(topicId, new Set(partitions))
      else for (const partition of partitions) known.add(partition)
    }
  }
  for (const [topicId, partitions] of assignableOf(group, directory)) {
    if (partitions.some((partition) => assigned.get(topicId)?.has(partition) !== true)) return true
  }
  return false
}

/** Partitions of subscribed topics that the share coordinator has a state for. */
function assignableOf(group: ShareGroup, directory: TopicDirectory): Map<Uuid, readonly number[]> {
  const assignable = new Map<Uuid, readonly number[]>()
  for (const topicId of directory.idsOf(group.subscribedTopics())) {
    const initialized = group.partitions.initialized.get(topicId)
    if (initialized !== undefined) assignable.set(topicId, initialized.partitions)
  }
  return assignable
}

/** Finds targets for the newest epoch if there are none yet, and the last ones are not too young. */
function maybeAssign(context: GroupContext, group: ShareGroup, step: GroupStep): void {
  const { groupId, epoch, target } = group
  if (epoch.epoch <= target.epoch) return
  const ageMs = step.nowMs - target.timestampMs
  const { assignmentIntervalMs } = context.settings.share(groupId)
  // A clock that was set back must not put it off.
  if (target.timestampMs > 0 && ageMs >= 0 && ageMs < assignmentIntervalMs) return
  const sets = new Map<readonly string[], ReadonlySet<Uuid>>()
  const members = Array.from(group.members.values(), ({ memberId, subscribedTopics }) => {
    const topicIds = sets.get(subscribedTopics) ?? context.directory.idsOf(subscribedTopics)
    sets.set(subscribedTopics, topicIds)
    return { memberId, topicIds, previous: group.targets.get(memberId) ?? EMPTY_ASSIGNMENT }
  })
  const assignable = assignableOf(group, context.directory)
  const assigned = assignSimply(members, assignable)
  for (const { memberId, previous } of members) {
    const value = assigned.get(memberId) ?? EMPTY_ASSIGNMENT
    if (value !== previous) writeShare(context, { type: 'share-target', groupId, memberId, value }, step)
  }
  // Where there was nothing to give yet, the first that there is does not wait.
  const timestampMs = assignable.size === 0 ? 0 : step.nowMs
  writeShare(context, { type: 'share-targets', groupId, value: { epoch: group.epoch.epoch, timestampMs } }, step)
}

/** The member goes to its target, but for topics that it does not subscribe to any more. */
function reconcile(context: GroupContext, group: ShareGroup, memberId: string, step: GroupStep): ShareMember {
  const { groupId } = group
  const member = group.members.get(memberId)!
  const names = new Set(member.subscribedTopics)
  const target = group.targetOf(memberId)
  const isWanted = (topicId: Uuid): boolean => names.has(context.directory.nameOf(topicId) ?? '')
  const assigned = [...target.keys()].every(isWanted)
    ? target
    : new Map([...target].filter(([topicId]) => isWanted(topicId)))
  const { epoch } = group.target
  if (member.memberEpoch === epoch && isSameAssignment(member.assigned, assigned)) return member
  const value = { memberEpoch: epoch, previousMemberEpoch: member.memberEpoch, assigned }
  writeShare(context, { type: 'share-current', groupId, memberId, value }, step)
  return group.members.get(memberId)!
}

/** Asks for a state for partitions of subscribed topics that have none. */
function maybeInitialize(context: GroupContext, group: ShareGroup, step: GroupStep): Initialization | null {
  if (isSettled(context, group)) return null
  const { directory } = context
  const partitions = new Map<Uuid, StateTopic>()
  const beginningSinceMs = new Map<Uuid, TimestampMs>()
  for (const topicId of directory.idsOf(group.subscribedTopics())) {
    const missing = withoutState(group, directory, topicId)
    if (missing.length === 0) continue
    // Never later than now: the clock may have been set back.
    beginningSinceMs.set(topicId, Math.min(group.beginningSinceMs.get(topicId) ?? step.nowMs, step.nowMs))
    if (group.deletingNow.has(topicId)) continue
    const askedMs = group.askedMs.get(topicId) ?? Number.NEGATIVE_INFINITY
    const isAsked = step.nowMs - askedMs < INITIALIZE_RETRY_MS && step.nowMs >= askedMs
    const { initializing } = group.partitions
    const wanted = isAsked ? missing.filter((partition) => !has(initializing, topicId, partition)) : missing
    if (wanted.length > 0) partitions.set(topicId, { name: directory.nameOf(topicId)!, partitions: wanted })
  }
  group.beginningSinceMs = beginningSinceMs
  if (partitions.size === 0) {
    const isAwaited = stillToBegin(group.partitions, group.partitions.initializing).size > 0
    const isOpen = isAwaited || group.deletingNow.size > 0
    const isAssigned = group.epoch.epoch === group.target.epoch && !hasUnassigned(context, group)
    group.settled = isOpen || !isAssigned ? null : settledOf(context, group)
    return null
  }
  for (const topicId of partitions.keys()) group.askedMs.set(topicId, step.nowMs)
  const { groupId } = group
  const value = withInitializing(group.partitions, partitions)
  writeShare(context, { type: 'share-partitions', groupId, value }, step)
  return { stateEpoch: group.epoch.epoch, partitions }
}

/** Partitions of a topic that the share coordinator has no state for, ascending. */
function withoutState({ partitions }: ShareGroup, directory: TopicDirectory, topicId: Uuid): number[] {
  const missing: number[] = []
  for (let partition = 0; partition < directory.partitionCountOf(topicId); partition++) {
    if (!has(partitions.initialized, topicId, partition)) missing.push(partition)
  }
  return missing
}

function settledOf({ directory }: GroupContext, { partitions, epoch, target }: ShareGroup): Settled {
  return { partitions, topics: directory.version.topics, epoch: epoch.epoch, targetEpoch: target.epoch }
}

function leave(
  context: GroupContext,
  group: ShareGroup | undefined,
  { groupId, memberId, memberEpoch }: ShareHeartbeatInput,
  step: GroupStep,
): ShareAnswer {
  if (group === undefined) return shareError(ErrorCode.GROUP_ID_NOT_FOUND, `Group ${shortened(groupId)} not found.`)
  if (!group.members.has(memberId)) return unknownMember(groupId, memberId)
  removeMember(context, group, memberId, 'it left', step)
  return { ...shareError(ErrorCode.NONE, null), memberId, memberEpoch }
}

/** Takes a member out of its group. The records that it holds are given back by the end of its session, not by this. */
function removeMember(context: GroupContext, group: ShareGroup, memberId: string, why: string, step: GroupStep): void {
  const { groupId } = group
  noteModernGroup(group, `share group member removed: ${why}`, { member: memberId }, step)
  step.cancel(sessionTimerKey(groupId, memberId))
  writeShare(context, { type: 'share-current', groupId, memberId, value: null }, step)
  writeShare(context, { type: 'share-target', groupId, memberId, value: null }, step)
  writeShare(context, { type: 'share-member', groupId, memberId, value: null }, step)
  bumpEpoch(context, group, `member ${memberId} is gone`, step)
  awaitShareMembers(groupId, [memberId], step)
}

/** No heartbeat came for the time of a session. */
export function onShareSessionExpired(
  context: GroupContext,
  group: ShareGroup,
  memberId: string,
  step: GroupStep,
): void {
  if (group.members.has(memberId)) removeMember(context, group, memberId, 'its session timed out', step)
}

/** Every heartbeat of a member begins its session anew; so does a load. */
export function restartShareSession(
  context: GroupContext,
  { groupId }: ShareGroup,
  memberId: string,
  step: GroupStep,
): void {
  const event = { type: 'session-expired', groupId, memberId } as const
  const { sessionTimeoutMs } = context.settings.share(groupId)
  step.schedule(sessionTimerKey(groupId, memberId), sessionTimeoutMs, event, TIMER_RETRY_MS)
}

/** Once the step's records could not be written, what is not versioned is put right ({@link onShareMembersWritten}). */
export function awaitShareMembers(groupId: string, memberIds: readonly string[], step: GroupStep): void {
  step.continuation ??= { type: 'share-members-written', groupId, memberIds }
}

/** The records of a step were not written: the state is what it was before, so must be what is not versioned. */
export function onShareMembersWritten(
  context: GroupContext,
  groupId: string,
  memberIds: readonly string[],
  logError: number,
  step: GroupStep,
): void {
  const group = shareGroupOf(context, groupId)
  if (logError === ErrorCode.NONE || group === undefined) return
  group.seenMetadata = null
  group.settled = null
  group.askedMs.clear()
  group.deletingNow.clear()
  for (const memberId of memberIds) if (group.members.has(memberId)) restartShareSession(context, group, memberId, step)
}
