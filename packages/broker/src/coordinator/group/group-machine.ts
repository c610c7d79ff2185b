import { type ProducerId, type Random, type Uuid, ZERO_UUID } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { Coordinator, RecordPosition } from '../runtime/coordinator.ts'
import type { ReplyToken } from '../runtime/step.ts'
import { type Timeline, TimelineMap } from '../runtime/timeline.ts'
import { ClassicGroup } from './classic-group.ts'
import { joinGroup } from './classic-join.ts'
import {
  type HeartbeatInput,
  heartbeat,
  type LeaveAnswer,
  type LeavingMember,
  leaveGroup,
} from './classic-membership.ts'
import { failParkedRequests, prepareRebalance, restartSession } from './classic-rebalance.ts'
import { syncGroup } from './classic-sync.ts'
import {
  heartbeatConsumerGroup,
  joinConsumerGroup,
  leaveAsClassicMembers,
  syncConsumerGroup,
} from './consumer/classic-members.ts'
import { type DescribedConsumerGroup, describeConsumerGroup } from './consumer/consumer-description.ts'
import { consumerHeartbeat } from './consumer/consumer-heartbeat.ts'
import type { ConsumerHeartbeatInput } from './consumer/consumer-inputs.ts'
import { applyConsumerRecord } from './consumer/consumer-replay.ts'
import { restartMemberTimers } from './consumer/member-writes.ts'
import type { Group } from './group.ts'
import type { GroupCoordinatorConfig } from './group-config.ts'
import type { GroupContext } from './group-context.ts'
import type { GroupCounters } from './group-counters.ts'
import { onGroupTimer, onGroupWritten } from './group-events.ts'
import type { GroupLimits } from './group-limits.ts'
import { consumerGroupOf, shareGroupOf } from './group-lookup.ts'
import {
  type ClassicGroupState,
  EMPTY_BYTES,
  type GroupEvent,
  type GroupReply,
  type GroupStep,
  type JoinInput,
  joinError,
  type SyncInput,
} from './group-protocol.ts'
import type { GroupRecord } from './group-record.ts'
import type { GroupSettings } from './group-settings.ts'
import { GroupTally } from './group-tally.ts'
import type { GroupUsage } from './group-usage.ts'
import type { HeartbeatAnswer } from './modern/heartbeat-answer.ts'
import type { TopicDirectory } from './modern/topic-directory.ts'
import {
  type CommitAnswer,
  type CommitInput,
  commitOffsets,
  type DeleteTopic,
  deleteGroup,
  deleteOffsets,
  deleteTopicOffsets,
  expireGroup,
  type FetchClaim,
  type FetchedTopic,
  type FetchTopic,
  fetchError,
  fetchOffsets,
} from './offset-operations.ts'
import { OffsetStore } from './offset-store.ts'
import type { ShareGroup } from './share/share-group.ts'
import { isShareGroupRecord } from './share/share-group-record.ts'
import { applyShareGroupRecord } from './share/share-group-replay.ts'
import {
  restartShareSession,
  type ShareAnswer,
  type ShareHeartbeatInput,
  shareHeartbeat,
} from './share/share-heartbeat.ts'
import {
  type AlterPlan,
  beginAlter,
  beginDeletion,
  beginGroupDeletion,
  completeDeletion,
  completeInitialization,
  type DeletionPlan,
  finishGroupDeletion,
  forgetTopics,
  type InitializationOutcome,
} from './share/share-states.ts'
import type { PartitionLists } from './share/state-partitions.ts'
import { commitTransactionalOffsets, type TransactionalCommitInput } from './transactional-offsets.ts'

const EXPIRY_TIMER_KEY = 'expire-offsets'
/** All partitions may look at their groups at the same time: some fifty times so many groups or offsets in one turn take 20 ms. */
const EXPIRY_SLICE_ELEMENTS = 100
const EXPIRY_SLICE_DELAY_MS = 5

/** A group as ListGroups shows it: the group itself, since there may be very many. */
export type ListedGroup = Group

