import { numberKey, type Timers } from '@millrace/base'
import { MAX_TOPIC_NAME_LENGTH } from '@millrace/consensus'
import {
  ApiKey,
  createAbortedTransaction,
  createFetchableTopicResponse,
  createFetchResponse,
  createFetchResponseEpochEndOffset,
  createFetchResponseLeaderIdAndEpoch,
  createFetchResponseNodeEndpoint,
  createFetchResponsePartitionData,
  decodeFetchRequest,
  ErrorCode,
  encodeFetchResponse,
  type FetchRequest,
  type FetchResponse,
} from '@millrace/protocol'
import type { Access, Authorizer } from '../authorization/authorizer.ts'
import { NEEDS } from '../authorization/needs.ts'
import type { FetchLimits } from '../partition/fetch-limits.ts'
import {
  type FetchedPartition,
  FetchIsolation,
  FetchOperation,
  type FetchParameters,
  type FetchReplication,
  type FetchSource,
  NO_REPLICATION,
} from '../partition/fetch-operation.ts'
import {
  FetchPartition,
  type FetchSession,
  FINAL_FETCH_EPOCH,
  fetchPartitionKey,
  INITIAL_FETCH_EPOCH,
  nextFetchEpoch,
} from '../partition/fetch-session.ts'
import type { FetchSessionCache } from '../partition/fetch-session-cache.ts'
import type { Partition } from '../partition/partition.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { ApiHandler, ConnectionContext, RequestContext } from './handler.ts'
import type { LeaderHint, LeaderHintCollection, LeaderHints } from './leader-hints.ts'

/** Consumers from here on understand that they may be sent to another replica (KIP-392). */
const FIRST_VERSION_WITH_RACKS = 11
const FIRST_VERSION_WITH_LEADERS = 12
const FIRST_VERSION_WITH_DIVERGENCE = 12
const FIRST_VERSION_WITH_IDS = 13
const FIRST_VERSION_WITH_NODE_ENDPOINTS = 16
/** Clients below know KAFKA_STORAGE_ERROR as no error that a retry can heal. */
const FIRST_VERSION_WITH_STORAGE_ERROR = 6

export interface FetchDeps {
  partitions: PartitionManager
  sessions: FetchSessionCache
  timers: Timers
  /** `fetch.max.bytes`. */
  fetchMaxBytes: number
  limits: FetchLimits
  /** Left out where there are no other brokers. */
  replication?: FetchReplication
  /** Whether who asks as a replica is that broker; left out: whoever says so. */
  isReplica?(connection: ConnectionContext, replicaId: number): boolean
  /** Who leads instead, for clients that ask the wrong broker; left out where nobody else can. */
  leaderHints?: LeaderHints
  /** Says which topics a consumer may read; left out, or null: all. */
  authorizer?: Authorizer | null
  onFetched(topic: string, sizeBytes: number): void
  /** A partition was answered with this error. */
  onFailed(topic: string, errorCode: number): void
}

/** How the answer is put together: all that was asked for, or what changed since the last answer (KIP-227). */
type FetchContext =
  | { kind: 'error'; errorCode: number }
  | { kind: 'full'; wanted: FetchPartition[]; openSession: boolean; privileged: boolean }
  | { kind: 'incremental'; session: FetchSession }

/**
 * Fetch 4–18. Sessions from 7, leader epochs from 9, racks from 11, divergence from 12, topic ids from 13. Clients are not throttled, so
 * `throttleTimeMs` is 0.
 */
export function fetchHandler(deps: FetchDeps): ApiHandler<FetchRequest, FetchResponse> {
  const byName: FetchSource = { resolve: (wanted) => resolveByName(deps.partitions, wanted) }
  const byId: FetchSource = { resolve: (wanted) => resolveById(deps.partitions, wanted) }
  return {
    apiKey: 1,
    minVersion: 4,
    maxVersion: 18,
    decodeRequest: decodeFetchRequest,
    encodeResponse: encodeFetchResponse,
    handle(request, context) {
      const replicaId = replicaIdOf(request, context.apiVersion)
      if (replicaId >= 0 && deps.isReplica?.(context.connection, replicaId) === false)
        return refuseReplica(deps, request)
      const fetchContext = openContext(deps, request, context.apiVersion)
      if (fetchContext.kind === 'error') return createFetchResponse({ errorCode: fetchContext.errorCode })
      const wanted = fetchContext.kind === 'full' ? fetchContext.wanted : [...fetchContext.session.partitions.values()]
      if (context.apiVersion < FIRST_VERSION_WITH_DIVERGENCE) forgetEpochs(wanted)
      const known = context.apiVersion >= FIRST_VERSION_WITH_IDS ? byId : byName
      const authorizer = replicaId >= 0 ? null : (deps.authorizer ?? null)
      const source = authorizer === null ? known : readableOf(known, authorizer.accessOf(context.connection))
      const parameters = parametersOf(deps, request, context.apiVersion, fetchContext)
      return run(deps, source, parameters, context, wanted, (answers) => respond(deps, fetchContext, answers, context))
    },
  }
}

