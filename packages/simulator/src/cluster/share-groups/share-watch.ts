import type { Uuid } from '@millrace/base'
import {
  ApiKey,
  ErrorCode,
  type ShareAcknowledgeRequest,
  type ShareAcknowledgeResponse,
  type ShareFetchRequest,
  type ShareFetchResponse,
} from '@millrace/protocol'
import type { WireWatcher } from '../wire-watch.ts'
import type { SentFetch } from './lost-fetches.ts'
import type { Held, MemberSession, ShareGhost, ShareSending, Verdict } from './share-ghost.ts'

/** What the watch has to know of the world. */
export interface ShareSurroundings {
  readonly ghost: ShareGhost
  nowMs(): number
  /** Who alone leads a partition of the topic now. */
  leader(partition: number): string | null
  /** The name of the topic that members read. */
  readonly topic: string
  topicName(topicId: Uuid): string
  /** Records of the partition up to this one were given away by the node that leads it now. */
  onDelivered(partition: number, lastOffset: number): void
}

const VERDICTS: ReadonlyMap<number, Verdict> = new Map([
  [1, 'accept'],
  [2, 'release'],
  [3, 'reject'],
])

/** Something that a request says of a record. */
interface Said {
  readonly partition: number
  readonly offset: number
  readonly verdict: Verdict
  readonly held: Held
}

interface AcknowledgedPartition {
  readonly partitionIndex: number
  readonly acknowledgementBatches: readonly {
    readonly firstOffset: number | bigint
    readonly lastOffset: number | bigint
    readonly acknowledgeTypes: readonly number[]
  }[]
}

/** Tells a {@link ShareGhost} what one member asks for, is given and says of it. */
export class ShareWatch implements WireWatcher {
  readonly apiKeys: ReadonlySet<number> = new Set([ApiKey.SHARE_FETCH, ApiKey.SHARE_ACKNOWLEDGE])
  readonly #around: ShareSurroundings
  readonly #member: string
  readonly #sessions = new Map<string, MemberSession>()
  /** Partitions that a node was ever asked for. */
  readonly #asked = new Map<string, Set<number>>()

  constructor(around: ShareSurroundings, member: string) {
    this.#around = around
    this.#member = member
  }

  onRequest(apiKey: number, request: unknown, host: string): (response: unknown) => void {
    if (apiKey === ApiKey.SHARE_FETCH) return this.#onFetch(request as ShareFetchRequest, host)
    return this.#onAcknowledge(request as ShareAcknowledgeRequest, host)
  }

  onConnectionEnd(host: string): void {
    const session = this.#sessions.get(host)
    this.#sessions.delete(host)
    if (session !== undefined) this.#around.ghost.onSessionEnd(session)
  }

