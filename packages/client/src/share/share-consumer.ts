import type { Timer, Uuid } from '@millrace/base'
import { errorInfo } from '@millrace/protocol'
import { ClientCore } from '../client/client-core.ts'
import type { TopicPartition } from '../cluster/topic-partition.ts'
import { Progress } from '../consumer/progress.ts'
import { ArgumentError, ClientClosedError, StateError, TimeoutError } from '../errors/client-errors.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { wait } from '../retry/wait.ts'
import type { Acknowledgements, AcknowledgeType } from './acknowledgements.ts'
import { type AcquiredRecord, ShareHoldings } from './share-holdings.ts'
import { ShareMembership } from './share-membership.ts'
import {
  type AcknowledgementOutcome,
  type ResolvedShareOptions,
  resolveShareOptions,
  type ShareConsumerOptions,
} from './share-options.ts'
import { readAcquired, type ShareRecord } from './share-record.ts'
import type { SharePartition } from './share-session.ts'
import { ShareSource, type ShareSourceHost } from './share-source.ts'

export interface SharePollOptions {
  /** How long to wait for records. Left out: until there are some. 0: not at all. */
  timeoutMs?: number
  /** Aborting makes the poll return what it has, maybe nothing. */
  signal?: AbortSignal
}

const CLOSE_LIMIT_MS = 30_000

/**
 * Reads records as a member of a share group (KIP-932): members share partitions, each record is given to one of them at a time, and is
 * given again, to whomever, unless it is accepted or rejected before its lock runs out. Nothing is fetched ahead: locks run from
 * the time that a broker gives a record away.
 */
export class ShareConsumer implements AsyncDisposable {
  readonly #core: ClientCore
  readonly #options: ResolvedShareOptions
  readonly #progress: Progress
  readonly #membership: ShareMembership
  readonly #holdings = new ShareHoldings()
  #sources = new Map<number, ShareSource>()
  /** Acquired, and not handed out yet. */
  #buffered: AcquiredRecord[] = []
  #topics: readonly string[] = []
  readonly #errors: unknown[] = []
  /** Gathered for a commit under way. */
  #outcomes: AcknowledgementOutcome[] | null = null
  /** That an iteration without explicit acknowledgement is at. */
  #current: ShareRecord | null = null
  #busy: Promise<unknown> | null = null
  /** Sessions are being ended: the next may begin only after that. */
  #leaving: Promise<void> = Promise.resolve()
  #pollTimer: Timer | null = null
  #closing: Promise<void> | null = null