/** Older answers cannot say where logs part, also in a session that a newer request began. */
function forgetEpochs(wanted: readonly FetchPartition[]): void {
  for (const partition of wanted) partition.lastFetchedEpoch = -1
}

/** Runs the operation; the answer is given at once where nothing has to be waited for. */
function run(
  deps: FetchDeps,
  source: FetchSource,
  parameters: FetchParameters,
  context: RequestContext,
  wanted: FetchPartition[],
  respondWith: (answers: FetchedPartition[]) => FetchResponse,
): FetchResponse | Promise<FetchResponse> {
  let immediate: FetchResponse | null = null
  let resolveLater: ((response: FetchResponse) => void) | null = null
  let rejectLater: ((error: unknown) => void) | null = null
  let failed: unknown = null
  const operation = new FetchOperation(
    source,
    parameters,
    wanted,
    (answers) => {
      if (operation.copiedBytes > 0) context.holdAnswerBytes(operation.copiedBytes)
      const response = respondWith(answers)
      if (resolveLater === null) immediate = response
      else resolveLater(response)
    },
    (error) => {
      if (rejectLater === null) failed = error
      else rejectLater(error)
    },
    deps.limits,
    deps.replication ?? NO_REPLICATION,
  )
  operation.start(deps.timers)
  if (immediate !== null) return immediate
  if (failed !== null) throw failed
  context.onAbandoned(() => operation.abandon())
  return new Promise((resolvePromise, reject) => {
    resolveLater = resolvePromise
    rejectLater = reject
  })
}

/**
 * It names what cannot be: it is answered at once, and nothing of it is kept. Sessions and fetches that wait are bounded by their partitions,
 * which such names would make thirty times as large.
 */
function hasImpossibleName({ topics }: FetchRequest): boolean {
  return topics.some(({ topic }) => topic.length > MAX_TOPIC_NAME_LENGTH)
}

/** Negative: a consumer. */
function replicaIdOf(request: FetchRequest, version: number): number {
  return version >= 15 ? request.replicaState.replicaId : request.replicaId
}

/** A client that says it is a replica would read what is not committed, and have records acknowledged that nobody holds: as Kafka without CLUSTER_ACTION. */
function refuseReplica(deps: FetchDeps, request: FetchRequest): FetchResponse {
  const errorCode = ErrorCode.TOPIC_AUTHORIZATION_FAILED
  const responses = request.topics.map(({ topic, topicId, partitions }) => {
    for (let count = partitions.length; count > 0; count--) deps.onFailed(topic, errorCode)
    return createFetchableTopicResponse({
      topic,
      topicId,
      partitions: partitions.map(({ partition }) =>
        createFetchResponsePartitionData({ partitionIndex: partition, errorCode, highWatermark: -1 }),
      ),
    })
  })
  return createFetchResponse({ responses })
}

function parametersOf(
  deps: FetchDeps,
  request: FetchRequest,
  version: number,
  fetchContext: FetchContext,
): FetchParameters {
  const replicaId = replicaIdOf(request, version)
  let isolation: FetchIsolation = FetchIsolation.HIGH_WATERMARK
  const brokerEpoch = version >= 15 ? Number(request.replicaState.replicaEpoch) : -1
  // Every negative id is a consumer's, a debugging one's (-2) too: only replicas read what is not committed.
  if (replicaId >= 0) isolation = FetchIsolation.LOG_END
  else if (request.isolationLevel === 1) isolation = FetchIsolation.TRANSACTION_COMMITTED
  const maxBytes = Math.max(0, Math.min(request.maxBytes, deps.fetchMaxBytes))
  return {
    replicaId,
    brokerEpoch,
    mayReadFollower: replicaId < 0 && version >= FIRST_VERSION_WITH_RACKS,
    rackId: version >= FIRST_VERSION_WITH_RACKS ? request.rackId : '',
    isolation,
    maxBytes,
    minBytes: Math.min(request.minBytes, maxBytes),
    maxWaitMs: hasImpossibleName(request) ? 0 : request.maxWaitMs,
    // Of what consumers ask for, each answer counts in the metrics of its topic.
    onlyNews: replicaId >= 0 && fetchContext.kind === 'incremental',
  }
}

