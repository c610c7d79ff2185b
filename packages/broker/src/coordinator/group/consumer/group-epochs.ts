import { ErrorCode } from '@millrace/protocol'
import { describeError } from '../../runtime/describe-error.ts'
import type { GroupContext } from '../group-context.ts'
import { noteModernGroup } from '../group-notes.ts'
import type { GroupStep } from '../group-protocol.ts'
import { EMPTY_ASSIGNMENT } from '../modern/assignment.ts'
import type { PartitionAssignor } from '../modern/assignor.ts'
import { rangeAssignor } from '../modern/range-assignor.ts'
import { computeTargets, type TargetMember } from '../modern/target-assignment.ts'
import { TopicDirectory } from '../modern/topic-directory.ts'
import { uniformAssignor } from '../modern/uniform-assignor.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { write } from './consumer-replay.ts'

/** All that this broker has; which of them are offered the settings say. */
const ASSIGNORS: readonly PartitionAssignor[] = [uniformAssignor, rangeAssignor]

/** Names under which members may ask for an assignor; the first is that of groups whose members do not. */
export function assignorNames(configured: readonly string[]): readonly string[] {
  return configured.filter((name) => ASSIGNORS.some((assignor) => assignor.name === name))
}

/** The assignor that the group goes by: most members' wish, or the broker's. */
export function assignorNameOf(preferred: string | null, configured: readonly string[]): string {
  const offered = assignorNames(configured)
  return preferred !== null && offered.includes(preferred) ? preferred : (offered[0] ?? uniformAssignor.name)
}

/** The next epoch of the group, with what its topics are like now. Members have changed, or the topics have. */
export function bumpEpoch(context: GroupContext, group: ConsumerGroup, reason: string, step: GroupStep): void {
  const { groupId } = group
  const metadataHash = context.directory.hashOf(group.subscribedTopics())
  writeEpoch(context, group, metadataHash, reason, step)
  group.seenMetadata = context.directory.version
  if (group.hasPartitionsRecord) write(context, { type: 'consumer-partitions', groupId, value: null }, step)
}

/**
 * The next epoch if a topic of the group was created or deleted, has more partitions, or stands elsewhere. Nothing is computed as long as
 * no metadata came.
 */
export function maybeRefreshMetadata(context: GroupContext, group: ConsumerGroup, step: GroupStep): void {
  const { directory } = context
  const { version } = directory
  if (TopicDirectory.isSame(group.seenMetadata, version)) return
  group.seenMetadata = version
  const metadataHash = directory.hashOf(group.subscribedTopics())
  if (metadataHash === group.epoch.metadataHash) return
  writeEpoch(context, group, metadataHash, 'a topic of the group changed', step)
  if (group.hasPartitionsRecord) {
    write(context, { type: 'consumer-partitions', groupId: group.groupId, value: null }, step)
  }
}

function writeEpoch(
  context: GroupContext,
  group: ConsumerGroup,
  metadataHash: bigint,
  reason: string,
  step: GroupStep,
): void {
  const { groupId } = group
  const epoch = group.epoch.epoch + 1
  write(context, { type: 'consumer-group', groupId, value: { epoch, metadataHash } }, step)
  context.counters.consumerGroupRebalances++
  noteModernGroup(group, 'consumer group has a new epoch', { reason }, step)
}

/**
 * Finds targets for the newest epoch if there are none yet, and the last ones are not too young: then a later heartbeat of any member does
 * it. Gives an error if the assignor failed, which leaves the targets that there were.
 */
export function maybeAssign(context: GroupContext, group: ConsumerGroup, step: GroupStep): number {
  const { groupId, epoch, target } = group
  if (epoch.epoch <= target.epoch) return ErrorCode.NONE
  const { assignmentIntervalMs } = context.settings.consumer(groupId)
  const ageMs = step.nowMs - target.timestampMs
  // A clock that was set back must not put it off.
  if (target.timestampMs > 0 && ageMs >= 0 && ageMs < assignmentIntervalMs) return ErrorCode.NONE
  const name = assignorNameOf(group.preferredAssignor, context.config.groupConsumerAssignors)
  const assignor = ASSIGNORS.find((each) => each.name === name)!
  try {
    const changed = computeTargets(targetMembers(group), assignor, context.directory)
    for (const [memberId, value] of changed) write(context, { type: 'consumer-target', groupId, memberId, value }, step)
  } catch (error) {
    step.note('assignor of a consumer group failed', { group: groupId, assignor: name, error: describeError(error) })
    return ErrorCode.UNKNOWN_SERVER_ERROR
  }
  write(context, { type: 'consumer-targets', groupId, value: { epoch: epoch.epoch, timestampMs: step.nowMs } }, step)
  return ErrorCode.NONE
}

function targetMembers(group: ConsumerGroup): TargetMember[] {
  /** Lists of those who subscribe to the same names and the same regular expression. */
  const unions = new Map<readonly string[], Map<string, readonly string[]>>()
  const members: TargetMember[] = []
  for (const { memberId, instanceId, rackId, metadata } of group.members.values()) {
    const { subscribedTopics, topicRegex } = metadata
    const resolved = topicRegex === null ? undefined : group.regexes.get(topicRegex)?.topics
    let topics = subscribedTopics
    if (topicRegex !== null && resolved !== undefined) {
      let byRegex = unions.get(subscribedTopics)
      if (byRegex === undefined) {
        byRegex = new Map()
        unions.set(subscribedTopics, byRegex)
      }
      topics = byRegex.get(topicRegex) ?? [...new Set([...subscribedTopics, ...resolved])]
      byRegex.set(topicRegex, topics)
    }
    const previous = group.targets.get(memberId) ?? EMPTY_ASSIGNMENT
    members.push({ memberId, instanceId, rackId, topics, previous })
  }
  return members
}
