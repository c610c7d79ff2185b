import { numberKey, type Timers, type Uuid } from '@millrace/base'
import {
  ApiKey,
  createAcquiredRecords,
  createShareFetchableTopicResponse,
  createShareFetchResponse,
  createShareFetchResponseLeaderIdAndEpoch,
  createShareFetchResponseNodeEndpoint,
  createShareFetchResponsePartitionData,
  ErrorCode,
  type ShareFetchRequest,
  type ShareFetchResponse,
  shareFetchApi,
} from '@millrace/protocol'
import type { FetchLimits } from '../partition/fetch-limits.ts'
import { type FetchedShare, ShareFetchOperation, type ShareTarget } from '../share/fetch/share-fetch-operation.ts'
import { FINAL_SHARE_EPOCH, INITIAL_SHARE_EPOCH, type ShareSession } from '../share/fetch/share-session.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler, RequestContext } from './handler.ts'
import type { LeaderHints } from './leader-hints.ts'
import {
  type AcknowledgedPartition,
  acknowledgeAll,
  refusalOf,
  type ShareRequestDeps,
  topicRefusal,
} from './share-requests.ts'

/** A member that finds no room for its session must not ask again at once. */
const NO_ROOM_MAX_WAIT_MS = 5000

export interface ShareFetchDeps extends ShareRequestDeps {
  readonly timers: Timers
  readonly limits: FetchLimits
  readonly leaderHints: LeaderHints
  /** `fetch.max.bytes`. */
  readonly fetchMaxBytes: number
}

/** ShareFetch 1–2 (KIP-932; acquire modes: KIP-1206; renewals: KIP-1222). Acknowledgements in it count before it fetches. */
export function shareFetchHandler(deps: ShareFetchDeps): ApiHandler<ShareFetchRequest, ShareFetchResponse> {
  return defineHandler(shareFetchApi, async (request, context) => {
    const { totals } = deps.shares
    totals.fetchRequests++
    const response = await handle(deps, request, context)
    if (response.errorCode !== ErrorCode.NONE) totals.failedFetches++
    return response
  })
}

async function handle(
  deps: ShareFetchDeps,
  request: ShareFetchRequest,
  context: RequestContext,
): Promise<ShareFetchResponse> {
  const { shares } = deps
  const access = deps.authorizer?.accessOf(context.connection) ?? null
  const errorCode = refusalOf(deps, request, access, ApiKey.SHARE_FETCH) || complaintOf(request)
  if (errorCode !== ErrorCode.NONE) return createShareFetchResponse({ errorCode })
  const member = { groupId: request.groupId!, memberId: request.memberId! }
  const { shareSessionEpoch } = request
  const { connectionId } = context.connection
  const found = shares.sessions.find(member.groupId, member.memberId, shareSessionEpoch, connectionId, true)
  if ('errorCode' in found) return refuse(deps, found.errorCode, request.maxWaitMs, context)
  const { session } = found
  const refusal = (topicId: Uuid): number => topicRefusal(deps, access, topicId, ApiKey.SHARE_FETCH)
  const acknowledged = acknowledgementsOf(request)
  const acknowledging = acknowledgeAll(deps, member, acknowledged, context, request.isRenewAck, refusal)
  let fetched: FetchedShare[] = []
  if (shareSessionEpoch === FINAL_SHARE_EPOCH) {
    shares.sessions.end(session)
  } else {
    const forgotten = request.forgottenTopicsData.flatMap(placesOf)
    const added = request.topics.flatMap(({ topicId, partitions }) =>
      placesOf({ topicId, partitions: partitions.map(({ partitionIndex }) => partitionIndex) }),
    )
    if (!shares.sessions.change(session, added, forgotten)) {
      shares.sessions.end(session)
      return refuse(deps, ErrorCode.SHARE_SESSION_LIMIT_REACHED, request.maxWaitMs, context)
    }
    if (!request.isRenewAck) fetched = await fetch(deps, request, context, session, refusal)
  }
  const errorCodes = await acknowledging
  return respond(deps, context, member.groupId, fetched, acknowledged, errorCodes)
}