/** Of the partitions those that a consumer may read. What is forbidden is told so, whether it exists or not; an id alone tells nothing. */
function readableOf(source: FetchSource, access: Access): FetchSource {
  const { topic: need } = NEEDS[ApiKey.FETCH]
  return {
    resolve(wanted) {
      const found = source.resolve(wanted)
      return found === ErrorCode.UNKNOWN_TOPIC_ID || access.allows(need, wanted.topic) ? found : need.errorCode
    },
  }
}

function resolveById(partitions: PartitionManager, wanted: FetchPartition): Partition | number {
  const { found } = wanted
  if (found !== null && !found.deleted) return found
  wanted.found = null
  const topic = partitions.topicById(wanted.topicId)
  if (topic === undefined) return ErrorCode.UNKNOWN_TOPIC_ID
  wanted.topic = topic.name
  wanted.found = topic.partitions[wanted.partition] ?? null
  return wanted.found ?? partitions.absenceCode(topic.name, wanted.partition)
}

function resolveByName(partitions: PartitionManager, wanted: FetchPartition): Partition | number {
  const { topic, partition, found } = wanted
  if (found !== null && !found.deleted) return found
  wanted.found = partitions.find(topic, partition)
  return wanted.found ?? partitions.absenceCode(topic, partition)
}

/**
 * What a request names, each partition once: of several entries for one the last counts, in the place of the first. So does Kafka
 * (`FetchRequest.fetchData`), in all versions.
 */
function wantedOf(request: FetchRequest): FetchPartition[] {
  const wanted: FetchPartition[] = []
  const slotsByTopic = new Map<string, Map<number, number>>()
  for (const topic of request.topics) {
    // The id is zero where the request has names, and the name empty where it has ids.
    const key = topic.topicId + topic.topic
    const slots = slotsByTopic.get(key) ?? new Map<number, number>()
    slotsByTopic.set(key, slots)
    for (const p of topic.partitions) {
      // An offset beyond 2^53 is beyond every log's end: -1 gets the same answer, OFFSET_OUT_OF_RANGE.
      const offset = typeof p.fetchOffset === 'number' ? p.fetchOffset : -1
      const slot = slots.get(numberKey(p.partition)) ?? wanted.length
      slots.set(numberKey(p.partition), slot)
      wanted[slot] = new FetchPartition(
        topic.topic,
        topic.topicId,
        p.partition,
        offset,
        p.currentLeaderEpoch,
        p.lastFetchedEpoch,
        p.partitionMaxBytes,
        typeof p.logStartOffset === 'number' ? p.logStartOffset : -1,
      )
    }
  }
  return wanted
}

function openContext(deps: FetchDeps, request: FetchRequest, version: number): FetchContext {
  const usesTopicIds = version >= FIRST_VERSION_WITH_IDS
  const privileged = replicaIdOf(request, version) >= 0
  const epoch = version >= 7 ? request.sessionEpoch : FINAL_FETCH_EPOCH
  if (epoch === INITIAL_FETCH_EPOCH || epoch === FINAL_FETCH_EPOCH) {
    if (request.sessionId !== 0) deps.sessions.remove(request.sessionId)
    const openSession = epoch === INITIAL_FETCH_EPOCH && !hasImpossibleName(request)
    return { kind: 'full', wanted: wantedOf(request), openSession, privileged }
  }
  const session = deps.sessions.get(request.sessionId)
  if (session === undefined) return { kind: 'error', errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND }
  if (session.nextEpoch !== epoch) return { kind: 'error', errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH }
  if (session.usesTopicIds !== usesTopicIds) return { kind: 'error', errorCode: ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR }
  if (hasImpossibleName(request)) {
    deps.sessions.remove(session.id)
    return { kind: 'error', errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND }
  }
  const forgotten: string[] = []
  for (const topic of request.forgottenTopicsData) {
    for (const p of topic.partitions) forgotten.push(fetchPartitionKey(topic.topic, topic.topicId, p, usesTopicIds))
  }
  const sizeBefore = session.partitions.size
  session.apply(wantedOf(request), forgotten)
  if (session.partitions.size > sizeBefore && deps.sessions.isOverfull) {
    deps.sessions.remove(session.id)
    return { kind: 'error', errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND }
  }
  if (session.partitions.size === 0) {
    deps.sessions.remove(session.id)
    return { kind: 'full', wanted: [], openSession: false, privileged }
  }
  session.nextEpoch = nextFetchEpoch(session.nextEpoch)
  deps.sessions.touch(session)
  return { kind: 'incremental', session }
}

