import type { Timer, Timers } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import {
  createOffsetForLeaderEpochRequest,
  createOffsetForLeaderPartition,
  createOffsetForLeaderTopic,
  ErrorCode,
  type OffsetForLeaderEpochRequest,
  type OffsetForLeaderEpochResponse,
  offsetForLeaderEpochApi,
} from '@millrace/protocol'
import type { Logger } from '../logger.ts'
import type { AwaitedLeader, LostReplicas } from '../partition/lost-replicas.ts'
import { BrokerConnectionError } from './broker-connection.ts'
import type { BrokerConnections } from './broker-connections.ts'
import { PeerCalls } from './peer-calls.ts'

/** After which a leader is asked again, for what it did not say, and for what came meanwhile. */
const RETRY_MS = 500
/** One question. A node that lost its power does not refuse a connection. */
const ANSWER_MS = 5_000
/** Partitions in one question. The rest follows. */
const MAX_BATCH = 1_000

export interface LostReplicaLeadersOptions {
  readonly nodeId: number
  readonly timers: Timers
  readonly logger: Logger
  readonly connections: Pick<BrokerConnections, 'open'>
  readonly lost: Pick<LostReplicas, 'count' | 'awaited' | 'onLeaderFound'>
  /** As applied last. */
  image(): MetadataImage | null
  /** Of these topics some replicas may be begun anew now. */
  onFound(topics: ReadonlySet<string>): void
  /** A bug: nothing may go on. */
  onFault(error: Error): void
}

/**
 * Asks the leaders of replicas whose logs were lost whether they are there and lead (OffsetForLeaderEpoch, KIP-320): only then such a replica
 * is begun anew. The metadata alone does not tell: after a cluster has gone down as a whole it names leaders that have not come back,
 * perhaps never will, and until the sessions of their earlier lives are over it takes them for alive. Who answers for an epoch leads in it in
 * this life, and has a log. Nobody waits for the answer but the replica, so that nodes that ask each other do not wait for each other.
 */
export class LostReplicaLeaders {
  readonly #options: LostReplicaLeadersOptions
  readonly #calls: PeerCalls
  /** Brokers that are being asked (null), or are not to be asked again yet. */
  readonly #asked = new Map<number, Timer | null>()
  #isClosed = false

  constructor(options: LostReplicaLeadersOptions) {
    this.#options = options
    this.#calls = new PeerCalls(options.connections, options.timers)
  }

  /** The metadata has changed: there may be leaders to ask. Cheap where nothing is lost. */
  look(): void {
    const { lost } = this.#options
    const image = this.#options.image()
    if (this.#isClosed || image === null || lost.count === 0) return
    for (const [leaderId, replicas] of lost.awaited(image)) {
      if (this.#asked.has(leaderId)) continue
      this.#asked.set(leaderId, null)
      this.#ask(leaderId, replicas).then(
        () => this.#pause(leaderId),
        (error: unknown) => this.#options.onFault(error instanceof Error ? error : new Error(String(error))),
      )
    }
  }

  close(): void {
    this.#isClosed = true
    this.#calls.close()
    for (const timer of this.#asked.values()) timer?.cancel()
  }

  async #ask(leaderId: number, replicas: readonly AwaitedLeader[]): Promise<void> {
    const { nodeId, logger } = this.#options
    try {
      for (let start = 0; start < replicas.length && !this.#isClosed; start += MAX_BATCH) {
        const batch = replicas.slice(start, start + MAX_BATCH)
        const request = requestFor(nodeId, batch)
        const purpose = 'leaders of lost replicas'
        this.#onAnswer(
          leaderId,
          await this.#calls.call(leaderId, purpose, offsetForLeaderEpochApi, request, ANSWER_MS, (response) =>
            ledOf(batch, response),
          ),
        )
      }
    } catch (error) {
      if (!(error instanceof BrokerConnectionError)) throw error
      const reason = error.message
      logger.debug('lost logs wait for their leader', { leaderId, count: replicas.length, reason })
    }
  }

  /** What the metadata has said meanwhile counts: of another epoch its leader is asked anew. */
  #onAnswer(leaderId: number, led: readonly AwaitedLeader[]): void {
    const { lost } = this.#options
    const image = this.#options.image()
    if (this.#isClosed || image === null) return
    const topics = new Set<string>()
    for (const replica of led) {
      const now = image.topicsById.get(replica.topicId)?.partitions[replica.partition]
      if (now?.leader !== leaderId || now.leaderEpoch !== replica.leaderEpoch) continue
      lost.onLeaderFound(replica)
      topics.add(replica.topic)
    }
    if (topics.size > 0) this.#options.onFound(topics)
  }

  #pause(leaderId: number): void {
    if (this.#isClosed) return
    const timer = this.#options.timers.setTimer(RETRY_MS, () => {
      this.#asked.delete(leaderId)
      this.look()
    })
    this.#asked.set(leaderId, timer)
  }
}

function requestFor(replicaId: number, replicas: readonly AwaitedLeader[]): OffsetForLeaderEpochRequest {
  const topics = new Map<string, ReturnType<typeof createOffsetForLeaderTopic>>()
  for (const { topic, partition, leaderEpoch } of replicas) {
    const asked = topics.get(topic) ?? createOffsetForLeaderTopic({ topic })
    topics.set(topic, asked)
    asked.partitions.push(createOffsetForLeaderPartition({ partition, leaderEpoch, currentLeaderEpoch: leaderEpoch }))
  }
  return createOffsetForLeaderEpochRequest({ replicaId, topics: [...topics.values()] })
}

/** Those that the answering broker leads in the epoch that it was asked for. */
function ledOf(replicas: readonly AwaitedLeader[], response: OffsetForLeaderEpochResponse): AwaitedLeader[] {
  const led = new Set<string>()
  for (const { topic, partitions } of response.topics) {
    for (const { partition, errorCode } of partitions)
      if (errorCode === ErrorCode.NONE) led.add(`${partition}/${topic}`)
  }
  return replicas.filter(({ topic, partition }) => led.has(`${partition}/${topic}`))
}