/** What no member asks for, or 0. */
function complaintOf(request: ShareFetchRequest): number {
  const { shareSessionEpoch, isRenewAck, maxWaitMs, minBytes, maxBytes, maxRecords } = request
  const hasAcknowledgements = request.topics.some(({ partitions }) =>
    partitions.some(({ acknowledgementBatches }) => acknowledgementBatches.length > 0),
  )
  if (shareSessionEpoch === INITIAL_SHARE_EPOCH && hasAcknowledgements) return ErrorCode.INVALID_REQUEST
  const fetches = maxWaitMs !== 0 || minBytes !== 0 || maxBytes !== 0 || maxRecords !== 0
  return isRenewAck && fetches ? ErrorCode.INVALID_REQUEST : ErrorCode.NONE
}

/** Want of room is told late: clients try again at once. */
async function refuse(
  deps: ShareFetchDeps,
  errorCode: number,
  maxWaitMs: number,
  context: RequestContext,
): Promise<ShareFetchResponse> {
  if (errorCode === ErrorCode.SHARE_SESSION_LIMIT_REACHED && maxWaitMs > 0) {
    await new Promise<void>((resolve) => {
      const timer = deps.timers.setTimer(Math.min(maxWaitMs, NO_ROOM_MAX_WAIT_MS), resolve)
      context.onAbandoned(() => {
        timer.cancel()
        resolve()
      })
    })
  }
  return createShareFetchResponse({ errorCode })
}

function placesOf({ topicId, partitions }: { readonly topicId: Uuid; readonly partitions: readonly number[] }) {
  return partitions.map((partition) => ({ topicId, partition }))
}

function acknowledgementsOf(request: ShareFetchRequest): AcknowledgedPartition[] {
  const acknowledged: AcknowledgedPartition[] = []
  for (const { topicId, partitions } of request.topics) {
    for (const { partitionIndex, acknowledgementBatches: batches } of partitions) {
      if (batches.length > 0) acknowledged.push({ topicId, partition: partitionIndex, batches })
    }
  }
  return acknowledged
}

function fetch(
  deps: ShareFetchDeps,
  request: ShareFetchRequest,
  context: RequestContext,
  session: ShareSession,
  refusal: (topicId: Uuid) => number,
): Promise<FetchedShare[]> {
  const { shares, timers, limits } = deps
  const maxBytes = Math.min(request.maxBytes, deps.fetchMaxBytes)
  const wantsRecords = maxBytes > 0 && request.maxRecords > 0
  const targets: ShareTarget[] = session.rotated().map((wanted) => {
    const errorCode = refusal(wanted.topicId)
    if (errorCode !== ErrorCode.NONE) return { wanted, share: errorCode }
    // Nothing is loaded for who wants nothing.
    return {
      wanted,
      share: wantsRecords ? shares.partitions.open(session.groupId, wanted.topicId, wanted.partition) : 0,
    }
  })
  return new Promise((resolve, reject) => {
    const operation = new ShareFetchOperation(
      {
        timers,
        limits,
        monotonicMs: () => shares.clock.monotonicMs(),
        hasRoom: () => shares.partitions.hasRoom,
      },
      {
        memberId: session.memberId,
        maxWaitMs: request.maxWaitMs,
        minBytes: Math.min(request.minBytes, maxBytes),
        maxBytes,
        maxRecords: request.maxRecords,
        batchSize: request.batchSize,
        mode: request.shareAcquireMode,
      },
      targets,
      (answers) => {
        session.waiting = null
        if (operation.copiedBytes > 0) context.holdAnswerBytes(operation.copiedBytes)
        resolve(withNews(answers))
      },
      (error) => {
        session.waiting = null
        reject(error)
      },
    )
    session.waiting = operation
    operation.start()
    if (session.waiting === operation) context.onAbandoned(() => operation.abandon())
  })
}

