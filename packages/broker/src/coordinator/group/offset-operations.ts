import { type Offset, type TimestampMs, type Uuid, ZERO_UUID } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { restartSession } from './classic-rebalance.ts'
import { consumerTombstones } from './consumer/group-downgrade.ts'
import type { Group } from './group.ts'
import type { GroupContext } from './group-context.ts'
import { noteGroup, noteModernGroup } from './group-notes.ts'
import type { GroupStep } from './group-protocol.ts'
import { checkCommit, checkFetch } from './member-check.ts'
import type { OffsetStore, StoredOffset } from './offset-store.ts'

/** One partition of an OffsetCommit request. */
export interface CommitPartition {
  readonly partition: number
  readonly committedOffset: Offset
  readonly leaderEpoch: number
  readonly metadata: string
}

/** One topic of an OffsetCommit request, known to exist. */
export interface CommitTopic {
  readonly topic: string
  readonly topicId: Uuid
  readonly partitions: readonly CommitPartition[]
}

/** An OffsetCommit request, freed of its version. */
export interface CommitInput {
  readonly groupId: string
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** Without port. */
  readonly clientAddress: string
  /** Negative: the sender is no member. */
  readonly generationId: number
  /** How long each offset shall live, by the wish of the client (v2 to v4); -1: as long as the broker says. */
  readonly retentionTimeMs: number
  /** Clients before v9 know no GROUP_ID_NOT_FOUND here. */
  readonly knowsGroupIdNotFound: boolean
  readonly topics: readonly CommitTopic[]
}

/** The answer to OffsetCommit: an error of the request, or one of each partition in the order of the request. */
export interface CommitAnswer {
  readonly errorCode: number
  readonly partitionErrors: readonly (readonly number[])[]
}

/** Handles OffsetCommit. A group that nobody made yet becomes a simple group, by its first offset. */
export function commitOffsets(
  context: GroupContext,
  offsets: OffsetStore,
  input: CommitInput,
  step: GroupStep,
): CommitAnswer {
  const group = context.groups.get(input.groupId)
  const errorCode = checkCommit(group, { ...input, isTransactional: false })
  if (errorCode !== 0) return { errorCode, partitionErrors: [] }
  const { limits } = context
  const owner = limits.ownerAt(input.clientAddress)
  const needsGroup = group === undefined
  if (needsGroup && !(limits.hasRoomForGroup(owner) && limits.hasRoomFor(0, input.groupId.length, owner))) {
    context.counters.limitRefusals++
    return { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, partitionErrors: [] }
  }
  if (group?.type === 'classic' && (group.state === 'Stable' || group.state === 'PreparingRebalance')) {
    restartSession(group, group.members.get(input.memberId)!, step)
  }
  const { groupId, retentionTimeMs } = input
  const expireTimestampMs =
    retentionTimeMs === -1 ? -1 : Math.min(step.nowMs + retentionTimeMs, Number.MAX_SAFE_INTEGER)
  const admission = new OffsetAdmission(context, input, owner, (topic, partition) =>
    offsets.committed.get(groupId, topic, partition),
  )
  const partitionErrors = input.topics.map(({ topic, topicId, partitions }) =>
    partitions.map(({ partition, committedOffset, leaderEpoch, metadata }) => {
      if (metadata.length > context.config.offsetMetadataMaxBytes) return ErrorCode.OFFSET_METADATA_TOO_LARGE
      if (!admission.admits(topic, partition, metadata)) return ErrorCode.COORDINATOR_NOT_AVAILABLE
      const value = {
        committedOffset,
        leaderEpoch,
        metadata,
        commitTimestampMs: step.nowMs,
        expireTimestampMs,
        topicId,
      }
      step.write({
        type: 'offset-commit',
        groupId,
        topic,
        partition,
        value,
        owner: admission.ownerOf(topic, partition),
      })
      context.counters.offsetCommits++
      return ErrorCode.NONE
    }),
  )
  return { errorCode: 0, partitionErrors }
}

