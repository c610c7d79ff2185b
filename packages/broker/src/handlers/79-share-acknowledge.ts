import type { Uuid } from '@millrace/base'
import {
  ApiKey,
  createShareAcknowledgeResponse,
  createShareAcknowledgeResponseLeaderIdAndEpoch,
  createShareAcknowledgeResponseNodeEndpoint,
  createShareAcknowledgeResponsePartitionData,
  createShareAcknowledgeTopicResponse,
  ErrorCode,
  type ShareAcknowledgeRequest,
  type ShareAcknowledgeResponse,
  shareAcknowledgeApi,
} from '@millrace/protocol'
import { FINAL_SHARE_EPOCH } from '../share/fetch/share-session.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler, RequestContext } from './handler.ts'
import type { LeaderHints } from './leader-hints.ts'
import { acknowledgeAll, refusalOf, type ShareRequestDeps, topicRefusal } from './share-requests.ts'

export interface ShareAcknowledgeDeps extends ShareRequestDeps {
  readonly leaderHints: LeaderHints
}

/** ShareAcknowledge 1–2 (KIP-932, KIP-1222). Answered once all that it says is stored. */
export function shareAcknowledgeHandler(
  deps: ShareAcknowledgeDeps,
): ApiHandler<ShareAcknowledgeRequest, ShareAcknowledgeResponse> {
  return defineHandler(shareAcknowledgeApi, async (request, context) => {
    const { totals } = deps.shares
    totals.acknowledgeRequests++
    const response = await handle(deps, request, context)
    const hasFailed = response.responses.some(({ partitions }) => partitions.some(({ errorCode }) => errorCode !== 0))
    if (response.errorCode !== ErrorCode.NONE || hasFailed) totals.failedAcknowledges++
    return response
  })
}

async function handle(
  deps: ShareAcknowledgeDeps,
  request: ShareAcknowledgeRequest,
  context: RequestContext,
): Promise<ShareAcknowledgeResponse> {
  const access = deps.authorizer?.accessOf(context.connection) ?? null
  const refusal = refusalOf(deps, request, access, ApiKey.SHARE_ACKNOWLEDGE)
  if (refusal !== ErrorCode.NONE) return createShareAcknowledgeResponse({ errorCode: refusal })
  const member = { groupId: request.groupId!, memberId: request.memberId! }
  const { shareSessionEpoch } = request
  const { connectionId } = context.connection
  const found = deps.shares.sessions.find(member.groupId, member.memberId, shareSessionEpoch, connectionId, false)
  if ('errorCode' in found) return createShareAcknowledgeResponse({ errorCode: found.errorCode })
  const partitions = request.topics.flatMap((topic) =>
    topic.partitions.map(({ partitionIndex, acknowledgementBatches }) => ({
      topicId: topic.topicId,
      partition: partitionIndex,
      batches: acknowledgementBatches,
    })),
  )
  const acknowledged = acknowledgeAll(deps, member, partitions, context, request.isRenewAck, (topicId) =>
    topicRefusal(deps, access, topicId, ApiKey.SHARE_ACKNOWLEDGE),
  )
  // What it says counts before what it holds is given away.
  if (shareSessionEpoch === FINAL_SHARE_EPOCH) deps.shares.sessions.end(found.session)
  const errorCodes = await acknowledged
  const hints = deps.leaderHints.collect(context.connection.listener)
  const byTopic = new Map<Uuid, ReturnType<typeof createShareAcknowledgeTopicResponse>>()
  for (const [slot, { topicId, partition }] of partitions.entries()) {
    let topic = byTopic.get(topicId)
    if (topic === undefined) {
      topic = createShareAcknowledgeTopicResponse({ topicId, partitions: [] })
      byTopic.set(topicId, topic)
    }
    const errorCode = errorCodes[slot]!
    const name = deps.image().topicsById.get(topicId)?.name
    const isMoved = errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER || errorCode === ErrorCode.FENCED_LEADER_EPOCH
    const hint = isMoved && name !== undefined ? hints.leaderOf(name, partition) : null
    topic.partitions.push(
      createShareAcknowledgeResponsePartitionData({
        partitionIndex: partition,
        errorCode,
        currentLeader: createShareAcknowledgeResponseLeaderIdAndEpoch(hint ?? {}),
      }),
    )
  }
  return createShareAcknowledgeResponse({
    acquisitionLockTimeoutMs: deps.shares.configs.of(member.groupId).recordLockDurationMs,
    responses: [...byTopic.values()],
    nodeEndpoints: hints.nodes().map((node) => createShareAcknowledgeResponseNodeEndpoint(node)),
  })
}
