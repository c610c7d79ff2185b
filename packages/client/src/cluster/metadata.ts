import type { Timer } from '@millrace/base'
import { createMetadataRequest, createMetadataRequestTopic, ErrorCode, metadataApi } from '@millrace/protocol'
import { ClientClosedError, TimeoutError } from '../errors/client-errors.ts'
import { ProtocolError, throwIfError } from '../errors/protocol-error.ts'
import { isRetriable } from '../errors/retriable.ts'
import type { Connections } from '../network/connections.ts'
import type { ClientPorts } from '../ports/client-ports.ts'
import { Backoff } from '../retry/backoff.ts'
import { wait } from '../retry/wait.ts'
import {
  type BrokerNode,
  type ClusterView,
  emptyClusterView,
  type PartitionView,
  type TopicView,
} from './cluster-view.ts'
import { type LeaderHint, mergeLeaderHints, mergeMetadata, tellsNews } from './metadata-merge.ts'

export interface MetadataOptions {
  metadataMaxAgeMs: number
  retryBackoffMs: number
  retryBackoffMaxMs: number
  requestTimeoutMs: number
  /** Whether asking for a topic may create it. */
  allowAutoTopicCreation: boolean
}

/** So many of the longest pauses without a request end a series of requests: the next one begins with the shortest pause again. */
const QUIET_PAUSES = 2

/**
 * What the client knows of the cluster, kept fresh: topics of interest are asked for together, at most one request is under way,
 * and anything that smells of a stale view (`requestUpdate`) leads to one more, after a pause.
 */
export class Metadata {
  readonly #ports: ClientPorts
  readonly #connections: Connections
  readonly #options: MetadataOptions
  readonly #backoff: Backoff
  readonly #closing = new AbortController()
  /** Topics that someone uses, with the number of users. */
  readonly #interest = new Map<string, number>()
  readonly #listeners = new Set<(view: ClusterView) => void>()
  #allTopicsUsers = 0
  #view: ClusterView = emptyClusterView
  #running: Promise<void> | null = null
  #queued: Promise<void> | null = null
  #scheduled: Timer | null = null
  #ageTimer: Timer | null = null
  #lastAttemptMs = Number.NEGATIVE_INFINITY

  constructor(ports: ClientPorts, connections: Connections, options: MetadataOptions) {
    this.#ports = ports
    this.#connections = connections
    this.#options = options
    this.#backoff = new Backoff(options.retryBackoffMs, options.retryBackoffMaxMs, ports.random)
  }

  get view(): ClusterView {
    return this.#view
  }

  /** The partition as last seen, or null. Hot path. */
  partition(topic: string, partition: number): PartitionView | null {
    return this.#view.topics.get(topic)?.partitions[partition] ?? null
  }