/** What one commit may add, and in whose share. Far below the limits nothing is looked up. */
export class OffsetAdmission {
  readonly #context: GroupContext
  readonly #owner: string | null
  readonly #existing: (topic: string, partition: number) => StoredOffset | undefined
  readonly #isTight: boolean
  #count: number
  #bytes: number

  /** `existing` gives the offset that one of the commit takes the place of. */
  constructor(
    context: GroupContext,
    { topics }: CommitInput,
    owner: string | null,
    existing: (topic: string, partition: number) => StoredOffset | undefined,
  ) {
    this.#context = context
    this.#owner = owner
    this.#existing = existing
    let wantedCount = 0
    let wantedBytes = 0
    for (const { partitions } of topics) {
      wantedCount += partitions.length
      for (const { metadata } of partitions) wantedBytes += metadata.length
    }
    const shortage = context.limits.shortageOfOffsets(wantedCount, wantedBytes, owner)
    this.#isTight = shortage !== null
    this.#count = shortage?.count ?? 0
    this.#bytes = shortage?.bytes ?? 0
  }

  /** An offset that exists stays in the share that it is in: to commit it again must not use up anybody's. */
  ownerOf(topic: string, partition: number): string | null {
    if (this.#owner === null) return null
    const existing = this.#existing(topic, partition)
    return existing === undefined ? this.#owner : existing.owner
  }

  /** An offset that exists may always change; only its text must not grow without room. */
  admits(topic: string, partition: number, metadata: string): boolean {
    if (!this.#isTight) return true
    const existing = this.#existing(topic, partition)
    const newCount = existing === undefined ? 1 : 0
    const newBytes = Math.max(0, metadata.length - (existing?.value.metadata.length ?? 0))
    if (newCount > Math.max(0, this.#count) || newBytes > Math.max(0, this.#bytes)) {
      this.#context.counters.limitRefusals++
      return false
    }
    this.#count -= newCount
    this.#bytes -= newBytes
    return true
  }
}

/** One topic of an OffsetFetch request. */
export interface FetchTopic {
  readonly topic: string
  /** The zero id: the client did not say. */
  readonly topicId: Uuid
  readonly partitions: readonly number[]
}

interface FetchedPartition {
  readonly partition: number
  /** -1: no commit. */
  readonly committedOffset: Offset
  readonly leaderEpoch: number
  readonly metadata: string
  readonly errorCode: number
}

export interface FetchedTopic {
  readonly topic: string
  readonly topicId: Uuid
  readonly partitions: readonly FetchedPartition[]
}

/** Who asks for offsets, as far as it says (v9). */
export interface FetchClaim {
  /** Null: it does not say. */
  readonly memberId: string | null
  readonly memberEpoch: number
}

/** The error of a group of OffsetFetch, from the state that {@link fetchOffsets} answers from. */
export function fetchError(
  context: GroupContext,
  groupId: string,
  { memberId, memberEpoch }: FetchClaim,
  requireStable: boolean,
): number {
  const group = requireStable ? context.groups.get(groupId) : context.groups.getCommitted(groupId)
  return checkFetch(group, memberId, memberEpoch)
}

/**
 * Handles one group of OffsetFetch; topics null: all there are. With `requireStable` the newest state counts and the caller
 * releases the answer when that is committed; offsets that an open transaction may change are withheld. Otherwise the last
 * committed state counts.
 */
export function fetchOffsets(
  context: GroupContext,
  offsets: OffsetStore,
  groupId: string,
  topics: readonly FetchTopic[] | null,
  requireStable: boolean,
): FetchedTopic[] {
  const group = requireStable ? context.groups.get(groupId) : context.groups.getCommitted(groupId)
  const exists = group !== undefined && !isDead(group)
  const read = (topic: string, partition: number, stored: StoredOffset | undefined): FetchedPartition => {
    if (requireStable && exists && offsets.isInOpenTransaction(groupId, topic, partition)) {
      return noOffset(partition, ErrorCode.UNSTABLE_OFFSET_COMMIT)
    }
    if (stored === undefined) return noOffset(partition, ErrorCode.NONE)
    const { committedOffset, leaderEpoch, metadata } = stored.value
    return { partition, committedOffset, leaderEpoch, metadata, errorCode: ErrorCode.NONE }
  }
  if (topics === null) {
    if (!exists) return []
    return [...offsets.committed.topicViews(groupId, !requireStable)].map(([topic, view]) => ({
      topic,
      topicId: ZERO_UUID,
      partitions: [...view.entries()].map(([partition, stored]) => read(topic, partition, stored)),
    }))
  }
  return topics.map(({ topic, topicId, partitions }) => {
    const view = offsets.committed.view(groupId, topic, !requireStable)
    return {
      topic,
      topicId,
      partitions: partitions.map((partition) => {
        const stored = exists ? view.get(partition) : undefined
        const isOther = stored !== undefined && isOtherTopic(stored.value.topicId, topicId)
        return read(topic, partition, isOther ? undefined : stored)
      }),
    }
  })
}

function noOffset(partition: number, errorCode: number): FetchedPartition {
  return { partition, committedOffset: -1, leaderEpoch: -1, metadata: '', errorCode }
}

/** A topic that was deleted and made anew keeps its name, so an offset of the old one must not be served for it. */
function isOtherTopic(storedId: Uuid, askedId: Uuid): boolean {
  return storedId !== ZERO_UUID && askedId !== ZERO_UUID && storedId !== askedId
}

/** One topic of an OffsetDelete request. */
export interface DeleteTopic {
  readonly topic: string
  readonly partitions: readonly number[]
}

/** Handles OffsetDelete: an error of the request, or one of each topic, which stands for all of its partitions. */
export function deleteOffsets(
  context: GroupContext,
  offsets: OffsetStore,
  groupId: string,
  topics: readonly DeleteTopic[],
  step: GroupStep,
): { errorCode: number; topicErrors: number[] } {
  const group = context.groups.get(groupId)
  if (group === undefined || group.type === 'share' || isDead(group)) {
    return { errorCode: ErrorCode.GROUP_ID_NOT_FOUND, topicErrors: [] }
  }
  if (!group.isEmpty && !group.usesConsumerProtocol) return { errorCode: ErrorCode.NON_EMPTY_GROUP, topicErrors: [] }
  const topicErrors = topics.map(({ topic, partitions }) => {
    if (group.isSubscribedTo(topic)) return ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
    for (const partition of partitions) {
      const isStored = offsets.committed.get(groupId, topic, partition) !== undefined
      if (isStored || offsets.isInOpenTransaction(groupId, topic, partition)) {
        writeTombstone(groupId, topic, partition, step)
        context.counters.offsetDeletions++
      }
    }
    return ErrorCode.NONE
  })
  return { errorCode: 0, topicErrors }
}

/** Handles one group of DeleteGroups: deletes its offsets, pending ones too, and then the group. */
export function deleteGroup(context: GroupContext, offsets: OffsetStore, groupId: string, step: GroupStep): number {
  const group = context.groups.get(groupId)
  if (group === undefined || group.type === 'share' || isDead(group)) return ErrorCode.GROUP_ID_NOT_FOUND
  if (!group.isEmpty) return ErrorCode.NON_EMPTY_GROUP
  for (const { topic, partition } of offsets.committed.entries(groupId)) {
    writeTombstone(groupId, topic, partition, step)
  }
  for (const { topic, partition } of offsets.openPartitions(groupId)) {
    if (offsets.committed.get(groupId, topic, partition) === undefined) {
      writeTombstone(groupId, topic, partition, step)
    }
  }
  context.counters.offsetDeletions += step.records.length
  writeGroupTombstones(group, 'group deleted on request', { offsets: step.records.length }, step)
  return ErrorCode.NONE
}

/** Deletes the offsets of a deleted topic: those of its id, and those that do not know an id. */
export function deleteTopicOffsets(
  context: GroupContext,
  offsets: OffsetStore,
  topic: string,
  topicId: Uuid,
  step: GroupStep,
): void {
  const recordCount = step.records.length
  const isOfTopic = (stored: StoredOffset): boolean =>
    stored.value.topicId === ZERO_UUID || stored.value.topicId === topicId
  for (const groupId of offsets.committed.groupIds()) {
    for (const [partition, stored] of offsets.committed.partitions(groupId, topic)) {
      if (isOfTopic(stored)) writeTombstone(groupId, topic, partition, step)
    }
  }
  for (const { groupId, partition, stored } of offsets.pendingPartitions(topic)) {
    if (isOfTopic(stored)) writeTombstone(groupId, topic, partition, step)
  }
  context.counters.offsetDeletions += step.records.length - recordCount
}

/** Deletes the expired offsets of a group and the group itself if it is empty and nothing is left of it. */
export function expireGroup(context: GroupContext, offsets: OffsetStore, group: Group, step: GroupStep): void {
  const { groupId } = group
  const retentionMs = context.config.offsetsRetentionMinutes * 60_000
  let isAllExpired = true
  let expiredCount = 0
  for (const { topic, partition, value: stored } of offsets.committed.entries(groupId)) {
    const isExpired =
      !group.isSubscribedTo(topic) &&
      !offsets.isInOpenTransaction(groupId, topic, partition) &&
      isOffsetExpired(group, stored, step.nowMs, retentionMs)
    if (isExpired) {
      writeTombstone(groupId, topic, partition, step)
      expiredCount++
    } else {
      isAllExpired = false
    }
  }
  context.counters.offsetExpirations += expiredCount
  if (expiredCount > 0) note(group, 'group offsets expired', { offsets: expiredCount, all: isAllExpired }, step)
  if (isAllExpired && group.type !== 'share' && group.isEmpty && !offsets.hasOpenTransaction(groupId)) {
    writeGroupTombstones(group, 'group deleted: it is empty and has no offsets', {}, step)
  }
}

/** Applied as they are written, since an expiry may be written in parts. */
function writeGroupTombstones(group: Group, message: string, fields: Record<string, unknown>, step: GroupStep): void {
  note(group, message, fields, step)
  // A share group has states elsewhere: it goes by a way of its own (`share/share-states.ts`).
  if (group.type === 'share') return
  if (group.type === 'classic') step.write({ type: 'group-metadata', groupId: group.groupId, value: null })
  else for (const record of consumerTombstones(group)) step.write(record)
}

function note(group: Group, message: string, fields: Record<string, unknown>, step: GroupStep): void {
  if (group.type === 'classic') noteGroup(group, message, fields, step)
  else noteModernGroup(group, message, fields, step)
}

function isOffsetExpired(group: Group, stored: StoredOffset, nowMs: TimestampMs, retentionMs: number): boolean {
  const { commitTimestampMs, expireTimestampMs } = stored.value
  let baseMs = commitTimestampMs
  if (group.type === 'classic' && group.protocolType !== null) {
    if (group.isEmpty) baseMs = group.stateTimestampMs === -1 ? commitTimestampMs : group.stateTimestampMs
    else if (!group.usesConsumerProtocol || !group.knowsSubscribedTopics || group.state !== 'Stable') return false
  }
  return expireTimestampMs === -1 ? nowMs - baseMs >= retentionMs : nowMs >= expireTimestampMs
}

function writeTombstone(groupId: string, topic: string, partition: number, step: GroupStep): void {
  step.write({ type: 'offset-commit', groupId, topic, partition, value: null })
}

/** Its shard is being unloaded. */
function isDead(group: Group): boolean {
  return group.type === 'classic' && group.state === 'Dead'
}