/** A group as DescribeGroups shows it. */
export interface DescribedGroup {
  readonly groupId: string
  /** Dead: there is no such group. */
  readonly state: ClassicGroupState
  readonly protocolType: string
  /** Empty unless Stable. */
  readonly protocolName: string
  readonly members: readonly DescribedMember[]
}

interface DescribedMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** Empty unless the group is Stable. */
  readonly metadata: Buffer
  readonly assignment: Buffer
}

/**
 * The state machine of one partition of `__consumer_offsets`: classic groups and committed offsets (`coordinators.md`, section
 * 2). Methods that change anything take a step; the others answer from the last committed state.
 */
export class GroupMachine implements Coordinator<GroupRecord, GroupEvent, GroupReply> {
  readonly #context: GroupContext
  readonly #offsets: OffsetStore
  /** What it counts of the node's limits. To be closed when the machine's time is over. */
  readonly usage: GroupUsage
  /** Groups whose offsets are still to be looked at in this round of expiry. */
  #toExpire: string[] = []

  constructor(
    config: GroupCoordinatorConfig,
    random: Random,
    counters: GroupCounters,
    limits: GroupLimits,
    directory: TopicDirectory,
    settings: GroupSettings,
    timeline: Timeline,
  ) {
    this.usage = limits.openUsage()
    const groups = new TimelineMap<string, Group>(timeline, new GroupTally(this.usage))
    this.#context = { config, settings, random, counters, limits, directory, timeline, groups }
    this.#offsets = new OffsetStore(timeline, this.usage)
  }