  /** Calls the listener after each change of the view, until the returned function is called. */
  onUpdate(listener: (view: ClusterView) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** Counts a user of the topic: it is in every request from now on. */
  addTopic(name: string): void {
    this.#interest.set(name, (this.#interest.get(name) ?? 0) + 1)
  }

  /** One user less; with the last one the topic is forgotten at the next update. */
  removeTopic(name: string): void {
    const count = this.#interest.get(name)
    if (count === undefined) return
    if (count > 1) this.#interest.set(name, count - 1)
    else this.#interest.delete(name)
  }

  /** While there are such users, every request asks for all topics (subscriptions by pattern). */
  addAllTopics(): void {
    this.#allTopicsUsers++
  }

  removeAllTopics(): void {
    this.#allTopicsUsers--
  }

  /**
   * Wants a view that is fresher than now, soon. Never fails; repeated until it worked. Pauses grow while updates fail or tell nothing
   * new, so that whoever asks after each answer for a leader that there is not yet does not flood the brokers (KIP-580).
   */
  requestUpdate(): void {
    if (this.#scheduled !== null || this.#closing.signal.aborted) return
    const sinceMs = this.#ports.clock.monotonicMs() - this.#lastAttemptMs
    if (sinceMs > QUIET_PAUSES * this.#options.retryBackoffMaxMs) this.#backoff.reset()
    const pauseMs = Math.max(0, this.#backoff.nextMs() - sinceMs)
    this.#scheduled = this.#ports.timers.setTimer(pauseMs, () => {
      // Cleared before the answer: what is wanted while it is on its way, or because of what it says, needs another one.
      this.#scheduled = null
      this.update().catch(() => this.requestUpdate())
    })
  }

  /** One request that begins after this call, shared by all callers of the time. Rejects as it fails; nothing is retried. */
  update(): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(new ClientClosedError('client'))
    if (this.#running === null) return this.#start()
    this.#queued ??= this.#afterRunning(this.#running)
    return this.#queued
  }

  /**
   * Gives the topic once the cluster knows it, asking again while it does not (a topic just created takes a moment). Rejects with
   * {@link ProtocolError} when the topic may not be used, with {@link TimeoutError} at the deadline. `unknownLimitMs` is how long
   * brokers that answer may say that there is no such topic; then their answer rejects it.
   */
  async awaitTopic(name: string, timeoutMs: number, unknownLimitMs = timeoutMs): Promise<TopicView> {
    const deadlineMs = this.#ports.clock.monotonicMs() + timeoutMs
    let unknownSinceMs: number | null = null
    const backoff = new Backoff(this.#options.retryBackoffMs, this.#options.retryBackoffMaxMs, this.#ports.random)
    let cause: unknown
    this.addTopic(name)
    try {
      for (;;) {
        const topic = this.#view.topics.get(name)
        if (topic !== undefined && topic.partitions.length > 0) return topic
        const leftMs = deadlineMs - this.#ports.clock.monotonicMs()
        if (leftMs <= 0)
          throw new TimeoutError(`topic ${name} is not known after ${timeoutMs} ms`, timeoutMs, { cause })
        cause = (await this.#updateWithin(leftMs)) ?? cause
        if ((this.#view.topics.get(name)?.partitions.length ?? 0) > 0) continue
        const errorCode = this.#view.topicErrors.get(name)
        if (errorCode !== undefined) {
          const error = new ProtocolError(errorCode, { topic: name })
          const nowMs = this.#ports.clock.monotonicMs()
          unknownSinceMs = errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION ? (unknownSinceMs ?? nowMs) : null
          const isPatienceOver =
            unknownSinceMs !== null && unknownLimitMs < timeoutMs && nowMs - unknownSinceMs >= unknownLimitMs
          if (!error.retriable || isPatienceOver) throw error
          cause = error
        }
        await wait(this.#ports.timers, Math.min(backoff.nextMs(), Math.max(0, leftMs)), this.#closing.signal)
      }
    } finally {
      this.removeTopic(name)
    }
  }

  /** Takes leaders that answers named, so that no extra request is needed (KIP-951). */
  learnLeaders(hints: readonly LeaderHint[], endpoints: readonly BrokerNode[]): void {
    const view = mergeLeaderHints(this.#view, hints, endpoints)
    if (view !== this.#view) this.#replace(view)
  }

  /** No more requests; whoever waits is rejected. */
  close(): void {
    this.#closing.abort()
    this.#scheduled?.cancel()
    this.#ageTimer?.cancel()
    this.#listeners.clear()
  }

  /** Runs an update but waits no longer than `timeoutMs`. Gives the error it failed with, if it may be tried again. */
  async #updateWithin(timeoutMs: number): Promise<unknown> {
    const limit = new AbortController()
    const failed = this.update().then(
      () => undefined,
      (error: unknown) => error,
    )
    const error = await Promise.race([failed, wait(this.#ports.timers, timeoutMs, limit.signal)])
    limit.abort()
    if (this.#closing.signal.aborted) throw new ClientClosedError('client')
    if (error !== undefined && !isRetriable(error)) throw error
    return error
  }

  async #afterRunning(running: Promise<void>): Promise<void> {
    await running.catch(() => undefined)
    this.#queued = null
    return this.#start()
  }

  #start(): Promise<void> {
    this.#running = this.#fetch().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #fetch(): Promise<void> {
    if (this.#closing.signal.aborted) throw new ClientClosedError('client')
    this.#lastAttemptMs = this.#ports.clock.monotonicMs()
    const asked = this.#allTopicsUsers > 0 ? null : new Set(this.#interest.keys())
    const message = createMetadataRequest({
      topics: asked === null ? null : [...asked].map((name) => createMetadataRequestTopic({ name })),
      allowAutoTopicCreation: this.#options.allowAutoTopicCreation,
    })
    const { response } = await this.#connections.requestAny(metadataApi, message, {
      timeoutMs: this.#options.requestTimeoutMs,
      // Null means all topics from version 1 on; whether to create them can be said from version 4 on.
      minVersion: 4,
    })
    if (this.#closing.signal.aborted) throw new ClientClosedError('client')
    if (response.errorCode === ErrorCode.REBOOTSTRAP_REQUIRED) {
      this.#connections.updateBrokers(new Map())
      throw new ProtocolError(ErrorCode.NETWORK_EXCEPTION, { message: 'the broker asked to start over (KIP-1102)' })
    }
    throwIfError(response.errorCode)
    if (response.brokers.length === 0) {
      throw new ProtocolError(ErrorCode.NETWORK_EXCEPTION, { message: 'the broker knows no brokers yet' })
    }
    const view = this.#withoutUnused(mergeMetadata(this.#view, response, asked))
    if (tellsNews(this.#view, view)) this.#backoff.reset()
    this.#armAge()
    this.#replace(view)
  }

  #withoutUnused(view: ClusterView): ClusterView {
    if (this.#allTopicsUsers > 0) return view
    const topics = new Map([...view.topics].filter(([name]) => this.#interest.has(name)))
    const topicErrors = new Map([...view.topicErrors].filter(([name]) => this.#interest.has(name)))
    return { ...view, topics, topicErrors }
  }

  #replace(view: ClusterView): void {
    this.#view = view
    this.#connections.updateBrokers(view.brokers)
    for (const listener of this.#listeners) listener(view)
  }

  #armAge(): void {
    this.#ageTimer?.cancel()
    this.#ageTimer = this.#ports.timers.setTimer(this.#options.metadataMaxAgeMs, () => this.requestUpdate())
  }
}
