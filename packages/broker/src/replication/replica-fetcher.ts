import type { Clock, Random, Timer, Timers, Uuid } from '@millrace/base'
import {
  createListOffsetsPartition,
  createListOffsetsRequest,
  createListOffsetsTopic,
  ErrorCode,
  type FetchResponse,
  fetchApi,
  listOffsetsApi,
} from '@millrace/protocol'
import type { Logger } from '../logger.ts'
import { type BrokerConnection, BrokerConnectionError } from './broker-connection.ts'
import type { FollowerReplica } from './follower-replica.ts'
import { FollowerSession } from './follower-session.ts'
import type { ReplicationSettings } from './replication-settings.ts'

/** First pause after a failure; doubled with each further one, up to `replica.fetch.backoff.ms`. Elections take a few ms. */
const FIRST_BACKOFF_MS = 10
/** How long the next fetch waits for the disk to take what the last one brought. Others of this leader must not wait for a slow disk. */
const SYNC_GRACE_MS = 10
/** A leader gathers no longer than so while some partitions here are only waiting for their disk. */
const WAIT_WITH_LAGGARDS_MS = 20
/** New partitions end the wait of the fetch that is under way, but not more often than this. */
const INTERRUPT_MIN_MS = 50
/** When throttled partitions are looked at again. */
const THROTTLE_PAUSE_MS = 100
/** Topic ids, broker epochs and divergence by epoch: versions below lack one of them. */
const MIN_FETCH_VERSION = 15
/** So many failures of a partition in a row are no election any more. */
const LOUD_FAILURE_COUNT = 8
const LATEST = -1
const EARLIEST = -2

export interface ReplicaFetcherOptions {
  readonly nodeId: number
  readonly leaderId: number
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  settings(): ReplicationSettings
  brokerEpoch(): number
  open(timeoutMs: number): Promise<BrokerConnection>
  /** Records were staged in the replica's log: the end of the turn writes and syncs them. */
  onAppended(replica: FollowerReplica, sizeBytes: number): void
  /** Above its rate, and not among those that must keep up. */
  isThrottled(replica: FollowerReplica): boolean
  /** A bug: nothing may go on. */
  onFault(error: unknown): void
}

/**
 * Keeps the partitions that one broker leads, or a share of them, in step with it: one connection, one fetch at a time, of all partitions
 * whose log is durable to its end. After an answer it waits a moment for the disk; what is slower is left out of the next fetch and comes
 * back when it is done. A partition that fails is left out for a while, the others go on.
 */
export class ReplicaFetcher {
  readonly #options: ReplicaFetcherOptions
  readonly #replicas = new Set<FollowerReplica>()
  /** The same by topic id and partition, for answers. */
  readonly #byTopic = new Map<Uuid, Map<number, FollowerReplica>>()
  readonly #session = new FollowerSession()
  #connection: BrokerConnection | null = null
  #failureCount = 0
  /** Replicas that were appended to and are waited for. */
  readonly #syncing = new Set<FollowerReplica>()
  #isWaitingForLeader = false
  #isInterrupted = false
  #lastInterruptMs = Number.NEGATIVE_INFINITY
  #interruptTimer: Timer | null = null
  /** Nothing can be fetched: the first log that is durable ends that. */
  #isIdle = false
  #wake: (() => void) | null = null
  #isAwake = false
  #isClosed = false

  constructor(options: ReplicaFetcherOptions) {
    this.#options = options
    this.#run().catch((error: unknown) => options.onFault(error))
  }

  get replicaCount(): number {
    return this.#replicas.size
  }

  get replicas(): Iterable<FollowerReplica> {
    return this.#replicas
  }

  add(replica: FollowerReplica): void {
    this.#replicas.add(replica)
    const { topicId, partition } = replica.partition
    const ofTopic = this.#byTopic.get(topicId)
    if (ofTopic === undefined) this.#byTopic.set(topicId, new Map([[partition, replica]]))
    else ofTopic.set(partition, replica)
    this.#wakeUp()
    this.#interruptSoon()
  }

