import type { Offset, ProducerId } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { GroupContext } from './group-context.ts'
import type { GroupStep } from './group-protocol.ts'
import { checkCommit } from './member-check.ts'
import { type CommitAnswer, type CommitInput, OffsetAdmission } from './offset-operations.ts'
import type { OffsetStore } from './offset-store.ts'

/** A TxnOffsetCommit request, freed of its version. The producer was verified before. */
export interface TransactionalCommitInput extends CommitInput {
  readonly producerId: ProducerId
  readonly producerEpoch: number
}

/**
 * Handles TxnOffsetCommit (`replication-and-transactions.md`, 10.6): offsets that count when the producer's transaction is committed, and
 * are forgotten when it is aborted. Until then they take the same room as others.
 */
export function commitTransactionalOffsets(
  context: GroupContext,
  offsets: OffsetStore,
  input: TransactionalCommitInput,
  step: GroupStep,
): CommitAnswer {
  const { groupId, producerId } = input
  const group = context.groups.get(groupId)
  // Who says that it is a member must be one; who says nothing may always commit: producers of older versions know nothing of members.
  const errorCode = checkCommit(group, { ...input, isTransactional: true, knowsGroupIdNotFound: false })
  if (errorCode !== ErrorCode.NONE) return { errorCode, partitionErrors: [] }
  const { limits } = context
  const owner = limits.ownerAt(input.clientAddress)
  const hasRoom = limits.hasRoomForGroup(owner) && limits.hasRoomFor(0, groupId.length, owner)
  if (group === undefined && !hasRoom) {
    context.counters.limitRefusals++
    return { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, partitionErrors: [] }
  }
  const admission = new OffsetAdmission(context, input, owner, (topic, partition) =>
    offsets.pending(producerId, groupId, topic, partition),
  )
  const commitTimestampMs = step.nowMs
  const write = (topic: string, topicId: CommitInput['topics'][number]['topicId'], offset: CommitOffset): number => {
    const { partition, committedOffset, leaderEpoch, metadata } = offset
    if (metadata.length > context.config.offsetMetadataMaxBytes) return ErrorCode.OFFSET_METADATA_TOO_LARGE
    if (!admission.admits(topic, partition, metadata)) return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const value = { committedOffset, leaderEpoch, metadata, commitTimestampMs, expireTimestampMs: -1, topicId }
    const owned = admission.ownerOf(topic, partition)
    step.write({ type: 'offset-commit', groupId, topic, partition, value, owner: owned })
    context.counters.offsetCommits++
    return ErrorCode.NONE
  }
  const partitionErrors = input.topics.map(({ topic, topicId, partitions }) =>
    partitions.map((offset) => write(topic, topicId, offset)),
  )
  return { errorCode: ErrorCode.NONE, partitionErrors }
}

interface CommitOffset {
  readonly partition: number
  readonly committedOffset: Offset
  readonly leaderEpoch: number
  readonly metadata: string
}