  /** Throws `ConfigurationError` for settings that are wrong. */
  constructor(options: ShareConsumerOptions) {
    this.#options = resolveShareOptions(options)
    this.#core = new ClientCore(
      { ...options, maxResponseBytes: options.maxResponseBytes ?? Math.max(2 ** 27, 2 * this.#options.fetchMaxBytes) },
      { maxInFlightRequestsPerConnection: 100, allowAutoTopicCreation: false },
    )
    this.#progress = new Progress(this.#core.ports)
    const { groupId, clientRack } = this.#options
    this.#membership = new ShareMembership(this.#core, groupId, clientRack, {
      topics: () => this.#topics,
      onProgress: () => this.#progress.notify(),
      onError: (error) => this.#report(error),
    })
    this.#core.metadata.onUpdate(({ topicErrors }) => this.#onMetadata(topicErrors))
  }

  /** Reads these topics from the next poll on, in place of those before. */
  subscribe(topics: string | readonly string[]): void {
    this.#assertOpen()
    const wanted = [...new Set(typeof topics === 'string' ? [topics] : topics)]
    if (wanted.length === 0) throw new ArgumentError('topics', 'at least one is needed; unsubscribe reads none')
    for (const topic of wanted) this.#core.metadata.addTopic(topic)
    for (const topic of this.#topics) this.#core.metadata.removeTopic(topic)
    this.#topics = wanted
    this.#core.metadata.requestUpdate()
    this.#membership.onTopicsChanged()
  }

  /** The topics that are read. */
  subscription(): string[] {
    return [...this.#topics]
  }

  /**
   * Leaves the group. What was acknowledged (with implicit acknowledgement: what was handed out) is told the brokers; all else that was
   * acquired goes back to the group, answers that are still on their way included.
   */
  async unsubscribe(): Promise<void> {
    this.#assertOpen()
    await this.#exclusively(async () => {
      if (!this.#options.isExplicit) this.#holdings.acceptRest()
      for (const topic of this.#topics) this.#core.metadata.removeTopic(topic)
      this.#topics = []
      await this.#leave(this.#core.options.requestTimeoutMs)
    })
  }

  /**
   * Waits for records and hands them out, which is when locks have been running for as long as they were on their way. Says of those
   * handed out before that they are accepted, or, with explicit acknowledgement, throws `StateError` if the application has not said
   * what became of each. Rejects with what went wrong since the last poll; polling again goes on. Empty at the time limit. Records that
   * were renewed are handed out again, before any others.
   */
  poll(options: SharePollOptions = {}): Promise<ShareRecord[]> {
    return this.#exclusively(() => this.#poll(options))
  }

  /**
   * Endless records. With implicit acknowledgement each is accepted when the next is asked for; an early end releases that at hand and
   * those behind it.
   */
  async *records(options: { signal?: AbortSignal } = {}): AsyncGenerator<ShareRecord, void, undefined> {
    while (this.#closing === null && options.signal?.aborted !== true) {
      const records = await this.poll(options)
      yield* this.#options.isExplicit ? records : this.#oneByOne(records)
    }
  }

  *#oneByOne(records: readonly ShareRecord[]): Generator<ShareRecord, void, undefined> {
    this.#holdings.setAhead(records)
    let slot = 0
    try {
      for (; slot < records.length; slot++) {
        this.#current = records[slot]!
        yield this.#current
        this.#holdings.settle(records[slot]!, 'accept')
      }
    } finally {
      this.#current = null
      for (const record of records.slice(slot)) this.#holdings.settle(record, 'release')
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<ShareRecord, void, undefined> {
    return this.records()
  }

  /**
   * Says what became of a record that was handed out; it is told the broker with the next poll or {@link commit}. Throws `StateError` for
   * one that is not in hand, or without explicit acknowledgement.
   */
  acknowledge(record: TopicPartition & { offset: bigint | number }, type: AcknowledgeType = 'accept'): void {
    this.#assertOpen()
    if (!this.#options.isExplicit) throw new StateError("acknowledge needs shareAcknowledgementMode 'explicit'")
    this.#holdings.acknowledge(record, type)
  }

  /**
   * Tells the brokers what was acknowledged (with implicit acknowledgement: that all handed out is accepted, in an iteration up to the
   * record at hand) and gives what became of
   * it, failures included. Rejects with `TimeoutError` while that is not known of all; `onAcknowledgements` will hear of it.
   */
  async commit(options: { timeoutMs?: number } = {}): Promise<AcknowledgementOutcome[]> {
    return this.#exclusively(async () => {
      const timeoutMs = options.timeoutMs ?? this.#core.options.defaultApiTimeoutMs
      if (this.#current !== null) this.#holdings.settle(this.#current, 'accept')
      if (!this.#options.isExplicit) this.#holdings.acceptRest()
      const outcomes: AcknowledgementOutcome[] = []
      this.#outcomes = outcomes
      try {
        this.#holdings.submit()
        await this.#settle(timeoutMs)
      } finally {
        this.#outcomes = null
      }
      return outcomes
    })
  }

  /**
   * Ends polls and iterations, tells the brokers what was acknowledged (with implicit acknowledgement: that all handed out is accepted),
   * gives back the rest, leaves the group and closes the connections, within `timeoutMs`. Later calls give the same promise.
   */
  close(options: { timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? CLOSE_LIMIT_MS)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const limit = new AbortController()
    this.#progress.notify()
    const leaveInOrder = async () => {
      await this.#busy?.catch(() => undefined)
      if (!this.#options.isExplicit) this.#holdings.acceptRest()
      await this.#leave(timeoutMs)
    }
    // The sessions' ends do the same, later: there is nobody left to tell.
    const left = leaveInOrder().catch(() => undefined)
    await Promise.race([left, wait(this.#core.ports.timers, timeoutMs, limit.signal)])
    limit.abort()
    this.#pollTimer?.cancel()
    this.#membership.close()
    this.#core.close()
  }

  /** Ends all sessions, which gives back what is not acknowledged, and leaves the group. */
  #leave(timeoutMs: number): Promise<void> {
    const left = this.#leaving.then(() => this.#leaveNow(timeoutMs))
    this.#leaving = left.catch(() => undefined)
    return left
  }

  async #leaveNow(timeoutMs: number): Promise<void> {
    this.#holdings.submit()
    this.#holdings.clear()
    this.#buffered = []
    const sources = [...this.#sources.values()]
    // Answers to requests of these are not for us any more.
    this.#sources = new Map()
    await Promise.all(sources.map((source) => source.close(timeoutMs)))
    await this.#membership.leave(timeoutMs)
  }

  async #poll({ timeoutMs = Number.POSITIVE_INFINITY, signal }: SharePollOptions): Promise<ShareRecord[]> {
    if (this.#topics.length === 0) throw new StateError('subscribe to topics first')
    const { clock } = this.#core.ports
    const deadlineMs = clock.monotonicMs() + timeoutMs
    const onAbort = () => this.#progress.notify()
    signal?.addEventListener('abort', onAbort)
    try {
      await this.#leaving
      this.#sayOfLast()
      for (;;) {
        if (this.#errors.length > 0) throw this.#errors.shift()
        if (this.#closing !== null) return []
        this.#membership.throwFatal()
        this.#membership.join()
        const records = this.#take()
        // Even if nothing is waited for: acknowledgements must go out, and the next poll finds what this one asked for.
        const wakeAtMs = this.#pump(records.length === 0 && !this.#holdings.isRenewing)
        const nowMs = clock.monotonicMs()
        if (records.length > 0 || nowMs >= deadlineMs || signal?.aborted === true) return records
        const untilMs = Math.min(deadlineMs, wakeAtMs, nowMs + this.#options.maxPollIntervalMs)
        await this.#progress.next(Math.max(0, untilMs - nowMs))
      }
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** What was handed out by the poll before. */
  #sayOfLast(): void {
    if (!this.#options.isExplicit) this.#holdings.acceptRest()
    else if (this.#holdings.hasUnsaid) throw new StateError('some records of the last poll are not acknowledged')
    this.#holdings.submit()
  }

  /** Records to hand out now. */
  #take(): ShareRecord[] {
    const renewed = this.#holdings.takeRenewed()
    if (renewed.length > 0) return renewed
    const nowMs = this.#core.ports.clock.monotonicMs()
    const taken: AcquiredRecord[] = []
    while (this.#buffered.length > 0 && taken.length < this.#options.maxPollRecords) {
      const one = this.#buffered.shift()!
      const { source, sessionOrdinal, place, lockedUntilMs } = one
      // Given back by the broker while it waited here: another member may have it.
      if (lockedUntilMs <= nowMs || sessionOrdinal !== source.sessionOrdinal) continue
      if (this.#topics.includes(place.topic)) taken.push(one)
      else source.acknowledge(place, Number(one.record.offset), 'release', sessionOrdinal)
    }
    this.#holdings.take(taken)
    return taken.map(({ record }) => record)
  }

  /** Sends what makes sense now; gives when there may be more to do without anything happening. */
  #pump(wantsRecords: boolean): number {
    const byNode = this.#wanted()
    for (const nodeId of byNode.keys()) {
      if (!this.#sources.has(nodeId)) this.#sources.set(nodeId, this.#newSource(nodeId))
    }
    let wakeAtMs = Number.POSITIVE_INFINITY
    const nowMs = this.#core.ports.clock.monotonicMs()
    for (const [nodeId, source] of this.#sources) {
      source.pump(byNode.get(nodeId) ?? [], wantsRecords)
      if (source.notBeforeMs > nowMs) wakeAtMs = Math.min(wakeAtMs, source.notBeforeMs)
    }
    return wakeAtMs
  }

  /** The assigned partitions by leader. */
  #wanted(): Map<number, SharePartition[]> {
    const names = new Map<Uuid, string>()
    for (const { name, topicId } of this.#core.metadata.view.topics.values()) names.set(topicId, name)
    const byNode = new Map<number, SharePartition[]>()
    for (const [topicId, partitions] of this.#membership.assignment) {
      const topic = names.get(topicId)
      for (const partition of partitions) {
        const leaderId = topic === undefined ? -1 : (this.#core.metadata.partition(topic, partition)?.leaderId ?? -1)
        if (leaderId === -1) {
          this.#core.metadata.requestUpdate()
          continue
        }
        const list = byNode.get(leaderId)
        const place = { topic: topic!, topicId, partition }
        if (list === undefined) byNode.set(leaderId, [place])
        else list.push(place)
      }
    }
    return byNode
  }

  #newSource(nodeId: number): ShareSource {
    const host: ShareSourceHost = {
      onRecords: (source, place, answer, lockedUntilMs) => {
        // Left, or left and come back, since it was asked for: ending its session gives the records back.
        if (this.#sources.get(nodeId) !== source) return
        const { records, acknowledgements, failure } = readAcquired(place, answer, this.#options)
        const { sessionOrdinal } = source
        for (const record of records) this.#buffered.push({ record, place, source, sessionOrdinal, lockedUntilMs })
        for (const [offset, type] of acknowledgements) source.acknowledge(place, offset, type, sessionOrdinal)
        if (failure !== null) this.#report(failure)
      },
      onAcknowledged: (place, acknowledgements, error) => this.#onAcknowledged(place, acknowledgements, error),
      onError: (error) => this.#report(error),
      onProgress: () => this.#progress.notify(),
    }
    return new ShareSource(this.#core, this.#options, nodeId, this.#membership.memberId, host)
  }

  #onAcknowledged(place: SharePartition, acknowledgements: Acknowledgements, error: unknown): void {
    this.#holdings.onAcknowledged(place, acknowledgements, error)
    const offsets = acknowledgements.offsets.map(BigInt)
    if (offsets.length === 0) return
    const outcome: AcknowledgementOutcome = { topic: place.topic, partition: place.partition, offsets, error }
    this.#outcomes?.push(outcome)
    this.#options.onAcknowledgements(outcome)
  }

  /** Resolves when every acknowledgement was answered. */
  async #settle(timeoutMs: number): Promise<void> {
    const { clock } = this.#core.ports
    const deadlineMs = clock.monotonicMs() + timeoutMs
    for (;;) {
      this.#pump(false)
      if (![...this.#sources.values()].some(({ hasAcknowledgements }) => hasAcknowledgements)) return
      const leftMs = deadlineMs - clock.monotonicMs()
      if (leftMs <= 0) throw new TimeoutError(`acknowledgements have no answer after ${timeoutMs} ms`, timeoutMs)
      await this.#progress.next(leftMs)
    }
  }

  async #exclusively<T>(run: () => Promise<T>): Promise<T> {
    this.#assertOpen()
    if (this.#busy !== null) throw new StateError('another call of this share consumer is waiting')
    this.#pollTimer?.cancel()
    const running = run()
    this.#busy = running
    try {
      return await running
    } finally {
      this.#busy = null
      this.#armPollTimer()
    }
  }

  #armPollTimer(): void {
    if (this.#closing !== null || !this.#membership.isJoined) return
    this.#pollTimer = this.#core.ports.timers.setTimer(this.#options.maxPollIntervalMs, () => {
      // The application is stuck: others shall have what it holds. It joins again when it comes back.
      this.#leave(this.#core.options.requestTimeoutMs).catch((error: unknown) => this.#report(error))
    })
  }

  #onMetadata(topicErrors: ReadonlyMap<string, number>): void {
    for (const [topic, errorCode] of topicErrors) {
      if (this.#topics.includes(topic) && !errorInfo(errorCode).retriable) {
        this.#report(new ProtocolError(errorCode, { topic }))
      }
    }
    this.#progress.notify()
  }

  #report(error: unknown): void {
    const { code } = error as { code?: string }
    if (!this.#errors.some((known) => (known as { code?: string }).code === code)) this.#errors.push(error)
    this.#progress.notify()
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw new ClientClosedError('share consumer')
  }
}