function respond(
  deps: FetchDeps,
  fetchContext: Exclude<FetchContext, { kind: 'error' }>,
  answers: FetchedPartition[],
  context: RequestContext,
): FetchResponse {
  const usesTopicIds = context.apiVersion >= FIRST_VERSION_WITH_IDS
  let sessionId = 0
  let included = answers
  if (fetchContext.kind === 'full') {
    if (fetchContext.openSession) {
      const partitions = new Map<string, FetchPartition>()
      for (const { wanted } of answers) {
        partitions.set(fetchPartitionKey(wanted.topic, wanted.topicId, wanted.partition, usesTopicIds), wanted)
      }
      const session = deps.sessions.create(fetchContext.privileged, usesTopicIds, partitions)
      sessionId = session?.id ?? 0
      for (const answer of answers) remember(answer)
    }
  } else {
    const { session } = fetchContext
    sessionId = session.id
    included = answers.filter(hasNews)
    for (const answer of included) {
      remember(answer)
      if (answer.sizeBytes > 0) session.moveToBack(answer.wanted)
    }
  }
  const isReplica = fetchContext.kind === 'full' ? fetchContext.privileged : fetchContext.session.privileged
  for (const answer of answers) {
    if (answer.errorCode !== ErrorCode.NONE) deps.onFailed(answer.wanted.topic, answer.errorCode)
    else if (!isReplica) deps.onFetched(answer.wanted.topic, answer.sizeBytes)
  }
  const hints = deps.leaderHints?.collect(context.connection.listener) ?? null
  const responses = topicsOf(included, context.apiVersion, hints)
  const nodeEndpoints = context.apiVersion >= FIRST_VERSION_WITH_NODE_ENDPOINTS ? (hints?.nodes() ?? []) : []
  return createFetchResponse({
    sessionId,
    responses,
    nodeEndpoints: nodeEndpoints.map((node) => createFetchResponseNodeEndpoint(node)),
  })
}

/** Whether an incremental answer has to name the partition; a changed last stable offset alone is no news. */
function hasNews(answer: FetchedPartition): boolean {
  return (
    answer.sizeBytes > 0 ||
    answer.errorCode !== ErrorCode.NONE ||
    answer.divergingEpoch !== null ||
    answer.preferredReadReplica >= 0 ||
    answer.highWatermark !== answer.wanted.sentHighWatermark ||
    answer.logStartOffset !== answer.wanted.sentLogStartOffset
  )
}

function remember(answer: FetchedPartition): void {
  const failed = answer.errorCode !== ErrorCode.NONE
  answer.wanted.sentHighWatermark = failed ? -1 : answer.highWatermark
  answer.wanted.sentLogStartOffset = answer.logStartOffset
}

/** Neighbours of the same topic share one entry, in the order of reading. */
function topicsOf(
  answers: readonly FetchedPartition[],
  version: number,
  hints: LeaderHintCollection | null,
): FetchResponse['responses'] {
  const topics: FetchResponse['responses'] = []
  for (const answer of answers) {
    const { wanted } = answer
    let topic = topics[topics.length - 1]
    if (topic === undefined || topic.topic !== wanted.topic || topic.topicId !== wanted.topicId) {
      topic = createFetchableTopicResponse({ topic: wanted.topic, topicId: wanted.topicId, partitions: [] })
      topics.push(topic)
    }
    const hint = version >= FIRST_VERSION_WITH_LEADERS ? hintFor(answer, hints) : null
    topic.partitions.push(
      createFetchResponsePartitionData({
        partitionIndex: wanted.partition,
        errorCode: errorCodeFor(answer.errorCode, version),
        preferredReadReplica: answer.preferredReadReplica,
        currentLeader: createFetchResponseLeaderIdAndEpoch(hint ?? {}),
        highWatermark: answer.highWatermark,
        lastStableOffset: answer.lastStableOffset,
        logStartOffset: answer.logStartOffset,
        divergingEpoch: createFetchResponseEpochEndOffset(answer.divergingEpoch ?? {}),
        abortedTransactions: answer.abortedTransactions?.map(createAbortedTransaction) ?? null,
        records: answer.records,
      }),
    )
  }
  return topics
}

/** Who reads from the wrong broker, or in an old epoch, is told where to go (KIP-951). */
function hintFor({ errorCode, wanted }: FetchedPartition, hints: LeaderHintCollection | null): LeaderHint | null {
  const isMoved = errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER || errorCode === ErrorCode.FENCED_LEADER_EPOCH
  return isMoved ? (hints?.leaderOf(wanted.topic, wanted.partition) ?? null) : null
}

function errorCodeFor(errorCode: number, version: number): number {
  const isNew = errorCode === ErrorCode.KAFKA_STORAGE_ERROR && version < FIRST_VERSION_WITH_STORAGE_ERROR
  return isNew ? ErrorCode.NOT_LEADER_OR_FOLLOWER : errorCode
}
