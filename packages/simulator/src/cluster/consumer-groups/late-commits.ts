import {
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  ErrorCode,
  offsetCommitApi,
} from '@millrace/protocol'
import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'
import type { ClientSeat } from '../client-host.ts'
import { callNode } from '../raw-call.ts'
import type { VoidClaim } from './membership-ghost.ts'

/** Nobody who may commit ever commits an offset like this. */
export const FORBIDDEN_OFFSET = 1_000_000_000
/** Topics by name, and epochs of members. */
const COMMIT_VERSION = 9
const TIMEOUT_MS = 2_000

/**
 * G3: commits as they arrive from members that have gone on, or are gone, behind their backs: of partitions that they had, under the epochs
 * in which they had them. None of them may be taken.
 */
export async function commitLate(
  world: World,
  seat: ClientSeat,
  node: number,
  groupId: string,
  { memberId, epoch, place }: VoidClaim,
): Promise<void> {
  const [name = '', partition] = place.split('/')
  const partitions = [
    createOffsetCommitRequestPartition({ partitionIndex: Number(partition), committedOffset: FORBIDDEN_OFFSET }),
  ]
  const request = createOffsetCommitRequest({
    groupId,
    memberId,
    generationIdOrMemberEpoch: epoch,
    topics: [createOffsetCommitRequestTopic({ name, partitions })],
  })
  const answer = await callNode(seat, node, offsetCommitApi, {
    request,
    version: COMMIT_VERSION,
    timeoutMs: TIMEOUT_MS,
  })
  const code = answer?.topics[0]?.partitions[0]?.errorCode
  if (code === undefined) return
  world.judge('G3')
  world.mark(code === ErrorCode.STALE_MEMBER_EPOCH ? 'late commit of a former epoch refused' : 'late commit refused')
  must(code !== ErrorCode.NONE, 'G3', () => {
    return `a commit of ${place} by ${memberId} was taken under epoch ${epoch}, which it has left behind`
  })
}
