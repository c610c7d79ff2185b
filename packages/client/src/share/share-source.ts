import {
  type AcknowledgeTopic,
  createAcknowledgePartition,
  createAcknowledgeTopic,
  createShareAcknowledgeRequest,
  createShareAcknowledgeRequestAcknowledgementBatch,
  createShareFetchRequest,
  createShareFetchRequestAcknowledgementBatch,
  createShareFetchRequestFetchPartition,
  createShareFetchRequestFetchTopic,
  createShareFetchRequestForgottenTopic,
  ErrorCode,
  errorInfo,
  type ShareAcknowledgeResponse,
  type ShareFetchResponse,
  type ShareFetchResponsePartitionData,
  shareAcknowledgeApi,
  shareFetchApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { isRetriable } from '../errors/retriable.ts'
import { Backoff } from '../retry/backoff.ts'
import { Acknowledgements, type AcknowledgeType } from './acknowledgements.ts'
import type { ResolvedShareOptions } from './share-options.ts'
import { FINAL_EPOCH, type SharePartition, ShareSession } from './share-session.ts'

/** What a source tells its consumer. */
export interface ShareSourceHost {
  onRecords(
    source: ShareSource,
    place: SharePartition,
    answer: ShareFetchResponsePartitionData,
    lockedUntilMs: number,
  ): void
  /** `error` is null if the broker took them. */
  onAcknowledged(place: SharePartition, acknowledgements: Acknowledgements, error: unknown): void
  onError(error: unknown): void
  /** A request ended: there may be more to do. */
  onProgress(): void
}

interface Pending {
  place: SharePartition
  acknowledgements: Acknowledgements
}

/** Renewals of locks (KIP-1222). */
const RENEW_FROM_VERSION = 2
const SESSION_ERRORS: ReadonlySet<number> = new Set([
  ErrorCode.SHARE_SESSION_NOT_FOUND,
  ErrorCode.INVALID_SHARE_SESSION_EPOCH,
  ErrorCode.SHARE_SESSION_LIMIT_REACHED,
])

const TELLS_LEADER: ReadonlySet<number> = new Set([ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH])

/**
 * One broker that records are acquired from: one request of its session at a time, on one connection, with whose end the broker gives
 * everything back. Acknowledgements go where the records came from, with the next fetch or by themselves, and are sent once: what
 * becomes of them is told.
 */
export class ShareSource {
  readonly nodeId: number
  readonly #core: ClientCore
  readonly #options: ResolvedShareOptions
  readonly #memberId: string
  readonly #host: ShareSourceHost
  readonly #session = new ShareSession()
  readonly #backoff: Backoff
  #pending = new Map<string, Pending>()
  #request: Promise<void> | null = null
  #notBeforeMs = 0
  /** Whether the request under way carries acknowledgements. */
  #isAcknowledging = false

  constructor(
    core: ClientCore,
    options: ResolvedShareOptions,
    nodeId: number,
    memberId: string,
    host: ShareSourceHost,
  ) {
    this.nodeId = nodeId
    this.#core = core
    this.#options = options
    this.#memberId = memberId
    this.#host = host
    const { retryBackoffMs, retryBackoffMaxMs } = core.options
    this.#backoff = new Backoff(retryBackoffMs, retryBackoffMaxMs, core.ports.random)
  }

  /** Which session records are acquired in now: with its end they are given back. */
  get sessionOrdinal(): number {
    return this.#session.ordinal
  }

  /** When it may be asked again after a failure, in monotonic milliseconds. */
  get notBeforeMs(): number {
    return this.#notBeforeMs
  }

  /** Whether acknowledgements wait to be sent or for their answer. */
  get hasAcknowledgements(): boolean {
    return this.#pending.size > 0 || this.#isAcknowledging
  }

  /** To be sent by the next {@link pump}; fails at once if the session that the record came in is gone. */
  acknowledge(place: SharePartition, offset: number, type: AcknowledgeType | 'gap', sessionOrdinal: number): void {
    if (sessionOrdinal !== this.#session.ordinal || this.#session.isNew) {
      const single = new Acknowledgements()
      single.add(offset, type)
      const message = 'the broker has given the record back: the connection to it was lost'
      const error = new ProtocolError(ErrorCode.SHARE_SESSION_NOT_FOUND, { ...place, message })
      this.#host.onAcknowledged(place, single, error)
      return
    }
    const key = `${place.topicId}/${place.partition}`
    let pending = this.#pending.get(key)
    if (pending === undefined) {
      pending = { place, acknowledgements: new Acknowledgements() }
      this.#pending.set(key, pending)
    }
    pending.acknowledgements.add(offset, type)
  }

  /** Sends what makes sense now: acknowledgements, and a fetch of the wanted partitions if records are. */
  pump(wanted: readonly SharePartition[], wantsRecords: boolean): void {
    if (this.#request !== null || this.#core.isClosed) return
    const fetches = wantsRecords && wanted.length > 0
    // A failed fetch pauses; acknowledgements do not wait, or locks would run out.
    if (fetches && this.#pending.size === 0 && this.#notBeforeMs > this.#core.ports.clock.monotonicMs()) return
    if (!fetches && this.#pending.size === 0) return
    const names = new Set(wanted.map(({ topicId, partition }) => `${topicId}/${partition}`))
    const list = this.#takePending()
    // A fetch that acknowledges a partition also asks for it, and one that renews fetches nothing.
    const isApart = list.length > 0 && (!fetches || list.some((one) => isOutside(one, names)))
    const isBusyWith = isApart ? this.#acknowledge(list, this.#session.epoch) : this.#fetch(wanted, list)
    this.#isAcknowledging = list.length > 0
    this.#request = isBusyWith.finally(() => {
      this.#request = null
      this.#isAcknowledging = false
      this.#host.onProgress()
    })
  }

  /** Ends the session, so that the broker gives back what is not acknowledged, once the request under way has its answer. */
  async close(timeoutMs: number): Promise<void> {
    await this.#request
    if (this.#session.isNew || this.#core.isClosed) return
    const list = this.#takePending()
    this.#isAcknowledging = list.length > 0
    this.#request = this.#acknowledge(list, FINAL_EPOCH, timeoutMs)
    await this.#request
    this.#request = null
    this.#isAcknowledging = false
    this.#session.onFailure()
  }

  /** Never rejects. */
  async #fetch(wanted: readonly SharePartition[], pending: readonly Pending[]): Promise<void> {
    const { fetchMaxWaitMs } = this.#options
    const message = this.#fetchRequest(wanted, pending)
    try {
      const { response } = await this.#core.requestNode(this.nodeId, 'fetch', shareFetchApi, message, {
        timeoutMs: this.#core.options.requestTimeoutMs + fetchMaxWaitMs,
      })
      if (!this.#checkAnswer(response.errorCode, response.errorMessage, pending)) return
      this.#learnLeaders(response)
      this.#onFetched(response, wanted, pending)
    } catch (error) {
      this.#onLost(error, pending)
    }
  }

  #fetchRequest(wanted: readonly SharePartition[], pending: readonly Pending[]) {
    const { groupId, fetchMaxWaitMs, fetchMinBytes, fetchMaxBytes, maxPollRecords } = this.#options
    const { epoch, added, forgotten } = this.#session.next(wanted)
    const runsOf = new Map(pending.map(({ place, acknowledgements }) => [place, acknowledgements.runs()]))
    const named = [...added.filter((place) => !hasPlace(runsOf.keys(), place)), ...runsOf.keys()]
    return createShareFetchRequest({
      groupId,
      memberId: this.#memberId,
      shareSessionEpoch: epoch,
      maxWaitMs: fetchMaxWaitMs,
      minBytes: fetchMinBytes,
      maxBytes: fetchMaxBytes,
      maxRecords: maxPollRecords,
      batchSize: maxPollRecords,
      topics: [...Map.groupBy(named, ({ topicId }) => topicId)].map(([topicId, places]) =>
        createShareFetchRequestFetchTopic({
          topicId,
          partitions: places.map((place) =>
            createShareFetchRequestFetchPartition({
              partitionIndex: place.partition,
              acknowledgementBatches: (runsOf.get(place) ?? []).map(createShareFetchRequestAcknowledgementBatch),
            }),
          ),
        }),
      ),
      forgottenTopicsData: [...Map.groupBy(forgotten, ({ topicId }) => topicId)].map(([topicId, places]) =>
        createShareFetchRequestForgottenTopic({ topicId, partitions: places.map(({ partition }) => partition) }),
      ),
    })
  }

  #onFetched(response: ShareFetchResponse, wanted: readonly SharePartition[], pending: readonly Pending[]): void {
    const lockedUntilMs =
      response.acquisitionLockTimeoutMs > 0
        ? this.#core.ports.clock.monotonicMs() + response.acquisitionLockTimeoutMs
        : Number.POSITIVE_INFINITY
    const answered = new Map<Pending, number>()
    for (const { topicId, partitions } of response.responses) {
      for (const answer of partitions) {
        const isHere = (place: SharePartition) => place.topicId === topicId && place.partition === answer.partitionIndex
        const acknowledged = pending.find(({ place }) => isHere(place))
        if (acknowledged !== undefined) answered.set(acknowledged, answer.acknowledgeErrorCode)
        const place = wanted.find(isHere)
        if (place === undefined) continue
        if (answer.errorCode !== ErrorCode.NONE) this.#onPartitionError(place, answer.errorCode)
        if (answer.acquiredRecords.length > 0) this.#host.onRecords(this, place, answer, lockedUntilMs)
      }
    }
    this.#tellAll(pending, answered)
  }

  /** Acknowledges without fetching. Never rejects. */
  async #acknowledge(pending: readonly Pending[], epoch: number, timeoutMs?: number): Promise<void> {
    const { groupId } = this.#options
    const isRenewAck = pending.some(({ acknowledgements }) => acknowledgements.hasRenewals)
    const message = createShareAcknowledgeRequest({
      groupId,
      memberId: this.#memberId,
      shareSessionEpoch: epoch,
      isRenewAck,
      topics: acknowledgeTopics(pending),
    })
    try {
      const { response } = await this.#core.requestNode(this.nodeId, 'fetch', shareAcknowledgeApi, message, {
        timeoutMs: timeoutMs ?? this.#core.options.requestTimeoutMs,
        minVersion: isRenewAck ? RENEW_FROM_VERSION : 0,
      })
      if (!this.#checkAnswer(response.errorCode, response.errorMessage, pending)) return
      this.#learnLeaders(response)
      const answered = new Map<Pending, number>()
      for (const { topicId, partitions } of response.responses) {
        for (const { partitionIndex, errorCode } of partitions) {
          const one = pending.find(({ place }) => place.topicId === topicId && place.partition === partitionIndex)
          if (one !== undefined) answered.set(one, errorCode)
        }
      }
      this.#tellAll(pending, answered)
    } catch (error) {
      this.#onLost(error, pending)
    }
  }

  /** False if the whole request was refused: what it carried is told so. */
  #checkAnswer(errorCode: number, message: string | null, pending: readonly Pending[]): boolean {
    if (errorCode === ErrorCode.NONE) {
      this.#session.onAnswer()
      this.#backoff.reset()
      return true
    }
    const error = new ProtocolError(errorCode, { subject: `share session with node ${this.nodeId}`, message })
    if (SESSION_ERRORS.has(errorCode)) {
      this.#session.onFailure()
      this.#failAll(this.#takePending(), error)
    } else {
      this.#session.onAnswer()
    }
    this.#pause()
    if (errorInfo(errorCode).refreshMetadata) this.#core.metadata.requestUpdate()
    this.#failAll(pending, error)
    if (!SESSION_ERRORS.has(errorCode) && !error.retriable) this.#host.onError(error)
    return false
  }

  #onLost(error: unknown, pending: readonly Pending[]): void {
    this.#session.onFailure()
    this.#pause()
    this.#core.metadata.requestUpdate()
    this.#failAll([...pending, ...this.#takePending()], error)
    if (!isRetriable(error) && !this.#core.isClosed) this.#host.onError(error)
  }

  #takePending(): Pending[] {
    const list = [...this.#pending.values()]
    this.#pending = new Map()
    return list
  }

  #failAll(list: readonly Pending[], error: unknown): void {
    for (const { place, acknowledgements } of list) this.#host.onAcknowledged(place, acknowledgements, error)
  }

  #tellAll(pending: readonly Pending[], answered: ReadonlyMap<Pending, number>): void {
    for (const one of pending) {
      const errorCode = answered.get(one) ?? ErrorCode.INVALID_RECORD_STATE
      const { topic, partition } = one.place
      const message = answered.has(one) ? null : 'the answer does not say what became of the acknowledgements'
      const error = errorCode === ErrorCode.NONE ? null : new ProtocolError(errorCode, { topic, partition, message })
      this.#host.onAcknowledged(one.place, one.acknowledgements, error)
    }
  }

  #onPartitionError({ topic, partition }: SharePartition, errorCode: number): void {
    const { retriable, refreshMetadata } = errorInfo(errorCode)
    this.#pause()
    if (retriable || refreshMetadata) this.#core.metadata.requestUpdate()
    if (!retriable) this.#host.onError(new ProtocolError(errorCode, { topic, partition }))
  }

  #learnLeaders({ responses, nodeEndpoints }: ShareFetchResponse | ShareAcknowledgeResponse): void {
    const names = new Map([...this.#core.metadata.view.topics.values()].map(({ topicId, name }) => [topicId, name]))
    const hints = responses.flatMap(({ topicId, partitions }) => {
      const topic = names.get(topicId)
      if (topic === undefined) return []
      return (
        partitions
          // Told only with these; with all others the fields hold zeros, which name a broker.
          .filter(({ errorCode }) => TELLS_LEADER.has(errorCode))
          .filter(({ currentLeader }) => currentLeader.leaderId >= 0 && currentLeader.leaderEpoch >= 0)
          .map(({ partitionIndex, currentLeader }) => ({ topic, partition: partitionIndex, ...currentLeader }))
      )
    })
    if (hints.length > 0) this.#core.metadata.learnLeaders(hints, nodeEndpoints)
  }

  #pause(): void {
    this.#notBeforeMs = this.#core.ports.clock.monotonicMs() + this.#backoff.nextMs()
  }
}

function isOutside({ place, acknowledgements }: Pending, wanted: ReadonlySet<string>): boolean {
  return acknowledgements.hasRenewals || !wanted.has(`${place.topicId}/${place.partition}`)
}

function hasPlace(places: Iterable<SharePartition>, { topicId, partition }: SharePartition): boolean {
  for (const place of places) if (place.topicId === topicId && place.partition === partition) return true
  return false
}

function acknowledgeTopics(pending: readonly Pending[]): AcknowledgeTopic[] {
  return [...Map.groupBy(pending, ({ place }) => place.topicId)].map(([topicId, list]) =>
    createAcknowledgeTopic({
      topicId,
      partitions: list.map(({ place, acknowledgements }) =>
        createAcknowledgePartition({
          partitionIndex: place.partition,
          acknowledgementBatches: acknowledgements.runs().map(createShareAcknowledgeRequestAcknowledgementBatch),
        }),
      ),
    }),
  )
}