  remove(replica: FollowerReplica): void {
    this.#replicas.delete(replica)
    const { topicId, partition } = replica.partition
    const ofTopic = this.#byTopic.get(topicId)
    if (ofTopic?.get(partition) === replica) ofTopic.delete(partition)
    if (ofTopic?.size === 0) this.#byTopic.delete(topicId)
    this.#onSynced(replica)
  }

  /** More of the replica's log is durable. */
  onDurable(replica: FollowerReplica): void {
    if (!replica.isSettled) return
    this.#onSynced(replica)
    if (this.#isIdle) this.#wakeUp()
  }

  close(): void {
    this.#isClosed = true
    this.#interruptTimer?.cancel()
    this.#connection?.close()
    this.#wakeUp()
  }

  #onSynced(replica: FollowerReplica): void {
    if (this.#syncing.delete(replica) && this.#syncing.size === 0) this.#wakeUp()
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      const { wanted, pauseMs } = this.#choose()
      if (wanted.length === 0) {
        this.#isIdle = true
        await this.#sleep(pauseMs)
        this.#isIdle = false
        continue
      }
      try {
        await this.#fetch()
      } catch (error) {
        if (!(error instanceof BrokerConnectionError)) throw error
        await this.#onConnectionLost(error)
      }
    }
  }