  /** The member is gone. */
  end(): void {
    for (const host of [...this.#sessions.keys()]) this.onConnectionEnd(host)
  }

  #onFetch(request: ShareFetchRequest, host: string): (response: unknown) => void {
    const { ghost, leader } = this.#around
    const { shareSessionEpoch, forgottenTopicsData, topics } = request
    if (shareSessionEpoch === 0) this.onConnectionEnd(host)
    const sent = this.#sending(host)
    const said = this.#saidIn(sent.session, topics)
    for (const { partitions } of forgottenTopicsData) {
      for (const partition of partitions) ghost.onForgotten(sent.session, partition)
    }
    const leaders = new Map<number, string | null>()
    const leaderOf = (partition: number): string | null => leaders.get(partition) ?? null
    for (const partition of PARTITIONS) leaders.set(partition, leader(partition))
    const fetch: SentFetch = { sentMs: sent.sentMs, partitions: this.#askedOf(host, topics) }
    ghost.lostFetches.onSent(fetch)
    return (response) => {
      const { responses } = response as ShareFetchResponse
      // While no node tells the names of topics, nobody knows of what it tells.
      if (responses.every(({ topicId }) => this.#around.topicName(topicId) === this.#around.topic))
        ghost.lostFetches.onAnswered(fetch)
      this.#onFetched(response as ShareFetchResponse, { sent, host, said, leaderOf })
    }
  }

  #askedOf(host: string, topics: ShareFetchRequest['topics']): ReadonlySet<number> {
    const asked = this.#asked.get(host) ?? new Set()
    this.#asked.set(host, asked)
    for (const { partitions } of topics) for (const { partitionIndex } of partitions) asked.add(partitionIndex)
    return asked
  }

  #onFetched({ errorCode, responses }: ShareFetchResponse, { sent, host, said, leaderOf }: FetchUnderWay): void {
    const { ghost, leader } = this.#around
    if (errorCode !== ErrorCode.NONE) {
      this.onConnectionEnd(host)
      return
    }
    ghost.onSessionProven(sent.session, sent.sentMs)
    for (const { topicId, partitions } of responses) {
      if (this.#around.topicName(topicId) !== this.#around.topic) continue
      for (const { partitionIndex: partition, acknowledgeErrorCode, acquiredRecords } of partitions) {
        if (acknowledgeErrorCode === ErrorCode.NONE) this.#onTaken(said, partition)
        const now = leader(partition)
        const sole = now !== null && now === leaderOf(partition) ? now : null
        for (const { firstOffset, lastOffset, deliveryCount: count } of acquiredRecords) {
          const first = Number(firstOffset)
          const last = Number(lastOffset)
          if (sent.session.isOver) ghost.onAcquiredTooLate({ partition, first, last, count })
          else ghost.onAcquired(sent, sole, { partition, first, last, count })
          if (sole !== null) this.#around.onDelivered(partition, last)
        }
      }
    }
  }

  #onAcknowledge(request: ShareAcknowledgeRequest, host: string): (response: unknown) => void {
    const { ghost } = this.#around
    const sent = this.#sending(host)
    const said = this.#saidIn(sent.session, request.topics)
    if (request.shareSessionEpoch < 0) this.onConnectionEnd(host)
    return (response) => {
      const { errorCode, responses } = response as ShareAcknowledgeResponse
      if (errorCode !== ErrorCode.NONE) {
        this.onConnectionEnd(host)
        return
      }
      if (!sent.session.isOver) ghost.onSessionProven(sent.session, sent.sentMs)
      for (const { partitions } of responses) {
        for (const { partitionIndex, errorCode: code } of partitions) {
          if (code === ErrorCode.NONE) this.#onTaken(said, partitionIndex)
        }
      }
    }
  }

  #onTaken(said: readonly Said[], partition: number): void {
    for (const { offset, verdict, partition: of, held } of said) {
      if (of === partition) this.#around.ghost.onTaken(partition, offset, verdict, held)
    }
  }

  #sending(host: string): ShareSending {
    let session = this.#sessions.get(host)
    if (session === undefined) {
      session = { member: this.#member, isOver: false }
      this.#sessions.set(host, session)
    }
    return { session, sentMs: this.#around.nowMs() }
  }

  /** Renewals and gaps say nothing of a record. */
  #saidIn(
    session: MemberSession,
    topics: readonly { readonly partitions: readonly AcknowledgedPartition[] }[],
  ): Said[] {
    const { ghost } = this.#around
    const said: Said[] = []
    for (const { partitions } of topics) {
      for (const { partitionIndex: partition, acknowledgementBatches } of partitions) {
        for (const { firstOffset, lastOffset, acknowledgeTypes } of acknowledgementBatches) {
          for (let offset = Number(firstOffset); offset <= Number(lastOffset); offset++) {
            const slot = acknowledgeTypes.length === 1 ? 0 : offset - Number(firstOffset)
            const verdict = VERDICTS.get(acknowledgeTypes[slot]!)
            if (verdict === undefined) continue
            said.push({ partition, offset, verdict, held: ghost.onSaid(session, partition, offset, verdict) })
          }
        }
      }
    }
    return said
  }
}

interface FetchUnderWay {
  readonly sent: ShareSending
  readonly host: string
  readonly said: readonly Said[]
  /** Who alone led when the request left. */
  leaderOf(partition: number): string | null
}

/** Of the topic that share groups read here. */
export const PARTITIONS: readonly number[] = [0, 1]
