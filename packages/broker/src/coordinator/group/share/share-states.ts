import type { Uuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { GroupContext } from '../group-context.ts'
import { shareGroupOf } from '../group-lookup.ts'
import { noteModernGroup } from '../group-notes.ts'
import type { GroupStep } from '../group-protocol.ts'
import type { OffsetStore } from '../offset-store.ts'
import type { ShareGroup } from './share-group.ts'
import type { StatePartitions } from './share-group-record.ts'
import { createShareGroup, shareGroupTombstones, writeShare } from './share-group-replay.ts'
import { awaitShareMembers } from './share-heartbeat.ts'
import {
  isNone,
  type PartitionLists,
  stateTopics,
  withDeleting,
  withInitialized,
  withInitializing,
  withoutDeleting,
  withoutGone,
  withoutInitializing,
} from './state-partitions.ts'

/** What comes of asking the share coordinator to begin with partitions. */
export interface InitializationOutcome {
  readonly done: PartitionLists
  readonly failed: PartitionLists
}

/** Partitions to begin with anew, and the epoch that fences what was before. */
export interface AlterPlan {
  readonly errorCode: number
  readonly stateEpoch: number
}

/** Topics whose state is to be deleted. */
export interface DeletionPlan {
  readonly errorCode: number
  readonly topics: ReadonlyMap<Uuid, string>
}

/** The share coordinator has answered. What is not wanted any more meanwhile changes nothing. */
export function completeInitialization(
  context: GroupContext,
  groupId: string,
  { done, failed }: InitializationOutcome,
  step: GroupStep,
): void {
  const group = shareGroupOf(context, groupId)
  if (group === undefined) return
  for (const topicId of failed.keys()) group.askedMs.delete(topicId)
  writePartitions(context, group, withoutInitializing(withInitialized(group.partitions, done), failed), step)
}

/** AlterShareGroupOffsets: begins anew where the administrator says, with an epoch that fences leaders and their writes of before. */
export function beginAlter(
  context: GroupContext,
  groupId: string,
  partitions: PartitionLists,
  step: GroupStep,
): AlterPlan {
  const found = context.groups.get(groupId)
  const refused = (errorCode: number): AlterPlan => ({ errorCode, stateEpoch: 0 })
  if (found !== undefined && found.type !== 'share') return refused(ErrorCode.GROUP_ID_NOT_FOUND)
  if (found !== undefined && !found.isEmpty) return refused(ErrorCode.NON_EMPTY_GROUP)
  if (found === undefined && !context.limits.hasRoomForGroup(null)) return refused(ErrorCode.COORDINATOR_NOT_AVAILABLE)
  const group = found ?? createShareGroup(context, groupId, null)
  const epoch = group.epoch.epoch + 1
  writeShare(context, { type: 'share-group', groupId, value: { ...group.epoch, epoch } }, step)
  for (const topicId of partitions.keys()) group.askedMs.set(topicId, step.nowMs)
  writePartitions(context, group, withInitializing(group.partitions, partitions), step)
  return { errorCode: ErrorCode.NONE, stateEpoch: epoch }
}

/** DeleteShareGroupOffsets: of these topics, those that there is any state of. */
export function beginDeletion(
  context: GroupContext,
  groupId: string,
  topicIds: readonly Uuid[],
  step: GroupStep,
): DeletionPlan {
  const found = emptyGroup(context, groupId)
  if (typeof found === 'number') return { errorCode: found, topics: new Map() }
  const known = stateTopics(found.partitions)
  const wanted = new Set(topicIds)
  return deletionOf(context, found, new Map([...known].filter(([topicId]) => wanted.has(topicId))), step)
}

/** DeleteGroups: of all topics. What a deletion before did not come to the end with is among them. */
export function beginGroupDeletion(context: GroupContext, groupId: string, step: GroupStep): DeletionPlan {
  const found = emptyGroup(context, groupId)
  if (typeof found === 'number') return { errorCode: found, topics: new Map() }
  return deletionOf(context, found, stateTopics(found.partitions), step)
}

/** The state of `done` is gone; of `topics` it was tried. */
export function completeDeletion(
  context: GroupContext,
  groupId: string,
  topics: Iterable<Uuid>,
  done: readonly Uuid[],
  step: GroupStep,
): void {
  const group = shareGroupOf(context, groupId)
  if (group === undefined) return
  for (const topicId of topics) group.deletingNow.delete(topicId)
  writePartitions(context, group, withoutDeleting(group.partitions, done), step)
}

/** Deletes the group, of which nothing is stored elsewhere any more. An error if that is not so. */
export function finishGroupDeletion(
  context: GroupContext,
  offsets: OffsetStore,
  groupId: string,
  step: GroupStep,
): number {
  const found = emptyGroup(context, groupId)
  if (typeof found === 'number') return found
  // Somebody began to consume meanwhile, or to set offsets.
  if (!isNone(found.partitions)) return ErrorCode.NON_EMPTY_GROUP
  noteModernGroup(found, 'share group deleted on request', {}, step)
  // Of a group of another kind that had this id.
  for (const { topic, partition } of offsets.committed.entries(groupId)) {
    step.write({ type: 'offset-commit', groupId, topic, partition, value: null })
  }
  for (const record of shareGroupTombstones(found)) step.writeApplied(record)
  context.groups.delete(groupId)
  return ErrorCode.NONE
}

/** Topics are gone, and with them what the share coordinator had of them. */
export function forgetTopics(context: GroupContext, topicIds: ReadonlySet<Uuid>, step: GroupStep): void {
  for (const group of context.groups.values()) {
    if (group.type !== 'share') continue
    const gone = [...stateTopics(group.partitions).keys()].filter((topicId) => topicIds.has(topicId))
    if (gone.length === 0) continue
    for (const topicId of gone) group.askedMs.delete(topicId)
    // Applied as it is written, since the step may be written in parts.
    const value = withoutGone(group.partitions, gone)
    step.write({ type: 'share-partitions', groupId: group.groupId, value: isNone(value) ? null : value })
  }
}

function emptyGroup(context: GroupContext, groupId: string): ShareGroup | number {
  const group = shareGroupOf(context, groupId)
  if (group === undefined) return ErrorCode.GROUP_ID_NOT_FOUND
  return group.isEmpty ? group : ErrorCode.NON_EMPTY_GROUP
}

function deletionOf(
  context: GroupContext,
  group: ShareGroup,
  topics: ReadonlyMap<Uuid, string>,
  step: GroupStep,
): DeletionPlan {
  for (const topicId of topics.keys()) {
    group.deletingNow.add(topicId)
    group.askedMs.delete(topicId)
  }
  if (topics.size > 0) writePartitions(context, group, withDeleting(group.partitions, topics), step)
  awaitShareMembers(group.groupId, [], step)
  return { errorCode: ErrorCode.NONE, topics }
}

function writePartitions(context: GroupContext, group: ShareGroup, value: StatePartitions, step: GroupStep): void {
  const { groupId } = group
  writeShare(context, { type: 'share-partitions', groupId, value: isNone(value) ? null : value }, step)
}
