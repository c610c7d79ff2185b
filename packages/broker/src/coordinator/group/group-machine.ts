import { type ProducerId, type Random, type Uuid, ZERO_UUID } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { Coordinator, RecordPosition } from '../runtime/coordinator.ts'
import type { ReplyToken } from '../runtime/step.ts'
import { type Timeline, TimelineMap } from '../runtime/timeline.ts'
import { ClassicGroup } from './classic-group.ts'
import { joinGroup, onJoinWritten, onStaticMemberWritten } from './classic-join.ts'
import {
  type HeartbeatInput,
  heartbeat,
  type LeaveAnswer,
  type LeavingMember,
  leaveGroup,
} from './classic-membership.ts'
import {
  completeJoin,
  failParkedRequests,
  onInitialJoinExpired,
  onSessionExpired,
  onSyncExpired,
  prepareRebalance,
  restartSession,
} from './classic-rebalance.ts'
import { onAssignmentWritten, onStableSyncWritten, onSyncWritten, syncGroup } from './classic-sync.ts'
import type { GroupCoordinatorConfig } from './group-config.ts'
import type { GroupContext } from './group-context.ts'
import type { GroupCounters } from './group-counters.ts'
import type { GroupLimits } from './group-limits.ts'
import {
  type ClassicGroupState,
  EMPTY_BYTES,
  type GroupEvent,
  type GroupReply,
  type GroupStep,
  type JoinInput,
  type SyncInput,
} from './group-protocol.ts'
import type { GroupRecord } from './group-record.ts'
import { GroupTally } from './group-tally.ts'
import type { GroupUsage } from './group-usage.ts'
import {
  type CommitAnswer,
  type CommitInput,
  commitOffsets,
  type DeleteTopic,
  deleteGroup,
  deleteOffsets,
  deleteTopicOffsets,
  expireGroup,
  type FetchedTopic,
  type FetchTopic,
  fetchOffsets,
} from './offset-operations.ts'
import { OffsetStore } from './offset-store.ts'
import { commitTransactionalOffsets, type TransactionalCommitInput } from './transactional-offsets.ts'

const EXPIRY_TIMER_KEY = 'expire-offsets'
/** All partitions may look at their groups at the same time: some fifty times so many groups or offsets in one turn take 20 ms. */
const EXPIRY_SLICE_ELEMENTS = 100
const EXPIRY_SLICE_DELAY_MS = 5

/** A group as ListGroups shows it: the group itself, since there may be very many. */
export type ListedGroup = Pick<ClassicGroup, 'groupId' | 'protocolType' | 'state'>

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
    timeline: Timeline,
  ) {
    this.usage = limits.openUsage()
    const groups = new TimelineMap<string, ClassicGroup>(timeline, new GroupTally(this.usage))
    this.#context = { config, random, counters, limits, groups }
    this.#offsets = new OffsetStore(timeline, this.usage)
  }

  join(input: JoinInput, token: ReplyToken, step: GroupStep): void {
    joinGroup(this.#context, input, token, step)
  }

  sync(input: SyncInput, token: ReplyToken, step: GroupStep): void {
    syncGroup(this.#context, input, token, step)
  }

  heartbeat(input: HeartbeatInput, step: GroupStep): number {
    return heartbeat(this.#context, input, step)
  }

  leave(groupId: string, members: readonly LeavingMember[], step: GroupStep): LeaveAnswer {
    return leaveGroup(this.#context, groupId, members, step)
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
  }

  list(): ListedGroup[] {
    return this.#context.groups.committedValues()
  }

  describe(groupId: string): DescribedGroup {
    const group = this.#context.groups.getCommitted(groupId)
    if (group === undefined) return { groupId, state: 'Dead', protocolType: '', protocolName: '', members: [] }
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

  apply(record: GroupRecord, position: RecordPosition): void {
    const { groups } = this.#context
    const { groupId } = record
    if (record.type === 'group-metadata') {
      if (record.value === null) groups.delete(groupId)
      else groups.set(groupId, ClassicGroup.load(groupId, record.value))
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
    for (const group of this.#context.groups.values()) {
      for (const member of group.members.values()) restartSession(group, member, step)
      // The limit may have been lowered. The rebalance lets the members commit before some of them are turned away.
      if (group.members.size <= this.#context.config.groupMaxSize) continue
      prepareRebalance(this.#context, group, 'it was loaded with more members than group.max.size', step)
    }
    this.#scheduleExpiry(step)
  }

  onUnloaded(step: GroupStep): void {
    for (const group of this.#context.groups.values()) {
      group.transitionTo('Dead', step.nowMs)
      for (const member of group.members.values()) {
        failParkedRequests(group, member, ErrorCode.NOT_COORDINATOR, member.memberId, step)
      }
    }
  }

  onTimer(event: GroupEvent, step: GroupStep): void {
    if (event.type === 'offsets-expiry-due') {
      this.#expireOffsets(step)
      return
    }
    const group = this.#context.groups.get(event.groupId)
    // Timers outlive a group that was deleted.
    if (group === undefined) return
    switch (event.type) {
      case 'session-expired':
        onSessionExpired(this.#context, group, event.memberId, step)
        break
      case 'initial-join-expired':
        onInitialJoinExpired(this.#context, group, event.delayMs, event.remainingMs, step)
        break
      case 'join-expired':
        completeJoin(group, step)
        break
      case 'sync-expired':
        onSyncExpired(this.#context, group, event.generationId, step)
        break
    }
  }

  onWriteDone(event: GroupEvent, errorCode: number, step: GroupStep): void {
    switch (event.type) {
      case 'join-written':
        onJoinWritten(this.#context, event.groupId, event.token, errorCode, step)
        break
      case 'sync-written':
        onSyncWritten(this.#context, event.groupId, event.token, errorCode, step)
        break
      case 'stable-sync-written':
        onStableSyncWritten(this.#context, event, errorCode, step)
        break
      case 'static-member-written':
        onStaticMemberWritten(this.#context, event, errorCode, step)
        break
      case 'assignment-written': {
        const { groupId, generationId, assignments } = event
        onAssignmentWritten(this.#context, groupId, generationId, assignments, errorCode, step)
        break
      }
    }
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
