import { type Timer, type Uuid, ZERO_UUID } from '@millrace/base'
import {
  createFetchRequest,
  ErrorCode,
  errorInfo,
  type FetchableTopicResponse,
  type FetchResponse,
  type FetchResponsePartitionData,
  fetchApi,
  recordsBuffer,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import type { LeaderHint } from '../cluster/metadata-merge.ts'
import { partitionKey } from '../cluster/topic-partition.ts'
import { ProtocolError, throwIfError } from '../errors/protocol-error.ts'
import { isRetriable } from '../errors/retriable.ts'
import { isolationNumber } from '../offsets/offset-lookup.ts'
import { Backoff } from '../retry/backoff.ts'
import type { AssignedPartitions } from './assigned-partitions.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import { FetchSession, type FetchTarget } from './fetch-session.ts'
import { FetchedChunk, UnreadableRecordError } from './fetched-chunk.ts'
import type { PartitionState } from './partition-state.ts'
import type { PositionResolver } from './position-resolver.ts'

/** Topics by id instead of name (KIP-516). */
const TOPIC_IDS_FROM_VERSION = 13
/** Record batches of format 2 and isolation levels: older versions are gone from Kafka 4. */
const MIN_VERSION = 4

/** The broker and we disagree about the session: a full request starts another. */
const SESSION_ERRORS: ReadonlySet<number> = new Set([
  ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
  ErrorCode.INVALID_FETCH_SESSION_EPOCH,
  ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
])

/** One broker that we fetch from. */
class Source {
  readonly session = new FetchSession()
  readonly backoff: Backoff
  isFetching = false
  notBeforeMs = 0
  /** In a row. */
  sessionErrorCount = 0

  constructor(backoff: Backoff) {
    this.backoff = backoff
  }
}

interface AskedPartition {
  state: PartitionState
  version: number
  target: FetchTarget
}

/**
 * Fetches ahead of the application: one long poll per broker, as soon as partitions there have room. A partition whose buffer is full
 * is left out, so a slow one holds up nobody; the bytes of all buffers together are bounded.
 */
export class Fetcher {
  readonly #core: ClientCore
  readonly #options: ResolvedConsumerOptions
  readonly #assigned: AssignedPartitions
  readonly #resolver: PositionResolver
  readonly #onProgress: () => void
  readonly #onError: (error: unknown) => void
  readonly #sources = new Map<number, Source>()
  #timer: Timer | null = null
  #closed = false

  constructor(
    core: ClientCore,
    options: ResolvedConsumerOptions,
    assigned: AssignedPartitions,
    resolver: PositionResolver,
    onProgress: () => void,
    onError: (error: unknown) => void,
  ) {
    this.#core = core
    this.#options = options
    this.#assigned = assigned
    this.#resolver = resolver
    this.#onProgress = onProgress
    this.#onError = onError
  }

  /** Sends every fetch that makes sense now. */
  pump(): void {
    if (this.#closed) return
    const nowMs = this.#core.ports.clock.monotonicMs()
    const budgetBytes = this.#options.maxBufferedBytes - this.#assigned.bufferedBytes()
    if (budgetBytes <= 0) return
    let wakeAtMs = Number.POSITIVE_INFINITY
    const byNode = new Map<number, PartitionState[]>()
    for (const state of this.#assigned.all()) {
      if (!this.#wantsMore(state)) continue
      const nodeId = this.#sourceOf(state, nowMs)
      if (nodeId === -1) continue
      const source = this.#source(nodeId)
      const notBeforeMs = Math.max(state.notBeforeMs, source.notBeforeMs)
      if (notBeforeMs > nowMs) {
        wakeAtMs = Math.min(wakeAtMs, notBeforeMs)
      } else if (!source.isFetching) {
        const list = byNode.get(nodeId)
        if (list === undefined) byNode.set(nodeId, [state])
        else list.push(state)
      }
    }
    // An equal share for each broker that is asked or has not answered: nobody waits for another's long poll, and what is on its way
    // is together no more than the budget.
    const shareBytes = Math.ceil(budgetBytes / (byNode.size + this.#fetchingCount()))
    const maxBytes = Math.min(this.#options.fetchMaxBytes, shareBytes)
    for (const [nodeId, states] of byNode) void this.#fetch(nodeId, states, maxBytes)
    this.#wakeAt(wakeAtMs)
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #fetchingCount(): number {
    let count = 0
    for (const { isFetching } of this.#sources.values()) if (isFetching) count++
    return count
  }

  #wantsMore(state: PartitionState): boolean {
    if (state.status !== 'ready' || state.paused || state.isFetching) return false
    // A chunk counts whole until it is used up. Small ones gather; beyond half a fetch the application has enough to do.
    return state.bufferedBytes < this.#options.maxPartitionFetchBytes / 2
  }

  /** The node to read from: the preferred replica while that holds, else the leader; -1 if unknown. */
  #sourceOf(state: PartitionState, nowMs: number): number {
    if (state.preferredReplica !== -1) {
      const usable = state.preferredUntilMs > nowMs && this.#core.metadata.view.brokers.has(state.preferredReplica)
      if (usable) return state.preferredReplica
      state.preferredReplica = -1
    }
    const leaderId = this.#core.metadata.partition(state.topic, state.partition)?.leaderId ?? -1
    if (leaderId === -1) this.#core.metadata.requestUpdate()
    return leaderId
  }

  #source(nodeId: number): Source {
    let source = this.#sources.get(nodeId)
    if (source === undefined) {
      const { retryBackoffMs, retryBackoffMaxMs } = this.#core.options
      source = new Source(new Backoff(retryBackoffMs, retryBackoffMaxMs, this.#core.ports.random))
      this.#sources.set(nodeId, source)
    }
    return source
  }

  /** One request and its answer. Never rejects. */
  async #fetch(nodeId: number, states: readonly PartitionState[], maxBytes: number): Promise<void> {
    const source = this.#source(nodeId)
    const asked = states.map((state) => this.#ask(state))
    source.isFetching = true
    for (const { state } of asked) state.isFetching = true
    try {
      const { response, version } = await this.#request(nodeId, source, asked, maxBytes)
      this.#onAnswer(source, response, version, asked)
    } catch (error) {
      source.session.onFailure(false)
      source.notBeforeMs = this.#core.ports.clock.monotonicMs() + source.backoff.nextMs()
      // A nearer replica that cannot be reached: the leader has everything that it has.
      for (const { state } of asked) state.preferredReplica = -1
      this.#core.metadata.requestUpdate()
      if (!isRetriable(error) && !this.#closed && !this.#core.isClosed) this.#onError(error)
    } finally {
      source.isFetching = false
      for (const { state } of asked) state.isFetching = false
      this.#onProgress()
    }
  }

  #ask(state: PartitionState): AskedPartition {
    const view = this.#core.metadata.view.topics.get(state.topic)
    const target: FetchTarget = {
      topic: state.topic,
      topicId: view?.topicId ?? ZERO_UUID,
      partition: state.partition,
      fetchOffset: state.fetchOffset,
      currentLeaderEpoch: view?.partitions[state.partition]?.leaderEpoch ?? -1,
      maxBytes: this.#options.maxPartitionFetchBytes,
    }
    return { state, version: state.version, target }
  }

  #request(nodeId: number, source: Source, asked: readonly AskedPartition[], maxBytes: number) {
    const { fetchMaxWaitMs, fetchMinBytes, isolationLevel, clientRack } = this.#options
    const targets = asked.map(({ target }) => target)
    const allHaveIds = targets.every(({ topicId }) => topicId !== ZERO_UUID)
    const message = () => {
      const { sessionId, sessionEpoch, topics, forgotten } = source.session.next(targets)
      return createFetchRequest({
        replicaId: -1,
        maxWaitMs: fetchMaxWaitMs,
        minBytes: fetchMinBytes,
        maxBytes,
        isolationLevel: isolationNumber(isolationLevel),
        sessionId,
        sessionEpoch,
        topics,
        forgottenTopicsData: forgotten,
        rackId: clientRack,
      })
    }
    return this.#core.requestNode(nodeId, 'fetch', fetchApi, message, {
      timeoutMs: this.#core.options.requestTimeoutMs + fetchMaxWaitMs,
      minVersion: MIN_VERSION,
      ...(allHaveIds ? {} : { maxVersion: TOPIC_IDS_FROM_VERSION - 1 }),
    })
  }

  #onAnswer(source: Source, response: FetchResponse, version: number, asked: readonly AskedPartition[]): void {
    if (this.#closed) return
    if (SESSION_ERRORS.has(response.errorCode)) {
      source.session.onFailure(response.errorCode === ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
      // Once at no cost, since sessions are evicted now and then; repeated, it needs a pause.
      const pauseMs = source.sessionErrorCount++ === 0 ? 0 : source.backoff.nextMs()
      source.notBeforeMs = this.#core.ports.clock.monotonicMs() + pauseMs
      return
    }
    throwIfError(response.errorCode)
    source.backoff.reset()
    source.sessionErrorCount = 0
    source.session.onAnswer(response.sessionId)
    this.#learnLeaders(response, version)
    const byId = version >= TOPIC_IDS_FROM_VERSION
    const askedByKey = new Map<string, AskedPartition>()
    for (const one of asked) {
      const { topic, topicId, partition } = one.target
      askedByKey.set(partitionKey(byId ? topicId : topic, partition), one)
    }
    for (const topic of response.responses) this.#onTopic(topic, byId, askedByKey)
  }

  #onTopic(topic: FetchableTopicResponse, byId: boolean, askedByKey: ReadonlyMap<string, AskedPartition>): void {
    for (const answer of topic.partitions) {
      const one = askedByKey.get(partitionKey(byId ? topic.topicId : topic.topic, answer.partitionIndex))
      // Moved, reset or taken away meanwhile: the answer is about another place.
      if (one === undefined || one.state.version !== one.version) continue
      if (answer.errorCode === ErrorCode.NONE) this.#onData(one, answer)
      else this.#onPartitionError(one.state, answer.errorCode)
    }
  }

  #onData({ state, target }: AskedPartition, answer: FetchResponsePartitionData): void {
    state.highWatermark = Number(answer.highWatermark)
    state.lastStableOffset = Number(answer.lastStableOffset)
    state.logStartOffset = Number(answer.logStartOffset)
    if (answer.preferredReadReplica >= 0) {
      state.preferredReplica = answer.preferredReadReplica
      state.preferredUntilMs = this.#core.ports.clock.monotonicMs() + this.#core.options.metadataMaxAgeMs
    }
    const records = recordsBuffer(answer.records)
    if (records === null || records.length === 0) return
    try {
      const chunk = new FetchedChunk({
        topic: state.topic,
        partition: state.partition,
        records,
        startOffset: target.fetchOffset,
        abortedTransactions: this.#options.isolationLevel === 'read_committed' ? answer.abortedTransactions : null,
        checkCrcs: this.#options.checkCrcs,
        maxExpandedBytes: this.#options.maxExpandedBatchBytes,
      })
      // A broker answers at least one whole batch, however large (KIP-74).
      if (chunk.endOffset <= target.fetchOffset) throw new Error(`no whole batch in ${records.length} bytes`)
      state.buffered.push(chunk)
      state.bufferedBytes += chunk.sizeBytes
      state.fetchOffset = chunk.endOffset
    } catch (cause) {
      this.#pause(state)
      this.#onError(new UnreadableRecordError(state.topic, state.partition, BigInt(target.fetchOffset), cause))
    }
  }

  #onPartitionError(state: PartitionState, errorCode: number): void {
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
      if (state.preferredReplica !== -1) {
        // A follower may lack what the leader has: ask the leader before giving the position up.
        state.preferredReplica = -1
        return
      }
      // What was read before is still good; only when it is used up does the position lie outside.
      if (state.buffered.length === 0) this.#resolver.resetByPolicy(state)
      else this.#pause(state)
      return
    }
    this.#pause(state)
    state.preferredReplica = -1
    const { retriable, refreshMetadata } = errorInfo(errorCode)
    if (refreshMetadata || retriable) this.#core.metadata.requestUpdate()
    if (!retriable) this.#onError(new ProtocolError(errorCode, state))
  }

  #learnLeaders(response: FetchResponse, version: number): void {
    const hints: LeaderHint[] = []
    for (const topic of response.responses) {
      for (const { partitionIndex: partition, currentLeader } of topic.partitions) {
        if (currentLeader.leaderId < 0) continue
        const name = version >= TOPIC_IDS_FROM_VERSION ? this.#topicName(topic.topicId) : topic.topic
        if (name === null) continue
        hints.push({ topic: name, partition, leaderId: currentLeader.leaderId, leaderEpoch: currentLeader.leaderEpoch })
      }
    }
    if (hints.length > 0) this.#core.metadata.learnLeaders(hints, response.nodeEndpoints)
  }

  #topicName(topicId: Uuid): string | null {
    for (const topic of this.#core.metadata.view.topics.values()) if (topic.topicId === topicId) return topic.name
    return null
  }

  #pause(state: PartitionState): void {
    state.notBeforeMs = this.#core.ports.clock.monotonicMs() + this.#core.options.retryBackoffMs
  }

  #wakeAt(atMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY) return
    this.#timer?.cancel()
    const delayMs = Math.max(0, atMs - this.#core.ports.clock.monotonicMs())
    this.#timer = this.#core.ports.timers.setTimer(delayMs, () => {
      this.#timer = null
      this.pump()
    })
  }
}
