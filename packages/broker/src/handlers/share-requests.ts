import type { Uuid } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import { type ApiKey, ErrorCode } from '@millrace/protocol'
import type { Access, Authorizer } from '../authorization/authorizer.ts'
import { NEEDS } from '../authorization/needs.ts'
import type { Shares } from '../share/shares.ts'
import { type AcknowledgementBatch, AcknowledgeType, checkAcknowledgements } from '../share/window/acknowledge.ts'
import type { RequestContext } from './handler.ts'

/** Longest id of a member: that of a UUID in the usual form. */
const MAX_MEMBER_ID_LENGTH = 36
/** First version of ShareFetch and ShareAcknowledge with renewals (KIP-1222). */
const RENEWAL_VERSION = 2

/** What ShareFetch and ShareAcknowledge have in common. */
export interface ShareRequestDeps {
  readonly shares: Shares
  image(): MetadataImage
  /** Null: everybody may do everything. */
  readonly authorizer: Authorizer | null
}

/** Acknowledgements of one partition. */
export interface AcknowledgedPartition {
  readonly topicId: Uuid
  readonly partition: number
  readonly batches: readonly AcknowledgementBatch[]
}

/** Why a request cannot be served whatever it asks for, or 0. */
export function refusalOf(
  deps: ShareRequestDeps,
  request: { readonly groupId: string | null; readonly memberId: string | null },
  access: Access | null,
  apiKey: typeof ApiKey.SHARE_FETCH | typeof ApiKey.SHARE_ACKNOWLEDGE,
): number {
  const { groupId, memberId } = request
  if (!deps.shares.isServed) return ErrorCode.UNSUPPORTED_VERSION
  const isMember = memberId !== null && memberId !== '' && memberId.length <= MAX_MEMBER_ID_LENGTH
  if (groupId === null || groupId === '' || !isMember) return ErrorCode.INVALID_REQUEST
  const { group } = NEEDS[apiKey]
  return access === null || access.allows(group, groupId) ? ErrorCode.NONE : group.errorCode
}

/** Why a member may not read a topic, or 0. What does not exist is told when it is looked for. */
export function topicRefusal(
  deps: ShareRequestDeps,
  access: Access | null,
  topicId: Uuid,
  apiKey: typeof ApiKey.SHARE_FETCH | typeof ApiKey.SHARE_ACKNOWLEDGE,
): number {
  if (access === null) return ErrorCode.NONE
  const name = deps.image().topicsById.get(topicId)?.name
  const { topic } = NEEDS[apiKey]
  return name === undefined || access.allows(topic, name) ? ErrorCode.NONE : topic.errorCode
}

/** Takes acknowledgements, all at a time. Resolves once all are stored, with an error code each, in the order they came in. */
export async function acknowledgeAll(
  deps: ShareRequestDeps,
  { groupId, memberId }: { readonly groupId: string; readonly memberId: string },
  partitions: readonly AcknowledgedPartition[],
  context: Pick<RequestContext, 'apiVersion'>,
  isRenewal: boolean,
  refusal: (topicId: Uuid) => number,
): Promise<number[]> {
  const { shares } = deps
  const maxType = context.apiVersion >= RENEWAL_VERSION ? AcknowledgeType.RENEW : AcknowledgeType.REJECT
  return Promise.all(
    partitions.map(({ topicId, partition, batches }) => {
      const errorCode = checkAcknowledgements(batches, maxType, isRenewal) || refusal(topicId)
      if (errorCode !== ErrorCode.NONE) return errorCode
      if (!deps.image().topicsById.has(topicId)) return ErrorCode.UNKNOWN_TOPIC_ID
      const share = shares.partitions.known(groupId, topicId, partition)
      if (share === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      return share.acknowledge(memberId, batches).then((code) => {
        if (code === ErrorCode.NONE) count(shares.totals.acknowledgements, batches)
        return code
      })
    }),
  )
}

/** Adds up records by what is said of them. */
function count(totals: number[], batches: readonly AcknowledgementBatch[]): void {
  for (const { firstOffset, lastOffset, acknowledgeTypes } of batches) {
    if (acknowledgeTypes.length === 1) totals[acknowledgeTypes[0]!]! += Number(lastOffset) - Number(firstOffset) + 1
    else for (const type of acknowledgeTypes) totals[type]!++
  }
}