  /** What to fetch now, and after how long others may be fetched again (at most the longest wait of a fetch). */
  #choose(): { wanted: FollowerReplica[]; pauseMs: number } {
    const { clock, settings, isThrottled } = this.#options
    const nowMs = clock.monotonicMs()
    const wanted: FollowerReplica[] = []
    let pauseMs = settings().replicaFetchWaitMaxMs
    for (const replica of this.#replicas) {
      if (replica.isParked || !replica.isCurrent || !replica.mayFetch) continue
      if (replica.resumeMs > nowMs) pauseMs = Math.min(pauseMs, replica.resumeMs - nowMs)
      else if (!replica.isSettled) pauseMs = Math.min(pauseMs, WAIT_WITH_LAGGARDS_MS)
      else if (isThrottled(replica)) pauseMs = Math.min(pauseMs, THROTTLE_PAUSE_MS)
      else wanted.push(replica)
    }
    return { wanted, pauseMs: Math.max(1, Math.ceil(pauseMs)) }
  }

  async #fetch(): Promise<void> {
    const { nodeId, settings, brokerEpoch } = this.#options
    const { replicaSocketTimeoutMs: timeoutMs, ...bounds } = settings()
    const connection = await this.#connected(timeoutMs)
    // After the wait: a partition that this node has come to lead must not tell anybody of records that are not durable.
    const { wanted, pauseMs } = this.#choose()
    // Durations have fractions of milliseconds; the protocol has none.
    const maxWaitMs = Math.ceil(pauseMs)
    if (wanted.length === 0) return
    const request = this.#session.request(wanted, {
      replicaId: nodeId,
      brokerEpoch: brokerEpoch(),
      maxWaitMs,
      minBytes: bounds.replicaFetchMinBytes,
      maxBytes: bounds.replicaFetchResponseMaxBytes,
      partitionMaxBytes: bounds.replicaFetchMaxBytes,
    })
    this.#isWaitingForLeader = true
    let answer: FetchResponse
    try {
      answer = await connection.call(fetchApi, request, Math.max(timeoutMs, maxWaitMs))
    } finally {
      this.#isWaitingForLeader = false
      this.#interruptTimer?.cancel()
      this.#interruptTimer = null
    }
    const errorCode = this.#session.onAnswer(answer)
    if (errorCode !== ErrorCode.NONE) {
      // Known once: the session is made anew at once. Again and again: something else is wrong.
      if (++this.#failureCount > 1) await this.#sleep(this.#backoffMs(this.#failureCount))
      return
    }
    this.#failureCount = 0
    this.#isInterrupted = false
    const outOfRange = this.#take(answer)
    if (outOfRange.length > 0) await this.#realign(connection, outOfRange, timeoutMs)
    if (this.#syncing.size > 0) await this.#sleep(SYNC_GRACE_MS)
    this.#syncing.clear()
  }

  async #connected(timeoutMs: number): Promise<BrokerConnection> {
    if (this.#connection !== null && !this.#connection.isClosed) return this.#connection
    this.#session.reset()
    const connection = await this.#options.open(timeoutMs)
    this.#connection = connection
    if (this.#isClosed) connection.close()
    if (connection.versionOf(fetchApi) < MIN_FETCH_VERSION) {
      connection.close()
      throw new BrokerConnectionError(
        `broker ${this.#options.leaderId} speaks no version of Fetch that replicas can use`,
      )
    }
    return connection
  }

  async #onConnectionLost(error: BrokerConnectionError): Promise<void> {
    this.#connection?.close()
    this.#connection = null
    this.#session.reset()
    if (this.#isClosed) return
    if (this.#isInterrupted) {
      this.#isInterrupted = false
      return
    }
    this.#failureCount++
    const { leaderId, logger } = this.#options
    if (this.#failureCount === 1) logger.warn('a leader cannot be fetched from', { leaderId, error: error.message })
    await this.#sleep(this.#backoffMs(this.#failureCount))
  }

  /** Stores what came. Returns those whose log the leader's does not meet. */
  #take(answer: FetchResponse): FollowerReplica[] {
    const outOfRange: FollowerReplica[] = []
    for (const { topicId, partitions } of answer.responses) {
      const ofTopic = this.#byTopic.get(topicId)
      for (const data of partitions) {
        const replica = ofTopic?.get(data.partitionIndex)
        // Not asked for: it came in, perhaps in a new epoch, while the answer was on its way.
        if (replica === undefined || this.#session.sentOffset(replica) < 0 || !replica.isCurrent) continue
        if (data.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) outOfRange.push(replica)
        else if (data.errorCode !== ErrorCode.NONE) this.#onRefused(replica, data.errorCode)
        else this.#onFetched(replica, data)
      }
    }
    return outOfRange
  }

  #onFetched(replica: FollowerReplica, data: FetchResponse['responses'][number]['partitions'][number]): void {
    const { divergingEpoch, records } = data
    const endOffset = Number(divergingEpoch.endOffset)
    if (divergingEpoch.epoch >= 0 && endOffset >= 0) {
      if (replica.onDiverging({ epoch: divergingEpoch.epoch, endOffset })) this.#onWell(replica)
      else this.#pause(replica)
      return
    }
    const bytes = Buffer.isBuffer(records) ? records : null
    const { errorCode, appended } = replica.onRecords(this.#session.sentOffset(replica), {
      records: bytes,
      highWatermark: Number(data.highWatermark),
      logStartOffset: Number(data.logStartOffset),
    })
    if (appended) {
      this.#syncing.add(replica)
      this.#options.onAppended(replica, bytes?.length ?? 0)
    }
    if (errorCode === ErrorCode.NONE) this.#onWell(replica)
    else this.#onRefused(replica, errorCode)
  }

  /** Not an error that a client would see: the replica waits and tries again, or for other metadata. */
  #onRefused(replica: FollowerReplica, errorCode: number): void {
    if (errorCode === ErrorCode.FENCED_LEADER_EPOCH) {
      replica.isParked = true
      return
    }
    this.#pause(replica)
    const { leaderId, logger } = this.#options
    const { topic, partition } = replica.partition
    if (replica.failureCount === LOUD_FAILURE_COUNT) {
      logger.warn('a replica cannot follow its leader', { topic, partition, leaderId, errorCode })
    }
  }

  #onWell(replica: FollowerReplica): void {
    replica.failureCount = 0
  }

  #pause(replica: FollowerReplica): void {
    replica.failureCount++
    replica.resumeMs = this.#options.clock.monotonicMs() + this.#backoffMs(replica.failureCount)
  }

  /** Asks where the leader's logs start and end, and cuts these to it. */
  async #realign(connection: BrokerConnection, replicas: readonly FollowerReplica[], timeoutMs: number): Promise<void> {
    const ends = await this.#offsets(connection, replicas, LATEST, timeoutMs)
    const starts = await this.#offsets(connection, replicas, EARLIEST, timeoutMs)
    for (const replica of replicas) {
      const start = starts.get(replica)
      const end = ends.get(replica)
      // Asked again by the next fetch, if need be.
      const isKnown = start !== undefined && end !== undefined && replica.isCurrent && this.#replicas.has(replica)
      if (isKnown && replica.isSettled && replica.onOutOfRange(start, end)) {
        // Where the leader still says the same, it must not be asked without end.
        if (replica.failureCount++ > 0) this.#pause(replica)
      } else {
        this.#pause(replica)
      }
    }
  }

  async #offsets(
    connection: BrokerConnection,
    replicas: readonly FollowerReplica[],
    timestamp: number,
    timeoutMs: number,
  ): Promise<Map<FollowerReplica, number>> {
    const byTopic = Map.groupBy(replicas, ({ partition }) => partition.topic)
    const topics = [...byTopic].map(([name, ofTopic]) =>
      createListOffsetsTopic({
        name,
        partitions: ofTopic.map(({ partition, leaderEpoch }) =>
          createListOffsetsPartition({
            partitionIndex: partition.partition,
            currentLeaderEpoch: leaderEpoch,
            timestamp,
          }),
        ),
      }),
    )
    const request = createListOffsetsRequest({ replicaId: this.#options.nodeId, topics })
    const answer = await connection.call(listOffsetsApi, request, timeoutMs)
    const offsets = new Map<FollowerReplica, number>()
    for (const topic of answer.topics) {
      for (const { partitionIndex, errorCode, offset } of topic.partitions) {
        const replica = byTopic.get(topic.name)?.find(({ partition }) => partition.partition === partitionIndex)
        if (replica !== undefined && errorCode === ErrorCode.NONE && Number(offset) >= 0) {
          offsets.set(replica, Number(offset))
        }
      }
    }
    return offsets
  }

  /**
   * A partition came in while the leader lets this fetch wait for records of others: its leader may be waiting for it to acknowledge.
   * The connection is given up for a new one, since nothing else ends that wait.
   */
  #interruptSoon(): void {
    if (!this.#isWaitingForLeader || this.#interruptTimer !== null) return
    const { clock, timers } = this.#options
    const sinceMs = clock.monotonicMs() - this.#lastInterruptMs
    this.#interruptTimer = timers.setTimer(Math.max(0, INTERRUPT_MIN_MS - sinceMs), () => {
      this.#interruptTimer = null
      this.#lastInterruptMs = clock.monotonicMs()
      this.#isInterrupted = true
      this.#connection?.close()
    })
  }

  #backoffMs(failureCount: number): number {
    const { settings, random } = this.#options
    const backoffMs = Math.min(settings().replicaFetchBackoffMs, FIRST_BACKOFF_MS * 2 ** Math.min(failureCount - 1, 20))
    // Jitter of half: followers of one leader must not all come back at the same instant.
    return backoffMs / 2 + (backoffMs / 2) * (random.uint32() / 2 ** 32)
  }

  /** Until something is to be done, or the time is over. */
  async #sleep(maxMs: number): Promise<void> {
    if (this.#isAwake || this.#isClosed) {
      this.#isAwake = false
      return
    }
    await new Promise<void>((resolve) => {
      const timer = this.#options.timers.setTimer(maxMs, () => this.#wake?.())
      this.#wake = () => {
        this.#wake = null
        timer.cancel()
        resolve()
      }
    })
  }

  #wakeUp(): void {
    if (this.#wake !== null) this.#wake()
    else this.#isAwake = true
  }
}
