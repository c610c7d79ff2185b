import { ErrorCode } from '@millrace/protocol'
import type { ClassicGroup } from '../classic-group.ts'
import type { ClassicMember } from '../classic-member.ts'
import { failParkedRequests } from '../classic-rebalance.ts'
import { parseAssignment, parseSubscription, partitionsOf } from '../consumer-protocol.ts'
import type { GroupContext } from '../group-context.ts'
import { noteModernGroup, shortened } from '../group-notes.ts'
import { EMPTY_BYTES, type GroupStep } from '../group-protocol.ts'
import type { GroupRecord } from '../group-record.ts'
import { type Assignment, EMPTY_ASSIGNMENT, toAssignment } from '../modern/assignment.ts'
import type { TopicDirectory } from '../modern/topic-directory.ts'
import { ConsumerGroup } from './consumer-group.ts'
import { ConsumerMember } from './consumer-member.ts'
import { MemberState } from './consumer-record.ts'
import { EMPTY_EPOCH_ASSIGNMENT, withEpoch } from './epoch-assignment.ts'
import { awaitMembers, restartMemberSession } from './member-writes.ts'

/**
 * The consumer group that a classic group becomes when a member of the new protocol joins it: an empty one is given up, one with members
 * is taken over as it is (KIP-848, "Online Migration"). Not among the groups yet. A text says why it cannot be.
 */
export function upgradeOf(context: GroupContext, classic: ClassicGroup): ConsumerGroup | string {
  const { groupId } = classic
  const { config, directory, timeline } = context
  const group = new ConsumerGroup(groupId, timeline, classic.owner)
  if (classic.isEmpty) return group
  const policy = config.groupConsumerMigrationPolicy.toUpperCase()
  const cannot = `Cannot upgrade classic group ${shortened(groupId)} to consumer group because`
  if (policy !== 'UPGRADE' && policy !== 'BIDIRECTIONAL') return `${cannot} online upgrade is disabled.`
  if (!classic.usesConsumerProtocol) return `${cannot} the group does not use the consumer embedded protocol.`
  if (classic.members.size > config.groupConsumerMaxSize) {
    return `${cannot} the group size exceeds the consumer group maximum size.`
  }
  const { generationId } = classic
  for (const each of classic.members.values()) {
    const member = memberOf(classic, each, group, directory)
    if (member === null) return `${cannot} the metadata of its members is not that of consumers.`
    group.targets.set(member.memberId, member.assigned)
    group.members.set(member.memberId, member)
  }
  for (const each of classic.members.values()) keepWhatIsNotGivenUp(classic, each, group, directory)
  group.epoch = { epoch: generationId, metadataHash: directory.hashOf(group.subscribedTopics()) }
  group.target = { epoch: generationId, timestampMs: 0 }
  return group
}

/** Null: it has metadata or an assignment that only its own assignor can read. */
function memberOf(
  classic: ClassicGroup,
  member: ClassicMember,
  group: ConsumerGroup,
  directory: TopicDirectory,
): ConsumerMember | null {
  const { memberId, groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs } = member
  const chosen = member.protocols.find(({ name }) => name === classic.protocolName) ?? member.protocols[0]!
  const subscription = parseSubscription(chosen.metadata)
  const known = assignmentOf(member.assignment, directory)
  if (subscription === null || known === null) return null
  // A rebalance that was broken off has taken its assignment away, not what it has: a cooperative member says so itself.
  const isBetween = known.size === 0 && classic.state !== 'Stable'
  const assigned = isBetween ? unowned(partitionsOf(subscription.owned, directory), group) : known
  const metadata = {
    instanceId: groupInstanceId,
    rackId: subscription.rackId,
    clientId,
    clientHost,
    subscribedTopics: group.shareNames(subscription.topics),
    topicRegex: null,
    rebalanceTimeoutMs,
    serverAssignor: null,
    classic: { sessionTimeoutMs, protocols: member.protocols },
  }
  const { generationId } = classic
  const current = {
    memberEpoch: generationId,
    previousMemberEpoch: generationId,
    state: MemberState.STABLE,
    assigned: withEpoch(assigned, generationId),
    pendingRevocation: EMPTY_EPOCH_ASSIGNMENT,
  }
  return new ConsumerMember(memberId, metadata, current, member.owner)
}

/**
 * A cooperative member that was assigned less than it had may still work on the rest: it gives that up after it has heard of it, and says
 * so by joining again. Until then it is nobody else's. Kafka 4.3 takes it for free.
 */
function keepWhatIsNotGivenUp(
  classic: ClassicGroup,
  { memberId, protocols }: ClassicMember,
  group: ConsumerGroup,
  directory: TopicDirectory,
): void {
  const chosen = protocols.find(({ name }) => name === classic.protocolName) ?? protocols[0]!
  const claimed = unowned(partitionsOf(parseSubscription(chosen.metadata)!.owned, directory), group)
  if (claimed.size === 0) return
  const member = group.members.get(memberId)!
  const pendingRevocation = withEpoch(claimed, classic.generationId)
  const state = MemberState.UNREVOKED_PARTITIONS
  group.members.set(memberId, member.withCurrent({ ...member.current, state, pendingRevocation }))
}

function assignmentOf(bytes: Buffer, directory: TopicDirectory): Assignment | null {
  if (bytes.length === EMPTY_BYTES.length) return EMPTY_ASSIGNMENT
  const parsed = parseAssignment(bytes)
  return parsed === null || parsed.hasUserData ? null : partitionsOf(parsed.topics, directory)
}

/** Without what another member has. */
function unowned(claimed: Assignment, group: ConsumerGroup): Assignment {
  return toAssignment(
    Array.from(claimed, ([topicId, partitions]) => ({
      topicId,
      partitions: partitions.filter((partition) => group.ownerOf(topicId, partition) === undefined),
    })),
  )
}

/** The new group takes the place of the old one, whose members are told to join again. */
export function installUpgrade(
  context: GroupContext,
  classic: ClassicGroup,
  group: ConsumerGroup,
  step: GroupStep,
): void {
  const { groupId } = group
  for (const member of classic.members.values()) {
    failParkedRequests(classic, member, ErrorCode.REBALANCE_IN_PROGRESS, member.memberId, step)
  }
  context.groups.set(groupId, group)
  step.writeApplied({ type: 'group-metadata', groupId, value: null })
  if (classic.isEmpty) return
  for (const record of recordsOf(group)) step.writeApplied(record)
  for (const member of group.members.values()) restartMemberSession(context, group, member, step)
  awaitMembers(groupId, [], step)
  noteModernGroup(group, 'classic group became a consumer group', { state: classic.state }, step)
}

/** All that is known of a group, in Kafka's order. */
function* recordsOf(group: ConsumerGroup): Generator<GroupRecord> {
  const { groupId, epoch, target } = group
  for (const { memberId, metadata } of group.members.values()) {
    yield { type: 'consumer-member', groupId, memberId, value: metadata }
  }
  yield { type: 'consumer-group', groupId, value: epoch }
  for (const [memberId, value] of group.targets.entries()) {
    yield { type: 'consumer-target', groupId, memberId, value }
  }
  yield { type: 'consumer-targets', groupId, value: target }
  for (const { memberId, current } of group.members.values()) {
    yield { type: 'consumer-current', groupId, memberId, value: current }
  }
}
