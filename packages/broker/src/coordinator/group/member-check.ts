import type { Uuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { ClassicGroup } from './classic-group.ts'
import type { ConsumerGroup } from './consumer/consumer-group.ts'
import type { ConsumerMember } from './consumer/consumer-member.ts'
import { epochIn } from './consumer/epoch-assignment.ts'
import type { Group } from './group.ts'

/** Who wants to commit offsets for a group, and how. */
export interface CommitClaim {
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** Generation of a classic group, or epoch of a member of a consumer group. Negative: the sender is no member. */
  readonly generationId: number
  /** TxnOffsetCommit: producers that use no group say nothing of themselves. */
  readonly isTransactional: boolean
  /** Clients before OffsetCommit v9 know neither GROUP_ID_NOT_FOUND nor epochs here. */
  readonly knowsGroupIdNotFound: boolean
  readonly topics: readonly {
    readonly topicId: Uuid
    readonly partitions: readonly { readonly partition: number }[]
  }[]
}

/** Whether offsets may be committed so, by OffsetCommit or TxnOffsetCommit: 0 or the error of the whole request (`coordinators.md`). */
export function checkCommit(group: Group | undefined, claim: CommitClaim): number {
  if (group === undefined) {
    if (claim.generationId < 0) return ErrorCode.NONE
    const isTold = claim.knowsGroupIdNotFound && !claim.isTransactional
    return isTold ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.ILLEGAL_GENERATION
  }
  // Share groups commit nothing.
  if (group.type === 'share') return ErrorCode.GROUP_ID_NOT_FOUND
  return group.type === 'classic' ? checkClassicCommit(group, claim) : checkConsumerCommit(group, claim)
}

function checkClassicCommit(group: ClassicGroup, claim: CommitClaim): number {
  const { generationId, memberId, groupInstanceId, isTransactional } = claim
  if (group.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
  // An administrator, or a consumer that does not use the group for membership.
  if (generationId < 0 && group.isEmpty) return ErrorCode.NONE
  if (saysNothing(claim)) return isTransactional ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
  const errorCode = group.validateMember(memberId, groupInstanceId)
  if (errorCode !== 0) return errorCode
  if (generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION
  const isCompleting = group.state === 'CompletingRebalance' && !isTransactional
  return isCompleting ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
}

function checkConsumerCommit(group: ConsumerGroup, claim: CommitClaim): number {
  const { generationId, memberId, isTransactional } = claim
  if (generationId < 0 && group.isEmpty) return ErrorCode.NONE
  if (isTransactional && saysNothing(claim)) return ErrorCode.NONE
  const member = group.members.get(memberId)
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
  if (!isTransactional && member.classic === null && !claim.knowsGroupIdNotFound) return ErrorCode.UNSUPPORTED_VERSION
  if (generationId === member.memberEpoch) return ErrorCode.NONE
  // Of an older epoch: the offsets may be those of partitions that the member has had since then, without a break (KIP-1251).
  const isLate = generationId >= 0 && generationId < member.memberEpoch && hasHadSince(member, claim)
  if (isLate) return ErrorCode.NONE
  const isToldOfGeneration = isTransactional || member.classic !== null
  return isToldOfGeneration ? ErrorCode.ILLEGAL_GENERATION : ErrorCode.STALE_MEMBER_EPOCH
}

function saysNothing({ generationId, memberId, groupInstanceId }: CommitClaim): boolean {
  return generationId < 0 && memberId === '' && groupInstanceId === null
}

function hasHadSince({ current }: ConsumerMember, { topics, generationId }: CommitClaim): boolean {
  return topics.every(({ topicId, partitions }) =>
    partitions.every(({ partition }) => {
      const epoch =
        epochIn(current.assigned, topicId, partition) ?? epochIn(current.pendingRevocation, topicId, partition)
      return epoch !== undefined && epoch <= generationId
    }),
  )
}

/** Whether OffsetFetch may be asked so (v9): 0 or the error of the group. Without a member id nothing is checked. */
export function checkFetch(group: Group | undefined, memberId: string | null, memberEpoch: number): number {
  if (group?.type !== 'consumer' || (memberId === null && memberEpoch < 0)) return ErrorCode.NONE
  const member = group.members.get(memberId ?? '')
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
  if (memberEpoch === member.memberEpoch) return ErrorCode.NONE
  return member.classic === null ? ErrorCode.STALE_MEMBER_EPOCH : ErrorCode.ILLEGAL_GENERATION
}