/** Those of which there is something to tell; of new ones at least that they are fetched. */
function withNews(answers: readonly FetchedShare[]): FetchedShare[] {
  const told = answers.filter(
    ({ wanted, errorCode, acquired }) => wanted.isNew || errorCode !== ErrorCode.NONE || acquired.length > 0,
  )
  // After an error the next answer names it again, even if there is nothing to tell.
  for (const { wanted, errorCode } of told) wanted.isNew = errorCode !== ErrorCode.NONE
  return told
}

function respond(
  deps: ShareFetchDeps,
  { connection }: RequestContext,
  groupId: string,
  fetched: readonly FetchedShare[],
  acknowledged: readonly AcknowledgedPartition[],
  acknowledgeErrors: readonly number[],
): ShareFetchResponse {
  const { totals, configs } = deps.shares
  const hints = deps.leaderHints.collect(connection.listener)
  const answers = new Answers(deps, hints)
  for (const { wanted, errorCode, acquired, records } of fetched) {
    const data = answers.of(wanted.topicId, wanted.partition)
    answers.setError(data, wanted.topicId, errorCode)
    data.records = records
    data.acquiredRecords = acquired.map((held) => createAcquiredRecords(held))
    for (const { firstOffset, lastOffset } of acquired) totals.acquiredRecords += lastOffset - firstOffset + 1
  }
  for (const [slot, { topicId, partition }] of acknowledged.entries()) {
    const data = answers.of(topicId, partition)
    // Of several entries for one partition the first error counts.
    if (data.acknowledgeErrorCode === ErrorCode.NONE) data.acknowledgeErrorCode = acknowledgeErrors[slot]!
  }
  return createShareFetchResponse({
    acquisitionLockTimeoutMs: configs.of(groupId).recordLockDurationMs,
    responses: answers.topics(),
    nodeEndpoints: hints.nodes().map((node) => createShareFetchResponseNodeEndpoint(node)),
  })
}

type PartitionAnswer = ReturnType<typeof createShareFetchResponsePartitionData>

/** Answers by topic and partition, each once. */
class Answers {
  readonly #deps: ShareFetchDeps
  readonly #hints: ReturnType<LeaderHints['collect']>
  readonly #byTopic = new Map<Uuid, Map<number, PartitionAnswer>>()

  constructor(deps: ShareFetchDeps, hints: ReturnType<LeaderHints['collect']>) {
    this.#deps = deps
    this.#hints = hints
  }

  of(topicId: Uuid, partition: number): PartitionAnswer {
    let ofTopic = this.#byTopic.get(topicId)
    if (ofTopic === undefined) {
      ofTopic = new Map()
      this.#byTopic.set(topicId, ofTopic)
    }
    let data = ofTopic.get(numberKey(partition))
    if (data === undefined) {
      data = createShareFetchResponsePartitionData({ partitionIndex: partition, records: [] })
      ofTopic.set(numberKey(partition), data)
    }
    return data
  }

  /** Who asks the wrong broker is told where to go (KIP-951). */
  setError(data: PartitionAnswer, topicId: Uuid, errorCode: number): void {
    data.errorCode = errorCode
    const isMoved = errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER || errorCode === ErrorCode.FENCED_LEADER_EPOCH
    const name = isMoved ? this.#deps.image().topicsById.get(topicId)?.name : undefined
    if (name === undefined) return
    const hint = this.#hints.leaderOf(name, data.partitionIndex)
    data.currentLeader = createShareFetchResponseLeaderIdAndEpoch(hint ?? {})
  }

  topics() {
    return Array.from(this.#byTopic, ([topicId, partitions]) =>
      createShareFetchableTopicResponse({ topicId, partitions: [...partitions.values()] }),
    )
  }
}