  join(input: JoinInput, token: ReplyToken, step: GroupStep): void {
    if (shareGroupOf(this.#context, input.groupId) !== undefined) {
      step.reply(token, joinError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, input.memberId))
      return
    }
    const group = consumerGroupOf(this.#context, input.groupId)
    if (group !== undefined && !group.isEmpty) {
      joinConsumerGroup(this.#context, group, input, token, step)
      return
    }
    joinGroup(this.#context, input, token, step)
  }

  sync(input: SyncInput, token: ReplyToken, step: GroupStep): void {
    const group = consumerGroupOf(this.#context, input.groupId)
    if (group === undefined) syncGroup(this.#context, input, token, step)
    else syncConsumerGroup(this.#context, group, input, token, step)
  }

  heartbeat(input: HeartbeatInput, step: GroupStep): number {
    const group = consumerGroupOf(this.#context, input.groupId)
    if (group === undefined) return heartbeat(this.#context, input, step)
    return heartbeatConsumerGroup(this.#context, group, input, step)
  }

  leave(groupId: string, members: readonly LeavingMember[], step: GroupStep): LeaveAnswer {
    const group = consumerGroupOf(this.#context, groupId)
    if (group === undefined) return leaveGroup(this.#context, groupId, members, step)
    return leaveAsClassicMembers(this.#context, group, members, step)
  }

  /** ConsumerGroupHeartbeat (KIP-848). */
  consumerHeartbeat(input: ConsumerHeartbeatInput, step: GroupStep): HeartbeatAnswer {
    return consumerHeartbeat(this.#context, input, step)
  }

  /** ShareGroupHeartbeat (KIP-932). */
  shareHeartbeat(input: ShareHeartbeatInput, step: GroupStep): ShareAnswer {
    return shareHeartbeat(this.#context, input, step)
  }

  /** Null: there is none of that id. Of the group only what is committed may be looked at. */
  shareGroup(groupId: string): ShareGroup | null {
    const group = this.#context.groups.getCommitted(groupId)
    return group?.type === 'share' ? group : null
  }

  completeShareInitialization(groupId: string, outcome: InitializationOutcome, step: GroupStep): void {
    completeInitialization(this.#context, groupId, outcome, step)
  }

  beginShareAlter(groupId: string, partitions: PartitionLists, step: GroupStep): AlterPlan {
    return beginAlter(this.#context, groupId, partitions, step)
  }

  beginShareDeletion(groupId: string, topicIds: readonly Uuid[], step: GroupStep): DeletionPlan {
    return beginDeletion(this.#context, groupId, topicIds, step)
  }

  beginShareGroupDeletion(groupId: string, step: GroupStep): DeletionPlan {
    return beginGroupDeletion(this.#context, groupId, step)
  }

  completeShareDeletion(groupId: string, topicIds: readonly Uuid[], done: readonly Uuid[], step: GroupStep): void {
    completeDeletion(this.#context, groupId, topicIds, done, step)
  }

  finishShareGroupDeletion(groupId: string, step: GroupStep): number {
    return finishGroupDeletion(this.#context, this.#offsets, groupId, step)
  }

  commit(input: CommitInput, step: GroupStep): CommitAnswer {
    return commitOffsets(this.#context, this.#offsets, input, step)
  }

  /** In a write of the producer's transaction. */
  commitTransactional(input: TransactionalCommitInput, step: GroupStep): CommitAnswer {
    return commitTransactionalOffsets(this.#context, this.#offsets, input, step)
  }

  /** Stable: the newest state, so only inside a write operation. Else the last committed. */
  fetch(groupId: string, topics: readonly FetchTopic[] | null, requireStable: boolean): FetchedTopic[] {
    return fetchOffsets(this.#context, this.#offsets, groupId, topics, requireStable)
  }

  /** Why offsets are not told, as of the state that {@link fetch} answers from; 0: they are. */
  fetchError(groupId: string, claim: FetchClaim, requireStable: boolean): number {
    return fetchError(this.#context, groupId, claim, requireStable)
  }

  /** How many offsets a group has, about. */
  offsetCountOf(groupId: string): number {
    return this.#offsets.committed.countOf(groupId)
  }

  /** In which topics and partitions a group has offsets: to be fetched in portions. As for {@link fetch}. */
  offsetTopics(groupId: string, requireStable: boolean): FetchTopic[] {
    return Array.from(this.#offsets.committed.topicViews(groupId, !requireStable), ([topic, view]) => ({
      topic,
      topicId: ZERO_UUID,
      partitions: Array.from(view.entries(), ([partition]) => partition),
    }))
  }

  deleteOffsets(
    groupId: string,
    topics: readonly DeleteTopic[],
    step: GroupStep,
  ): { errorCode: number; topicErrors: number[] } {
    return deleteOffsets(this.#context, this.#offsets, groupId, topics, step)
  }

  deleteGroup(groupId: string, step: GroupStep): number {
    return deleteGroup(this.#context, this.#offsets, groupId, step)
  }

  onTopicsDeleted(topics: readonly { name: string; id: Uuid }[], step: GroupStep): void {
    step.splittable = true
    for (const { name, id } of topics) deleteTopicOffsets(this.#context, this.#offsets, name, id, step)
    forgetTopics(this.#context, new Set(topics.map(({ id }) => id)), step)
  }

  list(): ListedGroup[] {
    return this.#context.groups.committedValues()
  }

  describe(groupId: string): DescribedGroup {
    const group = this.#context.groups.getCommitted(groupId)
    if (group?.type !== 'classic') return { groupId, state: 'Dead', protocolType: '', protocolName: '', members: [] }
    const isStable = group.state === 'Stable'
    return {
      groupId,
      state: group.state,
      protocolType: group.protocolType ?? '',
      protocolName: isStable ? (group.protocolName ?? '') : '',
      members: [...group.members.values()].map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        metadata: isStable ? member.metadataFor(group.protocolName) : EMPTY_BYTES,
        assignment: member.assignment,
      })),
    }
  }

  /** A consumer group as ConsumerGroupDescribe shows it; null: there is none of that id. */
  describeConsumerGroup(groupId: string): DescribedConsumerGroup | null {
    const group = this.#context.groups.getCommitted(groupId)
    if (group?.type !== 'consumer') return null
    return describeConsumerGroup(group, this.#context)
  }

  apply(record: GroupRecord, position: RecordPosition): void {
    const { groups } = this.#context
    const { groupId } = record
    if (record.type === 'group-metadata') {
      if (record.value !== null) groups.set(groupId, ClassicGroup.load(groupId, record.value))
      else if (groups.get(groupId)?.type === 'classic') groups.delete(groupId)
      return
    }
    if (record.type !== 'offset-commit') {
      if (isShareGroupRecord(record)) applyShareGroupRecord(this.#context, record)
      else applyConsumerRecord(this.#context, record)
      return
    }
    const { topic, partition, value, owner = null } = record
    if (value === null) {
      this.#offsets.delete(groupId, topic, partition)
      return
    }
    // Offsets without a group: somebody who assigns partitions by hand. Such a simple group has no record of its own.
    if (!groups.has(groupId)) groups.set(groupId, new ClassicGroup(groupId, value.commitTimestampMs, owner))
    const stored = { value, recordOffset: position.offset, owner }
    if (position.producerId === -1) this.#offsets.put(groupId, topic, partition, stored)
    else this.#offsets.putPending(position.producerId, groupId, topic, partition, stored)
  }

  endTransaction(producerId: ProducerId, committed: boolean): void {
    this.#offsets.endTransaction(producerId, committed)
  }

  onLoaded(step: GroupStep): void {
    this.#adoptOffsets(step)
    for (const group of this.#context.groups.values()) {
      if (group.type === 'consumer') {
        for (const member of group.members.values()) restartMemberTimers(this.#context, group, member, step)
        continue
      }
      if (group.type === 'share') {
        for (const memberId of group.members.keys()) restartShareSession(this.#context, group, memberId, step)
        continue
      }
      for (const member of group.members.values()) restartSession(group, member, step)
      if (group.isToRebalance) {
        prepareRebalance(this.#context, group, 'it was loaded without a leader', step)
        continue
      }
      // The limit may have been lowered. The rebalance lets the members commit before some of them are turned away.
      if (group.members.size <= this.#context.config.groupMaxSize) continue
      prepareRebalance(this.#context, group, 'it was loaded with more members than group.max.size', step)
    }
    this.#scheduleExpiry(step)
  }

  /** A log may have offsets whose group was deleted without them. As a simple group they are told, and expire, and can be deleted. */
  #adoptOffsets(step: GroupStep): void {
    const { groups } = this.#context
    for (const groupId of this.#offsets.committed.groupIds()) {
      if (!groups.has(groupId)) groups.set(groupId, new ClassicGroup(groupId, step.nowMs, null))
    }
  }

  onUnloaded(step: GroupStep): void {
    for (const group of this.#context.groups.values()) {
      if (group.type !== 'classic') continue
      group.transitionTo('Dead', step.nowMs)
      for (const member of group.members.values()) {
        failParkedRequests(group, member, ErrorCode.NOT_COORDINATOR, member.memberId, step)
      }
    }
  }

  onTimer(event: GroupEvent, step: GroupStep): void {
    if (event.type === 'offsets-expiry-due') this.#expireOffsets(step)
    else onGroupTimer(this.#context, event, step)
  }

  onWriteDone(event: GroupEvent, errorCode: number, step: GroupStep): void {
    onGroupWritten(this.#context, event, errorCode, step)
  }

  #expireOffsets(step: GroupStep): void {
    step.splittable = true
    const { groups } = this.#context
    if (this.#toExpire.length === 0) this.#toExpire = [...groups.keys()]
    for (let elementCount = 0; elementCount < EXPIRY_SLICE_ELEMENTS; ) {
      const groupId = this.#toExpire.pop()
      if (groupId === undefined) break
      const group = groups.get(groupId)
      elementCount += 1 + this.offsetCountOf(groupId)
      if (group !== undefined) expireGroup(this.#context, this.#offsets, group, step)
    }
    if (this.#toExpire.length === 0) this.#scheduleExpiry(step)
    else step.schedule(EXPIRY_TIMER_KEY, EXPIRY_SLICE_DELAY_MS, { type: 'offsets-expiry-due' }, EXPIRY_SLICE_DELAY_MS)
  }

  #scheduleExpiry(step: GroupStep): void {
    const delayMs = this.#context.config.offsetsRetentionCheckIntervalMs
    step.schedule(EXPIRY_TIMER_KEY, delayMs, { type: 'offsets-expiry-due' }, delayMs)
  }
}
