import { ClassicGroup } from '../classic-group.ts'
import { ClassicMember } from '../classic-member.ts'
import { prepareRebalance, restartSession } from '../classic-rebalance.ts'
import { CONSUMER_PROTOCOL_TYPE, encodeAssignment } from '../consumer-protocol.ts'
import type { GroupContext } from '../group-context.ts'
import { noteGroup } from '../group-notes.ts'
import type { GroupStep } from '../group-protocol.ts'
import { type Assignment, toAssignment } from '../modern/assignment.ts'
import type { TopicDirectory } from '../modern/topic-directory.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import type { ConsumerMember } from './consumer-member.ts'
import type { ConsumerGroupRecord } from './consumer-record.ts'
import { awaitMembers } from './member-writes.ts'

/** Whether a consumer group becomes a classic one when these members leave: then only members of the classic protocol are left. */
export function canDowngradeWithout(
  context: GroupContext,
  group: ConsumerGroup,
  leaving: readonly ConsumerMember[],
): boolean {
  const classicLeaving = leaving.filter(({ classic }) => classic !== null).length
  const left = group.members.size - leaving.length
  if (left === 0 || group.classicMemberCount - classicLeaving !== left) return false
  return mayDowngrade(context, left) && haveProtocolInCommon(stayingOf(group, leaving))
}

/** Whether it becomes one when a member of the classic protocol takes the place of this static member, the last of the new protocol. */
export function canDowngradeReplacing(context: GroupContext, group: ConsumerGroup, former: ConsumerMember): boolean {
  if (former.classic !== null || group.classicMemberCount !== group.members.size - 1) return false
  return mayDowngrade(context, group.members.size)
}

function mayDowngrade({ config }: GroupContext, size: number): boolean {
  const policy = config.groupConsumerMigrationPolicy.toUpperCase()
  return (policy === 'DOWNGRADE' || policy === 'BIDIRECTIONAL') && size <= config.groupMaxSize
}

/** They were let in so, but who knows who wrote the log. */
function haveProtocolInCommon(members: readonly ConsumerMember[]): boolean {
  const [first, ...others] = members.map(({ classic }) => new Set(classic?.protocols.map(({ name }) => name)))
  return [...first!].some((name) => others.every((names) => names.has(name)))
}

function stayingOf(group: ConsumerGroup, leaving: readonly ConsumerMember[]): ConsumerMember[] {
  const leavingIds = new Set(leaving.map(({ memberId }) => memberId))
  return [...group.members.values()].filter(({ memberId }) => !leavingIds.has(memberId))
}

/**
 * The members that stay go on as a classic group, which with a reason rebalances at once. It has for an assignment what each may still
 * work on: Kafka takes their targets, some of which may be others' yet. Without a leader in the record it rebalances also if it is loaded
 * before it came to that: nobody would ask for the partitions of those who left.
 */
export function downgrade(
  context: GroupContext,
  group: ConsumerGroup,
  leaving: readonly ConsumerMember[],
  rebalanceReason: string | null,
  step: GroupStep,
): ClassicGroup {
  const { groupId } = group
  const classic = new ClassicGroup(groupId, step.nowMs, group.owner)
  const members = stayingOf(group, leaving).map((member) => classicMemberOf(member, context.directory))
  classic.takeOver(group.epoch.epoch, members)
  deleteConsumerGroup(context, group, step)
  context.groups.set(groupId, classic)
  const metadata = classic.toMetadata(null)
  const value = rebalanceReason === null ? metadata : { ...metadata, leaderId: null }
  step.writeApplied({ type: 'group-metadata', groupId, value })
  awaitMembers(groupId, [...group.members.keys()], step)
  noteGroup(classic, 'consumer group became a classic group', { left: leaving.length }, step)
  for (const member of classic.members.values()) restartSession(classic, member, step)
  if (rebalanceReason !== null) prepareRebalance(context, classic, rebalanceReason, step)
  return classic
}

function classicMemberOf(member: ConsumerMember, directory: TopicDirectory): ClassicMember {
  const { memberId, metadata, owner } = member
  const { protocols, sessionTimeoutMs } = metadata.classic!
  return new ClassicMember({
    memberId,
    groupInstanceId: metadata.instanceId,
    clientId: metadata.clientId,
    clientHost: metadata.clientHost,
    rebalanceTimeoutMs: metadata.rebalanceTimeoutMs,
    sessionTimeoutMs,
    protocolType: CONSUMER_PROTOCOL_TYPE,
    protocols,
    assignment: encodeAssignment(heldBy(member), directory, protocols[0]!.metadata),
    owner,
  })
}

function heldBy({ assigned, pendingRevocation }: ConsumerMember): Assignment {
  const held = [assigned, pendingRevocation].flatMap((assignment) =>
    Array.from(assignment, ([topicId, partitions]) => ({ topicId, partitions })),
  )
  return toAssignment(held)
}

/** Deletes all records of a group. What is left of it in memory is nobody's any more. */
export function deleteConsumerGroup(context: GroupContext, group: ConsumerGroup, step: GroupStep): void {
  for (const record of consumerTombstones(group)) step.writeApplied(record)
  context.groups.delete(group.groupId)
}

/** What deletes a group's records, in Kafka's order. */
export function* consumerTombstones(group: ConsumerGroup): Generator<ConsumerGroupRecord> {
  const { groupId } = group
  for (const memberId of group.members.keys()) yield { type: 'consumer-current', groupId, memberId, value: null }
  for (const memberId of group.members.keys()) yield { type: 'consumer-target', groupId, memberId, value: null }
  yield { type: 'consumer-targets', groupId, value: null }
  for (const memberId of group.members.keys()) yield { type: 'consumer-member', groupId, memberId, value: null }
  for (const regex of group.regexes.keys()) yield { type: 'consumer-regex', groupId, regex, value: null }
  if (group.hasPartitionsRecord) yield { type: 'consumer-partitions', groupId, value: null }
  yield { type: 'consumer-group', groupId, value: null }
}
